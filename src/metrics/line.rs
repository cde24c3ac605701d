//! The exact law of a 1-D Gaussian mixture: its distribution function, the integrals of that, and its quantiles.

use super::gaussian::{std_normal_cdf, std_normal_pdf};
use crate::data::toy::Mixture;

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

/// F, the distribution function.
pub fn cdf(mixture: &Mixture<1>, x: f64) -> f64 {
    over_components(mixture, |m, s| std_normal_cdf((x - m) / s))
}

/// Integral of F from minus infinity to x: `sigma (z Phi(z) + phi(z))` per component.
pub fn lower_integral(mixture: &Mixture<1>, x: f64) -> f64 {
    over_components(mixture, |m, s| {
        let z = (x - m) / s;
        s * (z * std_normal_cdf(z) + std_normal_pdf(z))
    })
}

/// Integral of 1 - F from x to infinity, by symmetry.
pub fn upper_integral(mixture: &Mixture<1>, x: f64) -> f64 {
    over_components(mixture, |m, s| {
        let z = (m - x) / s;
        s * (z * std_normal_cdf(z) + std_normal_pdf(z))
    })
}

/// The x in `(a, b)` with `F(x) = p`, by bisection to 1e-12 sigma or the last bit.
pub fn quantile_between(mixture: &Mixture<1>, p: f64, mut a: f64, mut b: f64) -> f64 {
    let enough = 1e-12 * f64::from(mixture.sigma);
    loop {
        let mid = 0.5 * (a + b);
        if mid <= a || mid >= b || b - a <= enough {
            return mid;
        }
        if cdf(mixture, mid) < p {
            a = mid
        } else {
            b = mid
        }
    }
}

/// The x with `F(x) = p`, for p in (0, 1); a mixture of one component at 0 with sigma 1 gives the quantiles of N(0, 1).
pub fn quantile(mixture: &Mixture<1>, p: f64) -> f64 {
    let (low, high) = mixture
        .centres
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), c| {
            (low.min(f64::from(c[0])), high.max(f64::from(c[0])))
        });
    // Beyond 40 sigma the distribution function is 0 or 1 to the last bit.
    let reach = 40.0 * f64::from(mixture.sigma);
    quantile_between(mixture, p, low - reach, high + reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_invert_the_distribution_function() {
        let mixture = Mixture {
            centres: vec![[-3.0], [0.5]],
            sigma: 0.75,
            weights: vec![0.25, 0.75],
        };
        for p in [1e-6, 0.02, 0.25, 0.5, 0.9, 1.0 - 1e-6] {
            let x = quantile(&mixture, p);
            assert!((cdf(&mixture, x) - p).abs() < 1e-12, "{p}: {x}");
        }
        let standard = Mixture::equal(vec![[0.0]], 1.0);
        assert!((quantile(&standard, 0.975) - 1.959_963_984_540_054).abs() < 1e-9);
    }
}
