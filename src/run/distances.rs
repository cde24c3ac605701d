//! How far the generator of a built-in point set is from the data, along training: rows of `metrics.jsonl` at the steps of pictures,
//! and the summary.
use super::config::TrainConfig;
use super::error::RunError;
use super::session::{Engine, EngineError, Latents, SampleRequest, SampleShape, SampleValues};
use crate::data::Source;
use crate::data::toy::{Distribution, ToySet};
use crate::metrics::density::SAMPLES;
use crate::metrics::{Metric, MetricError, PROTOCOL_SAMPLES, Samples, Target};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Latents are neither those of the pictures nor of the protocol: the run's seed with these bits flipped.
const SEED_FLIP: u64 = 0x6469_7374;

/// Numbers by their names in the table of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distances(pub Vec<(&'static str, f64)>);

impl Distances {
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

impl Serialize for Distances {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Generated samples and what they score.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub distances: Distances,
    /// `[n, features]`, row by row.
    pub samples: Vec<f32>,
}

/// Draws samples and measures them; `None` if the data is no point set. The generator is the one that pictures show: the average of
/// the weights where the run keeps one.
///
/// # Errors
/// Those of the engine; [`MetricError::NonFinite`].
pub fn measure(
    engine: &mut dyn Engine,
    config: &TrainConfig,
) -> Result<Option<Measured>, RunError> {
    let (Source::Toy(set), SampleShape::Point { .. }) =
        (config.data.source(), engine.facts().sample_shape)
    else {
        return Ok(None);
    };
    let count = match set.dim() {
        1 => SAMPLES,
        _ => PROTOCOL_SAMPLES,
    };
    let samples = draw(engine, count, config.seed ^ SEED_FLIP, true)?;
    let distances = of(set, &samples)?;
    Ok(Some(Measured { distances, samples }))
}

/// `count` generated points, `[count, features]` row by row.
///
/// # Errors
/// Those of the engine.
pub fn draw(
    engine: &mut dyn Engine,
    count: usize,
    seed: u64,
    use_ema: bool,
) -> Result<Vec<f32>, EngineError> {
    let samples = engine.sample(&SampleRequest {
        latents: Latents::Seeded { count, seed },
        labels: None,
        use_ema,
        packed: false,
    })?;
    match samples.values {
        SampleValues::F32(values) => Ok(values),
        SampleValues::PackedNhwc(_) => {
            Err(EngineError::device("the engine packed points into bytes"))
        }
    }
}

/// The distances of points `[n, features]` of this set.
///
/// # Errors
/// [`MetricError::NoSamples`], [`MetricError::NonFinite`].
pub fn of(set: ToySet, samples: &[f32]) -> Result<Distances, MetricError> {
    let target = Target::points(set);
    let pairs = samples.chunks_exact(2).map(|p| [p[0], p[1]]);
    let (names, samples): (&[&str], _) = match set.distribution() {
        Distribution::Mixture1(_) => (
            &["js", "kl_data_model", "kl_model_data", "w1"],
            Samples::Line(samples.to_vec()),
        ),
        Distribution::Mixture2(_) => (&["js_modes", "sliced_w1"], Samples::Plane(pairs.collect())),
        Distribution::Density(density) if density.dim() == 1 => {
            (&["w1"], Samples::Line(samples.to_vec()))
        }
        Distribution::Density(_) | Distribution::SwissRoll(_) => {
            (&["sliced_w1"], Samples::Plane(pairs.collect()))
        }
    };
    let mut found = vec![];
    for metric in names.iter().filter_map(|name| Metric::find(name)) {
        if let Some(value) = (metric.measure)(&target, &samples)?.scalar() {
            found.push((metric.name, value));
        }
    }
    Ok(Distances(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Stream;

    #[test]
    fn every_set_has_its_distances_and_they_are_in_the_table_of_metrics() {
        for set in ToySet::ALL {
            let n = 3000;
            let features_first = set.sample_features_first(&Stream::new(3, 7, 0), n);
            let samples: Vec<f32> = (0..n)
                .flat_map(|i| features_first.iter().skip(i).step_by(n))
                .copied()
                .collect();
            let found = of(set, &samples).unwrap();
            for (name, value) in &found.0 {
                assert!((0.0..0.2).contains(value), "{set}: {name} is {value}");
                assert!(
                    crate::metrics::METRICS.iter().any(|m| m.name == *name),
                    "{name}"
                );
            }
            // Shifted data is further away by every measure but that of modes.
            let shifted: Vec<f32> = samples.iter().map(|x| x + 0.5).collect();
            let far = of(set, &shifted).unwrap();
            for ((name, near), (_, far)) in found.0.iter().zip(&far.0) {
                assert!(*name == "js_modes" || far > near, "{set}: {name}");
            }
        }
    }
}
