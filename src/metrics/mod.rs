//! What a run is judged by: one file per metric, and the table of them.
//!
//! Every value stands beside what exact samples score, as many of them: no generator does better but by chance or by a flaw
//! that the metric does not see (shrunken modes are of high quality).

mod asked;
pub mod density;
pub mod gaussian;
mod high_quality;
mod js;
mod kl;
pub mod line;
mod mode_counts;
mod mode_histogram;
mod modes;
mod reverse_kl;
mod sliced_w1;
pub mod stacked;
mod target;
mod w1;

pub use mode_counts::mode_counts;
pub use sliced_w1::sliced_w1;
pub use target::{Asked, ClassLaw, Domain, MetricError, PointLaw, Samples, Target};
pub use w1::{w1_1d, w1_samples};

use serde::Serialize;

/// Points that the published protocol draws (VEEGAN 1705.07761, PacGAN 1712.04086); floors and published rows hold for it only.
pub const PROTOCOL_SAMPLES: usize = 2500;
/// Images, where a metric's protocol says nothing else.
pub const PROTOCOL_IMAGES: usize = 10_000;

/// Sets of exact samples behind [`Exact`].
const EXACT_SETS: u32 = 16;

/// A row of the table of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The key in JSON; the unit is part of the name.
    pub name: &'static str,
    /// Shorter names that `--metrics` takes.
    pub aliases: &'static [&'static str],
    pub better: Better,
    pub domain: Domain,
    pub what: &'static str,
    pub measure: fn(&Target, &Samples) -> Result<Value, MetricError>,
}

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Higher,
    Lower,
    /// No order: it is looked at.
    Neither,
}

/// Every metric this program computes, in the order in which they are printed.
pub const METRICS: &[Metric] = &[
    modes::METRIC,
    high_quality::METRIC,
    high_quality::WITHIN_4_SIGMA,
    reverse_kl::METRIC,
    mode_histogram::METRIC,
    w1::METRIC,
    w1::IN_SIGMAS,
    sliced_w1::METRIC,
    js::METRIC,
    js::MODES,
    kl::METRIC,
    kl::REVERSE,
    stacked::MODES_COVERED,
    stacked::KL,
    stacked::CLASSES_COVERED,
    stacked::CLASS_KL,
    asked::CLASS,
    asked::CODE,
];

/// What a metric comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Count(u64),
    Number(f64),
    Counts(Vec<u64>),
    /// There is none (JSON null): no histogram of no samples, no finite divergence.
    Undefined,
}

impl Value {
    pub fn scalar(&self) -> Option<f64> {
        match self {
            Value::Count(n) => Some(*n as f64),
            Value::Number(x) => Some(*x),
            Value::Counts(_) | Value::Undefined => None,
        }
    }
}

/// What the same metric gives for exact samples, as many as were measured: mean and standard deviation over 16 sets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Exact {
    pub mean: f64,
    pub deviation: f64,
}

