//! Samples of a built-in density or point set straight from its device sampler, with what they should look like.
use super::engine::open_gpu;
use super::eval;
use super::session::EngineError;
use crate::data::density::{Density, Line, Method};
use crate::data::rng::Stream;
use crate::data::toy::ToySet;
use crate::gpu::{CacheFolder, Gpu, GpuError};
use crate::kernels::random_source::RandomSource;
use crate::kernels::{KernelError, density, toy_batch};
use crate::metrics::{Metric, Samples as Points, Target};
use serde::Serialize;
use std::time::Instant;

/// The random stream of what is drawn here.
const STREAM: u32 = 0x6472_6177;
/// That of the reference samples behind a picture in two dimensions.
const REFERENCE_STREAM: u32 = 0x7265_6665;
/// The 0.1 % point of Kolmogorov's distribution: sup |F_n - F| sqrt(n) is above it in one of 1000 cases.
const KOLMOGOROV: f64 = 1.95;

/// What to draw from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Density(Density, Method),
    Set(ToySet),
}

impl What {
    /// By name; `method` where the usual one is not wanted.
    ///
    /// # Errors
    /// [`EngineError::Input`] for an unknown name and for a method that the density cannot be drawn by.
    pub fn parse(name: &str, method: Option<Method>) -> Result<What, EngineError> {
        if let Ok(density) = name.parse::<Density>() {
            let method = method.unwrap_or(density.usual_method());
            if density.methods().contains(&method) {
                return Ok(What::Density(density, method));
            }
            let names: Vec<_> = density.methods().iter().map(|m| m.name()).collect();
            return Err(EngineError::input(format!(
                "{density} cannot be drawn by {}; it can by {}",
                method.name(),
                names.join(", ")
            )));
        }
        let Ok(set) = name.parse::<ToySet>() else {
            let densities = Density::ALL.iter().map(|d| d.name());
            let sets = ToySet::ALL.iter().map(|s| s.name());
            let sets = sets.filter(|name| name.parse::<Density>().is_err());
            let all: Vec<_> = densities.chain(sets).collect();
            return Err(EngineError::input(format!(
                "there is no built-in `{name}` to draw from; there are {}",
                all.join(", ")
            )));
        };
        match method {
            None => Ok(What::Set(set)),
            Some(method) => Err(EngineError::input(format!(
                "{set} has a sampler of its own and cannot be drawn by {}; leave --method out",
                method.name()
            ))),
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            What::Density(density, _) => density.name(),
            What::Set(set) => set.name(),
        }
    }
    pub fn dim(self) -> usize {
        match self {
            What::Density(density, _) => density.dim(),
            What::Set(set) => set.dim(),
        }
    }
}

/// Samples and how they fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `[n][dim]`, row by row.
    pub values: Vec<f32>,
    /// What they should look like: in one dimension the exact quantiles, in two reference samples from the host; row by row.
    pub reference: Vec<f32>,
    pub report: Report,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub name: &'static str,
    /// None for sets with a sampler of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
    pub count: usize,
    pub adapter: String,
    pub seconds: f64,
    /// Of rejection: share of proposals that are accepted, and proposals after which a sample would be given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_tries: Option<u32>,
    /// Of Metropolis-Hastings: steps of each chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Samples that were given up.
    pub exhausted: usize,
    /// Of densities in one dimension: the largest distance from the distribution function, and the bound below which it lies in 999 of
    /// 1000 cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kolmogorov_smirnov: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kolmogorov_smirnov_bound: Option<f64>,
    /// Of point sets: their metrics.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Every metric of the set by its name; `None` where the samples have none.
fn metrics_of(set: ToySet, values: &[f32]) -> Option<serde_json::Map<String, serde_json::Value>> {
    let target = Target::points(set);
    let samples = Points::of_points(set, values).ok()?;
    let metrics: Vec<_> = Metric::all_for(&target).collect();
    let measured = eval::measure(&metrics, &target, &samples).ok()?;
    let by_name = measured
        .into_iter()
        .map(|m| Some((m.name.to_string(), serde_json::to_value(m.value).ok()?)));
    by_name.collect()
}

