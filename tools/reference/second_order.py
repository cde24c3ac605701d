"""Gradients of gradient penalties with respect to every discriminator parameter, whole, on small critics."""
import torch
import torch.nn as nn

from . import store, threefry

SEED = 17
BATCH = 5
ACTIVATIONS = dict(leaky_relu=lambda: nn.LeakyReLU(0.2), tanh=nn.Tanh, softplus=nn.Softplus)
GP_WEIGHT, R1_GAMMA = 10.0, 10.0


def critics():
    """name -> (network, sample shape).  Strides, paddings and kernels are uneven on purpose."""
    out = {}
    for act, make in ACTIVATIONS.items():
        out[f"mlp_{act}"] = nn.Sequential(nn.Linear(6, 17), make(), nn.Linear(17, 9), make(), nn.Linear(9, 1)), (6,)
        out[f"conv_{act}"] = nn.Sequential(
            nn.Conv2d(2, 5, 4, 2, 1), make(), nn.Conv2d(5, 7, 3, (2, 1), (0, 1)), make(), nn.Flatten(), nn.Linear(7 * 2 * 4, 1)), (2, 10, 8)
    out["conv_batch_norm"] = nn.Sequential(
        nn.Conv2d(2, 5, 4, 2, 1, bias=False), nn.BatchNorm2d(5), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(5 * 5 * 4, 1)), (2, 10, 8)
    out["mlp_layer_norm"] = nn.Sequential(nn.Linear(6, 17), nn.LayerNorm(17), nn.LeakyReLU(0.2), nn.Linear(17, 1)), (6,)
    return out


def penalty(kind, net, x):
    """wgan_gp: 10 E (|grad D| - 1)^2.  r1: (10/2) E |grad D|^2.  The gradient is that of D summed over the batch."""
    x = x.clone().requires_grad_(True)
    (g,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    g = g.flatten(1)
    if kind == "wgan_gp":
        return GP_WEIGHT * ((g.norm(2, dim=1) - 1) ** 2).mean(), g
    return R1_GAMMA / 2 * g.pow(2).sum(1).mean(), g


def golden():
    """Tensors `<critic>/x`, `<critic>/p/<name>` (inputs), `<critic>/input_grad`, `<critic>/<penalty>/value` and
    `<critic>/<penalty>/grad/<name>`."""
    tensors, described, stream = {}, [], 1
    for name, (net, shape) in critics().items():
        net = net.double()
        with torch.no_grad():
            for p in net.parameters():
                fan_in = max(1, p[0].numel())
                base = 1.0 if p.dim() == 1 and name.endswith("norm") else 0.0  # norms' scales and shifts near 1
                p.copy_(torch.from_numpy(threefry.uniform(SEED, stream, p.shape, 1.6 / fan_in**0.5 if p.dim() > 1 else 0.4)) + base)
                p.copy_(p.float().double())
                stream += 1
        x = torch.from_numpy(threefry.uniform(SEED, stream, (BATCH, *shape), 1.5)).double()
        stream += 1
        tensors[f"{name}/x"] = store.numpy64(x)
        for k, p in net.named_parameters():
            tensors[f"{name}/p/{k}"] = store.numpy64(p)
        tensors[f"{name}/output"] = store.numpy64(net(x))
        for kind in ("wgan_gp", "r1"):
            value, g = penalty(kind, net, x)
            grads = torch.autograd.grad(value, list(net.parameters()), allow_unused=True)
            tensors[f"{name}/input_grad"] = store.numpy64(g.reshape(x.shape))
            tensors[f"{name}/{kind}/value"] = store.numpy64(value.reshape(1))
            for (k, p), d in zip(net.named_parameters(), grads):
                tensors[f"{name}/{kind}/grad/{k}"] = store.numpy64(torch.zeros_like(p) if d is None else d)
        described.append(dict(name=name, layers=[str(m) for m in net], parameters=[k for k, _ in net.named_parameters()]))
    return tensors, dict(what="gradient of the WGAN-GP penalty and of R1 alone w.r.t. every critic parameter; batch norm in training mode",
                         wgan_gp=f"{GP_WEIGHT} * mean((|grad_x sum D| - 1)^2)", r1=f"{R1_GAMMA}/2 * mean(|grad_x sum D|^2)", critics=described)
