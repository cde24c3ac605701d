//! How far the generator of a built-in point set is from the data, along training: rows of `metrics.jsonl` at the steps of pictures,
//! and the summary.
use super::config::TrainConfig;
use super::error::RunError;
use super::session::{Engine, EngineError, Latents, SampleRequest, SampleShape, SampleValues};
use crate::data::Source;
use crate::data::rng::Stream;
use crate::data::toy::{Distribution, ToySet};
use crate::metrics::density::{SAMPLES, divergences, js_modes};
use crate::metrics::toy::{MetricError, PROTOCOL_SAMPLES, ToyReport, evaluate, sliced_w1, w1_1d};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Latents are neither those of the pictures nor of the protocol: the run's seed with these bits flipped.
const SEED_FLIP: u64 = 0x6469_7374;
/// Directions of the sliced distance, and reference samples.
const DIRECTIONS: usize = 64;
const REFERENCE: usize = 10_000;

/// Numbers by their names in the table of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distances(pub Vec<(&'static str, f64)>);

impl Distances {
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    /// Without those that stand elsewhere already.
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(name));
        self
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
/// Those of the engine; a sample that is not finite.
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
    let distances = of(set, &samples).map_err(EngineError::device)?;
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
    let pairs = || -> Vec<[f32; 2]> { samples.chunks_exact(2).map(|p| [p[0], p[1]]).collect() };
    Ok(Distances(match set.distribution() {
        Distribution::Mixture1(target) => {
            let found = divergences(samples, &target)?;
            vec![
                ("js", found.js),
                ("kl_data_model", found.kl_data_model),
                ("kl_model_data", found.kl_model_data),
                ("w1", w1_1d(samples, &target)?),
            ]
        }
        Distribution::Mixture2(target) => {
            let reference = target.sample(&Stream::new(0, 0, 0), REFERENCE);
            let points = pairs();
            vec![
                ("js_modes", js_modes(&points, &target)?),
                ("sliced_w1", sliced_w1(&points, &reference, DIRECTIONS)?),
            ]
        }
        Distribution::Density(density) => {
            let axis = |d: usize| samples.iter().skip(d).step_by(density.dim()).copied();
            let features_first: Vec<f32> = (0..density.dim()).flat_map(axis).collect();
            match evaluate(set, &features_first)? {
                ToyReport::Density1 { w1 } => vec![("w1", w1)],
                ToyReport::Density2 { sliced_w1 } => vec![("sliced_w1", sliced_w1)],
                _ => vec![],
            }
        }
        Distribution::SwissRoll(roll) => {
            let reference = roll.sample(&Stream::new(0, 0, 0), REFERENCE);
            vec![("sliced_w1", sliced_w1(&pairs(), &reference, DIRECTIONS)?)]
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
