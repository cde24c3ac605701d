//! From a critic's value to a logit: logistic regression with one slope and one offset (Platt 1999), as MH-GAN calibrates
//! (arXiv 1811.11357, section 4.2, which finds it about as good as isotonic regression).
use super::stand::finite;
use crate::gan::{GanError, Result};
use serde::Serialize;

/// Newton steps at most; some ten are taken.
const STEPS: usize = 100;

/// logit = slope s + offset, and how good it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Platt {
    pub slope: f64,
    pub offset: f64,
    /// Held-out samples of either kind.
    pub real: usize,
    pub generated: usize,
    /// Mean cross-entropy in nats over the held-out samples, D's own logits as they are and calibrated; log 2 is ignorance.
    pub loss_before: f64,
    pub loss: f64,
}

/// Fits to scores of real and of generated samples; both kinds weigh the same, so that the odds are the ratio of their densities.
/// With Platt's targets, (n + 1) / (n + 2) and 1 / (n + 2), the slope stays finite where the scores separate the two kinds.
///
/// # Errors
/// [`GanError::Input`] where a score is not finite, or a kind is missing.
pub fn fit(real: &[f32], fake: &[f32]) -> Result<Platt> {
    finite(real)?;
    finite(fake)?;
    if real.is_empty() || fake.is_empty() {
        return Err(GanError::Input(
            "calibration needs scores of real and of generated samples".into(),
        ));
    }
    let count = (real.len() + fake.len()) as f64;
    let all = || real.iter().chain(fake).map(|&s| f64::from(s));
    let mean = all().sum::<f64>() / count;
    let variance = all().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
    // A D that says the same of everything knows nothing: slope 0.
    let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let target = |n: usize| (n as f64 + 1.0) / (n as f64 + 2.0);
    let weighted = |scores: &[f32], target: f64| -> Vec<[f64; 3]> {
        let weight = 0.5 / scores.len() as f64;
        let one = |&s: &f32| [(f64::from(s) - mean) / scale, target, weight];
        scores.iter().map(one).collect()
    };
    let mut points = weighted(real, target(real.len()));
    points.extend(weighted(fake, 1.0 - target(fake.len())));
    let loss_of = |[a, b]: [f64; 2]| -> f64 {
        let one = |&[s, t, w]: &[f64; 3]| {
            let f = a * s + b;
            w * (softplus(f) - t * f)
        };
        points.iter().map(one).sum()
    };
    let mut line = [0.0, 0.0];
    for _ in 0..STEPS {
        let (mut gradient, mut hessian) = ([0.0; 2], [0.0; 3]);
        for &[s, t, w] in &points {
            let p = sigmoid(line[0] * s + line[1]);
            let (off, curve) = (w * (p - t), w * p * (1.0 - p));
            gradient = [gradient[0] + off * s, gradient[1] + off];
            hessian = [
                hessian[0] + curve * s * s,
                hessian[1] + curve * s,
                hessian[2] + curve,
            ];
        }
        // A breath of regularisation keeps the system solvable where all scores are one.
        let (a, b, c) = (hessian[0] + 1e-12, hessian[1], hessian[2] + 1e-12);
        let det = a * c - b * b;
        let step = [
            (c * gradient[0] - b * gradient[1]) / det,
            (a * gradient[1] - b * gradient[0]) / det,
        ];
        // Halved until the loss falls: far from the optimum Newton's step is too long.
        let before = loss_of(line);
        let mut size = 1.0;
        let at = |size: f64| [line[0] - size * step[0], line[1] - size * step[1]];
        while size > 1e-10 && loss_of(at(size)) > before {
            size *= 0.5;
        }
        let next = at(size);
        let moved = (next[0] - line[0]).abs().max((next[1] - line[1]).abs());
        line = next;
        if moved < 1e-10 {
            break;
        }
    }
    let [slope, offset] = [line[0] / scale, line[1] - line[0] * mean / scale];
    let loss = |slope: f64, offset: f64| {
        let of = |scores: &[f32], sign: f64| {
            let sum: f64 = scores
                .iter()
                .map(|&s| softplus(sign * (slope * f64::from(s) + offset)))
                .sum();
            0.5 * sum / scores.len() as f64
        };
        of(real, -1.0) + of(fake, 1.0)
    };
    Ok(Platt {
        slope,
        offset,
        real: real.len(),
        generated: fake.len(),
        loss_before: loss(1.0, 0.0),
        loss: loss(slope, offset),
    })
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::{Stream, normal2};

    /// Scores of N(1, 1) data and N(0, 1) samples at x: the logit is x - 1/2, so of the score 3 - 4 x it is -s / 4 + 1/4.
    #[test]
    fn recovers_the_logit_of_two_gaussians() {
        let stream = Stream::new(3, 0, 0);
        let score = |mean: f32, draw: u32| -> Vec<f32> {
            let x = (0..20_000).map(|i| mean + normal2(stream.block(i, draw))[0]);
            x.map(|x| 3.0 - 4.0 * x).collect()
        };
        let made = fit(&score(1.0, 0), &score(0.0, 1)).unwrap();
        // Standard errors are about .003 of the slope and .009 of the offset.
        assert!((made.slope + 0.25).abs() < 0.01, "{made:?}");
        assert!((made.offset - 0.25).abs() < 0.04, "{made:?}");
        assert!(
            made.loss < made.loss_before && made.loss < 2f64.ln(),
            "{made:?}"
        );
    }

    #[test]
    fn separate_constant_and_broken_scores() {
        let apart = fit(&[5.0, 6.0, 7.0], &[-5.0, -6.0]).unwrap();
        assert!(apart.slope > 0.0 && apart.slope.is_finite(), "{apart:?}");
        let same = fit(&[2.0; 100], &[2.0; 300]).unwrap();
        assert!((same.slope * 2.0 + same.offset).abs() < 0.1, "{same:?}");
        assert!((same.loss - 2f64.ln()).abs() < 0.01, "{same:?}");
        assert!(fit(&[f32::NAN], &[0.0]).is_err());
        assert!(fit(&[], &[0.0]).is_err());
    }
}
