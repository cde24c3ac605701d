//! Divergences between a 1-D mixture and samples, through densities.
//!
//! The samples' density is a kernel estimate, which is the true density of the generator smoothed by the kernel. The target is
//! smoothed by the same kernel, in closed form (Gaussians stay Gaussians), so that both sides are treated alike: the value is zero where
//! the generator is perfect, and by the data-processing inequality never above that of the unsmoothed densities. The kernel's
//! width is a tenth of the target's sigma, which costs 1 % of a divergence between Gaussians of that width. What is left is the
//! noise of a finite sample, about `range / (7 width samples)`: 0.0004 for one Gaussian and 20,000 samples.
//!
//! Natural logarithms throughout. KL is infinite where one side has no mass at all; here each side is mixed with a millionth of the
//! uniform density over the grid, so that a mode without any samples costs its mass times about `ln(10^6)` and no more. For the same
//! reason KL(data || generator) is too large where the data's mass lies in the generator's tail, beyond its last sample.

use super::MetricError;
use super::gaussian::std_normal_pdf;
use super::w1::sorted;
use crate::data::toy::Mixture;
use serde::Serialize;

/// Samples that the divergences are meant for.
pub const SAMPLES: usize = 20_000;
/// The kernel's standard deviation in the target's sigmas.
const BANDWIDTH: f64 = 0.1;
/// Cells of the grid per standard deviation of the kernel.
const CELLS_PER_BANDWIDTH: f64 = 4.0;
/// How far the grid reaches beyond the outermost centres, in sigmas.
const REACH: f64 = 10.0;
/// The longest grid; samples beyond it count at its ends.
const MAX_CELLS: usize = 1 << 17;
/// Share of the uniform density in each side of a KL.
const FLOOR: f64 = 1e-6;

/// How far p (the data) and q (the generator) are apart, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Divergences {
    /// Jensen-Shannon: 0 to ln 2.
    pub js: f64,
    /// KL(p || q), what maximum likelihood minimises: large where data has no generated samples.
    pub kl_data_model: f64,
    /// KL(q || p): large where there are generated samples and no data.
    pub kl_model_data: f64,
}

/// Density of the mixture at x.
pub fn density(target: &Mixture<1>, x: f64) -> f64 {
    smoothed_density(target, x, 0.0)
}

/// Density at x of the mixture plus noise of standard deviation `width`.
fn smoothed_density(target: &Mixture<1>, x: f64, width: f64) -> f64 {
    let sigma = f64::from(target.sigma).hypot(width);
    let weight_sum: f64 = target.weights.iter().copied().map(f64::from).sum();
    let parts = target.centres.iter().zip(&target.weights);
    parts
        .map(|(centre, &weight)| {
            f64::from(weight) * std_normal_pdf((x - f64::from(centre[0])) / sigma) / sigma
        })
        .sum::<f64>()
        / weight_sum
}

/// Density of samples at the middles of `cells` cells of width `step` from `low` on, by a Gaussian kernel over their histogram.
/// Samples beyond the cells count at their ends.
fn kernel_estimate(samples: &[f64], low: f64, step: f64, cells: usize, width: f64) -> Vec<f64> {
    let mut mass = vec![0f64; cells];
    for &x in samples {
        let at = ((x - low) / step).floor().clamp(0.0, (cells - 1) as f64);
        mass[at as usize] += 1.0 / samples.len() as f64;
    }
    // Sheppard: the histogram itself has smoothed by step^2 / 12.
    let kernel_width = (width * width - step * step / 12.0).max(0.0).sqrt();
    let reach = (6.0 * kernel_width / step).ceil() as isize;
    let mut kernel: Vec<f64> = (-reach..=reach)
        .map(|k| std_normal_pdf(k as f64 * step / kernel_width))
        .collect();
    let total: f64 = kernel.iter().sum::<f64>() * step;
    kernel.iter_mut().for_each(|k| *k /= total);
    let mut density = vec![0f64; cells];
    for (at, &m) in mass.iter().enumerate().filter(|(_, m)| **m > 0.0) {
        for (k, weight) in (-reach..=reach).zip(&kernel) {
            let to = (at as isize + k).clamp(0, cells as isize - 1) as usize;
            density[to] += m * weight;
        }
    }
    density
}

