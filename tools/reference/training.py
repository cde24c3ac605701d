"""Ten consecutive training iterations whose weights, latents and batches come from the portable generator."""
import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import models, store, threefry

# First stream of each family; the tensor's or iteration's number is added.
STREAMS = dict(generator=1, discriminator=1001, latents=2001, real=3001, eps=4001, latents_g_step=5001)
LATENT_SCALE = math.sqrt(3.0)  # uniform with unit variance
CASES = dict(
    mlp=dict(seed=11, batch=16, betas=(0.5, 0.999)),
    dcgan28=dict(seed=36, batch=8, betas=(0.5, 0.999)),
    wgangp28=dict(seed=29, batch=8, betas=(0.0, 0.9)),
)
# Biases in front of a ReLU: element i is -value where i % period == period - 1, otherwise +value.  With zero biases some
# of the millions of pre-activations lie within rounding of the kink, and one flipped ReLU moves these losses by 1e-4 to
# 1e-3 in ten iterations (PyTorch float32 against float64: 6e-4), so no correct engine could promise 1e-4.
AWAY_FROM_KINKS = {
    ("dcgan28", 1, "2.bias"): (2.0, 4), ("dcgan28", 1, "5.bias"): (2.0, 4),
    ("dcgan28", 1001, "0.bias"): (0.25, 2), ("dcgan28", 1001, "3.bias"): (2.0, 2),
    ("wgangp28", 1, "2.bias"): (2.0, 4), ("wgangp28", 1, "5.bias"): (2.0, 4),
    ("wgangp28", 1001, "0.bias"): (0.75, 2), ("wgangp28", 1001, "2.bias"): (1.0, 2),
}
LR, ITERATIONS, PENALTY_WEIGHT = 2e-4, 10, 10.0


def parameter_recipe(name, net, first_stream):
    """How each parameter is filled: streams count the parameters (not the buffers) in state_dict order."""
    recipe = []
    modules = dict(net.named_modules())
    for i, (key, p) in enumerate(net.named_parameters()):
        m = modules[key.rpartition(".")[0]]
        row = dict(name=key, shape=list(p.shape), stream=first_stream + i)
        if key.endswith("bias") and (name, first_stream, key) in AWAY_FROM_KINKS:
            value, period = AWAY_FROM_KINKS[name, first_stream, key]
            row.update(fill="alternating", value=value, period=period)
        elif isinstance(m, nn.BatchNorm2d):
            row.update(fill="constant", value=1.0 if key.endswith("weight") else 0.0)
        else:
            row.update(fill="uniform", scale=weight_scale(name, m, key))
        recipe.append(row)
    return recipe


def weight_scale(name, m, key):
    """1/sqrt(fan_in), PyTorch's default; convolutions get the variance of the DCGAN's N(0, .02).

    The WGAN-GP critic keeps 1/sqrt(fan_in) in its convolutions too: with .02 its gradient is so small that the
    penalty is a constant 1 and would test nothing.
    """
    critic = name == "wgangp28" and isinstance(m, nn.Conv2d)
    if name != "mlp" and not critic and not isinstance(m, nn.Linear) and key.endswith("weight"):
        return 0.02 * math.sqrt(3.0)
    return 1.0 / math.sqrt(m.weight.shape[1] * math.prod(m.weight.shape[2:]))


def fill(net, recipe, seed):
    with torch.no_grad():
        for row, p in zip(recipe, net.parameters()):
            if row["fill"] == "constant":
                p.fill_(row["value"])
            elif row["fill"] == "alternating":
                p.copy_(torch.tensor([-row["value"] if i % row["period"] == row["period"] - 1 else row["value"] for i in range(p.numel())]))
            else:
                p.copy_(torch.from_numpy(threefry.uniform(seed, row["stream"], row["shape"], row["scale"])))


def gradients(net):
    return [torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for p in net.parameters()]


class Noise:
    """Rounding errors of another engine, imitated: each linear, convolution or normalisation layer's output and each
    gradient gets Gaussian noise of `size` times its root mean square.

    A flipped ReLU is a discrete event that Adam then amplifies, so a run is a fair golden only where the losses stay
    put under such noise; the seeds in CASES were chosen so.
    """

    def __init__(self, size, seed, *nets):
        self.size, self.rng = size, torch.Generator().manual_seed(seed)
        for net in nets:
            for m in net.modules():
                if not isinstance(m, (nn.Sequential, nn.Flatten, nn.Unflatten, nn.ReLU, nn.LeakyReLU, nn.Tanh)):
                    m.register_forward_hook(lambda m, x, y: self.disturb(y))

    def disturb(self, y):
        rms = y.detach().pow(2).mean().sqrt()
        return y + self.size * rms * torch.randn(y.shape, generator=self.rng, dtype=y.dtype)


