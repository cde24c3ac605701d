//! Kullback-Leibler divergence `KL(data || generator)` in one dimension, in nats, over 50 bins of equal probability: what maximum
//! likelihood minimises. It punishes what the generator leaves out, without bound: undefined where a bin is empty.

use super::bins::{BINS, shares};
use super::target::mixture1;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};

const NAME: &str = "kl";

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &[],
    better: Better::Lower,
    domain: Domain::Points1d,
    what: "KL(data || generator) over 50 equally likely bins, nats; none if a bin is empty",
    measure,
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, values) = mixture1(NAME, target, samples)?;
    let shares = shares(NAME, values, mixture)?;
    if shares.contains(&0.0) {
        return Ok(Value::Undefined);
    }
    let p = 1.0 / BINS as f64;
    Ok(Value::Number(
        shares.into_iter().map(|q| p * (p / q).ln()).sum(),
    ))
}
