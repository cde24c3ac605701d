"""Layers of conditional and collapse-proof GANs, and spectral norm: outputs, states, first- and second-order gradients.

A case has the TOML text of its layers in the metadata, the input `x` (N, C, H, W or N, F), `p/NAME` per parameter, `s/NAME` per
state, `label` (N, classes) where it uses one, a `cotangent`, and what PyTorch makes of them: `output` of the first training pass;
`grad/x` and `grad/NAME`, the gradients of L = sum over the case's passes of sum(output * cotangent); `second/x` and `second/NAME`,
those of sum((dL/dx)^2).  With states there are two passes, and `after/NAME` (states after both) and `evaluated` (the output in
evaluation mode after both).  Layouts are PyTorch's.
"""
import torch
import torch.nn.functional as F
from torch import nn

from . import store, threefry

SEED = 23


def spectral(module):
    """PyTorch's own spectral norm of a module: a function of x, and its tensors by our names."""
    made = nn.utils.spectral_norm(module.double())
    return made, dict(made.named_parameters()), {k: b for k, b in made.named_buffers()}


def maxout(x, p, _):
    return (x @ p["0.weight"].T + p["0.bias"]).view(len(x), 5, 3).max(2).values


def minibatch(x, p, _):
    m = (x @ p["0.weight"]).view(len(x), 4, 3)
    closeness = torch.exp(-(m[:, None] - m[None]).abs().sum(3))  # (N, N, kernels)
    others = 1 - torch.eye(len(x), dtype=x.dtype)
    return torch.cat([x, (closeness * others[:, :, None]).sum(1)], 1)


def projection(x, p, label):
    return x @ p["1.weight"].T + p["1.bias"] + (x * (label @ p["1.embedding.weight"])).sum(1, keepdim=True)


def condition(x, p, label):
    n, _, h, w = x.shape
    return F.conv2d(torch.cat([x, label[:, :, None, None].expand(-1, -1, h, w)], 1), p["1.weight"], p["1.bias"])


def branches(x, p, _):
    rows = [torch.tanh(F.linear(row, p[f"0.branches.{i % 3}.0.weight"], p[f"0.branches.{i % 3}.0.bias"])) for i, row in enumerate(x)]
    return torch.stack(rows)


def formulas():
    """(name, layers, function of (x, parameters, label), x, parameters, classes)"""
    yield "maxout", 'type = "maxout"\nout = 5\npieces = 3', maxout, (6, 4), {"0.weight": (15, 4), "0.bias": (15,)}, None
    yield "minibatch_discrimination", 'type = "minibatch_discrimination"\nkernels = 4\ndims = 3', minibatch, (5, 6), {"0.weight": (6, 12)}, None
    two = 'type = "tanh"\n[[layer]]\ntype = "projection"'
    tensors = {"1.weight": (1, 7), "1.bias": (1,), "1.embedding.weight": (3, 7)}
    yield "projection", two, lambda x, p, y: projection(torch.tanh(x), p, y), (5, 7), tensors, 3
    two = 'type = "condition"\n[[layer]]\ntype = "conv2d"\nout = 2\nkernel = [2, 3]'
    yield "condition", two, condition, (4, 2, 5, 4), {"1.weight": (2, 5, 2, 3), "1.bias": (2,)}, 3
    one = 'type = "branches"\ncount = 3\nlayers = [{ type = "linear", out = 4 }, { type = "tanh" }]'
    tensors = {f"0.branches.{k}.0.{name}": shape for k in range(3) for name, shape in [("weight", (4, 2)), ("bias", (4,))]}
    yield "branches", one, branches, (6, 2), tensors, None
    one = 'type = "tanh"\n[[layer]]\ntype = "max_pool"\nkernel = [2, 3]'
    yield "max_pool", one, lambda x, p, _: F.max_pool2d(torch.tanh(x), (2, 3)), (2, 3, 4, 6), {}, None


def modules():
    """(name, layers, module, x)"""
    yield "spectral_linear", 'type = "linear"\nout = 5\nspectral_norm = true', nn.Linear(7, 5), (4, 7)
    text = 'type = "conv2d"\nout = 4\nkernel = [3, 2]\nstride = 2\npad = 1\nspectral_norm = true'
    yield "spectral_conv2d", text, nn.Conv2d(3, 4, (3, 2), 2, 1), (2, 3, 5, 6)
    text = 'type = "conv_transpose2d"\nout = 4\nkernel = [3, 2]\nstride = 2\npad = 1\nbias = false\nspectral_norm = true'
    yield "spectral_conv_transpose2d", text, nn.ConvTranspose2d(3, 4, (3, 2), 2, 1, bias=False), (2, 3, 4, 3)


class Draws:
    def __init__(self):
        self.stream = 0

    def __call__(self, shape):
        self.stream += 1
        return torch.from_numpy(threefry.uniform(SEED, self.stream, shape, 1.0)).double()


def golden():
    tensors, described, draw = {}, [], Draws()

    def record(name, text, x, params, outputs, classes=None, **more):
        cotangent = draw(tuple(outputs[0].shape))
        loss = sum((y * cotangent).sum() for y in outputs)
        wrt = {"x": x, **params}
        first = torch.autograd.grad(loss, list(wrt.values()), create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), list(wrt.values()), allow_unused=True)
        found = dict(x=x, cotangent=cotangent, output=outputs[0], **more)
        found |= {f"p/{k}": v for k, v in params.items()}
        found |= {f"grad/{k}": v for k, v in zip(wrt, first)}
        found |= {f"second/{k}": torch.zeros_like(wrt[k]) if v is None else v for k, v in zip(wrt, second)}
        tensors.update({f"{name}/{k}": store.numpy64(v) for k, v in found.items()})
        described.append(dict(name=name, layers=text, classes=classes))

    for name, text, f, shape, shapes, classes in formulas():
        x = (1.5 * draw(shape)).requires_grad_(True)
        params = {k: draw(s).requires_grad_(True) for k, s in shapes.items()}
        label = None if classes is None else F.one_hot(torch.arange(shape[0]) * 2 % classes, classes).double()
        more = {} if label is None else dict(label=label)
        record(name, text, x, params, [f(x, params, label)], classes, **more)
    for name, text, module, shape in modules():
        made, params, states = spectral(module)
        with torch.no_grad():
            for tensor in [*params.values(), *states.values()]:
                tensor.copy_(draw(tuple(tensor.shape)))
            for tensor in states.values():
                tensor.copy_(F.normalize(tensor, dim=0))
        x = draw(shape).requires_grad_(True)
        before = {f"s/0.{k}": v.clone() for k, v in states.items()}
        outputs = [made(x), made(x)]
        after = {f"after/0.{k}": v.clone() for k, v in states.items()}
        made.eval()
        evaluated = made(x)
        record(name, text, x, {f"0.{k}": v for k, v in params.items()}, outputs, evaluated=evaluated, **before, **after)
    return tensors, dict(what="outputs, states, first- and second-order gradients of layers; see tools/reference/layers.py", cases=described)
