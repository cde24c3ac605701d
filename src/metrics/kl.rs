//! Kullback-Leibler divergences in one dimension, in nats, between densities ([`super::density`]): `KL(data || generator)` is what maximum
//! likelihood minimises and punishes what the generator leaves out, `KL(generator || data)` punishes what it makes up.

use super::density::{Divergences, divergences};
use super::target::mixture1;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};

const NAME: &str = "kl_data_model";
const REVERSE_NAME: &str = "kl_model_data";

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &["kl"],
    better: Better::Lower,
    domain: Domain::Points1d,
    what: "KL(data || generator) of the densities, nats",
    measure: |target, samples| Ok(Value::Number(both(NAME, target, samples)?.kl_data_model)),
};

pub const REVERSE: Metric = Metric {
    name: REVERSE_NAME,
    aliases: &[],
    better: Better::Lower,
    domain: Domain::Points1d,
    what: "KL(generator || data) of the densities, nats",
    measure: |target, samples| {
        Ok(Value::Number(
            both(REVERSE_NAME, target, samples)?.kl_model_data,
        ))
    },
};

fn both(
    name: &'static str,
    target: &Target,
    samples: &Samples,
) -> Result<Divergences, MetricError> {
    let (mixture, values) = mixture1(name, target, samples)?;
    divergences(values, mixture)
}
