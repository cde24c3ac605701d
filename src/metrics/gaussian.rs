//! Closed forms between Gaussians: the known answers that measured distances are tested against.

use std::f64::consts::{PI, SQRT_2};

/// The error function to about 1e-15: its Maclaurin series near zero, the continued fraction of `erfc` beyond.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 2.5 {
        // erf x = 2/sqrt(pi) e^{-x^2} sum_n 2^n x^(2n+1) / (2n+1)!!: all terms of one sign, so nothing cancels.
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        2.0 / PI.sqrt() * (-x * x).exp() * sum
    } else {
        (1.0 - erfc_tail(x.abs())).copysign(x)
    }
}

/// `1 - erf x` without cancellation for large x.
pub fn erfc(x: f64) -> f64 {
    if x < 2.5 { 1.0 - erf(x) } else { erfc_tail(x) }
}

/// Laplace's continued fraction `e^{-x^2} / sqrt(pi) / (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...))))`, for x >= 2.5.
fn erfc_tail(x: f64) -> f64 {
    let tail = (1..=60)
        .rev()
        .fold(x, |below, k| x + 0.5 * f64::from(k) / below);
    (-x * x).exp() / PI.sqrt() / tail
}

/// Phi, the distribution function of N(0, 1).
pub fn std_normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// phi, the density of N(0, 1).
pub fn std_normal_pdf(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// A 1-D Gaussian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    pub mean: f64,
    pub sigma: f64,
}

impl Normal {
    pub fn pdf(self, x: f64) -> f64 {
        std_normal_pdf((x - self.mean) / self.sigma) / self.sigma
    }

    /// `KL(self || other) = ln(s2/s1) + (s1^2 + (m1-m2)^2) / (2 s2^2) - 1/2`, in nats.
    pub fn kl(self, other: Normal) -> f64 {
        let mu = self.mean - other.mean;
        (other.sigma / self.sigma).ln()
            + (self.sigma.powi(2) + mu * mu) / (2.0 * other.sigma.powi(2))
            - 0.5
    }

    /// Wasserstein-1: `s sqrt(2/pi) e^{-mu^2/2s^2} + mu erf(mu / (s sqrt 2))` with `mu = |m1-m2|`, `s = |s1-s2|`.
    pub fn w1(self, other: Normal) -> f64 {
        let (mu, s) = (
            (self.mean - other.mean).abs(),
            (self.sigma - other.sigma).abs(),
        );
        if s == 0.0 {
            return mu;
        }
        s * (2.0 / PI).sqrt() * (-mu * mu / (2.0 * s * s)).exp() + mu * erf(mu / (s * SQRT_2))
    }

    /// Wasserstein-2, squared: `(m1-m2)^2 + (s1-s2)^2`.
    pub fn w2_squared(self, other: Normal) -> f64 {
        (self.mean - other.mean).powi(2) + (self.sigma - other.sigma).powi(2)
    }

    /// Jensen-Shannon divergence in nats, by the midpoint rule (it has no closed form). The integrand is smooth and
    /// decays like the densities, so the rule converges faster than any power of the step.
    pub fn js(self, other: Normal) -> f64 {
        let low = (self.mean - 12.0 * self.sigma).min(other.mean - 12.0 * other.sigma);
        let high = (self.mean + 12.0 * self.sigma).max(other.mean + 12.0 * other.sigma);
        let steps = 20_000;
        let h = (high - low) / f64::from(steps);
        let part = |p: f64, m: f64| if p > 0.0 { 0.5 * p * (p / m).ln() } else { 0.0 };
        (0..steps)
            .map(|i| {
                let x = low + h * (f64::from(i) + 0.5);
                let (p, q) = (self.pdf(x), other.pdf(x));
                h * (part(p, 0.5 * (p + q)) + part(q, 0.5 * (p + q)))
            })
            .sum()
    }
}

/// A 2-D Gaussian; `covariance` is `[[xx, xy], [xy, yy]]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal2 {
    pub mean: [f64; 2],
    pub covariance: [[f64; 2]; 2],
}

impl Normal2 {
    /// Mean and (1/n) covariance of a point set; `None` for an empty one.
    pub fn fit(points: &[[f32; 2]]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        let n = points.len() as f64;
        let mean = [0, 1].map(|d| points.iter().map(|p| f64::from(p[d])).sum::<f64>() / n);
        let moment = |a: usize, b: usize| {
            points
                .iter()
                .map(|p| (f64::from(p[a]) - mean[a]) * (f64::from(p[b]) - mean[b]))
                .sum::<f64>()
                / n
        };
        let xy = moment(0, 1);
        Some(Self {
            mean,
            covariance: [[moment(0, 0), xy], [xy, moment(1, 1)]],
        })
    }

