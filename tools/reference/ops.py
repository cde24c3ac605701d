"""First-order gradients of single ops, tiny and whole.

A case has inputs x0, x1, ..., one `output`, a `cotangent` of the output's shape, and `grad0`, `grad1`, ...: the
gradients of sum(output * cotangent) with respect to the float inputs.  Layouts are PyTorch's (N, C, H, W).
"""
import torch
import torch.nn.functional as F

from . import store, threefry

SEED = 19


def cases():
    """(name, function, float input shapes, parameters for the record[, scale]).  Sizes differ in every axis."""
    yield "matmul_nn", lambda a, b: a @ b, [(5, 7), (7, 3)], {}
    yield "matmul_tn", lambda a, b: a.T @ b, [(7, 5), (7, 3)], {}
    yield "matmul_nt", lambda a, b: a @ b.T, [(5, 7), (3, 7)], {}
    yield "matmul_tt", lambda a, b: a.T @ b.T, [(7, 5), (3, 7)], {}
    yield "matmul_batched", lambda a, b: torch.bmm(a, b), [(4, 5, 7), (4, 7, 3)], {}
    for k, s, p in [((4, 4), (2, 2), (1, 1)), ((3, 5), (1, 2), (0, 2)), ((2, 3), (3, 2), (1, 0)), ((1, 1), (1, 1), (0, 0)), ((5, 5), (3, 3), (4, 4))]:
        tag = f"k{k[0]}{k[1]}_s{s[0]}{s[1]}_p{p[0]}{p[1]}"
        par = dict(kernel=list(k), stride=list(s), padding=list(p))
        yield f"conv2d_{tag}", (lambda x, w, b, s=s, p=p: F.conv2d(x, w, b, s, p)), [(2, 3, 9, 8), (4, 3, *k), (4,)], par
        if p[0] < k[0] and p[1] < k[1]:
            yield f"conv_transpose2d_{tag}", (lambda x, w, b, s=s, p=p: F.conv_transpose2d(x, w, b, s, p)), [(2, 3, 5, 6), (3, 4, *k), (4,)], par
    yield "batch_norm_2d", lambda x, g, b: F.batch_norm(x, None, None, g, b, True, 0.0, 1e-5), [(4, 3, 5, 2), (3,), (3,)], dict(eps=1e-5, mode="train")
    yield "batch_norm_1d", lambda x, g, b: F.batch_norm(x, None, None, g, b, True, 0.0, 1e-5), [(7, 3), (3,), (3,)], dict(eps=1e-5, mode="train")
    yield "layer_norm", lambda x, g, b: F.layer_norm(x, (11,), g, b, 1e-5), [(4, 11), (11,), (11,)], dict(eps=1e-5, over="the last axis")
    yield "layer_norm_chw", lambda x, g, b: F.layer_norm(x, (3, 4, 5), g, b, 1e-5), [(2, 3, 4, 5), (3, 4, 5), (3, 4, 5)], dict(eps=1e-5, over="C, H, W")
    yield "softplus", lambda x: F.softplus(x, threshold=1e30), [(33,)], dict(threshold="none"), 30.0
    yield "leaky_relu", lambda x: F.leaky_relu(x, 0.2), [(33,)], dict(slope=0.2)
    for name, f in dict(relu=F.relu, tanh=torch.tanh, sigmoid=torch.sigmoid, exp=torch.exp, abs=torch.abs).items():
        yield name, f, [(33,)], {}, 4.0
    yield "log", lambda x: torch.log(x + 5.0), [(33,)], dict(of="x + 5"), 4.0
    yield "sqrt", lambda x: torch.sqrt(x + 5.0), [(33,)], dict(of="x + 5"), 4.0
    yield "bce_with_logits_real", lambda x: F.binary_cross_entropy_with_logits(x, torch.ones_like(x)), [(17, 1)], dict(target=1, reduction="mean"), 8.0
    yield "bce_with_logits_fake", lambda x: F.binary_cross_entropy_with_logits(x, torch.zeros_like(x)), [(17, 1)], dict(target=0, reduction="mean"), 8.0
    yield "maximum", torch.maximum, [(5, 3), (5, 3)], {}
    yield "minimum_broadcast", lambda a, b: torch.minimum(a, b), [(5, 3), (3,)], {}
    yield "divide_broadcast", lambda a, b: a / (b + 3.0), [(2, 5, 3), (5, 1)], dict(of="a / (b + 3)")
    yield "multiply_broadcast", lambda a, b: a * b, [(2, 5, 3), (1, 5, 1)], {}
    yield "log_softmax", lambda x: F.log_softmax(x, 1), [(5, 7)], dict(axis=1), 4.0
    yield "mean_axes_0_2", lambda x: x.mean((0, 2)), [(4, 3, 5)], dict(axes=[0, 2])
    yield "sum_axis_1_keep", lambda x: x.sum(1, keepdim=True), [(4, 3, 5)], dict(axes=[1])
    yield "norm_per_sample", lambda x: x.flatten(1).norm(2, dim=1), [(4, 3, 5)], dict(of="sqrt(sum of squares) over all axes but the first")
    yield "upsample_nearest_2x", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), [(2, 3, 5, 4)], dict(scale=[2, 2])
    yield "upsample_nearest_3x2", lambda x: F.interpolate(x, scale_factor=(3, 2), mode="nearest"), [(2, 3, 3, 4)], dict(scale=[3, 2])
    yield "avg_pool_2x2", lambda x: F.avg_pool2d(x, 2), [(2, 3, 6, 4)], dict(kernel=[2, 2], stride=[2, 2], padding=[0, 0])
    yield "avg_pool_3x2", lambda x: F.avg_pool2d(x, (3, 2)), [(2, 3, 9, 4)], dict(kernel=[3, 2], stride=[3, 2], padding=[0, 0])
    index = torch.tensor([3, 0, 3, 6, 1])
    yield "gather_rows", lambda x: x[index], [(7, 4)], dict(index=index.tolist(), axis=0)
    yield "gather_columns", lambda x: x[:, index], [(4, 7)], dict(index=index.tolist(), axis=1)
    yield "scatter_add_rows", lambda x: torch.zeros(7, 4, dtype=x.dtype).index_add(0, index, x), [(5, 4)], dict(index=index.tolist(), axis=0, rows=7)
    yield "pad", lambda x: F.pad(x, (1, 2, 0, 3)), [(2, 3, 4)], dict(before=[0, 0, 1], after=[0, 3, 2], value=0)
    yield "slice", lambda x: x[1:5, :, 2:3], [(6, 3, 4)], dict(start=[1, 0, 2], end=[5, 3, 3])
    yield "concat", lambda a, b, c: torch.cat([a, b, c], 1), [(2, 3, 4), (2, 1, 4), (2, 5, 4)], dict(axis=1)
    yield "transpose_201", lambda x: x.permute(2, 0, 1), [(2, 3, 4)], dict(permutation=[2, 0, 1])


def golden():
    tensors, described, stream = {}, [], 1
    for name, f, shapes, parameters, *scale in cases():
        inputs = []
        for shape in shapes:
            inputs.append(torch.from_numpy(threefry.uniform(SEED, stream, shape, scale[0] if scale else 1.5)).double().requires_grad_(True))
            stream += 1
        out = f(*inputs)
        cotangent = torch.from_numpy(threefry.uniform(SEED, stream, tuple(out.shape) or (1,), 1.0)).double().reshape(out.shape)
        stream += 1
        grads = torch.autograd.grad((out * cotangent).sum(), inputs)
        for i, (x, g) in enumerate(zip(inputs, grads)):
            tensors[f"{name}/x{i}"], tensors[f"{name}/grad{i}"] = store.numpy64(x), store.numpy64(g)
        tensors[f"{name}/output"] = store.numpy64(out.reshape(tuple(out.shape) or (1,)))
        tensors[f"{name}/cotangent"] = store.numpy64(cotangent.reshape(tuple(out.shape) or (1,)))
        described.append(dict(name=name, inputs=len(inputs), parameters=parameters))
    return tensors, dict(what="first-order gradients of sum(output * cotangent), one case per op", cases=described)
