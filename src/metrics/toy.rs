//! Metrics of the 1-D and 2-D sets, exact and in f64.
//!
//! 2-D mixtures follow VEEGAN (1705.07761) and PacGAN (1712.04086): 2,500 samples; a sample is of high quality when it
//! lies within 3 sigma of its nearest mode; a mode is covered when at least one high-quality sample is nearest to it;
//! reverse KL is that of the high-quality samples' histogram over modes against the mixture's weights.
//! A perfect generator scores `1 - exp(-4.5) = 98.89 %`, not 100, and its reverse KL is about
//! `(modes - 1) / (2 samples)`: more than the first, or less than the second, means shrunken modes.

use super::gaussian::{std_normal_cdf, std_normal_pdf};
use crate::data::density::Line;
use crate::data::rng::Stream;
use crate::data::toy::{Distribution, Mixture, ToySet, points};
use serde::Serialize;

/// The number of samples that the published protocol draws; floors and published rows hold for it only.
pub const PROTOCOL_SAMPLES: usize = 2500;

/// Why a metric could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    #[error("{metric} needs at least one sample on each side, got none")]
    NoSamples { metric: &'static str },
    #[error(
        "{metric}: sample {index} is {value}; a generator that makes non-finite points has diverged"
    )]
    NonFinite {
        metric: &'static str,
        index: usize,
        value: f32,
    },
    #[error("{set} has {dim} numbers per sample, but {len} numbers were given: pass [{dim}, n]")]
    Shape { set: ToySet, dim: usize, len: usize },
}

/// Mode coverage of a 2-D mixture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MixtureQuality {
    /// Modes with at least one high-quality sample.
    pub modes: usize,
    /// Modes of the target.
    pub of: usize,
    /// Share of samples within 3 sigma of their nearest mode, 0..100.
    pub high_quality_percent: f64,
    /// Nats; `None` when no sample is of high quality, since there is no histogram then.
    pub reverse_kl: Option<f64>,
}

