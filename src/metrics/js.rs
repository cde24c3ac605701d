//! Jensen-Shannon divergence in one dimension, in nats, over 50 bins of equal probability: 0 for the exact law, ln 2 for samples
//! that avoid it. At its optimum, the minimax game's value is `-ln 4 + 2 JS` (1406.2661).

use super::bins::{BINS, shares};
use super::target::mixture1;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};

const NAME: &str = "js";

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &["jsd"],
    better: Better::Lower,
    domain: Domain::Points1d,
    what: "Jensen-Shannon divergence over 50 equally likely bins, nats",
    measure,
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, values) = mixture1(NAME, target, samples)?;
    let p = 1.0 / BINS as f64;
    let part = |p: f64, m: f64| if p > 0.0 { 0.5 * p * (p / m).ln() } else { 0.0 };
    let js: f64 = shares(NAME, values, mixture)?
        .into_iter()
        .map(|q| part(p, 0.5 * (p + q)) + part(q, 0.5 * (p + q)))
        .sum();
    Ok(Value::Number(js))
}

#[cfg(test)]
mod tests {
    use super::super::bins::BINS;
    use super::super::gaussian::{Normal, std_normal_cdf};
    use super::super::line::quantile;
    use super::super::{Metric, Samples, Target, Value};
    use crate::data::toy::{Mixture, ToySet};

    /// The quantiles of N(0, 1), standing for its sample.
    fn quantiles() -> Vec<f64> {
        let (standard, n) = (Mixture::equal(vec![[0.0]], 1.0), 20_000);
        (0..n)
            .map(|i| quantile(&standard, (f64::from(i) + 0.5) / f64::from(n)))
            .collect()
    }

    /// Those of N(m, s).
    fn normal(standard: &[f64], mean: f64, sigma: f64) -> Samples {
        Samples::Line(standard.iter().map(|z| (mean + sigma * z) as f32).collect())
    }

    fn measure(name: &str, samples: &Samples) -> Value {
        (Metric::find(name).unwrap().measure)(&Target::points(ToySet::Gauss1d), samples).unwrap()
    }

    /// gauss1d is N(3, .5): METHODS' pairs N(0,1) against N(m,s), scaled by .5 and moved by 3. The values are those of the binned laws,
    /// from the normal distribution function, and below the closed forms of the laws themselves: bins lose 2 to 10 % here, the most of
    /// a wider law, whose tails lie in the outer bins.
    #[test]
    fn divergences_of_gaussians_are_those_of_their_bins() {
        let (standard, drawn) = (Mixture::equal(vec![[0.0]], 1.0), quantiles());
        let p = 1.0 / BINS as f64;
        for (m, s) in [(1.0, 1.0), (1.5, 1.0), (0.0, 2.0), (0.5, 0.8)] {
            let made = Normal { mean: m, sigma: s };
            let below = |bin: usize| match bin {
                0 => 0.0,
                BINS => 1.0,
                _ => std_normal_cdf((quantile(&standard, bin as f64 * p) - m) / s),
            };
            let binned: Vec<f64> = (0..BINS).map(|b| below(b + 1) - below(b)).collect();
            let part = |p: f64, m: f64| 0.5 * p * (p / m).ln();
            let js = |q: &f64| part(p, 0.5 * (p + q)) + part(*q, 0.5 * (p + q));
            let kl = |q: &f64| p * (p / q).ln();
            let law = Normal {
                mean: 0.0,
                sigma: 1.0,
            };
            let samples = normal(&drawn, 3.0 + 0.5 * m, 0.5 * s);
            for (name, binned, exact) in [
                ("js", binned.iter().map(js).sum::<f64>(), law.js(made)),
                ("kl", binned.iter().map(kl).sum::<f64>(), law.kl(made)),
            ] {
                let Value::Number(found) = measure(name, &samples) else {
                    panic!("{name} of N({m},{s}) is undefined")
                };
                assert!(
                    (found - binned).abs() < 2e-3 * binned,
                    "{name} of N({m},{s}): {found} against {binned}"
                );
                assert!(
                    found < exact && found > 0.9 * exact,
                    "{name} of N({m},{s}): {found} against {exact}"
                );
            }
        }
    }

    #[test]
    fn the_extremes() {
        let same = normal(&quantiles(), 3.0, 0.5);
        for name in ["js", "kl"] {
            assert!(measure(name, &same).scalar().unwrap() < 1e-9, "{name}");
        }
        // All samples in the last bin: KL(data || generator) is infinite, JS almost ln 2.
        let away = Samples::Line(vec![100.0; 64]);
        assert_eq!(measure("kl", &away), Value::Undefined);
        let p = 1.0 / BINS as f64;
        let middle = 0.5 * (1.0 + p);
        let expected =
            (1.0 - p) * 0.5 * 2f64.ln() + 0.5 * p * (p / middle).ln() + 0.5 * (1.0 / middle).ln();
        let js = measure("js", &away).scalar().unwrap();
        assert!(
            (js - expected).abs() < 1e-12 && js < 2f64.ln(),
            "{js} {expected}"
        );
    }
}
