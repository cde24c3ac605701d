//! `bench step`: what one training iteration of a baseline model costs.
//!
//! The iteration is that of the PyTorch baseline: latents -> G once; D on real and on generated (detached), one D update;
//! D on the same generated batch, one G update. `wgangp28` is a cycle of five critic updates and one G update, each with
//! fresh latents.
use super::session::EngineError;
use crate::gan::Regulariser;
use crate::gan::flops::{Iteration, iteration_flops};
use crate::graph::plan::Precision;
use crate::nn::Network;
use serde::Serialize;
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// The critic updates of one `wgangp28` cycle.
pub const N_CRITIC: usize = 5;

/// A model of the baseline and the batch it uses by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchModel {
    /// Of a built-in model, or the path of a TOML file.
    pub name: Cow<'static, str>,
    pub batch: usize,
    /// A cycle of critic updates with gradient penalty instead of one update each.
    pub wgan_gp: bool,
}

pub const BENCH_MODELS: &[BenchModel] = &[
    BenchModel {
        name: Cow::Borrowed("mlp"),
        batch: 64,
        wgan_gp: false,
    },
    BenchModel {
        name: Cow::Borrowed("dcgan28"),
        batch: 64,
        wgan_gp: false,
    },
    BenchModel {
        name: Cow::Borrowed("dcgan64"),
        batch: 128,
        wgan_gp: false,
    },
    BenchModel {
        name: Cow::Borrowed("wgangp28"),
        batch: 64,
        wgan_gp: true,
    },
    BenchModel {
        name: Cow::Borrowed("ring8"),
        batch: 512,
        wgan_gp: false,
    },
    BenchModel {
        name: Cow::Borrowed("gauss1d"),
        batch: 512,
        wgan_gp: false,
    },
];

impl BenchModel {
    /// A model of a TOML file, with one update of D and one of G per iteration.
    pub fn of_file(path: &str) -> BenchModel {
        BenchModel {
            name: path.to_string().into(),
            batch: 64,
            wgan_gp: false,
        }
    }
}

/// What to time.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchRequest {
    pub model: BenchModel,
    pub batch: usize,
    /// As `--adapter` takes it.
    pub adapter: String,
    /// Use measured choices of variants; otherwise their rules.
    pub tune: bool,
    pub precision: Precision,
}

/// A model ready to be stepped.
pub trait StepBench {
    /// Runs `iterations` and waits for the device. Losses need not be read back.
    fn run(&mut self, iterations: u64) -> Result<(), EngineError>;
    /// `loss_d`, `loss_g` of the last iteration.
    fn losses(&mut self) -> Result<[f32; 2], EngineError>;
    fn facts(&self) -> BenchFacts;
}

/// What does not change while a model is timed.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchFacts {
    pub adapter: String,
    /// Runs on the CPU: nothing is gained by sending several iterations at once.
    pub software: bool,
    pub params_g: u64,
    pub params_d: u64,
    /// See [`model_flops`].
    pub flops: u64,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BenchBudget {
    pub warmup: u64,
    pub steps: u64,
    /// Timing stops after so long, but not before three samples.
    pub max_time: Duration,
    /// Iterations per sample of time, between two waits for the device; 0: 1 on software adapters, 10 on GPUs.
    pub chunk: u64,
}

/// One line of output, under the keys of the PyTorch baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchResult {
    pub peer: &'static str,
    pub version: &'static str,
    pub model: String,
    pub batch: usize,
    pub adapter: String,
    pub dtype: &'static str,
    /// Median.
    pub ms_per_iter: f64,
    pub ms_min: f64,
    pub ms_p90: f64,
    /// Samples of time, of `chunk` iterations each.
    pub n: usize,
    pub chunk: u64,
    pub warm_s: f64,
    /// Real images per second.
    pub img_per_s: f64,
    pub gflop_per_iter: f64,
    /// 1e9 floating-point operations per second, at the median.
    pub gflops: f64,
    pub params_g: u64,
    pub params_d: u64,
    pub loss_d: f64,
    pub loss_g: f64,
}

/// Floating-point operations of one iteration, as the baseline counts them.
pub fn model_flops(
    model: &BenchModel,
    generator: &Network,
    discriminator: &Network,
    batch: usize,
) -> u64 {
    let (d_steps, regularisers): (usize, &[Regulariser]) = if model.wgan_gp {
        (N_CRITIC, &[Regulariser::GradientPenalty])
    } else {
        (1, &[])
    };
    let iteration = Iteration {
        batch,
        d_steps,
        regularisers,
        fresh_latents: model.wgan_gp,
        freeze_d: false,
    };
    iteration_flops(generator, discriminator, &iteration)
}

