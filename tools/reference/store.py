"""Small safetensors files with provenance, and summaries of tensors that are too large to keep."""
import json
import math
import struct

import numpy as np
import torch

from . import threefry

WHOLE_LIMIT = 4096  # elements; larger gradients are stored as a summary and samples
SAMPLES = 256
PROJECTIONS = 4
PROJECTION_STREAM = 6001  # projection j uses stream 6001 + j, scale 1


def numpy64(t):
    return t.detach().to(torch.float64).contiguous().numpy()


def sample_stride(n):
    """The largest prime <= n / 256: coprime with every width here, so the samples run through all axes."""
    s = n // SAMPLES
    while any(s % k == 0 for k in range(2, math.isqrt(s) + 1)):
        s -= 1
    return s


_signs = {}


def projection_vector(seed, j, n):
    key = (seed, j)
    if key not in _signs or _signs[key].size < n:
        _signs[key] = threefry.uniform(seed, PROJECTION_STREAM + j, (n,), 1.0).astype(np.float64)
    return _signs[key][:n]


def summary(seed, array):
    """[2 + PROJECTIONS]: norm, sum, then dot products with the uniform vectors of streams 6001...

    For an error e in the tensor, a projection moves by e.v with E (e.v)^2 = |e|^2 / 3: three times the mean square
    of the four differences estimates |e|^2, whatever the layout mistake or rounding was.
    """
    v = np.asarray(array, dtype=np.float64).ravel()
    return np.array([np.linalg.norm(v), v.sum(), *(v @ projection_vector(seed, j, v.size) for j in range(PROJECTIONS))])


def put_gradient(tensors, name, grad, seed):
    """Stores the tensor whole under `name`, or `name#summary` and `name#samples`; returns its entry for the metadata."""
    g = numpy64(grad)
    if g.size <= WHOLE_LIMIT:
        tensors[name] = g
        return dict(stored="whole")
    stride = sample_stride(g.size)
    tensors[name + "#summary"] = summary(seed, g)
    tensors[name + "#samples"] = g.ravel()[: stride * SAMPLES : stride]
    return dict(stored="samples", stride=stride)


def write(path, tensors, **metadata):
    """f64 arrays are rounded once to f32; integers become u32.  Nested metadata values are JSON strings."""
    out = {}
    for k, v in tensors.items():
        v = np.asarray(v)
        if not np.all(np.isfinite(v)):
            raise AssertionError(f"{path}: {k} is not finite")
        out[k] = np.ascontiguousarray(v.astype(np.float32 if v.dtype.kind == "f" else np.uint32))
    meta = dict(script="tools/torch_goldens.py", torch=torch.__version__.split("+")[0], computed_in="float64, one thread, CPU",
                generator="threefry2x32-20, see README.md", **metadata)
    save(path, out, {k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()})


def save(path, arrays, metadata):
    """A safetensors file with one fixed byte order: the library's own writer shuffles the metadata from run to run."""
    header, offset = {"__metadata__": metadata}, 0
    for k in sorted(arrays):
        a = arrays[k]
        header[k] = dict(dtype={"f": "F32", "u": "U32"}[a.dtype.kind], shape=list(a.shape), data_offsets=[offset, offset + a.nbytes])
        offset += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for k in sorted(arrays):
            f.write(arrays[k].astype(arrays[k].dtype.newbyteorder("<")).tobytes())