/// Estimates all three from samples of the generator.
///
/// # Errors
/// [`MetricError::NoSamples`], [`MetricError::NonFinite`].
pub fn divergences(samples: &[f32], target: &Mixture<1>) -> Result<Divergences, MetricError> {
    let samples = sorted("js", samples)?;
    let sigma = f64::from(target.sigma);
    let width = BANDWIDTH * sigma;
    let step = width / CELLS_PER_BANDWIDTH;
    let (mut low, mut high) = (samples[0], samples[samples.len() - 1]);
    for centre in &target.centres {
        low = low.min(f64::from(centre[0]));
        high = high.max(f64::from(centre[0]));
    }
    let (low, high) = (low - REACH * sigma, high + REACH * sigma);
    let cells = (((high - low) / step).ceil() as usize).min(MAX_CELLS);
    // Where the generator is far out, the grid stays with the data.
    let low = match cells < MAX_CELLS {
        true => low,
        false => f64::from(target.centres[0][0]) - 0.5 * MAX_CELLS as f64 * step,
    };
    let q = kernel_estimate(&samples, low, step, cells, width);
    let uniform = 1.0 / (cells as f64 * step);
    let mixed = |d: f64| (1.0 - FLOOR) * d + FLOOR * uniform;
    // Densities too small to be halved count as none: their term vanishes.
    let term = |a: f64, b: f64| {
        if a > 0.0 && b > 0.0 {
            a * (a / b).ln()
        } else {
            0.0
        }
    };
    let mut sums = [0f64; 3];
    for (i, &q) in q.iter().enumerate() {
        let p = smoothed_density(target, low + (i as f64 + 0.5) * step, width);
        let m = 0.5 * (p + q);
        sums[0] += 0.5 * (term(p, m) + term(q, m));
        sums[1] += term(mixed(p), mixed(q));
        sums[2] += term(mixed(q), mixed(p));
    }
    let [js, kl_data_model, kl_model_data] = sums.map(|sum| sum * step);
    Ok(Divergences {
        js,
        kl_data_model,
        kl_model_data,
    })
}

/// Density of samples at evenly spaced places, for a curve: from `low` in steps of `step`.
pub fn curve(samples: &[f32], low: f64, step: f64, count: usize, width: f64) -> Vec<f64> {
    // What lies out of view, be it a sample or the kernel of one, must not pile up at its ends: cells on either side take it.
    let width = width.max(step);
    let beyond = (7.0 * width / step).ceil() as usize;
    let cells = count + 2 * beyond;
    let low = low - (beyond as f64 + 0.5) * step;
    let inside = |x: &f64| (low..low + cells as f64 * step).contains(x);
    let all: Vec<f64> = samples.iter().copied().map(f64::from).collect();
    let kept: Vec<f64> = all.iter().copied().filter(inside).collect();
    if kept.is_empty() {
        return vec![0.0; count];
    }
    let share = kept.len() as f64 / all.len() as f64;
    let density = kernel_estimate(&kept, low, step, cells, width);
    density[beyond..beyond + count]
        .iter()
        .map(|d| d * share)
        .collect()
}

