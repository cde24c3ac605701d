"""The reference networks, their initialisation rules and their cost, as PyTorch states them."""
import math

import torch
import torch.nn as nn

DEFAULT_BATCH = dict(mlp=64, dcgan28=64, dcgan64=128, wgangp28=64, ring8=512, gauss1d=512)
N_CRITIC = 5


def build(name):
    """-> generator, discriminator, latent width, shape of one sample."""
    if name == "mlp":
        return _mlp([100, 256, 512, 1024, 784], nn.LeakyReLU(0.2), nn.Tanh()), _mlp([784, 512, 256, 1], nn.LeakyReLU(0.2)), 100, (784,)
    if name in ("dcgan28", "wgangp28"):
        return _dcgan28_generator(), _dcgan28_discriminator(batch_norm=name == "dcgan28"), 100, (1, 28, 28)
    if name == "dcgan64":
        return _dcgan64_generator(), _dcgan64_discriminator(), 100, (3, 64, 64)
    if name in ("ring8", "gauss1d"):
        k = 2 if name == "ring8" else 1
        return _mlp([64, 128, 128, k], nn.ReLU()), _mlp([k, 128, 128, 1], nn.ReLU()), 64, (k,)
    raise ValueError(f"unknown model {name!r}")


def _mlp(widths, activation, last=None):
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.Linear(a, b))
        if i + 2 < len(widths):
            layers.append(activation)
    return nn.Sequential(*layers, *([last] if last else []))


def _dcgan28_generator():
    return nn.Sequential(
        nn.Linear(100, 7 * 7 * 128, bias=False), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh())


def _dcgan28_discriminator(batch_norm):
    layers = [nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1, bias=not batch_norm)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(128))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128 * 49, 1))


def _dcgan64_generator():
    widths, layers = [100, 512, 256, 128, 64, 3], [nn.Unflatten(1, (100, 1, 1))]
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.ConvTranspose2d(a, b, 4, *((1, 0) if i == 0 else (2, 1)), bias=False))
        layers += [nn.BatchNorm2d(b), nn.ReLU()] if b != 3 else [nn.Tanh()]
    return nn.Sequential(*layers)


def _dcgan64_discriminator():
    widths, layers = [3, 64, 128, 256, 512], []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.Conv2d(a, b, 4, 2, 1, bias=False))
        layers += ([nn.BatchNorm2d(b)] if i else []) + [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Flatten())


def init_rules(name, net):
    """Per parameter, how a fresh run draws it.

    PyTorch's default for Linear, Conv2d and ConvTranspose2d is U(-b, b) with b = 1/sqrt(fan_in) for weight and bias
    (kaiming_uniform_ with a = sqrt(5)); fan_in counts weight.shape[1] * kh * kw, which for a ConvTranspose2d is its
    *output* channels.  The convolutional models override convolution weights with N(0, .02) and batch norm weights
    with N(1, .02), as the DCGAN paper and tutorial do; biases and linear layers keep the default.
    """
    conv_model = "dcgan" in name or "wgan" in name
    rules = {}
    for prefix, m in net.named_modules():
        if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            bound = 1.0 / math.sqrt(m.weight.shape[1] * math.prod(m.weight.shape[2:]))
            rules[f"{prefix}.weight"] = dict(kind="uniform", bound=bound)
            if conv_model and not isinstance(m, nn.Linear):
                rules[f"{prefix}.weight"] = dict(kind="normal", mean=0.0, std=0.02)
            if m.bias is not None:
                rules[f"{prefix}.bias"] = dict(kind="uniform", bound=bound)
        elif isinstance(m, nn.BatchNorm2d):
            rules[f"{prefix}.weight"] = dict(kind="normal", mean=1.0, std=0.02)
            rules[f"{prefix}.bias"] = dict(kind="constant", value=0.0)
    return rules


def layer_macs(net, sample):
    """Multiply-accumulates per sample of each linear or convolution layer, in order of execution."""
    macs, hooks = [], []

    def hook(m, x, y):
        if isinstance(m, nn.Linear):
            macs.append(m.in_features * m.out_features)
        elif isinstance(m, nn.Conv2d):  # one dot product per output pixel and channel
            macs.append(y[0].numel() * m.in_channels * math.prod(m.kernel_size))
        else:  # ConvTranspose2d: every input element is spread over a kernel
            macs.append(x[0][0].numel() * m.out_channels * math.prod(m.kernel_size))

    for m in net.modules():
        if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            hooks.append(m.register_forward_hook(hook))
    with torch.no_grad():
        out = net.eval()(sample)
    for h in hooks:
        h.remove()
    return macs, out


def flops_per_iteration(name, batch):
    """2 x MACs of the linear and convolution layers that one training iteration needs (no normalisation, activation or
    optimiser arithmetic, no input gradient of a network's first layer).

    One iteration: G forward once; D on real and on fake, forward and backward; D forward on fake again, its backward
    to the image with weight gradients (as PyTorch computes them), G backward.  wgangp28: five critic steps (G forward,
    D forward and backward twice, and the penalty: forward, gradient to the image, double backward) and one G step.
    """
    G, D, nz, shape = build(name)
    g_macs, fake = layer_macs(G, torch.zeros(1, nz))
    d_macs, _ = layer_macs(D, torch.zeros(1, *shape))
    g = [2 * m * batch for m in g_macs]
    d = [2 * m * batch for m in d_macs]
    G1, D1 = sum(g), sum(d)
    g_backward, d_backward = 2 * G1 - g[0], 2 * D1 - d[0]
    g_step = D1 + D1 + D1 + g_backward
    if name == "wgangp28":
        penalty = D1 + D1 + (2 * D1 - d[-1])
        return N_CRITIC * (G1 + 2 * D1 + 2 * d_backward + penalty) + G1 + g_step
    return G1 + 2 * D1 + 2 * d_backward + g_step


def describe(name):
    """One entry of assets/goldens/models.json."""
    G, D, nz, shape = build(name)
    entry = dict(latent_dim=nz, sample_shape=list(shape), default_batch=DEFAULT_BATCH[name])
    for key, net in (("generator", G), ("discriminator", D)):
        rules = init_rules(name, net)
        parameters = dict(net.named_parameters())
        assert set(rules) == set(parameters), (name, set(rules) ^ set(parameters))
        entry[key] = dict(
            parameter_count=sum(p.numel() for p in parameters.values()),
            state_dict=[dict(name=k, shape=list(v.shape), role="parameter" if k in parameters else "buffer",
                             **({"init": rules[k]} if k in rules else {})) for k, v in net.state_dict().items()])
    batches = sorted({1, 32, DEFAULT_BATCH[name], 256})
    entry["gflop_per_iter"] = {str(b): flops_per_iteration(name, b) / 1e9 for b in batches}
    return entry