/// Mode coverage by the protocol above. Non-finite points count as samples of low quality.
pub fn mixture_quality(
    points: &[[f32; 2]],
    target: &Mixture<2>,
) -> Result<MixtureQuality, MetricError> {
    if points.is_empty() {
        return Err(MetricError::NoSamples {
            metric: "high_quality_percent",
        });
    }
    let radius = 3.0 * f64::from(target.sigma);
    let mut histogram = vec![0u64; target.centres.len()];
    for point in points {
        let mut nearest = (f64::INFINITY, 0);
        for (k, centre) in target.centres.iter().enumerate() {
            let d = (f64::from(point[0]) - f64::from(centre[0]))
                .hypot(f64::from(point[1]) - f64::from(centre[1]));
            if d < nearest.0 {
                nearest = (d, k);
            }
        }
        if nearest.0 < radius {
            histogram[nearest.1] += 1;
        }
    }
    let good: u64 = histogram.iter().sum();
    let term = |(&count, &weight): (&u64, &f32)| {
        let q = count as f64 / good as f64;
        if count == 0 {
            0.0
        } else {
            q * (q / f64::from(weight)).ln()
        }
    };
    Ok(MixtureQuality {
        modes: histogram.iter().filter(|&&count| count > 0).count(),
        of: histogram.len(),
        high_quality_percent: 100.0 * good as f64 / points.len() as f64,
        reverse_kl: (good > 0).then(|| histogram.iter().zip(&target.weights).map(term).sum()),
    })
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

fn w1_sorted(a: &[f64], b: &[f64]) -> f64 {
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

/// Mean of f over the components, weighted.
fn over_components(mixture: &Mixture<1>, f: impl Fn(f64, f64) -> f64) -> f64 {
    let sigma = f64::from(mixture.sigma);
    let weight_sum: f64 = mixture.weights.iter().copied().map(f64::from).sum();
    let part =
        |(centre, &weight): (&[f32; 1], &f32)| f64::from(weight) * f(f64::from(centre[0]), sigma);
    mixture
        .centres
        .iter()
        .zip(&mixture.weights)
        .map(part)
        .sum::<f64>()
        / weight_sum
}

fn cdf(mixture: &Mixture<1>, x: f64) -> f64 {
    over_components(mixture, |m, s| std_normal_cdf((x - m) / s))
}

/// Integral of F from minus infinity to x: `sigma (z Phi(z) + phi(z))` per component.
fn lower_integral(mixture: &Mixture<1>, x: f64) -> f64 {
    over_components(mixture, |m, s| {
        let z = (x - m) / s;
        s * (z * std_normal_cdf(z) + std_normal_pdf(z))
    })
}

/// Integral of 1 - F from x to infinity, by symmetry.
fn upper_integral(mixture: &Mixture<1>, x: f64) -> f64 {
    over_components(mixture, |m, s| {
        let z = (m - x) / s;
        s * (z * std_normal_cdf(z) + std_normal_pdf(z))
    })
}

/// The x in `(a, b)` with `F(x) = p`, by bisection to the last bit.
fn quantile_between(mixture: &Mixture<1>, p: f64, mut a: f64, mut b: f64) -> f64 {
    loop {
        let mid = 0.5 * (a + b);
        if mid <= a || mid >= b {
            return mid;
        }
        if cdf(mixture, mid) < p {
            a = mid
        } else {
            b = mid
        }
    }
}

/// Sliced Wasserstein-1 in the plane: the mean over `directions` evenly spaced half-turn directions of the W1 of the
/// projections. Translating by d gives `(2/pi) |d|`.
pub fn sliced_w1(a: &[[f32; 2]], b: &[[f32; 2]], directions: usize) -> Result<f64, MetricError> {
    let project = |points: &[[f32; 2]], angle: f64| -> Vec<f32> {
        let (sin, cos) = angle.sin_cos();
        points
            .iter()
            .map(|p| (f64::from(p[0]) * cos + f64::from(p[1]) * sin) as f32)
            .collect()
    };
    let mut total = 0.0;
    for i in 0..directions {
        let angle = std::f64::consts::PI * (i as f64 + 0.5) / directions as f64;
        let (a, b) = (
            sorted("sliced_w1", &project(a, angle))?,
            sorted("sliced_w1", &project(b, angle))?,
        );
        total += w1_sorted(&a, &b);
    }
    Ok(total / directions as f64)
}

/// What is reported of a built-in point set; serialises to the keys of the table of metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ToyReport {
    Mixture2(MixtureQuality),
    /// `w1` is in the units of the data; `w1_sigmas` divides it by the target's sigma.
    Mixture1 {
        w1: f64,
        w1_sigmas: f64,
    },
    SwissRoll {
        sliced_w1: f64,
    },
    /// Of a density in one dimension: W1 against the midpoints' quantiles, in the units of the data.
    Density1 {
        w1: f64,
    },
    /// Of a density in two dimensions: against 10,000 reference samples.
    Density2 {
        sliced_w1: f64,
    },
}

/// The metrics of `set` for generated samples `[dim, n]`.
///
/// The roll has no closed form: it is compared with 10,000 reference samples of a fixed seed.
pub fn evaluate(set: ToySet, features_first: &[f32]) -> Result<ToyReport, MetricError> {
    let shape = || MetricError::Shape {
        set,
        dim: set.dim(),
        len: features_first.len(),
    };
    Ok(match set.distribution() {
        Distribution::Mixture1(target) => {
            let w1 = w1_1d(features_first, &target)?;
            ToyReport::Mixture1 {
                w1,
                w1_sigmas: w1 / f64::from(target.sigma),
            }
        }
        Distribution::Mixture2(target) => ToyReport::Mixture2(mixture_quality(
            &points(features_first).ok_or_else(shape)?,
            &target,
        )?),
        Distribution::SwissRoll(roll) => {
            let generated = points(features_first).ok_or_else(shape)?;
            let reference = roll.sample(&Stream::new(0, 0, 0), 10_000);
            ToyReport::SwissRoll {
                sliced_w1: sliced_w1(&generated, &reference, 64)?,
            }
        }
        Distribution::Density(target) if target.dim() == 1 => {
            let line = Line::new(target);
            let midpoint = |i: u32| line.quantile((f64::from(i) + 0.5) / 10_000.0) as f32;
            let exact: Vec<f32> = (0..10_000).map(midpoint).collect();
            ToyReport::Density1 {
                w1: w1_samples(features_first, &exact)?,
            }
        }
        Distribution::Density(_) => {
            let generated = points(features_first).ok_or_else(shape)?;
            let reference = set.sample_features_first(&Stream::new(0, 0, 0), 10_000);
            let reference = points(&reference).ok_or_else(shape)?;
            ToyReport::Density2 {
                sliced_w1: sliced_w1(&generated, &reference, 64)?,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::gaussian::Normal;
    use super::*;

    fn mixture2(set: ToySet) -> Mixture<2> {
        match set.distribution() {
            Distribution::Mixture2(mixture) => mixture,
            other => panic!("{set} is {other:?}"),
        }
    }

    fn normal(mean: f32, sigma: f32) -> Mixture<1> {
        Mixture::equal(vec![[mean]], sigma)
    }

    /// The exact mixture scores 98.89 %, all modes, and the KL floors of 2,500 samples.
    #[test]
    fn the_exact_mixture_scores_the_ceiling_and_the_floors() {
        for (set, kl_floor) in [(ToySet::Ring8, 0.0014), (ToySet::Grid25, 0.0048)] {
            let target = mixture2(set);
            let runs = 200;
            let (mut percent, mut kl) = (0.0, 0.0);
            for run in 0..runs {
                let q = mixture_quality(
                    &target.sample(&Stream::new(1, 0, run), PROTOCOL_SAMPLES),
                    &target,
                )
                .unwrap();
                assert_eq!(
                    (q.modes, q.of),
                    (target.centres.len(), target.centres.len())
                );
                percent += q.high_quality_percent / f64::from(runs);
                kl += q.reverse_kl.unwrap() / f64::from(runs);
            }
            // Standard errors: .21 / sqrt(200) = .015 % and about floor * sqrt(2 / dof / 200).
            assert!(
                (percent - 100.0 * (1.0 - (-4.5f64).exp())).abs() < 0.06,
                "{set}: {percent}"
            );
            assert!((kl - kl_floor).abs() < 0.0002, "{set}: {kl}");
        }
    }

    #[test]
    fn hand_made_points_score_as_the_protocol_says() {
        let ring = mixture2(ToySet::Ring8);
        // Three at mode 0 (one just inside 3 sigma), one just outside, one at mode 2, one at the centre, one not finite.
        let points = [
            [1.0, 0.0],
            [1.0, 0.005],
            [1.0, 0.0299],
            [1.0, 0.0301],
            [0.0, 1.0],
            [0.0, 0.0],
            [f32::NAN, 0.0],
        ];
        let q = mixture_quality(&points, &ring).unwrap();
        assert_eq!((q.modes, q.of), (2, 8));
        assert!((q.high_quality_percent - 400.0 / 7.0).abs() < 1e-12);
        let expected = 0.75 * (0.75f64 * 8.0).ln() + 0.25 * (0.25f64 * 8.0).ln();
        assert!((q.reverse_kl.unwrap() - expected).abs() < 1e-7);
    }

    #[test]
    fn a_collapsed_generator_has_reverse_kl_ln_8_and_a_lost_one_none() {
        let ring = mixture2(ToySet::Ring8);
        let collapsed = mixture_quality(&[[1.0, 0.0]; 10], &ring).unwrap();
        assert_eq!(collapsed.modes, 1);
        assert!((collapsed.reverse_kl.unwrap() - 8f64.ln()).abs() < 1e-12);
        let lost = mixture_quality(&[[0.0, 0.0]; 10], &ring).unwrap();
        assert_eq!(
            (lost.modes, lost.high_quality_percent, lost.reverse_kl),
            (0, 0.0, None)
        );
        assert_eq!(
            mixture_quality(&[], &ring),
            Err(MetricError::NoSamples {
                metric: "high_quality_percent"
            })
        );
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
        let quantiles: Vec<f64> = uniform
            .iter()
            .map(|&p| quantile_between(&standard, p, -10.0, 10.0))
            .collect();
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

    #[test]
    fn sliced_w1_of_a_translation_is_two_over_pi_of_it() {
        let a = mixture2(ToySet::Grid25).sample(&Stream::new(2, 0, 0), 400);
        let b: Vec<[f32; 2]> = a.iter().map(|p| [p[0] + 3.0, p[1] - 4.0]).collect();
        let distance = sliced_w1(&a, &b, 256).unwrap();
        assert!(
            (distance - 10.0 / std::f64::consts::PI).abs() < 1e-3,
            "{distance}"
        );
    }

    #[test]
    fn the_exact_sets_evaluate_as_good_and_a_shifted_one_as_bad() {
        for set in ToySet::ALL {
            let good = set.sample_features_first(&Stream::new(77, 0, 0), PROTOCOL_SAMPLES);
            let bad: Vec<f32> = good.iter().map(|v| v + 0.9).collect();
            let score = |samples: &[f32]| match evaluate(set, samples).unwrap() {
                ToyReport::Mixture2(q) => 1.0 - q.high_quality_percent / 100.0,
                ToyReport::Mixture1 { w1, .. } => w1,
                ToyReport::Density1 { w1 } => w1,
                ToyReport::SwissRoll { sliced_w1 } | ToyReport::Density2 { sliced_w1 } => sliced_w1,
            };
            // Two sets of samples of the same 2-D density differ too: by .05 where its standard deviation is 1.5.
            let two_samples = matches!(set, ToySet::Banana | ToySet::TwoMoons);
            let limit = if two_samples { 0.1 } else { 0.06 };
            assert!(score(&good) < limit, "{set}: {}", score(&good));
            assert!(score(&bad) > 0.5, "{set}: {}", score(&bad));
        }
        assert!(matches!(
            evaluate(ToySet::Ring8, &[0.0; 3]),
            Err(MetricError::Shape { dim: 2, len: 3, .. })
        ));
    }

    #[test]
    fn reports_serialise_under_the_contract_s_keys() {
        let report = evaluate(ToySet::Ring8, &[1.0, 1.0, 0.0, 0.0]).unwrap();
        let json = serde_json::to_value(report).unwrap();
        for key in ["modes", "of", "high_quality_percent", "reverse_kl"] {
            assert!(json.get(key).is_some(), "{key}");
        }
    }
}
