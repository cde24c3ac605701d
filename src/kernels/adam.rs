//! Adam's step on a network's arenas (`shaders/adam.wgsl`): Kingma and Ba 2015, exactly as `torch.optim.Adam` without weight decay.
use super::scaler::Skip;
use super::walk::{self, Width};
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/adam.wgsl");

/// Which elements, and the hyper-parameters by PyTorch's names. Rates are f64 because 1 - beta2 is taken from them: 1 - 0.999 in f32
/// is off by 1e-5.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Elements of each arena.
    pub count: u32,
    /// First elements in the buffers of p, g, m and v. Vectors of four are used where all are multiples of 4.
    pub offsets: [u32; 4],
    /// Index in the counters of the number of steps made before this one.
    pub counter: u32,
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub skip: Skip,
}

/// Bindings: 0 parameters p (read and written), 1 gradients g, 2 first moments m (read and written), 3 second moments v (read and
/// written), 4 counters (u32), where it may skip 5 the scaler's state. Moments start at zero.
pub fn kernel(caps: &Caps, p: &Params) -> Kernel {
    let width = Width::of(&p.offsets);
    // Infinite for beta = 0; e^-80 is as good as zero beside 1.
    let ln = |beta: f64| beta.ln().max(-80.0);
    let rates = [
        p.lr,
        p.beta1,
        1.0 - p.beta1,
        ln(p.beta1),
        p.beta2,
        1.0 - p.beta2,
        ln(p.beta2),
        p.eps,
    ];
    let mut rest = vec![p.counter];
    rest.extend(rates.map(|rate| (rate as f32).to_bits()));
    let label = width.label("adam");
    let parts = [SOURCE, &p.skip.wgsl(5)];
    walk::step(caps, label, width, &parts, p.count, &p.offsets, &rest)
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{COUNTS, Region, assert_portable, mutated, run, values, variants};
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::testing::{assert_close, close, gpu};

    /// p, m, v after one step.
    fn reference(x: &Params, step: u32, [p, g, m, v]: [&[f32]; 4]) -> [Vec<f64>; 3] {
        let correction = |beta: f64| 1.0 - beta.powi(step as i32 + 1);
        let mut new = [vec![], vec![], vec![]];
        for i in 0..p.len() {
            let [p, g, m, v] = [p[i], g[i], m[i], v[i]].map(f64::from);
            let m = x.beta1 * m + (1.0 - x.beta1) * g;
            let v = x.beta2 * v + (1.0 - x.beta2) * g * g;
            let denominator = v.sqrt() / correction(x.beta2).sqrt() + x.eps;
            new[0].push(p - x.lr / correction(x.beta1) * m / denominator);
            new[1].push(m);
            new[2].push(v);
        }
        new
    }

    fn params(count: u32, offsets: [u32; 4]) -> Params {
        Params {
            count,
            offsets,
            counter: 2,
            lr: 0.5,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            skip: Skip::Never,
        }
    }

    /// p, m, v after one step on the device, from p = 0, so that the step itself is compared.
    fn step(
        gpu: &Gpu,
        kernel: &Kernel,
        x: &Params,
        steps_before: u32,
    ) -> [(Vec<f32>, Vec<f64>); 3] {
        let n = x.count;
        let (p, g) = (vec![0.0; n as usize], values(n, 1, -2.0, 2.0));
        let (m, v) = (values(n, 2, -1.0, 1.0), values(n, 3, 0.01, 2.0));
        let all: [&[f32]; 4] = [&p, &g, &m, &v];
        let regions: Vec<Region> = (0..4)
            .map(|i| Region::new(gpu, ["p", "g", "m", "v"][i], x.offsets[i], all[i]))
            .collect();
        let counters = [7u32, 8, steps_before, 9];
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&counters))
            .unwrap();
        let [p_, g_, m_, v_] = [0, 1, 2, 3].map(|i| &regions[i].buffer);
        run(gpu, kernel, &[p_, g_, m_, v_, &counters]);
        assert_eq!(regions[1].read(gpu), g);
        let [p, m, v] = reference(x, steps_before, all);
        [
            (regions[0].read(gpu), p),
            (regions[2].read(gpu), m),
            (regions[3].read(gpu), v),
        ]
    }

    #[test]
    fn one_step_matches_the_formula() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for offsets in [[0; 4], [4, 8, 0, 12], [1, 2, 0, 3]] {
                for count in COUNTS {
                    let x = params(count, offsets);
                    let kernel = kernel(&caps, &x);
                    for (got, want) in step(&gpu, &kernel, &x, 3) {
                        assert_close(&kernel.label, &got, &want, 1e-7, 2e-6);
                    }
                }
            }
        }
    }

    /// 1 - beta^t from the first step to one million, where the power is 0; beta = 0 included.
    #[test]
    fn bias_correction_is_accurate_at_every_step() {
        let gpu = gpu();
        let caps = gpu.caps();
        for (beta1, beta2) in [(0.9, 0.999), (0.5, 0.999), (0.0, 0.9), (0.5, 0.99999)] {
            for steps_before in [0, 1, 6, 9, 499, 5000, 1_000_000] {
                let x = Params {
                    beta1,
                    beta2,
                    ..params(5, [0; 4])
                };
                for (got, want) in step(&gpu, &kernel(caps, &x), &x, steps_before) {
                    let label = format!("adam {beta1} {beta2} after {steps_before}");
                    assert_close(&label, &got, &want, 1e-7, 2e-6);
                }
            }
        }
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        let x = params(33, [0; 4]);
        let kernel = kernel(gpu.caps(), &x);
        for (from, to) in [
            ("old_p - step_size", "old_p + step_size"),
            ("counters[im.counter] + 1u", "counters[im.counter] + 2u"),
            ("/ root_correction2 + im.eps", "+ im.eps"),
            ("for (var k = 9;", "for (var k = 3;"),
            ("q + im.g_offset", "max(q, 1u) + im.g_offset"),
        ] {
            // Late enough for the series to matter.
            let caught = step(&gpu, &mutated(&kernel, from, to), &x, 300)
                .iter()
                .any(|(got, want)| close(got, want, 1e-7, 2e-6).is_err());
            assert!(caught, "{from} -> {to}");
        }
    }

    /// Three steps of `torch.optim.Adam([p], lr=2e-2, betas=.., eps=1e-8)` in PyTorch 2.15.0.
    #[test]
    fn three_steps_match_pytorch() {
        let gpu = gpu();
        for (beta1, beta2, expected) in [
            (0.5, 0.999, [0.98713398, -1.954283, 0.23429218]),
            (0.0, 0.9, [0.9857712, -1.9671593, 0.25823224]),
        ] {
            let p = Region::new(&gpu, "p", 0, &[1.0, -2.0, 0.25]);
            let [m, v] = ["m", "v"].map(|name| Region::new(&gpu, name, 0, &[0.0; 3]));
            let x = Params {
                lr: 2e-2,
                beta1,
                beta2,
                counter: 0,
                ..params(3, [0; 4])
            };
            for (t, g) in (0u32..).zip([[0.5, -0.25, 2.0], [-1.0, -0.125, 0.0], [0.75, 1e-4, -3.0]])
            {
                let g = Region::new(&gpu, "g", 0, &g);
                let counters = gpu.buffer_from("counters", &t.to_le_bytes()).unwrap();
                let kernel = kernel(gpu.caps(), &x);
                run(
                    &gpu,
                    &kernel,
                    &[&p.buffer, &g.buffer, &m.buffer, &v.buffer, &counters],
                );
            }
            assert_close("adam", &p.read(&gpu), &expected, 2e-7, 0.0);
        }
    }

    #[test]
    fn portable() {
        assert_portable(|caps| [0, 1].map(|o| kernel(caps, &params(9, [o; 4]))).into());
    }
}
