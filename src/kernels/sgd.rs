//! Gradient descent on a network's arenas (`shaders/sgd.wgsl`), exactly as `torch.optim.SGD` with dampening 0 and without weight decay.
use super::momentum::{self, Momentum};
use super::scaler::Skip;
use super::walk::{self, Width};
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/sgd.wgsl");

/// Which elements, and the hyper-parameters by PyTorch's names.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Elements of each arena.
    pub count: u32,
    /// First elements in the buffers of p and g. Vectors of four are used where all offsets are multiples of 4.
    pub offsets: [u32; 2],
    pub lr: f64,
    /// `None` for momentum 0, which needs no arena.
    pub momentum: Option<Momentum>,
    pub skip: Skip,
}

/// Bindings: 0 parameters p (read and written), 1 gradients g, and with momentum 2 its arena (read and written; zeros at the start).
/// Where it may skip, the scaler's state comes last.
pub fn kernel(caps: &Caps, p: &Params) -> Kernel {
    let buf = p.momentum.map_or(0, |m| m.offset);
    let offsets = [p.offsets[0], p.offsets[1], buf];
    let width = Width::of(&offsets);
    let rates = [p.lr, p.momentum.map_or(0.0, |m| m.momentum)];
    let own = 2 + u32::from(p.momentum.is_some());
    let parts = [SOURCE, &momentum::wgsl(p.momentum, 2), &p.skip.wgsl(own)];
    let name = if p.momentum.is_some() {
        "sgd_momentum"
    } else {
        "sgd"
    };
    let rest = rates.map(|rate| (rate as f32).to_bits());
    walk::step(
        caps,
        width.label(name),
        width,
        &parts,
        p.count,
        &offsets,
        &rest,
    )
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{COUNTS, Region, assert_portable, mutated, run, values, variants};
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::testing::{assert_close, close, gpu};

    fn params(count: u32, offsets: [u32; 3], momentum: bool) -> Params {
        Params {
            count,
            offsets: [offsets[0], offsets[1]],
            lr: 0.3,
            momentum: momentum.then_some(Momentum {
                momentum: 0.7,
                offset: offsets[2],
            }),
            skip: Skip::Never,
        }
    }

    /// p and the momentum's arena after one step, got and wanted.
    fn step(gpu: &Gpu, kernel: &Kernel, x: &Params) -> [(Vec<f32>, Vec<f64>); 2] {
        let n = x.count;
        let start = [
            values(n, 1, -0.1, 0.1),
            values(n, 2, -1.0, 1.0),
            values(n, 3, -1.0, 1.0),
        ];
        let buf_offset = x.momentum.map_or(0, |m| m.offset);
        let offsets = [x.offsets[0], x.offsets[1], buf_offset];
        let regions = [0, 1, 2].map(|i| Region::new(gpu, "arena", offsets[i], &start[i]));
        let buffers = [0, 1, 2].map(|i| &regions[i].buffer);
        run(gpu, kernel, &buffers[..2 + x.momentum.is_some() as usize]);
        assert_eq!(regions[1].read(gpu), start[1]);
        let (mut p, mut buf) = (vec![], vec![]);
        for i in 0..n as usize {
            let [p_, g, b] = [0, 1, 2].map(|k| f64::from(start[k][i]));
            let velocity = x.momentum.map_or(g, |m| m.momentum * b + g);
            p.push(p_ - x.lr * velocity);
            buf.push(if x.momentum.is_some() { velocity } else { b });
        }
        [(regions[0].read(gpu), p), (regions[2].read(gpu), buf)]
    }

    #[test]
    fn one_step_matches_the_formula() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for (offsets, momentum) in [
                ([0; 3], false),
                ([4, 0, 8], true),
                ([1, 0, 0], false),
                ([0, 4, 3], true),
            ] {
                for count in COUNTS {
                    let x = params(count, offsets, momentum);
                    let kernel = kernel(&caps, &x);
                    for (got, want) in step(&gpu, &kernel, &x) {
                        assert_close(&kernel.label, &got, &want, 1e-7, 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        let x = params(33, [0; 3], true);
        let kernel = kernel(gpu.caps(), &x);
        for (from, to) in [
            ("old - im.lr", "old + im.lr"),
            ("im.momentum * old", "im.momentum + old"),
            (
                "select(old, next, inside(q))",
                "select(old, next, inside(q + 1u))",
            ),
        ] {
            let caught = step(&gpu, &mutated(&kernel, from, to), &x)
                .iter()
                .any(|(got, want)| close(got, want, 1e-7, 1e-6).is_err());
            assert!(caught, "{from} -> {to}");
        }
    }

    /// Three steps of `torch.optim.SGD([p], lr=0.1)` and of the same with `momentum=0.9` in PyTorch 2.15.0.
    #[test]
    fn three_steps_match_pytorch() {
        let gpu = gpu();
        let momentum = Momentum {
            momentum: 0.9,
            offset: 0,
        };
        for (momentum, expected) in [
            (None, [0.97499996, -1.96251, 0.35]),
            (Some(momentum), [0.9795, -1.9085101, 0.008000018]),
        ] {
            let p = Region::new(&gpu, "p", 0, &[1.0, -2.0, 0.25]);
            let buf = Region::new(&gpu, "buf", 0, &[0.0; 3]);
            let x = Params {
                count: 3,
                offsets: [0; 2],
                lr: 0.1,
                momentum,
                skip: Skip::Never,
            };
            for g in [[0.5, -0.25, 2.0], [-1.0, -0.125, 0.0], [0.75, 1e-4, -3.0]] {
                let g = Region::new(&gpu, "g", 0, &g);
                let buffers = [&p.buffer, &g.buffer, &buf.buffer];
                run(
                    &gpu,
                    &kernel(gpu.caps(), &x),
                    &buffers[..2 + momentum.is_some() as usize],
                );
            }
            assert_close("sgd", &p.read(&gpu), &expected, 2e-7, 0.0);
        }
    }

    #[test]
    fn portable() {
        assert_portable(|caps| {
            let all = [(0, false), (0, true), (1, false), (1, true)];
            all.map(|(o, m)| kernel(caps, &params(9, [o; 3], m))).into()
        });
    }
}