/// Times the model.
pub fn measure(
    request: &BenchRequest,
    budget: &BenchBudget,
    bench: &mut dyn StepBench,
) -> Result<BenchResult, EngineError> {
    let facts = bench.facts();
    let chunk = match budget.chunk {
        0 if facts.software => 1,
        0 => 10,
        chunk => chunk,
    };
    let warming = Instant::now();
    if budget.warmup > 0 {
        bench.run(budget.warmup)?;
    }
    let warm_s = warming.elapsed().as_secs_f64();
    let mut seconds = Vec::new();
    let timing = Instant::now();
    for _ in 0..budget.steps.div_ceil(chunk).max(3) {
        let begun = Instant::now();
        bench.run(chunk)?;
        seconds.push(begun.elapsed().as_secs_f64() / chunk as f64);
        if timing.elapsed() > budget.max_time && seconds.len() >= 3 {
            break;
        }
    }
    let [loss_d, loss_g] = bench.losses()?;
    let timed = Times::of(&mut seconds);
    let images = request.batch * if request.model.wgan_gp { N_CRITIC } else { 1 };
    let flops = facts.flops as f64;
    Ok(BenchResult {
        peer: "gan-gpu",
        version: env!("CARGO_PKG_VERSION"),
        model: request.model.name.to_string(),
        batch: request.batch,
        adapter: facts.adapter,
        dtype: match request.precision {
            Precision::F32 => "fp32",
            Precision::F16 => "fp16",
        },
        ms_per_iter: rounded(timed.median * 1e3, 4),
        ms_min: rounded(timed.min * 1e3, 4),
        ms_p90: rounded(timed.p90 * 1e3, 4),
        n: seconds.len(),
        chunk,
        warm_s: rounded(warm_s, 2),
        img_per_s: rounded(images as f64 / timed.median, 1),
        gflop_per_iter: rounded(flops / 1e9, 5),
        gflops: rounded(flops / timed.median / 1e9, 1),
        params_g: facts.params_g,
        params_d: facts.params_d,
        loss_d: rounded(loss_d.into(), 4),
        loss_g: rounded(loss_g.into(), 4),
    })
}

#[derive(Debug, PartialEq)]
struct Times {
    median: f64,
    min: f64,
    p90: f64,
}

impl Times {
    /// Of at least one sample; sorts them. The 90th percentile is the baseline's: the sample at 0.9 (n - 1), rounded down.
    fn of(samples: &mut [f64]) -> Self {
        samples.sort_by(f64::total_cmp);
        let n = samples.len();
        let median = (samples[(n - 1) / 2] + samples[n / 2]) / 2.0;
        Self {
            median,
            min: samples[0],
            p90: samples[(0.9 * (n - 1) as f64) as usize],
        }
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::model_by_name_or_file;

    /// `torch_ref.py --flops-only --model all` with its default batches: GFLOP per iteration, parameters of G and D.
    const BASELINE: &[(&str, f64, u64, u64)] = &[
        ("mlp", 1.077444608, 1486352, 533505),
        ("dcgan28", 10.289692672, 759681, 138689),
        ("dcgan64", 317.72901376, 3576704, 2765568),
        ("wgangp28", 52.057800704, 759681, 138561),
        ("ring8", 0.221904896, 25090, 17025),
        ("gauss1d", 0.220594176, 24961, 16897),
    ];

    #[test]
    fn work_is_counted_as_the_baseline_counts_it() {
        for &(name, gflop, params_g, params_d) in BASELINE {
            let model = BENCH_MODELS.iter().find(|m| m.name == name).unwrap();
            let built = model_by_name_or_file(name).unwrap().build().unwrap();
            let flops = model_flops(model, &built.generator, &built.discriminator, model.batch);
            assert!(
                (flops as f64 / 1e9 - gflop).abs() < 1e-9 * gflop,
                "{name}: {flops}"
            );
            assert_eq!(built.generator.param_count() as u64, params_g, "{name}");
            assert_eq!(built.discriminator.param_count() as u64, params_d, "{name}");
        }
        assert_eq!(BASELINE.len(), BENCH_MODELS.len());
    }

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(
            Times::of(&mut [3.0, 1.0, 2.0, 10.0]),
            Times {
                median: 2.5,
                min: 1.0,
                p90: 3.0
            }
        );
        assert_eq!(
            Times::of(&mut [5.0]),
            Times {
                median: 5.0,
                min: 5.0,
                p90: 5.0
            }
        );
    }

    /// Counts iterations.
    struct Fake {
        calls: Vec<u64>,
        software: bool,
    }

    impl StepBench for Fake {
        fn run(&mut self, iterations: u64) -> Result<(), EngineError> {
            self.calls.push(iterations);
            std::thread::sleep(Duration::from_millis(iterations));
            Ok(())
        }

        fn losses(&mut self) -> Result<[f32; 2], EngineError> {
            Ok([1.25, 0.75])
        }

        fn facts(&self) -> BenchFacts {
            let adapter = "fake".into();
            BenchFacts {
                adapter,
                software: self.software,
                params_g: 1,
                params_d: 2,
                flops: 2_000_000,
            }
        }
    }

    #[test]
    fn the_measurement_follows_its_budget() {
        let request = BenchRequest {
            model: BENCH_MODELS[0].clone(),
            batch: 64,
            adapter: "auto".into(),
            tune: false,
            precision: Precision::F32,
        };
        let budget = BenchBudget {
            warmup: 4,
            steps: 5,
            max_time: Duration::from_secs(60),
            chunk: 0,
        };
        let mut fake = Fake {
            calls: vec![],
            software: true,
        };
        let result = measure(&request, &budget, &mut fake).unwrap();
        assert_eq!(fake.calls, [4, 1, 1, 1, 1, 1]);
        assert_eq!((result.n, result.chunk, result.loss_d), (5, 1, 1.25));
        assert!(
            result.ms_min >= 1.0
                && result.ms_min <= result.ms_per_iter
                && result.ms_per_iter <= result.ms_p90
        );
        let img_per_s = 64e3 / result.ms_per_iter;
        assert!((result.img_per_s / img_per_s - 1.0).abs() < 1e-3);

        // A GPU gets ten at a time, and three samples whatever the limit.
        let budget = BenchBudget {
            warmup: 0,
            steps: 1000,
            max_time: Duration::ZERO,
            chunk: 0,
        };
        let mut fake = Fake {
            calls: vec![],
            software: false,
        };
        measure(&request, &budget, &mut fake).unwrap();
        assert_eq!(fake.calls, [10, 10, 10]);
    }
}
