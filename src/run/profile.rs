//! Where the time of a training step goes: timestamps around every dispatch, summed by kind, by layer, or not at all.
use super::bench::BenchRequest;
use super::ceilings::{self, Ceilings};
use super::config::TrainConfig;
use super::engine::{bench_trainer, engine_error, trainer};
use super::session::EngineError;
use crate::gan::trainer::{TimedStep, Trainer};
use crate::gpu::CacheFolder;
use serde::Serialize;
use std::collections::BTreeMap;

/// What to look into.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A model of `bench step`.
    Bench(BenchRequest),
    /// A run as `train` would make it.
    Train(Box<TrainConfig>),
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub name: String,
    /// Dispatches per step.
    pub dispatches: usize,
    /// Per step.
    pub ms: f64,
    /// Of the time on the device.
    pub share_percent: f64,
    pub gflop: f64,
    pub gflop_s: f64,
    pub gb_s: f64,
    pub percent_of_gemm: f64,
    /// The time that the bytes of each dispatch would take at the speed of a copy of as many, of the time that was taken.
    pub percent_of_copy: f64,
}

/// A profile of some steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    pub subject: String,
    pub batch: usize,
    pub adapter: String,
    /// Steps that were timed; every figure is a median over them.
    pub steps: usize,
    pub ceilings: Ceilings,
    /// Sum of all dispatches of a step.
    pub device_ms: f64,
    /// Of a step that is submitted at once, without timestamps.
    pub step_ms: f64,
    /// Of it, the host's recording and submitting.
    pub submitting_ms: f64,
    pub host_percent: f64,
    pub by_kind: Vec<Row>,
    pub by_layer: Vec<Row>,
    pub by_dispatch: Vec<Row>,
}

/// Profiles `steps` steps after `warmup` others.
///
/// # Errors
/// Those of opening the subject; where the adapter has no timestamps; those of the device.
pub fn profile(
    subject: &Subject,
    cache: &CacheFolder,
    warmup: usize,
    steps: usize,
) -> Result<Profile, EngineError> {
    let (name, mut trainer) = match subject {
        Subject::Bench(request) => (
            request.model.name.to_string(),
            bench_trainer(request, cache)?.trainer,
        ),
        Subject::Train(config) => (config.model.name.clone(), trainer(config, cache)?.trainer),
    };
    let ceilings = ceilings::measure(trainer.gpu())?;
    let measured = measure(&mut trainer, warmup, steps.max(1)).map_err(engine_error)?;
    let Measured {
        dispatches,
        step_s,
        submitting_s,
    } = measured;
    if dispatches.iter().all(|d| d.seconds.is_nan()) {
        return Err(EngineError::device(
            "the driver recorded no timestamps; profile on another adapter",
        ));
    }
    let rows = |key: &dyn Fn(usize, &TimedStep) -> String| table(&dispatches, &ceilings, key);
    let layer = |d: &TimedStep| match d.attribution.layer.as_str() {
        "" => format!("other, {}", d.attribution.pass.name()),
        layer => format!("{layer}, {}", d.attribution.pass.name()),
    };
    let (by_kind, by_layer, by_dispatch) = (
        rows(&|_, d| d.attribution.kind.clone()),
        rows(&|_, d| layer(d)),
        rows(&|k, d| format!("{k:03} {}: {}", layer(d), d.kernel)),
    );
    Ok(Profile {
        subject: name,
        batch: trainer.config().batch,
        adapter: trainer.gpu().report().name.clone(),
        steps: steps.max(1),
        ceilings,
        device_ms: 1e3 * known(&dispatches),
        step_ms: 1e3 * step_s,
        submitting_ms: 1e3 * submitting_s,
        host_percent: 100.0 * submitting_s / step_s,
        by_kind,
        by_layer,
        by_dispatch,
    })
}

struct Measured {
    /// Of one step, with median times.
    dispatches: Vec<TimedStep>,
    step_s: f64,
    submitting_s: f64,
}