    /// Frechet distance (squared Wasserstein-2) `|dmu|^2 + Tr(A + B - 2 (AB)^{1/2})`. For 2x2 the trace of the root is
    /// `sqrt(Tr AB + 2 sqrt(det A det B))`.
    pub fn frechet(self, other: Normal2) -> f64 {
        let (a, b) = (self.covariance, other.covariance);
        let det = |m: [[f64; 2]; 2]| m[0][0] * m[1][1] - m[0][1] * m[1][0];
        let trace_ab =
            a[0][0] * b[0][0] + a[0][1] * b[1][0] + a[1][0] * b[0][1] + a[1][1] * b[1][1];
        let root = (trace_ab + 2.0 * (det(a) * det(b)).max(0.0).sqrt())
            .max(0.0)
            .sqrt();
        let dmu = (self.mean[0] - other.mean[0]).powi(2) + (self.mean[1] - other.mean[1]).powi(2);
        dmu + a[0][0] + a[1][1] + b[0][0] + b[1][1] - 2.0 * root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_matches_its_tabulated_values() {
        // Abramowitz and Stegun, table 7.1; erfc(5), erfc(10) to the digits of DLMF 7.
        for (x, value) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
        ] {
            assert!((erf(x) - value).abs() < 2e-15, "erf {x} = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!((erfc(5.0) / 1.537_459_794_428_035e-12 - 1.0).abs() < 1e-12);
        assert!((erfc(10.0) / 2.088_487_583_762_545e-45 - 1.0).abs() < 1e-12);
        // No seam where the two forms meet.
        assert!((erf(2.5 - 1e-9) - erf(2.5 + 1e-9)).abs() < 1e-11);
    }

    /// N(0,1) against N(m,s): JS / KL / W1.
    #[test]
    fn reproduces_the_table_of_closed_forms() {
        let standard = Normal {
            mean: 0.0,
            sigma: 1.0,
        };
        let table = [
            (1.0, 1.0, 0.11142, 0.5, 1.0),
            (2.0, 1.0, 0.33683, 2.0, 2.0),
            (0.0, 2.0, 0.09273, 0.31815, 0.79788),
            (3.0, 0.5, 0.63087, 18.80685, 3.0),
        ];
        for (mean, sigma, js, kl, w1) in table {
            let other = Normal { mean, sigma };
            assert!(
                (standard.js(other) - js).abs() < 6e-6,
                "JS {}",
                standard.js(other)
            );
            assert!(
                (standard.kl(other) - kl).abs() < 6e-6,
                "KL {}",
                standard.kl(other)
            );
            assert!(
                (standard.w1(other) - w1).abs() < 6e-6,
                "W1 {}",
                standard.w1(other)
            );
            assert_eq!(
                standard.w2_squared(other),
                mean * mean + (sigma - 1.0) * (sigma - 1.0)
            );
        }
    }

    #[test]
    fn js_is_symmetric_zero_at_equality_and_at_most_ln_2() {
        let (a, b) = (
            Normal {
                mean: 0.0,
                sigma: 1.0,
            },
            Normal {
                mean: 30.0,
                sigma: 0.5,
            },
        );
        assert!(a.js(a).abs() < 1e-15);
        assert!((a.js(b) - b.js(a)).abs() < 1e-12);
        assert!((a.js(b) - 2f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn frechet_of_commuting_covariances_is_that_of_the_axes() {
        let a = Normal2 {
            mean: [0.0, 1.0],
            covariance: [[4.0, 0.0], [0.0, 9.0]],
        };
        let b = Normal2 {
            mean: [3.0, 5.0],
            covariance: [[1.0, 0.0], [0.0, 1.0]],
        };
        // |dmu|^2 = 25, (2-1)^2 + (3-1)^2 = 5.
        assert!((a.frechet(b) - 30.0).abs() < 1e-12);
        assert!(a.frechet(a).abs() < 1e-12);
    }

    /// Rotating one of two Gaussians: A = R diag(4,1) R', B = diag(4,1) at 45 degrees;
    /// Tr AB = 12.5, det AB = 16, so the distance is 10 - 2 sqrt(20.5).
    #[test]
    fn frechet_of_rotated_covariances() {
        let a = Normal2 {
            mean: [0.0; 2],
            covariance: [[2.5, 1.5], [1.5, 2.5]],
        };
        let b = Normal2 {
            mean: [0.0; 2],
            covariance: [[4.0, 0.0], [0.0, 1.0]],
        };
        assert!((a.frechet(b) - (10.0 - 2.0 * 20.5f64.sqrt())).abs() < 1e-12);
    }

    #[test]
    fn fit_recovers_mean_and_covariance() {
        let fit = Normal2::fit(&[[0.0, 0.0], [2.0, 2.0], [0.0, 2.0], [2.0, 0.0]]).unwrap();
        assert_eq!(
            (fit.mean, fit.covariance),
            ([1.0, 1.0], [[1.0, 0.0], [0.0, 1.0]])
        );
        assert_eq!(Normal2::fit(&[]), None);
    }
}