class Run:
    """One training run; `noise` = (relative size, seed) disturbs every layer's output and every gradient, see Noise."""

    def __init__(self, name, dtype, noise=None):
        self.name, self.dtype, self.case = name, dtype, CASES[name]
        self.seed, self.batch = self.case["seed"], self.case["batch"]
        self.G, self.D, self.nz, self.shape = models.build(name)
        self.g_recipe = parameter_recipe(name, self.G, STREAMS["generator"])
        self.d_recipe = parameter_recipe(name, self.D, STREAMS["discriminator"])
        fill(self.G, self.g_recipe, self.seed)
        fill(self.D, self.d_recipe, self.seed)
        self.start = {k: [p.detach().double().clone() for p in net.parameters()] for k, net in (("g", self.G), ("d", self.D))}
        self.G, self.D = self.G.to(dtype), self.D.to(dtype)
        self.g_opt = torch.optim.Adam(self.G.parameters(), lr=LR, betas=self.case["betas"])
        self.d_opt = torch.optim.Adam(self.D.parameters(), lr=LR, betas=self.case["betas"])
        self.noise = Noise(*noise, self.G, self.D) if noise else None
        self.losses = dict(loss_d=[], loss_g=[])
        self.first = {}

    def draw(self, family, t, shape, scale):
        return torch.from_numpy(threefry.uniform(self.seed, STREAMS[family] + t, shape, scale)).to(self.dtype)

    def latents(self, t, family="latents"):
        return self.draw(family, t, (self.batch, self.nz), LATENT_SCALE)

    def real(self, t):
        return self.draw("real", t, (self.batch, *self.shape), 1.0)

    def train(self):
        for t in range(ITERATIONS):
            if self.name == "wgangp28":
                self.critic_step(t)
                if t % models.N_CRITIC == models.N_CRITIC - 1:
                    self.generator_step(self.G(self.latents(t // models.N_CRITIC, "latents_g_step")))
            else:
                self.gan_iteration(t)
        return self

    def gan_iteration(self, t):
        """Non-saturating GAN: one G forward, both losses' gradients accumulate in D, one G step on the same latents."""
        one, zero = torch.ones(self.batch, 1, dtype=self.dtype), torch.zeros(self.batch, 1, dtype=self.dtype)
        bce = F.binary_cross_entropy_with_logits
        fake = self.G(self.latents(t))
        self.d_opt.zero_grad()
        on_real = self.D(self.real(t))
        loss_real = bce(on_real, one)
        loss_real.backward()
        on_fake = self.D(fake.detach())
        loss_fake = bce(on_fake, zero)
        loss_fake.backward()
        self.keep_first("d", self.D, fake=fake, logits_real=on_real, logits_fake=on_fake)
        self.step(self.d_opt)
        self.losses["loss_d"].append(float(loss_real.detach() + loss_fake.detach()))
        self.generator_step(fake)

    def critic_step(self, t):
        with torch.no_grad():
            fake = self.G(self.latents(t))
        eps = (self.draw("eps", t, (self.batch, 1, 1, 1), 1.0) + 1.0) * 0.5
        real = self.real(t)
        x = (eps * real + (1 - eps) * fake).requires_grad_(True)
        on_real, on_fake, on_x = self.D(real), self.D(fake), self.D(x)
        (g,) = torch.autograd.grad(on_x.sum(), x, create_graph=True)
        penalty = ((g.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        loss = on_fake.mean() - on_real.mean() + PENALTY_WEIGHT * penalty
        self.d_opt.zero_grad()
        loss.backward()
        self.keep_first("d", self.D, fake=fake, logits_real=on_real, logits_fake=on_fake)
        self.step(self.d_opt)
        self.losses["loss_d"].append(float(loss.detach()))
        self.losses.setdefault("penalty", []).append(float(penalty.detach()))

    def generator_step(self, fake):
        out = self.D(fake)
        if self.name == "wgangp28":
            loss = -out.mean()
        else:
            loss = F.binary_cross_entropy_with_logits(out, torch.ones_like(out))
        self.g_opt.zero_grad()
        loss.backward()
        self.keep_first("g", self.G)
        self.step(self.g_opt)
        self.losses["loss_g"].append(float(loss.detach()))

    def step(self, optimiser):
        if self.noise:
            for group in optimiser.param_groups:
                for p in group["params"]:
                    p.grad = self.noise.disturb(p.grad)
        optimiser.step()

    def keep_first(self, which, net, **activations):
        """Gradients and a few activations of the first step only."""
        if which not in self.first:
            self.first[which] = gradients(net)
            for k, v in activations.items():
                self.first[k] = v.detach().clone()


def after_rows(run, which):
    """Per parameter after the last iteration: norm, sum, projections 0..3, norm of the change since the start."""
    net = run.G if which == "g" else run.D
    rows = []
    for p, start in zip(net.parameters(), run.start[which]):
        rows.append([*store.summary(run.seed, store.numpy64(p)), float((p.detach().double() - start).norm())])
    return np.array(rows)


def buffer_rows(net, seed):
    rows = [(k, store.summary(seed, store.numpy64(v))) for k, v in net.named_buffers() if v.is_floating_point()]
    return [k for k, _ in rows], np.array([r for _, r in rows])


def golden(name):
    """-> tensors, metadata, and how far the same run in float32 is from float64."""
    run = Run(name, torch.float64).train()
    tensors = {k: np.array(v) for k, v in run.losses.items()}
    for which, net in (("g", run.G), ("d", run.D)):
        recipe = run.g_recipe if which == "g" else run.d_recipe
        for row, grad in zip(recipe, run.first[which]):
            row.update(store.put_gradient(tensors, f"grad_{which}/{row['name']}", grad, run.seed))
        tensors[f"after_{which}"] = after_rows(run, which)
    for k in ("logits_real", "logits_fake"):
        tensors[k] = store.numpy64(run.first[k]).ravel()
    tensors["fake#summary"] = store.summary(run.seed, store.numpy64(run.first["fake"]))
    tensors["fake#samples"] = store.numpy64(run.first["fake"]).ravel()[:: store.sample_stride(run.first["fake"].numel())][: store.SAMPLES]
    buffers = {}
    for which, net in (("g", run.G), ("d", run.D)):
        names, rows = buffer_rows(net, run.seed)
        if names:
            buffers[which] = names
            tensors[f"buffers_{which}"] = rows
    metadata = dict(
        what=f"{ITERATIONS} consecutive {'critic steps of WGAN-GP, a generator step after every fifth' if name == 'wgangp28' else 'training iterations'} of {name}",
        model=name, seed=str(run.seed), batch=str(run.batch), iterations=str(ITERATIONS), lr=str(LR), betas=list(run.case["betas"]),
        adam_eps="1e-8", penalty_weight=str(PENALTY_WEIGHT) if name == "wgangp28" else "none", n_critic=str(models.N_CRITIC if name == "wgangp28" else 1),
        latent_dim=str(run.nz), sample_shape=list(run.shape), streams=STREAMS, latent_scale=repr(LATENT_SCALE),
        projection_stream=str(store.PROJECTION_STREAM), fake_stride=str(store.sample_stride(run.first["fake"].numel())),
        parameters_g=run.g_recipe, parameters_d=run.d_recipe, buffers=buffers)
    return tensors, metadata, f32_distance(run, Run(name, torch.float32).train())


def f32_distance(exact, single):
    """Largest relative differences of the float32 run: what a correct f32 engine should be expected to reach."""
    rel = lambda a, b: float((a.double() - b.double()).norm() / max(float(b.double().norm()), 1e-30))
    out = {}
    for k, v in exact.losses.items():
        d = [abs(a - b) / abs(b) for a, b in zip(single.losses[k], v)]
        out[k] = dict(max_relative=max(d), smallest=min(abs(x) for x in v), first=v[0], last=v[-1])
    for which in ("g", "d"):
        recipe = exact.g_recipe if which == "g" else exact.d_recipe
        pairs = [(rel(a, b), r["name"]) for a, b, r in zip(single.first[which], exact.first[which], recipe) if float(b.norm()) > 0]
        out[f"grad_{which}"] = dict(max_relative=max(pairs)[0], where=max(pairs)[1], zero=[r["name"] for b, r in zip(exact.first[which], recipe) if float(b.norm()) == 0])
        nets = [(s.G if which == "g" else s.D) for s in (single, exact)]
        pairs = [(rel(a.detach(), b.detach()), r["name"]) for a, b, r in zip(nets[0].parameters(), nets[1].parameters(), recipe)]
        out[f"after_{which}"] = dict(max_relative=max(pairs)[0], where=max(pairs)[1])
        change = [(rel(a.detach().double() - s, b.detach() - s), r["name"]) for a, b, s, r in zip(nets[0].parameters(), nets[1].parameters(), exact.start[which], recipe)]
        out[f"change_{which}"] = dict(max_relative=max(change)[0], where=max(change)[1])
    return out