impl Metric {
    /// By its name or one of its shorter ones; `-` is as good as `_`.
    pub fn find(name: &str) -> Option<&'static Metric> {
        let name = name.to_lowercase().replace('-', "_");
        METRICS
            .iter()
            .find(|m| m.name == name || m.aliases.contains(&name.as_str()))
    }

    /// Those that can be computed of samples of this target.
    pub fn all_for(target: &Target) -> impl Iterator<Item = &'static Metric> {
        METRICS.iter().filter(|m| m.domain.holds(target))
    }

    /// The floor (or ceiling) of the metric, from [`Target::exact_sets`]; `None` without sets or where the value is no single number.
    ///
    /// # Errors
    /// Those of the metric itself.
    pub fn exact(&self, target: &Target, sets: &[Samples]) -> Result<Option<Exact>, MetricError> {
        let mut values = Vec::new();
        for samples in sets {
            match (self.measure)(target, samples)?.scalar() {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        let (mean, deviation) = mean_and_deviation(&values);
        Ok((!values.is_empty()).then_some(Exact { mean, deviation }))
    }
}

/// Mean, and standard deviation with n - 1 in the denominator (0 for one value; NaN and 0 for none).
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let deviation = if values.len() > 1 {
        (squares / (n - 1.0)).sqrt()
    } else {
        0.0
    };
    (mean, deviation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::toy::ToySet;

    fn value(name: &str, target: &Target, samples: &Samples) -> f64 {
        let metric = Metric::find(name).unwrap();
        (metric.measure)(target, samples).unwrap().scalar().unwrap()
    }

    #[test]
    fn names_are_unique_and_found_by_every_spelling() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in METRICS {
            for name in metric.aliases.iter().chain([&metric.name]) {
                assert!(seen.insert(*name), "{name} twice");
                assert_eq!(
                    Metric::find(&name.replace('_', "-")).unwrap().name,
                    metric.name
                );
            }
            assert!(!metric.what.is_empty());
        }
        assert!(Metric::find("fid").is_none());
    }

    /// Each metric is computed of what it says it is for, and refuses the rest.
    #[test]
    fn domains_are_what_the_metrics_take() {
        let classes = [1, 3].map(digits);
        for target in ToySet::ALL.map(Target::points).into_iter().chain(classes) {
            let (samples, name) = (target.exact(300, 0).unwrap(), target.describe());
            assert_eq!(samples.len(), 300, "{name}");
            assert!(Metric::all_for(&target).count() > 0, "{name}");
            for metric in METRICS {
                let result = (metric.measure)(&target, &samples);
                if metric.domain.holds(&target) {
                    assert!(result.is_ok(), "{name} {}: {result:?}", metric.name);
                } else {
                    assert!(
                        matches!(result, Err(MetricError::NotFor { .. })),
                        "{name} {}: {result:?}",
                        metric.name
                    );
                }
            }
        }
        assert_eq!(Metric::all_for(&Target::Images).count(), 0);
    }

    /// Every metric that has an order tells exact samples from shifted ones, in the direction that it says.
    #[test]
    fn exact_samples_score_better_than_shifted_ones() {
        for set in ToySet::ALL {
            let target = Target::points(set);
            let good = target.exact(PROTOCOL_SAMPLES, 99).unwrap();
            let bad = match &good {
                Samples::Line(v) => Samples::Line(v.iter().map(|x| x + 0.9).collect()),
                Samples::Plane(p) => {
                    Samples::Plane(p.iter().map(|p| p.map(|x| x + 0.35)).collect())
                }
                Samples::Labels { .. } => panic!("{set} has no labels"),
            };
            // Shifted samples are still nearest to their own modes.
            for metric in Metric::all_for(&target).filter(|m| m.name != "js_modes") {
                let good = (metric.measure)(&target, &good).unwrap().scalar();
                let bad = (metric.measure)(&target, &bad).unwrap().scalar();
                match (metric.better, good, bad) {
                    (Better::Higher, Some(good), Some(bad)) => {
                        assert!(good > bad, "{set} {}: {good} {bad}", metric.name)
                    }
                    (Better::Lower, Some(good), Some(bad)) => {
                        assert!(good < bad, "{set} {}: {good} {bad}", metric.name)
                    }
                    // No sample of the shifted set is near a mode.
                    (Better::Lower, Some(_), None) => {}
                    (Better::Neither, None, None) => {}
                    other => panic!("{set} {}: {other:?}", metric.name),
                }
            }
        }
    }

    /// METHODS: ceiling 98.89 % within 3 sigma and 99.97 % within 4; reverse KL 0.0014 (8 modes) and 0.0048 (25) at n = 2500.
    #[test]
    fn exact_samples_score_the_published_ceilings_and_floors() {
        for (set, modes, kl) in [(ToySet::Ring8, 8.0, 0.0014), (ToySet::Grid25, 25.0, 0.0048)] {
            let target = Target::points(set);
            let sets = target.exact_sets(PROTOCOL_SAMPLES);
            let exact = |name: &str| {
                let metric = Metric::find(name).unwrap();
                metric.exact(&target, &sets).unwrap().unwrap()
            };
            assert_eq!(
                (exact("modes").mean, exact("modes").deviation),
                (modes, 0.0)
            );
            // Standard errors over 16 sets: .21 / 4 = .052 %, and floor * sqrt(2 / (modes - 1)) / 4.
            let within = 100.0 * (1.0 - (-4.5f64).exp());
            assert!(
                (exact("hq").mean - within).abs() < 0.2,
                "{set} {:?}",
                exact("hq")
            );
            assert!(
                (exact("hq4").mean - 99.97).abs() < 0.04,
                "{set} {:?}",
                exact("hq4")
            );
            let error = kl * (2.0 / (modes - 1.0)).sqrt() / 4.0;
            let found = exact("reverse_kl");
            assert!((found.mean - kl).abs() < 4.0 * error, "{set} {found:?}");
            assert!(found.deviation > 0.0);
        }
    }

    /// MNIST's digits, so many in a sample.
    fn digits(per_sample: usize) -> Target {
        Target::Classes(ClassLaw {
            per_sample,
            counts: stacked::MNIST_COUNTS.to_vec(),
            known: true,
            asked: None,
        })
    }

    /// METHODS: a perfect generator's KL is 0.0236 +- 0.0008 at 26,000 samples; of single digits `floor` is exact.
    #[test]
    fn exact_digits_score_the_published_floor() {
        let target = digits(3);
        assert_eq!(target.protocol_samples(), 26_000);
        let sets: Vec<_> = (0..4).map(|i| target.exact(26_000, i).unwrap()).collect();
        let exact = |target: &Target, name: &str, sets: &[Samples]| {
            let metric = Metric::find(name).unwrap();
            metric.exact(target, sets).unwrap().unwrap().mean
        };
        assert_eq!(exact(&target, "stacked_modes", &sets), 1000.0);
        let kl = exact(&target, "stacked_kl", &sets);
        assert!((kl - 0.0236).abs() < 0.0012, "{kl}");
        let target = digits(1);
        let kl = exact(&target, "class_kl", &target.exact_sets(1000));
        let shares = stacked::MNIST_COUNTS.map(|c| f64::from(c) / 60_000.0);
        let floor = stacked::floor(1000, &shares);
        // The deviation of one is about .002.
        assert!((kl - floor).abs() < 0.0015, "{kl} {floor}");
    }

    #[test]
    fn exact_laws_of_images_are_not_known() {
        let metric = Metric::find("modes").unwrap();
        let sets = Target::Images.exact_sets(10);
        assert_eq!(metric.exact(&Target::Images, &sets), Ok(None));
    }

    #[test]
    fn more_samples_lower_the_floor() {
        let target = Target::points(ToySet::Ring8);
        let floor = |n| {
            let metric = Metric::find("sliced_w1").unwrap();
            let sets = target.exact_sets(n);
            metric.exact(&target, &sets).unwrap().unwrap().mean
        };
        let (few, many) = (floor(250), floor(2500));
        assert!(many < 0.6 * few && many > 0.0, "{few} {many}");
        assert!(value("sliced_w1", &target, &target.exact(2500, 3).unwrap()) < 2.0 * many);
    }

    #[test]
    fn means_and_deviations() {
        assert_eq!(mean_and_deviation(&[1.0, 3.0]), (2.0, 2f64.sqrt()));
        assert_eq!(mean_and_deviation(&[5.0]), (5.0, 0.0));
        assert!(mean_and_deviation(&[]).0.is_nan());
    }
}
