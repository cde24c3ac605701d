//! RMSprop's step on a network's arenas (`shaders/rmsprop.wgsl`), exactly as `torch.optim.RMSprop`, not centred and without weight decay.
use super::momentum::{self, Momentum};
use super::scaler::Skip;
use super::walk::{self, Width};
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/rmsprop.wgsl");

/// Which elements, and the hyper-parameters by PyTorch's names. Rates are f64 because 1 - alpha is taken from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Elements of each arena.
    pub count: u32,
    /// First elements in the buffers of p, g and s. Vectors of four are used where all offsets are multiples of 4.
    pub offsets: [u32; 3],
    pub lr: f64,
    pub alpha: f64,
    pub eps: f64,
    /// `None` for momentum 0, which needs no arena.
    pub momentum: Option<Momentum>,
    pub skip: Skip,
}

/// Bindings: 0 parameters p (read and written), 1 gradients g, 2 mean squares s (read and written), and with momentum 3 its arena
/// (read and written). Where it may skip, the scaler's state comes last. Mean squares and momentum start at zero.
pub fn kernel(caps: &Caps, p: &Params) -> Kernel {
    let [p_offset, g_offset, s_offset] = p.offsets;
    let buf_offset = p.momentum.map_or(0, |m| m.offset);
    let offsets = [p_offset, g_offset, s_offset, buf_offset];
    let width = Width::of(&offsets);
    let momentum = p.momentum.map_or(0.0, |m| m.momentum);
    let rates = [p.lr, p.alpha, 1.0 - p.alpha, p.eps, momentum];
    let own = 3 + u32::from(p.momentum.is_some());
    let parts = [SOURCE, &momentum::wgsl(p.momentum, 3), &p.skip.wgsl(own)];
    let name = if p.momentum.is_some() {
        "rmsprop_momentum"
    } else {
        "rmsprop"
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

    fn params(count: u32, offsets: [u32; 4], momentum: bool) -> Params {
        Params {
            count,
            offsets: [offsets[0], offsets[1], offsets[2]],
            lr: 0.3,
            alpha: 0.99,
            // Large enough to be seen in the result.
            eps: 1e-2,
            momentum: momentum.then_some(Momentum {
                momentum: 0.7,
                offset: offsets[3],
            }),
            skip: Skip::Never,
        }
    }

    /// p, s and the momentum's arena after one step, got and wanted.
    fn step(gpu: &Gpu, kernel: &Kernel, x: &Params) -> [(Vec<f32>, Vec<f64>); 3] {
        let n = x.count;
        let start = [
            values(n, 1, -0.1, 0.1),
            values(n, 2, -1.0, 1.0),
            values(n, 3, 0.0, 1.0),
            values(n, 4, -1.0, 1.0),
        ];
        let [p, g, s] = x.offsets;
        let offsets = [p, g, s, x.momentum.map_or(0, |m| m.offset)];
        let regions = [0, 1, 2, 3].map(|i| Region::new(gpu, "arena", offsets[i], &start[i]));
        let buffers = [0, 1, 2, 3].map(|i| &regions[i].buffer);
        run(gpu, kernel, &buffers[..3 + x.momentum.is_some() as usize]);
        assert_eq!(regions[1].read(gpu), start[1]);
        let mut want = [vec![], vec![], vec![]];
        for i in 0..n as usize {
            let [p, g, s, b] = [0, 1, 2, 3].map(|k| f64::from(start[k][i]));
            let s = x.alpha * s + (1.0 - x.alpha) * g * g;
            let direction = g / (s.sqrt() + x.eps);
            let velocity = x.momentum.map_or(direction, |m| m.momentum * b + direction);
            want[0].push(p - x.lr * velocity);
            want[1].push(s);
            want[2].push(if x.momentum.is_some() { velocity } else { b });
        }
        let [p, s, b] = want;
        [
            (regions[0].read(gpu), p),
            (regions[2].read(gpu), s),
            (regions[3].read(gpu), b),
        ]
    }

    #[test]
    fn one_step_matches_the_formula() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for (offsets, momentum) in [
                ([0; 4], false),
                ([4, 0, 8, 4], true),
                ([1, 0, 0, 0], false),
                ([0, 4, 0, 3], true),
            ] {
                for count in COUNTS {
                    let x = params(count, offsets, momentum);
                    let kernel = kernel(&caps, &x);
                    for (got, want) in step(&gpu, &kernel, &x) {
                        assert_close(&kernel.label, &got, &want, 3e-7, 2e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        let x = params(33, [0; 4], true);
        let kernel = kernel(gpu.caps(), &x);
        for (from, to) in [
            ("old_p - im.lr", "old_p + im.lr"),
            ("sqrt(new_s) + im.eps", "sqrt(new_s + im.eps)"),
            ("im.alpha * old_s", "old_s"),
            ("im.momentum * old", "old"),
        ] {
            let caught = step(&gpu, &mutated(&kernel, from, to), &x)
                .iter()
                .any(|(got, want)| close(got, want, 3e-7, 2e-6).is_err());
            assert!(caught, "{from} -> {to}");
        }
    }

    /// Three steps of `torch.optim.RMSprop([p], lr=5e-3)` and of the same with `alpha=0.9, momentum=0.8` in PyTorch 2.15.0.
    #[test]
    fn three_steps_match_pytorch() {
        let gpu = gpu();
        let momentum = Momentum {
            momentum: 0.8,
            offset: 0,
        };
        for (alpha, momentum, expected) in [
            (0.99, None, [0.96679604, -1.9275674, 0.24173047]),
            (0.9, Some(momentum), [0.9779443, -1.9481566, 0.22497837]),
        ] {
            let p = Region::new(&gpu, "p", 0, &[1.0, -2.0, 0.25]);
            let [s, buf] = ["s", "buf"].map(|name| Region::new(&gpu, name, 0, &[0.0; 3]));
            let x = Params {
                count: 3,
                offsets: [0; 3],
                lr: 5e-3,
                alpha,
                eps: 1e-8,
                momentum,
                skip: Skip::Never,
            };
            for g in [[0.5, -0.25, 2.0], [-1.0, -0.125, 0.0], [0.75, 1e-4, -3.0]] {
                let g = Region::new(&gpu, "g", 0, &g);
                let buffers = [&p.buffer, &g.buffer, &s.buffer, &buf.buffer];
                run(
                    &gpu,
                    &kernel(gpu.caps(), &x),
                    &buffers[..3 + momentum.is_some() as usize],
                );
            }
            assert_close("rmsprop", &p.read(&gpu), &expected, 2e-7, 0.0);
        }
    }

    #[test]
    fn portable() {
        assert_portable(|caps| {
            let all = [(0, false), (0, true), (1, false), (1, true)];
            all.map(|(o, m)| kernel(caps, &params(9, [o; 4], m))).into()
        });
    }
}
