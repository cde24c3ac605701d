//! Sliced Wasserstein-1 distance in the plane: the mean over 64 evenly spaced directions of the W1 of the projections.
//! Measured against 10,000 exact samples of a fixed seed: even exact samples are at a distance from those, the metric's floor.

use super::target::points2;
use super::w1::{sorted, w1_sorted};
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};
use crate::data::rng::Stream;
use crate::data::toy::points;

const NAME: &str = "sliced_w1";
const DIRECTIONS: usize = 64;
const REFERENCE: usize = 10_000;

pub const METRIC: Metric = Metric {
    name: NAME,
    aliases: &["sliced_w", "swd"],
    better: Better::Lower,
    domain: Domain::Points2d,
    what: "mean W1 over 64 directions, against 10,000 exact samples",
    measure,
};

fn measure(target: &Target, samples: &Samples) -> Result<Value, MetricError> {
    let (law, points_made) = points2(NAME, target, samples)?;
    let reference = || {
        let stream = Stream::new(0, 0, 0);
        points(&law.set.sample_features_first(&stream, REFERENCE)).unwrap_or_default()
    };
    // Sorted once for all sets that are compared with this law.
    let projections = match law.projections.get() {
        Some(projections) => projections,
        None => {
            let made = projections(&reference(), DIRECTIONS)?;
            law.projections.get_or_init(|| made)
        }
    };
    Ok(Value::Number(mean_w1(points_made, projections)?))
}

/// The points projected on `directions` directions over half a turn, each in ascending order.
fn projections(points: &[[f32; 2]], directions: usize) -> Result<Vec<Vec<f64>>, MetricError> {
    (0..directions)
        .map(|i| {
            let angle = std::f64::consts::PI * (i as f64 + 0.5) / directions as f64;
            let (sin, cos) = angle.sin_cos();
            let line: Vec<f32> = points
                .iter()
                .map(|p| (f64::from(p[0]) * cos + f64::from(p[1]) * sin) as f32)
                .collect();
            sorted(NAME, &line)
        })
        .collect()
}

fn mean_w1(points: &[[f32; 2]], reference: &[Vec<f64>]) -> Result<f64, MetricError> {
    let made = projections(points, reference.len())?;
    let total: f64 = made
        .iter()
        .zip(reference)
        .map(|(a, b)| w1_sorted(a, b))
        .sum();
    Ok(total / reference.len() as f64)
}

/// Sliced Wasserstein-1 between two point sets. Translating by d gives `(2/pi) |d|`.
///
/// # Errors
/// [`MetricError::NoSamples`], [`MetricError::NonFinite`].
pub fn sliced_w1(a: &[[f32; 2]], b: &[[f32; 2]], directions: usize) -> Result<f64, MetricError> {
    mean_w1(a, &projections(b, directions)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::toy::ToySet;

    fn grid(n: usize) -> Vec<[f32; 2]> {
        points(&ToySet::Grid25.sample_features_first(&Stream::new(2, 0, 0), n)).unwrap()
    }

    #[test]
    fn of_a_translation_it_is_two_over_pi_of_it() {
        let a = grid(400);
        let b: Vec<[f32; 2]> = a.iter().map(|p| [p[0] + 3.0, p[1] - 4.0]).collect();
        let distance = sliced_w1(&a, &b, 256).unwrap();
        assert!(
            (distance - 10.0 / std::f64::consts::PI).abs() < 1e-3,
            "{distance}"
        );
    }

    #[test]
    fn the_metric_is_the_distance_to_the_reference() {
        let target = Target::points(ToySet::Grid25);
        let reference =
            points(&ToySet::Grid25.sample_features_first(&Stream::new(0, 0, 0), REFERENCE))
                .unwrap();
        let made = grid(700);
        let samples = Samples::Plane(made.clone());
        for _ in 0..2 {
            let found = measure(&target, &samples).unwrap().scalar();
            assert_eq!(
                found,
                Some(sliced_w1(&made, &reference, DIRECTIONS).unwrap())
            );
        }
        let nan = Samples::Plane(vec![[0.0, f32::NAN]]);
        assert!(matches!(
            measure(&target, &nan),
            Err(MetricError::NonFinite { index: 0, .. })
        ));
    }
}
