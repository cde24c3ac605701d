//! Share of samples near a mode, by the radii of two protocols. By Mahalanobis distance in the plane, exact samples score
//! `1 - exp(-r^2 / 2)`: 98.89 % within 3 sigma, 99.97 % within 4. More than that means shrunken modes.

use super::target::mixture2;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value, mode_counts};

pub const METRIC: Metric = Metric {
    name: "high_quality_percent",
    aliases: &["hq", "high_quality"],
    better: Better::Higher,
    domain: Domain::Mixtures2d,
    what: "samples within 3 sigma of their nearest mode (VEEGAN, PacGAN)",
    measure: |target, samples| share("high_quality_percent", 3.0, target, samples),
};

pub const WITHIN_4_SIGMA: Metric = Metric {
    name: "within_4_sigma_percent",
    aliases: &["hq4", "within_4_sigma"],
    better: Better::Higher,
    domain: Domain::Mixtures2d,
    what: "samples within 4 sigma of their nearest mode (DRS, DDLS)",
    measure: |target, samples| share("within_4_sigma_percent", 4.0, target, samples),
};

fn share(
    name: &'static str,
    sigmas: f64,
    target: &Target,
    samples: &Samples,
) -> Result<Value, MetricError> {
    let (mixture, points) = mixture2(name, target, samples)?;
    let good: u64 = mode_counts(points, mixture, sigmas).iter().sum();
    Ok(Value::Number(100.0 * good as f64 / points.len() as f64))
}
