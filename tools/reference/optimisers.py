"""Ten steps of each optimiser on one fixed gradient sequence."""
import numpy as np
import torch

from . import store, threefry

SEED, SIZE, STEPS = 23, 37, 10
CASES = dict(
    adam=(torch.optim.Adam, dict(lr=2e-4, betas=(0.5, 0.999), eps=1e-8)),
    adam_wgan=(torch.optim.Adam, dict(lr=1e-4, betas=(0.0, 0.9), eps=1e-8)),
    rmsprop=(torch.optim.RMSprop, dict(lr=5e-5, alpha=0.99, eps=1e-8)),
    sgd_momentum=(torch.optim.SGD, dict(lr=0.1, momentum=0.5)),
    sgd=(torch.optim.SGD, dict(lr=0.1)),
)


def gradient_sequence():
    """[STEPS, SIZE]; element i is scaled by 10^(i % 7 - 5), element 0 is always zero, element 1 zero on even steps."""
    g = threefry.uniform(SEED, 1, (STEPS, SIZE), 1.0).astype(np.float64) * 10.0 ** (np.arange(SIZE) % 7 - 5)
    g[:, 0] = 0.0
    g[::2, 1] = 0.0
    return g.astype(np.float32)


def golden():
    start, grads = threefry.uniform(SEED, 2, (SIZE,), 0.5), gradient_sequence()
    tensors, described = dict(start=start, gradients=grads), []
    for name, (optimiser, options) in CASES.items():
        p = torch.nn.Parameter(torch.from_numpy(start).double())
        opt = optimiser([p], **options)
        track = []
        for g in grads:
            p.grad = torch.from_numpy(g).double()
            opt.step()
            track.append(store.numpy64(p).copy())
        tensors[f"{name}/parameters"] = np.stack(track)
        for k, v in opt.state[p].items():
            if torch.is_tensor(v) and v.shape == p.shape:
                tensors[f"{name}/state/{k}"] = store.numpy64(v)
        described.append(dict(name=name, optimiser=optimiser.__name__, options=options))
    return tensors, dict(what=f"{STEPS} steps on fixed gradients: `<case>/parameters` [step, element] after each step, `<case>/state/*` at the end",
                         seed=str(SEED), cases=described)