/// Draws `count` samples on `adapter`.
///
/// # Errors
/// [`EngineError::Adapter`], [`EngineError::Input`] where so many samples do not fit, [`EngineError::Device`].
pub fn draw(
    what: What,
    count: u32,
    seed: u64,
    adapter: &str,
    cache: &CacheFolder,
) -> Result<Samples, EngineError> {
    let gpu = open_gpu(adapter, cache)?;
    let begun = Instant::now();
    let first = on_device(&gpu, what, count, seed).map_err(|e| match e {
        DrawError::Kernel(e) => EngineError::input(e.to_string()),
        DrawError::Gpu(e @ GpuError::BufferTooLarge { .. }) => EngineError::input(e.to_string()),
        DrawError::Gpu(e) => EngineError::device(e.to_string()),
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let n = count as usize;
    let rows = |first: &[f32], n: usize| -> Vec<f32> {
        let row = |i: usize| first.iter().skip(i).step_by(n).copied();
        (0..n).flat_map(row).collect()
    };
    let values = rows(&first, n);
    let exhausted = first[..n].iter().filter(|v| v.is_nan()).count();
    let mut report = Report {
        name: what.name(),
        method: None,
        count: n,
        adapter: gpu.report().name.clone(),
        seconds,
        acceptance: None,
        most_tries: None,
        steps: None,
        exhausted,
        kolmogorov_smirnov: None,
        kolmogorov_smirnov_bound: None,
        metrics: None,
    };
    let reference_count = n.min(20_000);
    let stream = Stream::new(seed, REFERENCE_STREAM, 0);
    let reference = match what {
        What::Density(density, method) => {
            report.method = Some(method.name());
            match method {
                Method::Inverse => {}
                Method::Rejection => {
                    report.acceptance = density.acceptance();
                    report.most_tries = density.tries();
                }
                Method::Metropolis => report.steps = density.walk().map(|w| w.steps),
            }
            if density.dim() == 1 {
                let line = Line::new(density);
                report.kolmogorov_smirnov = Some(kolmogorov_smirnov(&values, &line));
                report.kolmogorov_smirnov_bound = Some(KOLMOGOROV / (n as f64).sqrt());
                let midpoint = |i: usize| (i as f64 + 0.5) / reference_count as f64;
                let quantile = |i| line.quantile(midpoint(i)) as f32;
                (0..reference_count).map(quantile).collect()
            } else {
                rows(
                    &density.reference(&stream, reference_count),
                    reference_count,
                )
            }
        }
        What::Set(set) => {
            report.metrics = metrics_of(set, &values);
            rows(
                &set.sample_features_first(&stream, reference_count),
                reference_count,
            )
        }
    };
    Ok(Samples {
        values,
        reference,
        report,
    })
}

/// sup |F_n - F|.
fn kolmogorov_smirnov(samples: &[f32], line: &Line) -> f64 {
    let mut x: Vec<f64> = samples.iter().map(|&v| f64::from(v)).collect();
    x.sort_unstable_by(f64::total_cmp);
    let n = x.len() as f64;
    let off = x.iter().enumerate().map(|(i, &x)| {
        let f = line.cdf(x);
        (f - i as f64 / n).abs().max(((i + 1) as f64 / n - f).abs())
    });
    off.fold(0.0, f64::max)
}

#[derive(Debug, thiserror::Error)]
enum DrawError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// `[dim, n]` from the device.
fn on_device(gpu: &Gpu, what: What, n: u32, seed: u64) -> Result<Vec<f32>, DrawError> {
    let random = RandomSource {
        seed,
        stream: STREAM,
        counter_index: 0,
    };
    let counters = gpu.buffer("counters", 4)?;
    let bytes = 4 * u64::from(n) * what.dim() as u64;
    let output = gpu.buffer("samples", bytes)?;
    let caps = gpu.caps();
    let table_buffer = |values: Vec<f32>| gpu.buffer_from("table", bytemuck::cast_slice(&values));
    let out_offset = 0;
    let (kernel, table) = match what {
        What::Density(density, method) => {
            let params = density::Params {
                density,
                n,
                random,
                out_offset,
            };
            let needed = density::needs_table(density, method);
            let table = needed.then(|| density.table()).flatten();
            (density::kernel(caps, method, &params)?, table)
        }
        What::Set(set) => {
            let params = toy_batch::Params {
                set,
                n,
                random,
                out_offset,
            };
            (toy_batch::kernel(caps, &params)?, toy_batch::table(set))
        }
    };
    let table = table.map(table_buffer).transpose()?;
    let buffers = match (what, &table) {
        (_, None) => vec![&counters, &output],
        (What::Density(..), Some(table)) => vec![&counters, table, &output],
        (What::Set(_), Some(table)) => vec![table, &counters, &output],
    };
    gpu.submit([&gpu.prepare(&kernel, &buffers)?])?;
    let bytes = gpu.download(&output, 0..bytes)?;
    Ok(bytemuck::pod_collect_to_vec(&bytes))
}
