//! How evenly the modes are covered: `KL(p_hat || weights)` in nats, p_hat the histogram of high-quality samples over the modes.
//! Exact samples score about `(modes - 1) / (2 samples)`, one mode of K scores ln K.

use super::target::mixture2;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value, mode_counts};

const NAME: &str = "reverse_kl";

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &["rkl"],
    better: Better::Lower,
    domain: Domain::Mixtures2d,
    what: "KL(histogram of high-quality samples over modes || weights), nats",
    measure,
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (mixture, points) = mixture2(NAME, target, samples)?;
    let counts = mode_counts(points, mixture, 3.0);
    let good: u64 = counts.iter().sum();
    if good == 0 {
        return Ok(Value::Undefined);
    }
    let term = |(&count, &weight): (&u64, &f32)| {
        let q = count as f64 / good as f64;
        if count == 0 {
            0.0
        } else {
            q * (q / f64::from(weight)).ln()
        }
    };
    let kl: f64 = counts.iter().zip(&mixture.weights).map(term).sum();
    Ok(Value::Number(kl))
}

#[cfg(test)]
mod tests {
    use super::super::Metric;
    use super::*;
    use crate::data::toy::ToySet;

    fn values(points: &[[f32; 2]]) -> [Value; 4] {
        let (target, samples) = (
            Target::points(ToySet::Ring8),
            Samples::Plane(points.to_vec()),
        );
        ["modes", "hq", "reverse_kl", "mode_histogram"]
            .map(|name| (Metric::find(name).unwrap().measure)(&target, &samples).unwrap())
    }

    #[test]
    fn hand_made_points_score_as_the_protocol_says() {
        // Three at mode 0 (one just inside 3 sigma), one just outside, one at mode 2, one at the centre, one not finite.
        let [modes, hq, kl, histogram] = values(&[
            [1.0, 0.0],
            [1.0, 0.005],
            [1.0, 0.0299],
            [1.0, 0.0301],
            [0.0, 1.0],
            [0.0, 0.0],
            [f32::NAN, 0.0],
        ]);
        assert_eq!(modes, Value::Count(2));
        assert!((hq.scalar().unwrap() - 400.0 / 7.0).abs() < 1e-12);
        let expected = 0.75 * (0.75f64 * 8.0).ln() + 0.25 * (0.25f64 * 8.0).ln();
        assert!((kl.scalar().unwrap() - expected).abs() < 1e-7);
        assert_eq!(histogram, Value::Counts(vec![3, 0, 1, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn a_collapsed_generator_has_reverse_kl_ln_8_and_a_lost_one_none() {
        let [modes, _, kl, _] = values(&[[1.0, 0.0]; 10]);
        assert_eq!(modes, Value::Count(1));
        assert!((kl.scalar().unwrap() - 8f64.ln()).abs() < 1e-12);
        let [modes, hq, kl, _] = values(&[[0.0, 0.0]; 10]);
        assert_eq!(
            (modes, hq, kl),
            (Value::Count(0), Value::Number(0.0), Value::Undefined)
        );
        assert_eq!(
            measure(&Target::points(ToySet::Ring8), &Samples::Plane(vec![])),
            Err(MetricError::NoSamples { metric: NAME })
        );
    }
}
