//! Straight from the device's samplers to the metrics: the built-in point sets score as their exact distributions do.

use gan_gpu::data::toy::{ToySet, points};
use gan_gpu::gpu::testing::{buffer_of, gpu, nan_buffer, read_f32};
use gan_gpu::kernels::random_source::RandomSource;
use gan_gpu::kernels::toy_batch;
use gan_gpu::metrics::{Metric, Samples, Target};

const RANDOM: RandomSource = RandomSource {
    seed: 77,
    stream: 1,
    counter_index: 0,
};

/// `n` samples of `set`, `[dim, n]`, drawn by its kernel.
fn draw(set: ToySet, n: u32) -> Vec<f32> {
    let gpu = gpu();
    let counters = gpu.buffer_from("counters", &8u32.to_le_bytes()).unwrap();
    let output = nan_buffer(&gpu, "output", set.dim() * n as usize);
    let params = toy_batch::Params {
        set,
        n,
        random: RANDOM,
        out_offset: 0,
    };
    let kernel = toy_batch::kernel(gpu.caps(), &params).unwrap();
    let table = toy_batch::table(set).map(|values| buffer_of(&gpu, "mixture", &values));
    let buffers: Vec<_> = table.iter().chain([&counters, &output]).collect();
    let dispatch = gpu.prepare(&kernel, &buffers).unwrap();
    gpu.submit([&dispatch]).unwrap();
    read_f32(&gpu, &output)
}

fn samples(set: ToySet, n: u32) -> Samples {
    let features_first = draw(set, n);
    match set.dim() {
        1 => Samples::Line(features_first),
        _ => Samples::Plane(points(&features_first).unwrap()),
    }
}

/// Every metric of the device's samples is what exact samples score, as many of them: within five of the standard deviations that those
/// have among themselves (and of the metric itself where it has no number for exact ones).
#[test]
fn device_samples_score_as_the_exact_distributions() {
    for set in ToySet::ALL {
        let (target, samples) = (Target::points(set), samples(set, 2500));
        let sets = target.exact_sets(2500);
        let mut measured = 0;
        for metric in Metric::all_for(&target) {
            let Some(exact) = metric.exact(&target, &sets).unwrap() else {
                continue;
            };
            let value = (metric.measure)(&target, &samples).unwrap().scalar();
            let value = value.unwrap();
            assert!(
                (value - exact.mean).abs() <= 5.0 * exact.deviation,
                "{set} {}: {value}, exact samples score {exact:?}",
                metric.name
            );
            measured += 1;
        }
        assert!(measured >= 1, "{set}");
    }
}
