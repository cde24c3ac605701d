//! Clips a network's weights to [-c, c] (`shaders/clip.wgsl`), as WGAN asks for (Arjovsky et al. 2017, algorithm 1).
use super::walk::{self, Width};
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/clip.wgsl");

/// Which elements, and the bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    pub count: u32,
    /// First element in the buffer of p. Vectors of four are used where it is a multiple of 4.
    pub offset: u32,
    /// c, not negative.
    pub bound: f32,
}

/// Binding: 0 parameters p (read and written). Infinities are clipped, NaNs stay.
pub fn kernel(caps: &Caps, p: &Params) -> Kernel {
    let offsets = [p.offset];
    let width = Width::of(&offsets);
    let rest = [p.bound.to_bits()];
    walk::kernel(
        caps,
        width.label("clip"),
        width,
        &[SOURCE],
        p.count,
        &offsets,
        &rest,
    )
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{COUNTS, Region, assert_portable, mutated, run, values, variants};
    use super::*;
    use crate::gpu::testing::gpu;

    fn params(count: u32, offset: u32) -> Params {
        Params {
            count,
            offset,
            bound: 0.01,
        }
    }

    #[test]
    fn clips_exactly() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for offset in [0, 8, 3] {
                for count in COUNTS {
                    let start = values(count, 1, -0.02, 0.02);
                    let p = Region::new(&gpu, "p", offset, &start);
                    run(&gpu, &kernel(&caps, &params(count, offset)), &[&p.buffer]);
                    let want: Vec<f32> = start.iter().map(|v| v.clamp(-0.01, 0.01)).collect();
                    assert_eq!(p.read(&gpu), want);
                }
            }
        }
    }

    #[test]
    fn extremes_are_clipped_and_a_nan_stays() {
        let gpu = gpu();
        let start = [
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            0.01,
            -0.01,
            -0.0,
            f32::MAX,
        ];
        let p = Region::new(&gpu, "p", 0, &start);
        run(&gpu, &kernel(gpu.caps(), &params(7, 0)), &[&p.buffer]);
        let got = p.read(&gpu);
        assert!(got[2].is_nan());
        assert_eq!(
            [got[0], got[1], got[3], got[4], got[5], got[6]],
            [0.01, -0.01, 0.01, -0.01, 0.0, 0.01]
        );
        // The same without the care for NaN.
        let careless = mutated(
            &kernel(gpu.caps(), &params(7, 0)),
            "& (magnitude <= words(0x7f800000u))",
            "",
        );
        run(&gpu, &careless, &[&p.buffer]);
        assert!(!p.read(&gpu)[2].is_nan());
    }

    #[test]
    fn portable() {
        assert_portable(|caps| [0, 1].map(|offset| kernel(caps, &params(9, offset))).into());
    }
}