fn measure(
    trainer: &mut Trainer,
    warmup: usize,
    steps: usize,
) -> Result<Measured, crate::gan::GanError> {
    // The very first round may be another one (warm-up steps of D), and it compiles.
    trainer.step_block(1 + warmup as u64)?;
    let mut rounds = vec![];
    let mut host = vec![];
    for _ in 0..steps {
        host.push(trainer.time_once()?);
        rounds.push(trainer.profile_once()?);
    }
    let mut dispatches = rounds[0].clone();
    for (k, dispatch) in dispatches.iter_mut().enumerate() {
        dispatch.seconds = median(rounds.iter().map(|r| r[k].seconds).collect());
    }
    Ok(Measured {
        dispatches,
        step_s: median(host.iter().map(|h| h.total_s).collect()),
        submitting_s: median(host.iter().map(|h| h.submitting_s).collect()),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|v| !v.is_nan());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n => (values[(n - 1) / 2] + values[n / 2]) / 2.0,
    }
}

/// Seconds of all dispatches that have a time.
fn known(dispatches: &[TimedStep]) -> f64 {
    let seconds = dispatches.iter().map(|d| d.seconds);
    seconds.filter(|s| !s.is_nan()).sum()
}

/// Dispatches summed by key, the longest first.
fn table(
    dispatches: &[TimedStep],
    ceilings: &Ceilings,
    key: &dyn Fn(usize, &TimedStep) -> String,
) -> Vec<Row> {
    let all = known(dispatches);
    let mut groups: BTreeMap<String, Vec<TimedStep>> = BTreeMap::new();
    for (k, d) in dispatches.iter().enumerate() {
        groups.entry(key(k, d)).or_default().push(d.clone());
    }
    let row = |(name, group): (String, Vec<TimedStep>)| {
        let seconds = known(&group);
        let sum = |f: fn(&TimedStep) -> u64| group.iter().map(f).sum::<u64>() as f64;
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let gflop = sum(|d| d.flops) / 1e9;
        let timed = group.iter().filter(|d| !d.seconds.is_nan());
        let ideal = timed.map(|d| d.bytes as f64 / 1e9 / ceilings.moving(d.bytes));
        let ideal: f64 = ideal.sum();
        let (gflop_s, gb_s) = (per_second(gflop), per_second(sum(|d| d.bytes) / 1e9));
        Row {
            name,
            dispatches: group.len(),
            ms: 1e3 * seconds,
            share_percent: 100.0 * seconds / all,
            gflop,
            gflop_s,
            gb_s,
            percent_of_gemm: 100.0 * gflop_s / ceilings.gemm_gflop_s,
            percent_of_copy: 100.0 * per_second(ideal),
        }
    };
    let mut rows: Vec<Row> = groups.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::plan::{Attribution, Pass};
    use crate::run::ceilings::Moving;

    fn step(kind: &str, seconds: f64, flops: u64, bytes: u64) -> TimedStep {
        TimedStep {
            attribution: Attribution {
                layer: "d.0 linear".into(),
                pass: Pass::Forward,
                kind: kind.into(),
            },
            kernel: kind.into(),
            seconds,
            flops,
            bytes,
        }
    }

    #[test]
    fn rows_are_sums_and_rates_of_their_group() {
        let ceilings = Ceilings {
            copy_gb_s: 10.0,
            // What moves less is faster.
            copies: vec![
                Moving {
                    bytes: 1_000_000,
                    gb_s: 20.0,
                },
                Moving {
                    bytes: 1_500_000,
                    gb_s: 10.0,
                },
            ],
            gemm_gflop_s: 100.0,
            gemm_size: 4,
        };
        let dispatches = [
            step("sum", 0.001, 0, 2_000_000),
            step("matmul", 0.002, 100_000_000, 1_000_000),
            step("matmul", 0.001, 50_000_000, 2_000_000),
            step("sum", f64::NAN, 0, 0),
        ];
        let rows = table(&dispatches, &ceilings, &|_, d| d.attribution.kind.clone());
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        assert_eq!(
            (rows[0].name.as_str(), rows[0].dispatches, rows.len()),
            ("matmul", 2, 2)
        );
        close(rows[0].ms, 3.0);
        close(rows[0].share_percent, 75.0);
        close(rows[0].gflop_s, 50.0);
        close(rows[0].percent_of_gemm, 50.0);
        // 1 MB at 20 GB/s and 2 MB at 10 GB/s: 0.25 of 3 ms.
        close(rows[0].percent_of_copy, 100.0 * 0.25 / 3.0);
        close(rows[1].gb_s, 2.0);
        close(rows[1].share_percent, 25.0);
    }

    #[test]
    fn medians_pass_over_missing_times() {
        assert_eq!(median(vec![3.0, f64::NAN, 1.0]), 2.0);
        assert!(median(vec![f64::NAN]).is_nan());
    }
}
