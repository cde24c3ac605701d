//! Fills a region with counter-based random numbers (`shaders/random.wgsl`, `shaders/lib/random.wgsl`).
use super::walk::{self, Width};
use crate::data::rng;
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/random.wgsl");
const LIBRARY: &str = include_str!("../../shaders/lib/random.wgsl");

/// What the numbers are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Uniform on [0, 1), 24 bits.
    Uniform,
    /// N(0, 1) by Box-Muller.
    Normal,
    /// 1.0 with this probability, else 0.0.
    Bernoulli(f32),
}

/// Which elements, and what the numbers depend on besides their index in the region.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    pub distribution: Distribution,
    pub count: u32,
    /// First element in the buffer.
    pub offset: u32,
    pub seed: u64,
    pub stream: u32,
    /// Index in the counters of the number of executions before this one.
    pub execution_counter: u32,
}

/// Threefry's key for one stream of one seed. An odd factor keeps the keys of all streams distinct.
pub fn key(seed: u64, stream: u32) -> rng::Block {
    let [low, high] = rng::seed_words(seed);
    [low ^ stream.wrapping_mul(0x9E37_79B9), high]
}

/// The number at `index`, on the host: from Threefry-2x32-20 of the counter (index, execution) under [`key`].
pub fn draw(distribution: Distribution, seed: u64, stream: u32, execution: u32, index: u32) -> f32 {
    let bits = rng::threefry2x32(key(seed, stream), [index, execution]);
    match distribution {
        Distribution::Uniform => rng::uniform01(bits[0]),
        Distribution::Normal => rng::normal2(bits)[0],
        Distribution::Bernoulli(p) => f32::from(rng::uniform01(bits[0]) < p),
    }
}

/// Bindings: 0 counters (u32), 1 the region's buffer (written).
pub fn kernel(caps: &Caps, p: &Params) -> Kernel {
    let (kind, probability) = match p.distribution {
        Distribution::Uniform => (0, 0.0f32),
        Distribution::Normal => (1, 0.0),
        Distribution::Bernoulli(p) => (2, p),
    };
    let [key0, key1] = key(p.seed, p.stream);
    let rest = [key0, key1, p.execution_counter, kind, probability.to_bits()];
    let parts = [SOURCE, LIBRARY];
    walk::kernel(
        caps,
        "random".into(),
        Width::Scalar,
        &parts,
        p.count,
        &[p.offset],
        &rest,
    )
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{COUNTS, Region, assert_portable, mutated, run, variants};
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::testing::{assert_close, close, gpu};

    const SEED: u64 = 0x0123_4567_89AB_CDEF;

    fn params(distribution: Distribution, count: u32, offset: u32) -> Params {
        Params {
            distribution,
            count,
            offset,
            seed: SEED,
            stream: 3,
            execution_counter: 1,
        }
    }
    fn filled(gpu: &Gpu, kernel: &Kernel, x: &Params, execution: u32) -> Vec<f32> {
        let y = Region::new(gpu, "y", x.offset, &vec![f32::NAN; x.count as usize]);
        let counters = [99, execution];
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&counters))
            .unwrap();
        run(gpu, kernel, &[&counters, &y.buffer]);
        y.read(gpu)
    }
    fn drawn(x: &Params, execution: u32) -> Vec<f32> {
        (0..x.count)
            .map(|i| draw(x.distribution, x.seed, x.stream, execution, i))
            .collect()
    }

    /// The same words on device and host: uniform and Bernoulli bit for bit.
    #[test]
    fn integers_agree_bit_for_bit() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for distribution in [Distribution::Uniform, Distribution::Bernoulli(0.3)] {
                for (count, execution) in COUNTS
                    .into_iter()
                    .zip([0, 1, 2, 1 << 31, !0].into_iter().cycle())
                {
                    let x = params(distribution, count, count % 5);
                    let got = filled(&gpu, &kernel(&caps, &x), &x, execution);
                    assert_eq!(got, drawn(&x, execution), "{x:?}");
                }
            }
        }
    }

    /// Against Box-Muller in f64. WGSL lets log err by 2^-21 and cos by 2^-11 in absolute terms; near radius 0 the first is magnified,
    /// to 1e-3 at most. What drivers do is far better: the tolerance is 1e-5 but there.
    #[test]
    fn normals_agree_with_box_muller() {
        let gpu = gpu();
        let x = params(Distribution::Normal, 20_000, 1);
        let exact = |i: u32| {
            let bits = rng::threefry2x32(key(SEED, 3), [i, 8]);
            let [u, v] = bits.map(|b| f64::from(b >> 8) / 16_777_216.0);
            let radius = (-2.0 * (1.0 - u).ln()).sqrt();
            (radius * (std::f64::consts::TAU * (v - 0.5)).cos(), radius)
        };
        for caps in variants(&gpu) {
            let got = filled(&gpu, &kernel(&caps, &x), &x, 8);
            let (mut common, mut rare) = ((vec![], vec![]), (vec![], vec![]));
            for (i, &got) in (0..).zip(&got) {
                let (want, radius) = exact(i);
                let part = if radius > 0.2 { &mut common } else { &mut rare };
                part.0.push(got);
                part.1.push(want);
            }
            assert!(rare.0.len() < 600);
            assert_close("normal", &common.0, &common.1, 1e-5, 1e-5);
            assert_close("normal near radius 0", &rare.0, &rare.1, 1e-3, 0.0);
            let mean = got.iter().sum::<f32>() / 20_000.0;
            let square = got.iter().map(|v| v * v).sum::<f32>() / 20_000.0;
            // Four standard errors.
            assert!(mean.abs() < 4.0 / 20_000f32.sqrt(), "mean {mean}");
            assert!(
                (square - 1.0).abs() < 4.0 * (2.0 / 20_000f32).sqrt(),
                "second moment {square}"
            );
        }
    }

    #[test]
    fn seeds_streams_and_executions_differ() {
        let gpu = gpu();
        let base = params(Distribution::Uniform, 40, 0);
        let fill = |x: &Params, execution| filled(&gpu, &kernel(gpu.caps(), x), x, execution);
        let first = fill(&base, 5);
        assert_eq!(fill(&base, 5), first);
        assert_ne!(fill(&base, 6), first);
        for changed in [
            Params {
                seed: SEED ^ 1,
                ..base.clone()
            },
            Params {
                seed: SEED ^ (1 << 32),
                ..base.clone()
            },
            Params {
                stream: 4,
                ..base.clone()
            },
        ] {
            assert_ne!(fill(&changed, 5), first);
        }
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        let x = params(Distribution::Uniform, 33, 0);
        for (from, to) in [
            ("26u), 6u)", "26u), 7u)"),
            ("parity + 4u", "parity + 5u"),
            ("bits >> 8u", "bits >> 9u"),
        ] {
            let got = filled(&gpu, &mutated(&kernel(gpu.caps(), &x), from, to), &x, 2);
            assert_ne!(got, drawn(&x, 2), "{from} -> {to}");
        }
        let x = params(Distribution::Normal, 33, 0);
        let sine = mutated(
            &kernel(gpu.caps(), &x),
            "normal2(bits).x",
            "normal2(bits).y",
        );
        let want: Vec<f64> = drawn(&x, 2).into_iter().map(f64::from).collect();
        assert!(close(&filled(&gpu, &sine, &x, 2), &want, 1e-2, 1e-2).is_err());
    }

    #[test]
    fn portable() {
        assert_portable(|caps| vec![kernel(caps, &params(Distribution::Normal, 9, 0))]);
    }
}