/// Jensen-Shannon divergence, in nats, between the histogram of all samples over their nearest modes and the mixture's weights.
///
/// # Errors
/// [`MetricError::NoSamples`].
pub fn js_modes(points: &[[f32; 2]], target: &Mixture<2>) -> Result<f64, MetricError> {
    if points.is_empty() {
        return Err(MetricError::NoSamples { metric: "js_modes" });
    }
    let mut share = vec![0f64; target.centres.len()];
    for point in points {
        let squared = |c: &[f32; 2]| {
            (f64::from(point[0]) - f64::from(c[0])).powi(2)
                + (f64::from(point[1]) - f64::from(c[1])).powi(2)
        };
        let all = target.centres.iter().map(squared).enumerate();
        // A point that is not finite is nearest to none, and is missing from the sum.
        let nearest = all
            .filter(|d| d.1.is_finite())
            .min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((k, _)) = nearest {
            share[k] += 1.0 / points.len() as f64;
        }
    }
    let term = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    let each = share.iter().zip(&target.weights).map(|(&q, &p)| {
        let p = f64::from(p);
        let m = 0.5 * (p + q);
        0.5 * (term(p, m) + term(q, m))
    });
    Ok(each.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Stream;
    use crate::data::toy::{Distribution, ToySet};

    fn normal(mean: f32, sigma: f32) -> Mixture<1> {
        Mixture::equal(vec![[mean]], sigma)
    }

    fn draw(mixture: &Mixture<1>, seed: u64) -> Vec<f32> {
        let points = mixture.sample(&Stream::new(seed, 0, 0), SAMPLES);
        points.into_iter().map(|p| p[0]).collect()
    }

    /// The table of closed forms for N(0, 1) against N(m, s): JS and KL(N(0, 1) || N(m, s)); the other KL is
    /// ln(1/s) + (s^2 + m^2 - 1) / 2.
    #[test]
    fn gaussians_score_their_closed_forms() {
        let p = normal(0.0, 1.0);
        for (m, s, js, kl) in [
            (1.0f32, 1.0f32, 0.11142, 0.5),
            (2.0, 1.0, 0.33683, 2.0),
            (0.0, 2.0, 0.09273, 0.31815),
        ] {
            let found = divergences(&draw(&normal(m, s), 5), &p).unwrap();
            let (wide_m, wide_s) = (f64::from(m), f64::from(s));
            let back = (1.0 / wide_s).ln() + 0.5 * (wide_s.powi(2) + wide_m.powi(2) - 1.0);
            for (name, got, want) in [
                ("js", found.js, js),
                ("kl_data_model", found.kl_data_model, kl),
                ("kl_model_data", found.kl_model_data, back),
            ] {
                // Of N(2, 1) the lowest of 20,000 samples is near -1.9, with its kernel: the data's mass below, .03, has no samples
                // beside it and costs up to ln(10^6) each.
                let beyond = match (name, m) {
                    ("kl_data_model", 2.0) => 0.03 * 1e6f64.ln(),
                    _ => 0.0,
                };
                // The mean of ln(q / p) = 3 x^2 / 8 + c over 20,000 samples of N(0, 4) has a standard deviation of .015; elsewhere the noise
                // of the estimate is far smaller.
                let noise = match (name, s) {
                    ("kl_model_data", 2.0) => 3.0 * 0.015,
                    _ => 0.002,
                };
                // 1 % by the kernel, and the noise of 20,000 samples.
                let off = 0.035 * want + noise;
                assert!(
                    (want - off..want + off + beyond).contains(&got),
                    "N({m}, {s}) {name}: {got} against {want}"
                );
            }
        }
        // The two directions of KL are told apart: swapped, the last row would be off by a factor of 2.5.
        let wide = divergences(&draw(&normal(0.0, 2.0), 5), &p).unwrap();
        assert!(wide.kl_model_data > 2.0 * wide.kl_data_model);
    }

    #[test]
    fn a_perfect_generator_scores_nearly_nothing() {
        // A kernel of h over a support of L has about L / (2 sqrt(pi) h) degrees of freedom, and KL is half of them over n: with 8 sigma
        // per mode .0006 and .0017, standard deviations .0002 and .0003. The bounds are four of those above.
        for (set, floor) in [(ToySet::Gauss1d, 0.0014), (ToySet::Mixture1d, 0.003)] {
            let Distribution::Mixture1(target) = set.distribution() else {
                panic!("{set} is no 1-D mixture")
            };
            let found = divergences(&draw(&target, 9), &target).unwrap();
            for value in [found.js, found.kl_data_model, found.kl_model_data] {
                assert!((0.0..floor).contains(&value), "{set}: {found:?}");
            }
        }
    }

    #[test]
    fn a_missing_mode_costs_the_data_s_side_only() {
        let Distribution::Mixture1(target) = ToySet::Mixture1d.distribution() else {
            panic!("no 1-D mixture")
        };
        let one = draw(&normal(3.0, 0.3), 2);
        let found = divergences(&one, &target).unwrap();
        // q = p given one of three modes: KL(q || p) = ln 3, JS = (ln(1/2)/3 + 2 ln 2 / 3 + ln(3/2)) / 2.
        let js = 0.5 * (0.5f64.ln() / 3.0 + 2.0 * 2f64.ln() / 3.0 + 1.5f64.ln());
        assert!((found.kl_model_data - 3f64.ln()).abs() < 0.01, "{found:?}");
        assert!((found.js - js).abs() < 0.005, "{found:?} {js}");
        assert!(found.kl_data_model > 5.0 && found.kl_data_model.is_finite());
    }

    #[test]
    fn a_generator_far_away_is_as_far_as_can_be() {
        for at in [50.0, 1e6, -1e20] {
            let found = divergences(&[at; 100], &normal(0.0, 1.0)).unwrap();
            assert!((found.js - 2f64.ln()).abs() < 1e-3, "{at}: {found:?}");
        }
        assert!(divergences(&[], &normal(0.0, 1.0)).is_err());
        assert!(divergences(&[f32::NAN], &normal(0.0, 1.0)).is_err());
    }

    #[test]
    fn the_curve_is_the_density_in_view() {
        let samples = draw(&normal(0.0, 1.0), 3);
        let curve = curve(&samples, -1.0, 0.01, 201, 0.1);
        for (i, x) in [(0, -1.0), (100, 0.0), (150, 0.5), (200, 1.0)] {
            let want = smoothed_density(&normal(0.0, 1.0), x, 0.1);
            assert!((curve[i] - want).abs() < 0.02, "{x}: {} {want}", curve[i]);
        }
    }

    #[test]
    fn what_lies_out_of_view_does_not_pile_up_at_its_ends() {
        // All samples just beyond an end: half a kernel reaches in, and falls off from there.
        let half = super::curve(&[-1.0; 50], -1.0, 0.01, 201, 0.1);
        let peak = std_normal_pdf(0.0) / 0.1;
        assert!((half[0] - peak).abs() < 0.05 * peak, "{} {peak}", half[0]);
        assert!(half.windows(2).all(|w| w[0] >= w[1]), "{half:?}");
        let area: f64 = half.iter().sum::<f64>() * 0.01;
        assert!((area - 0.5).abs() < 0.03, "{area}");
        // Far beyond either: nothing.
        let far = super::curve(&[-1e9, 3.0, 1e9], -1.0, 0.01, 201, 0.1);
        assert!(far.iter().all(|&d| d == 0.0), "{far:?}");
    }

    #[test]
    fn modes_are_compared_by_their_shares() {
        let Distribution::Mixture2(ring) = ToySet::Ring8.distribution() else {
            panic!("the ring is no 2-D mixture")
        };
        assert!(js_modes(&ring.centres, &ring).unwrap().abs() < 1e-7);
        // All samples at one of eight: m has 9/16 there and 1/16 elsewhere.
        let one = js_modes(&[[1.0, 0.0]; 4], &ring).unwrap();
        let want =
            0.5 * (0.125 * (0.125f64 / 0.5625).ln() + 0.875 * 2f64.ln() + (1.0f64 / 0.5625).ln());
        assert!((one - want).abs() < 1e-6, "{one} {want}");
    }
}
