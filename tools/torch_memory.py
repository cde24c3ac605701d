#!/usr/bin/env python3
"""Peak bytes of live tensors during one PyTorch training iteration on the CPU, as PyTorch's allocator would count them.

PyTorch has no allocator statistics on the CPU, so storages are counted: every tensor that an operation returns, forward or
backward, is noted with a weak reference to its storage, whose death takes its bytes off again. Parameters, gradients and Adam's
moments are in the sum; what a library holds inside one operation (oneDNN's scratch) is not, so the figure is a lower bound.

The networks and the iteration are those of the baseline (torch_ref.py, given with --reference).
usage: torch_memory.py --reference DIR/torch_ref.py [--model dcgan64] [--batch 128]
"""
import argparse
import importlib.util
import json
import sys
import weakref

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of all storages that were seen and are still alive."""

    def __init__(self):
        super().__init__()
        self.live, self.bytes, self.peak = {}, 0, 0

    def note(self, tensor):
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.live or storage.nbytes() == 0:
            return
        size = storage.nbytes()
        self.live[key] = weakref.finalize(storage, self.forget, key, size)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)

    def forget(self, key, size):
        if self.live.pop(key, None) is not None:
            self.bytes -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.note(leaf)
        return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reference", required=True)
    parser.add_argument("--model", default="dcgan64", choices=["mlp", "dcgan28", "dcgan64", "ring8", "gauss1d"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--foreach", action="store_true", help="Adam over all tensors at once, PyTorch's default on GPUs")
    args = parser.parse_args()
    spec = importlib.util.spec_from_file_location("torch_ref", args.reference)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)

    torch.manual_seed(0)
    g, d, width, shape, _, _ = reference.nets(args.model, argparse.Namespace(mlp_bn=False))
    options = dict(lr=2e-4, betas=(0.5, 0.999), foreach=args.foreach)
    opt_g, opt_d = torch.optim.Adam(g.parameters(), **options), torch.optim.Adam(d.parameters(), **options)
    real = torch.rand(args.batch, *shape) * 2 - 1
    one, zero = torch.ones(args.batch, 1), torch.zeros(args.batch, 1)
    bce = F.binary_cross_entropy_with_logits

    def iteration():
        fake = g(torch.randn(args.batch, width))
        opt_d.zero_grad(set_to_none=True)
        on_real = bce(d(real), one)
        on_real.backward()
        on_fake = bce(d(fake.detach()), zero)
        on_fake.backward()
        opt_d.step()
        loss = bce(d(fake), one)
        opt_g.zero_grad(set_to_none=True)
        loss.backward()
        opt_g.step()

    for _ in range(args.warmup):
        iteration()
    held = [real, one, zero, *g.parameters(), *d.parameters(), *g.buffers(), *d.buffers()]
    held += [p.grad for p in [*g.parameters(), *d.parameters()] if p.grad is not None]
    for optimiser in (opt_g, opt_d):
        for state in optimiser.state.values():
            held += [v for v in state.values() if isinstance(v, torch.Tensor)]
    counter = LiveStorages()
    for tensor in held:
        counter.note(tensor)
    before = counter.bytes
    del held, tensor
    with counter:
        iteration()
    result = dict(model=args.model, batch=args.batch, torch=torch.__version__, held_bytes=before, peak_bytes=counter.peak)
    print(json.dumps(result))
    # Everything that the iteration made and did not keep must be gone: otherwise the count is wrong.
    if counter.bytes > before:
        sys.exit(f"{counter.bytes} bytes are alive after the iteration, {before} before it")


if __name__ == "__main__":
    main()
