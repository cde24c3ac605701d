//! Jensen-Shannon divergence in nats: 0 for the exact law, ln 2 for samples that avoid it. At its optimum, the minimax game's value is
//! `-ln 4 + 2 JS` (1406.2661). In one dimension between densities ([`super::density`]), in the plane between the histogram over modes
//! and their weights.

use super::density::{divergences, js_modes};
use super::target::{mixture1, mixture2};
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};

const NAME: &str = "js";
const MODES_NAME: &str = "js_modes";

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &["jsd"],
    better: Better::Lower,
    domain: Domain::Points1d,
    what: "Jensen-Shannon divergence of the densities, nats",
    measure,
};

pub const MODES: Metric = Metric {
    name: MODES_NAME,
    aliases: &[],
    better: Better::Lower,
    domain: Domain::Mixtures2d,
    what: "Jensen-Shannon divergence of the histogram over nearest modes and their weights, nats",
    measure: measure_modes,
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, values) = mixture1(NAME, target, samples)?;
    Ok(Value::Number(divergences(values, mixture)?.js))
}

fn measure_modes(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, points) = mixture2(MODES_NAME, target, samples)?;
    Ok(Value::Number(js_modes(points, mixture)?))
}
