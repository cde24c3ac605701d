//! The exponential moving average of a network's parameters (`shaders/ema.wgsl`).
use super::walk::{self, Width};
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/ema.wgsl");

/// Which elements, and the decay per step.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    pub count: u32,
    /// First elements in the buffers of e and p. Vectors of four are used where both are multiples of 4.
    pub offsets: [u32; 2],
    /// e = decay e + (1 - decay) p. f64 because 1 - decay is taken from it.
    pub decay: f64,
}

/// Bindings: 0 averages e (read and written; a copy of p at the start), 1 parameters p.
pub fn kernel(caps: &Caps, p: &Params) -> Kernel {
    let width = Width::of(&p.offsets);
    let rest = [((1.0 - p.decay) as f32).to_bits()];
    walk::kernel(
        caps,
        width.label("ema"),
        width,
        &[SOURCE],
        p.count,
        &p.offsets,
        &rest,
    )
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{COUNTS, Region, assert_portable, mutated, run, values, variants};
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::testing::{assert_close, close, gpu};

    fn params(count: u32, offsets: [u32; 2]) -> Params {
        Params {
            count,
            offsets,
            decay: 0.999,
        }
    }
    fn step(gpu: &Gpu, kernel: &Kernel, x: &Params) -> (Vec<f32>, Vec<f64>) {
        // From e near 0, so that the small step is seen.
        let (e, p) = (
            values(x.count, 1, -1e-3, 1e-3),
            values(x.count, 2, -1.0, 1.0),
        );
        let (e_, p_) = (
            Region::new(gpu, "e", x.offsets[0], &e),
            Region::new(gpu, "p", x.offsets[1], &p),
        );
        run(gpu, kernel, &[&e_.buffer, &p_.buffer]);
        assert_eq!(p_.read(gpu), p);
        let mean = |(&e, &p): (&f32, &f32)| x.decay * f64::from(e) + (1.0 - x.decay) * f64::from(p);
        (e_.read(gpu), e.iter().zip(&p).map(mean).collect())
    }

    #[test]
    fn one_step_matches_the_formula() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for offsets in [[0, 0], [4, 8], [0, 1]] {
                for count in COUNTS {
                    let x = params(count, offsets);
                    let kernel = kernel(&caps, &x);
                    let (got, want) = step(&gpu, &kernel, &x);
                    assert_close(&kernel.label, &got, &want, 1e-9, 1e-6);
                }
            }
        }
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        let x = params(33, [0; 2]);
        let kernel = kernel(gpu.caps(), &x);
        for (from, to) in [
            ("] - old)", "])"),
            ("old + im", "old - im"),
            ("im.one_minus_decay *", "(1.001 * im.one_minus_decay) *"),
        ] {
            let (got, want) = step(&gpu, &mutated(&kernel, from, to), &x);
            assert!(close(&got, &want, 1e-9, 1e-6).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn portable() {
        assert_portable(|caps| [0, 1].map(|o| kernel(caps, &params(9, [o; 2]))).into());
    }
}
