//! How good a generator of a built-in point set is, at the end of a run.
use super::config::TrainConfig;
use super::error::RunError;
use super::session::{
    Engine, EngineError, Latents, SampleRequest, SampleShape, SampleValues, StepReport,
};
use crate::data::Source;
use crate::metrics::toy::{PROTOCOL_SAMPLES, ToyReport, evaluate};
use serde::Serialize;
use std::collections::VecDeque;

/// Steps at the end of a run over which D's outputs are averaged.
const WINDOW: usize = 500;
/// Latents of the metrics are not those of the pictures: they use the run's seed with these bits flipped.
const SEED_FLIP: u64 = 0x746f_795f;

/// The set's metrics, and on 1-D sets the mean of D's outputs over the run's last 500 steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToySummary {
    #[serde(flatten)]
    pub report: ToyReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_real_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_fake_mean: Option<f64>,
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

/// Draws the protocol's 2,500 samples and measures them; `None` if the data is no point set.
pub fn measure(
    engine: &mut dyn Engine,
    config: &TrainConfig,
    recent: &RecentOutputs,
) -> Result<Option<ToySummary>, RunError> {
    let (Source::Toy(set), SampleShape::Point { features }) =
        (config.data.source(), engine.facts().sample_shape)
    else {
        return Ok(None);
    };
    let latents = Latents::Seeded {
        count: PROTOCOL_SAMPLES,
        seed: config.seed ^ SEED_FLIP,
    };
    let samples = engine.sample(&SampleRequest {
        labels: None,
        latents,
        use_ema: true,
        packed: false,
    })?;
    let SampleValues::F32(values) = samples.values else {
        return Err(EngineError::device("the engine packed points into bytes").into());
    };
    let features_first: Vec<f32> = (0..features)
        .flat_map(|f| values.iter().skip(f).step_by(features))
        .copied()
        .collect();
    let report = evaluate(set, &features_first).map_err(EngineError::device)?;
    let [d_real_mean, d_fake_mean] = match (&report, recent.means()) {
        (ToyReport::Mixture1 { .. } | ToyReport::Density1 { .. }, Some(means)) => means.map(Some),
        _ => [None, None],
    };
    Ok(Some(ToySummary {
        report,
        d_real_mean,
        d_fake_mean,
    }))
}
