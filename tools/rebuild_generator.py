#!/usr/bin/env python3
"""Rebuilds a run's generator in PyTorch from its checkpoint and compares the images.

    gan-gpu sample RUN --latents z.safetensors --raw images.safetensors
    python tools/rebuild_generator.py RUN z.safetensors images.safetensors

Needs torch, numpy and safetensors.  RUN is a run folder (its newest checkpoint) or a checkpoint file.  `z` is [n, nz];
`images` is [n, c, h, w] or [n, features], -1..1, before packing to bytes.  Knows the families of `mlp`, `dcgan28` and
`dcgan64` with any widths; the layers are read off the tensors' names and shapes.  Evaluation mode: batch norm uses the
checkpoint's running statistics.  Prints the largest absolute difference; exit status 1 above 1e-4, 2 on unusable input.

    --make-latents N    writes N normal latents of the right width to LATENTS and stops
"""
import argparse
import collections
import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn as nn
from safetensors import safe_open
from safetensors.numpy import save_file

TOLERANCE = 1e-4


class Unusable(Exception):
    pass


def newest_checkpoint(run):
    if run.is_file():
        return run
    found = sorted((run / "checkpoints").glob("*.safetensors"))
    if not found:
        raise Unusable(f"{run}: neither a checkpoint file nor a run folder with checkpoints/*.safetensors")
    return found[-1]


def read(path):
    try:
        with safe_open(path, "np") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}
    except Exception as e:  # the library raises its own types, OSError and plain Exception
        raise Unusable(f"{path}: {e}") from e


def read_tensor(path, name):
    tensors, _ = read(path)
    if name not in tensors:
        raise Unusable(f"{path}: no tensor {name!r}, it holds {sorted(tensors)}")
    return tensors[name]


def generator_state(tensors, weights):
    """The generator's state_dict.  Running statistics that an EMA copy leaves out are the live network's."""
    if weights == "auto":
        weights = "g_ema" if any(k.startswith("g_ema.") for k in tensors) else "g"
    live = {k[2:]: v for k, v in tensors.items() if k.startswith("g.")}
    state = {k[len(weights) + 1:]: v for k, v in tensors.items() if k.startswith(weights + ".")}
    if not state:
        raise Unusable(f"the checkpoint has no tensors named {weights}.*")
    for k, v in live.items():
        if k not in state:
            if "running_" not in k and "num_batches" not in k:
                raise Unusable(f"{weights}.{k} is missing")
            print(f"note: {weights}.{k} is missing, using g.{k}")
            state[k] = v
    return weights, {k: torch.from_numpy(v.astype(np.float64)) for k, v in state.items() if "num_batches" not in k}


def build(state):
    """nn.Sequential with PyTorch's own numbering, so that load_state_dict checks every name and shape."""
    layers = collections.defaultdict(dict)
    for key, v in state.items():
        index, _, role = key.partition(".")
        if not index.isdigit():
            raise Unusable(f"tensor {key!r}: only plain sequences of layers can be rebuilt here")
        layers[int(index)][role] = v
    order = sorted(layers)
    convolutional = any(layers[i]["weight"].dim() == 4 for i in order)
    activation = nn.ReLU() if convolutional else nn.LeakyReLU(0.2)
    modules = [None] * (order[-1] + 1)
    for position, i in enumerate(order):
        w, bias = layers[i]["weight"], "bias" in layers[i]
        if "running_mean" in layers[i]:
            modules[i] = nn.BatchNorm2d(w.numel())
        elif w.dim() == 2:
            modules[i] = nn.Linear(w.shape[1], w.shape[0], bias=bias)
        elif w.dim() == 4 and tuple(w.shape[2:]) == (4, 4):
            modules[i] = nn.ConvTranspose2d(w.shape[0], w.shape[1], 4, *((1, 0) if position == 0 else (2, 1)), bias=bias)
        else:
            raise Unusable(f"layer {i} with weight {tuple(w.shape)} is none of mlp's, dcgan28's or dcgan64's")
    first = modules[order[0]]
    for i, m in enumerate(modules):
        if m is not None:
            continue
        if convolutional and (i == 0 or i == 1 and isinstance(first, nn.Linear)):
            modules[i] = unflatten(first, order, layers)
        else:
            modules[i] = activation
    net = nn.Sequential(*modules, nn.Tanh()).double().eval()
    missing, unexpected = net.load_state_dict(state, strict=False)
    wrong = [k for k in missing if "num_batches" not in k] + list(unexpected)
    if wrong:
        raise Unusable(f"names that do not fit the rebuilt network: {wrong}")
    nz = first.in_features if isinstance(first, nn.Linear) else first.in_channels
    return net, nz


def unflatten(first, order, layers):
    """A latent vector becomes 1x1 pixels; a linear layer's output becomes channels of square images."""
    if not isinstance(first, nn.Linear):
        return nn.Unflatten(1, (first.in_channels, 1, 1))
    channels = next(layers[i]["weight"].shape[0] for i in order if layers[i]["weight"].dim() == 4)
    side = round((first.out_features / channels) ** 0.5)
    if channels * side * side != first.out_features:
        raise Unusable(f"{first.out_features} features are no square images of {channels} channels")
    return nn.Unflatten(1, (channels, side, side))


def compare(net, nz, z, images):
    if z.ndim != 2 or z.shape[1] != nz:
        raise Unusable(f"z is {list(z.shape)}, the generator takes [n, {nz}]")
    with torch.no_grad():
        want = net(torch.from_numpy(z.astype(np.float64))).numpy()
    if images.shape[0] != z.shape[0] or images.size != want.size or (images.ndim == want.ndim and images.shape != want.shape):
        raise Unusable(f"images is {list(images.shape)}, the rebuilt generator gives {list(want.shape)}")
    if not np.isfinite(images).all():
        return float("inf"), want
    return float(np.abs(images.reshape(want.shape).astype(np.float64) - want).max()), want


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("latents", type=pathlib.Path)
    parser.add_argument("images", type=pathlib.Path, nargs="?")
    parser.add_argument("--weights", choices=["auto", "g", "g_ema"], default="auto", help="auto: the EMA copy where there is one")
    parser.add_argument("--make-latents", type=int, metavar="N", help="write N normal latents to LATENTS and stop")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    torch.set_num_threads(1)
    path = newest_checkpoint(a.run)
    tensors, metadata = read(path)
    weights, state = generator_state(tensors, a.weights)
    net, nz = build(state)
    if a.make_latents:
        z = np.random.default_rng(a.seed).standard_normal((a.make_latents, nz)).astype(np.float32)
        save_file({"z": z}, a.latents)
        print(f"wrote z {list(z.shape)} to {a.latents}")
        return 0
    if a.images is None:
        parser.error("IMAGES is needed (or --make-latents)")
    difference, want = compare(net, nz, read_tensor(a.latents, "z"), read_tensor(a.images, "images"))
    print(json.dumps(dict(checkpoint=path.name, weights=weights, has_config="config" in metadata, latents=list(want.shape)[0], image=list(want.shape[1:]),
                          output_std=float(want.std()), max_abs_difference=difference, tolerance=TOLERANCE, ok=difference <= TOLERANCE)))
    return 0 if difference <= TOLERANCE else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unusable as e:
        print(f"rebuild_generator: {e}", file=sys.stderr)
        sys.exit(2)
