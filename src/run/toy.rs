//! How good a generator of a built-in point set is, at the end of a run: every metric that applies, by the protocol of `eval`.
use super::config::TrainConfig;
use super::error::RunError;
use super::eval::{self, Measured};
use super::session::{Engine, SampleShape, StepReport};
use crate::data::Source;
use crate::metrics::{Metric, Target, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::VecDeque;

/// Steps at the end of a run over which D's outputs are averaged, as far as one invocation made them.
const WINDOW: usize = 500;

/// The set's metrics, and on 1-D sets the mean of D's outputs over the last 500 steps, or as many as this invocation made.
///
/// Serialises to one key per metric, `of` (the modes that there are), `d_real_mean` and `d_fake_mean`.
#[derive(Clone, Debug, PartialEq)]
pub struct ToySummary {
    pub metrics: Vec<Measured>,
    /// Modes of the target; of 2-D mixtures.
    pub of: Option<usize>,
    pub d_real_mean: Option<f64>,
    pub d_fake_mean: Option<f64>,
}

impl Serialize for ToySummary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for metric in &self.metrics {
            map.serialize_entry(metric.name, &metric.value)?;
        }
        if let Some(of) = self.of {
            map.serialize_entry("of", &of)?;
        }
        for (name, mean) in [
            ("d_real_mean", self.d_real_mean),
            ("d_fake_mean", self.d_fake_mean),
        ] {
            if let Some(mean) = mean {
                map.serialize_entry(name, &mean)?;
            }
        }
        map.end()
    }
}

impl ToySummary {
    /// The value of a metric, if it is one of this set.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.metrics
            .iter()
            .find(|m| m.name == name)
            .map(|m| &m.value)
    }
}

/// D's outputs of the last steps.
#[derive(Debug, Default)]
pub struct RecentOutputs(VecDeque<[f32; 2]>);

impl RecentOutputs {
    pub fn push(&mut self, report: &StepReport) {
        if self.0.len() == WINDOW {
            self.0.pop_front();
        }
        self.0.push_back([report.d_real, report.d_fake]);
    }

    /// Means on real and on generated samples; `None` before the first step.
    fn means(&self) -> Option<[f64; 2]> {
        let mean = |side: usize| {
            self.0.iter().map(|d| f64::from(d[side])).sum::<f64>() / self.0.len() as f64
        };
        (!self.0.is_empty()).then(|| [mean(0), mean(1)])
    }
}

/// Draws the protocol's samples and measures them; `None` if the data is no point set.
pub fn measure(
    engine: &mut dyn Engine,
    config: &TrainConfig,
    recent: &RecentOutputs,
) -> Result<Option<ToySummary>, RunError> {
    let source = config.data.source();
    let (Source::Toy(set), SampleShape::Point { .. }) = (&source, engine.facts().sample_shape)
    else {
        return Ok(None);
    };
    let set = *set;
    let target = Target::points(set);
    let metrics: Vec<_> = Metric::all_for(&target).collect();
    let seed = eval::latent_seed(config.seed);
    let request = eval::sample_request(target.protocol_samples(), seed, true);
    let samples = eval::points(set, engine.sample(&request)?)?;
    let [d_real_mean, d_fake_mean] = match (set.dim(), recent.means()) {
        (1, Some(means)) => means.map(Some),
        _ => [None, None],
    };
    Ok(Some(ToySummary {
        metrics: eval::measure(&metrics, &target, &samples)?,
        of: eval::modes_of(&source),
        d_real_mean,
        d_fake_mean,
    }))
}
