"""The portable random numbers of the goldens: Threefry2x32-20, a counter-based generator.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), as in Random123 1.14.
Every value is a pure function of (seed, stream, index), uses integers and one rounding to f32, and so comes out the
same bit for bit in any language:

    key     = (seed, stream)            two u32
    counter = (index, 0)                two u32; index is linear in PyTorch's own row-major layout
    word    = threefry2x32_20(key, counter)[0]
    u       = (word >> 8) * 2^-24       in [0, 1), exact in f32
    value   = f32((2u - 1) * scale)     product in f64 (2u - 1 is exact), then rounded once to f32
"""
import numpy as np

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA
M32 = np.uint64(0xFFFFFFFF)

# Random123's kat_vectors, "threefry2x32 20": (counter, key, output).
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def threefry2x32(key, counter0, counter1=0):
    """Both output words for an array of first counter words; u64 arithmetic masked to 32 bits."""
    x0 = np.atleast_1d(np.asarray(counter0, dtype=np.uint64))
    x1 = np.full_like(x0, counter1)
    ks = [np.uint64(key[0]), np.uint64(key[1])]
    ks.append(np.uint64(PARITY) ^ ks[0] ^ ks[1])
    x0, x1 = (x0 + ks[0]) & M32, (x1 + ks[1]) & M32
    for r in range(20):
        rot = np.uint64(ROTATIONS[r % 8])
        x0 = (x0 + x1) & M32
        x1 = ((x1 << rot) | (x1 >> (np.uint64(32) - rot))) & M32
        x1 ^= x0
        if r % 4 == 3:  # a key injection after every fourth round
            s = r // 4 + 1
            x0 = (x0 + ks[s % 3]) & M32
            x1 = (x1 + ks[(s + 1) % 3] + np.uint64(s)) & M32
    return x0.astype(np.uint32), x1.astype(np.uint32)


def unit(seed, stream, n):
    """n values u in [0, 1), exact multiples of 2^-24, as f64."""
    word, _ = threefry2x32((seed, stream), np.arange(n, dtype=np.uint64))
    return (word >> np.uint32(8)).astype(np.float64) * 2.0**-24


def uniform(seed, stream, shape, scale):
    """f32 array of the shape, uniform in [-scale, scale)."""
    n = int(np.prod(shape))
    return ((2.0 * unit(seed, stream, n) - 1.0) * scale).astype(np.float32).reshape(shape)


def self_check():
    for counter, key, want in KNOWN_ANSWERS:
        got = threefry2x32(key, counter[0], counter[1])
        got = (int(got[0][0]), int(got[1][0]))
        if got != want:
            raise AssertionError(f"threefry2x32-20 of key {key}, counter {counter}: got {got}, published {want}")


def vectors():
    """What assets/goldens/threefry.json holds."""
    self_check()
    rows = []
    for counter, key, out in KNOWN_ANSWERS:
        rows.append(dict(key=list(key), counter=list(counter), output=list(out), source="Random123 kat_vectors, threefry2x32 20"))
    for key, c0, c1 in [((0, 1), 0, 0), ((0, 1), 1, 0), ((1, 0), 0, 0), ((7, 2001), 12345, 0), ((11, 1001), 4294967295, 0),
                        ((2147483648, 3001), 65536, 0), ((1, 2), 3, 4)]:
        a, b = threefry2x32(key, c0, c1)
        rows.append(dict(key=list(key), counter=[c0, c1], output=[int(a[0]), int(b[0])], source="tools/reference/threefry.py"))
    tensors = []
    for seed, stream, scale in [(7, 1, 1.0), (7, 2001, 3.0**0.5), (11, 1001, 0.02 * 3.0**0.5)]:
        v = uniform(seed, stream, (8,), scale)
        tensors.append(dict(seed=seed, stream=stream, scale=scale, values=[float(x) for x in v], bits=[int(x) for x in v.view(np.uint32)]))
    return dict(generator="threefry2x32-20", vectors=rows, tensors=tensors)
