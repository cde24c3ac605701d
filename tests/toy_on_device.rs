//! Straight from the device's samplers to the metrics: the built-in point sets score as their exact distributions do.

use gan_gpu::data::toy::{Distribution, Mixture, ToySet};
use gan_gpu::gpu::testing::{buffer_of, gpu, nan_buffer, read_f32};
use gan_gpu::kernels::random_source::RandomSource;
use gan_gpu::kernels::{density, mixture_batch, swissroll_batch};
use gan_gpu::metrics::toy::{ToyReport, evaluate};

const RANDOM: RandomSource = RandomSource {
    seed: 77,
    stream: 1,
    counter_index: 0,
};

fn mixture_params<const D: usize>(mixture: &Mixture<D>, n: u32) -> mixture_batch::Params {
    mixture_batch::Params {
        n,
        dim: D as u32,
        components: mixture.centres.len() as u32,
        sigma: mixture.sigma,
        random: RANDOM,
        out_offset: 0,
    }
}

/// `n` samples of `set`, `[dim, n]`, drawn by its kernel.
fn draw(set: ToySet, n: u32) -> Vec<f32> {
    let gpu = gpu();
    let counters = gpu.buffer_from("counters", &8u32.to_le_bytes()).unwrap();
    let output = nan_buffer(&gpu, "output", set.dim() * n as usize);
    let mixture = |table: Vec<f32>, params| {
        let table = buffer_of(&gpu, "mixture", &table);
        let kernel = mixture_batch::kernel(gpu.caps(), &params).unwrap();
        gpu.prepare(&kernel, &[&table, &counters, &output]).unwrap()
    };
    let dispatch = match set.distribution() {
        Distribution::Mixture1(m) => mixture(m.table(), mixture_params(&m, n)),
        Distribution::Mixture2(m) => mixture(m.table(), mixture_params(&m, n)),
        Distribution::Density(drawn) => {
            let params = density::Params {
                density: drawn,
                n,
                random: RANDOM,
                out_offset: 0,
            };
            let kernel = density::kernel(gpu.caps(), drawn.usual_method(), &params).unwrap();
            gpu.prepare(&kernel, &[&counters, &output]).unwrap()
        }
        Distribution::SwissRoll(roll) => {
            let params = swissroll_batch::Params {
                n,
                noise: roll.noise,
                scale: roll.scale,
                random: RANDOM,
                out_offset: 0,
            };
            let kernel = swissroll_batch::kernel(gpu.caps(), &params).unwrap();
            gpu.prepare(&kernel, &[&counters, &output]).unwrap()
        }
    };
    gpu.submit([&dispatch]).unwrap();
    read_f32(&gpu, &output)
}

#[test]
fn device_samples_score_as_the_exact_distributions() {
    for set in ToySet::ALL {
        let n = if set.dim() == 2 { 2500 } else { 20_000 };
        let samples = draw(set, n);
        match evaluate(set, &samples).unwrap() {
            ToyReport::Mixture2(quality) => {
                assert_eq!(quality.modes, quality.of, "{set}");
                // Ceiling 98.89 %, standard error .21; reverse KL about (modes - 1) / 5000.
                assert!(
                    (98.0..99.7).contains(&quality.high_quality_percent),
                    "{set}: {quality:?}"
                );
                assert!(
                    quality.reverse_kl.unwrap() < 0.0005 * quality.of as f64,
                    "{set}: {quality:?}"
                );
            }
            // Of 20,000 exact samples of N(0,1) W1 is about .006; the mixture adds the imbalance of its components,
            // whose standard error is .0033 of the mass over a distance of 3 / 0.3 sigmas.
            ToyReport::Mixture1 { w1_sigmas, .. } => {
                let limit = if set == ToySet::Gauss1d { 0.02 } else { 0.15 };
                assert!(w1_sigmas < limit, "{set}: {w1_sigmas}");
            }
            ToyReport::Density1 { w1 } => assert!(w1 < 0.02, "{set}: {w1}"),
            ToyReport::SwissRoll { sliced_w1 } => assert!(sliced_w1 < 0.05, "{set}: {sliced_w1}"),
            // Standard deviations of 1 to 2 in either direction.
            ToyReport::Density2 { sliced_w1 } => assert!(sliced_w1 < 0.08, "{set}: {sliced_w1}"),
        }
    }
}
