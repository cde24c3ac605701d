//! A 1-D mixture cut into bins of equal probability, and samples counted in them: what the divergences are estimated from.
//!
//! Equal bins of probability, not of width: each holds enough samples to be counted (50 of 2,500), and none is empty but by the
//! generator's fault. Binning loses what happens within a bin, so a divergence of the bins is at most that of the laws.

use super::MetricError;
use super::line::quantile;
use crate::data::toy::Mixture;

/// Bins of probability 1/50 each.
pub const BINS: usize = 50;

/// Share of `samples` in each bin of `target`.
///
/// # Errors
/// [`MetricError::NoSamples`], [`MetricError::NonFinite`]: `metric` is named in it.
pub fn shares(
    metric: &'static str,
    samples: &[f32],
    target: &Mixture<1>,
) -> Result<Vec<f64>, MetricError> {
    let sorted = super::w1::sorted(metric, samples)?;
    let mut below = vec![0];
    for bin in 1..BINS {
        let edge = quantile(target, bin as f64 / BINS as f64);
        below.push(sorted.partition_point(|&x| x < edge));
    }
    below.push(sorted.len());
    Ok(below
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) as f64 / sorted.len() as f64)
        .collect())
}
