//! High-quality samples by mode, in the order of the mixture's centres: which modes are missing.

use super::target::mixture2;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value, mode_counts};

const NAME: &str = "mode_histogram";

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &["histogram"],
    better: Better::Neither,
    domain: Domain::Mixtures2d,
    what: "high-quality samples at each mode",
    measure,
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, points) = mixture2(NAME, target, samples)?;
    Ok(Value::Counts(mode_counts(points, mixture, 3.0)))
}
