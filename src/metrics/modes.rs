//! Modes covered: those with at least one high-quality sample.

use super::target::mixture2;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value, mode_counts};

const NAME: &str = "modes";

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &[],
    better: Better::Higher,
    domain: Domain::Mixtures2d,
    what: "modes with at least one high-quality sample",
    measure,
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, points) = mixture2(NAME, target, samples)?;
    let counts = mode_counts(points, mixture, 3.0);
    Ok(Value::Count(
        counts.iter().filter(|&&count| count > 0).count() as u64,
    ))
}
