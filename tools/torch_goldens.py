#!/usr/bin/env python3
"""Writes assets/goldens: what PyTorch computes, for the parity tests.

Needs torch, numpy and safetensors.  Deterministic: one CPU thread, float64 arithmetic, stored as f32; weights, latents
and batches come from a portable generator (tools/reference/threefry.py), so none of them is stored.

    python tools/torch_goldens.py                       write every file, print how far float32 is from float64
    python tools/torch_goldens.py --check               compute again and compare with the files, exit 1 if they differ
    python tools/torch_goldens.py --noise 8             also repeat each run 8 times under imitated rounding noise
"""
import argparse
import json
import pathlib
import sys

import torch
from safetensors import safe_open

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from reference import layers, models, ops, optimisers, second_order, store, threefry, training  # noqa: E402

DEFAULT_OUT = pathlib.Path(__file__).resolve().parent.parent / "assets" / "goldens"
NOISE = 2e-6


def files(noise_runs):
    """-> (file name, writer(path)) in a fixed order."""
    yield "threefry.json", lambda path: path.write_text(json.dumps(threefry.vectors(), indent=1) + "\n")
    yield "models.json", lambda path: path.write_text(json.dumps({m: models.describe(m) for m in models.DEFAULT_BATCH}, indent=1) + "\n")
    for name in training.CASES:
        yield f"train_{name}.safetensors", lambda path, name=name: write_training(path, name, noise_runs)
    for module in (second_order, ops, layers, optimisers):
        name = module.__name__.rpartition(".")[2]
        yield f"{name}.safetensors", lambda path, module=module: write_case(path, module)


def write_case(path, module):
    tensors, metadata = module.golden()
    store.write(path, tensors, **metadata)


def write_training(path, name, noise_runs):
    tensors, metadata, distance = training.golden(name)
    store.write(path, tensors, **metadata)
    print(json.dumps(dict(model=name, float32_against_float64=distance), indent=1))
    exact = training.Run(name, torch.float64).train() if noise_runs else None
    worst = [max_loss_difference(training.Run(name, torch.float64, noise=(NOISE, k)).train(), exact) for k in range(noise_runs)]
    if worst:
        print(f"{name}: largest relative change of any loss under noise of {NOISE} in {noise_runs} runs: {max(worst):.1e}", flush=True)


def max_loss_difference(run, exact):
    return max(abs(a - b) / abs(b) for k in exact.losses for a, b in zip(run.losses[k], exact.losses[k]))


def same(a, b):
    """Text files byte for byte; safetensors by their values (to f32 rounding), names and metadata except the version."""
    if a.suffix == ".json":
        return a.read_text() == b.read_text()
    with safe_open(a, "np") as x, safe_open(b, "np") as y:
        meta = [{k: v for k, v in f.metadata().items() if k != "torch"} for f in (x, y)]
        if meta[0] != meta[1] or set(x.keys()) != set(y.keys()):
            return False
        for k in x.keys():
            u, v = x.get_tensor(k), y.get_tensor(k)
            if u.shape != v.shape or abs(u.astype("f8") - v.astype("f8")).max() > 1e-6 * (abs(v).max() + 1e-12):
                return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=DEFAULT_OUT)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--noise", type=int, default=0, metavar="RUNS")
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    threefry.self_check()
    a.out.mkdir(parents=True, exist_ok=True)
    differing = []
    for name, write in files(a.noise):
        path = a.out / name
        target = path.with_suffix(".again" + path.suffix) if a.check else path
        write(target)
        if a.check:
            if not path.exists() or not same(target, path):
                differing.append(name)
            target.unlink()
        else:
            print(f"{path.name}: {path.stat().st_size} bytes", flush=True)
    if differing:
        sys.exit(f"differ from what PyTorch computes now: {', '.join(differing)}")


if __name__ == "__main__":
    main()
