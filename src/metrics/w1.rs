//! Wasserstein-1 distance in one dimension, exact: in the units of the data, and in the target's standard deviations.

use super::line::{cdf, lower_integral, quantile_between, upper_integral};
use super::target::mixture1;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};
use crate::data::toy::Mixture;

pub const METRIC: Metric = Metric {
    name: "w1",
    aliases: &[],
    better: Better::Lower,
    domain: Domain::Points1d,
    what: "Wasserstein-1 distance to the exact law",
    measure,
};

pub const IN_SIGMAS: Metric = Metric {
    name: "w1_sigmas",
    aliases: &[],
    better: Better::Lower,
    domain: Domain::Points1d,
    what: "the same, over the target's sigma",
    measure: |target, samples| {
        let (mixture, values) = mixture1("w1_sigmas", target, samples)?;
        Ok(Value::Number(
            w1_1d(values, mixture)? / f64::from(mixture.sigma),
        ))
    },
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, values) = mixture1("w1", target, samples)?;
    Ok(Value::Number(w1_1d(values, mixture)?))
}

/// Samples in ascending order as f64; refuses an empty or non-finite set.
pub(super) fn sorted(metric: &'static str, samples: &[f32]) -> Result<Vec<f64>, MetricError> {
    if samples.is_empty() {
        return Err(MetricError::NoSamples { metric });
    }
    if let Some((index, &value)) = samples.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        return Err(MetricError::NonFinite {
            metric,
            index,
            value,
        });
    }
    let mut sorted: Vec<f64> = samples.iter().copied().map(f64::from).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// Wasserstein-1 between two empirical distributions, of any sizes: the integral of `|F_a - F_b|`.
/// For equal sizes it is the mean distance of the order statistics.
pub fn w1_samples(a: &[f32], b: &[f32]) -> Result<f64, MetricError> {
    Ok(w1_sorted(&sorted("w1", a)?, &sorted("w1", b)?))
}

/// As [`w1_samples`], of samples in ascending order, at least one on each side.
pub(super) fn w1_sorted(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut total) = (0, 0, 0.0);
    let mut x = a[0].min(b[0]);
    while i < a.len() || j < b.len() {
        let next = match (a.get(i), b.get(j)) {
            (Some(&u), Some(&v)) => u.min(v),
            (Some(&u), None) | (None, Some(&u)) => u,
            (None, None) => break,
        };
        total += (next - x) * (i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs();
        x = next;
        while i < a.len() && a[i] <= next {
            i += 1;
        }
        while j < b.len() && b[j] <= next {
            j += 1;
        }
    }
    total
}

/// Wasserstein-1 between an empirical sample and a 1-D Gaussian mixture, exactly: the integral of `|F_n - F|`, each piece
/// from the closed form of the integral of the normal distribution function, split where F crosses the step.
pub fn w1_1d(samples: &[f32], target: &Mixture<1>) -> Result<f64, MetricError> {
    let x = sorted("w1", samples)?;
    let n = x.len() as f64;
    let mut total = lower_integral(target, x[0]) + upper_integral(target, x[x.len() - 1]);
    for (i, pair) in x.windows(2).enumerate() {
        let (a, b, step) = (pair[0], pair[1], (i + 1) as f64 / n);
        if a == b {
            continue;
        }
        // The signed integral of F - step over a piece on which its sign does not change.
        let piece = |from: f64, to: f64| {
            (lower_integral(target, to) - lower_integral(target, from) - step * (to - from)).abs()
        };
        total += if cdf(target, a) < step && step < cdf(target, b) {
            let crossing = quantile_between(target, step, a, b);
            piece(a, crossing) + piece(crossing, b)
        } else {
            piece(a, b)
        };
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::super::gaussian::Normal;
    use super::super::line::quantile;
    use super::*;

    fn normal(mean: f32, sigma: f32) -> Mixture<1> {
        Mixture::equal(vec![[mean]], sigma)
    }

    #[test]
    fn one_sample_against_a_gaussian_is_its_mean_absolute_deviation() {
        // W1(delta_x, N(m, s)) = E |X - x|; at x = m that is s sqrt(2/pi).
        let w1 = w1_1d(&[3.0], &normal(3.0, 0.5)).unwrap();
        assert!(
            (w1 - 0.5 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-12,
            "{w1}"
        );
        // Far away it is the distance.
        assert!((w1_1d(&[103.0], &normal(3.0, 0.5)).unwrap() - 100.0).abs() < 1e-9);
    }

    /// Against numerical integration of |F_n - F| on a fine grid.
    #[test]
    fn w1_is_the_area_between_the_distribution_functions() {
        let target = Mixture {
            centres: vec![[-3.0], [0.5]],
            sigma: 0.75,
            weights: vec![0.25, 0.75],
        };
        let samples = [-4.0f32, -2.5, -2.5, 0.0, 0.25, 0.3, 2.0];
        let (from, to, steps) = (-12.0, 12.0, 2_400_000);
        let h = (to - from) / f64::from(steps);
        let area: f64 = (0..steps)
            .map(|i| {
                let x = from + h * (f64::from(i) + 0.5);
                let below = samples.iter().filter(|&&s| f64::from(s) <= x).count() as f64
                    / samples.len() as f64;
                (below - cdf(&target, x)).abs() * h
            })
            .sum();
        let w1 = w1_1d(&samples, &target).unwrap();
        assert!((w1 - area).abs() < 1e-6, "{w1} against {area}");
    }

    /// METHODS' table of N(0,1) against N(m,s), from the samples' side: the quantiles of N(m,s) stand for its sample.
    #[test]
    fn w1_reproduces_the_gaussian_table() {
        let n = 20_000;
        let standard = normal(0.0, 1.0);
        let uniform: Vec<f64> = (0..n)
            .map(|i| (f64::from(i) + 0.5) / f64::from(n))
            .collect();
        let quantiles: Vec<f64> = uniform.iter().map(|&p| quantile(&standard, p)).collect();
        for (m, s) in [(1.0, 1.0), (2.0, 1.0), (0.0, 2.0), (3.0, 0.5)] {
            let samples: Vec<f32> = quantiles.iter().map(|z| (m + s * z) as f32).collect();
            let exact = Normal {
                mean: 0.0,
                sigma: 1.0,
            }
            .w1(Normal { mean: m, sigma: s });
            let measured = w1_1d(&samples, &standard).unwrap();
            assert!(
                (measured - exact).abs() < 5e-4,
                "N({m},{s}): {measured} against {exact}"
            );
            let standard_samples: Vec<f32> = quantiles.iter().map(|&z| z as f32).collect();
            let between = w1_samples(&samples, &standard_samples).unwrap();
            assert!(
                (between - exact).abs() < 5e-4,
                "N({m},{s}): {between} against {exact}"
            );
        }
    }

    #[test]
    fn w1_of_samples_handles_other_sizes_and_ties() {
        assert_eq!(w1_samples(&[0.0, 1.0], &[3.0, 2.0]), Ok(2.0));
        assert_eq!(w1_samples(&[1.0; 4], &[1.0]), Ok(0.0));
        // {0} against {0, 0, 3}: a third of the mass moves by 3.
        assert!((w1_samples(&[0.0], &[3.0, 0.0, 0.0]).unwrap() - 1.0).abs() < 1e-15);
        assert!(matches!(
            w1_samples(&[f32::NAN], &[0.0]),
            Err(MetricError::NonFinite { index: 0, .. })
        ));
        assert_eq!(
            w1_samples(&[], &[0.0]),
            Err(MetricError::NoSamples { metric: "w1" })
        );
    }
}
