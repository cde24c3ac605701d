//! What a run amounts to: the object that `--json` prints and `summary.json` holds.
use super::checkpoint::CheckpointData;
use super::config::Precision;
use super::error::RunError;
use super::origin::Origin;
use super::toy::ToySummary;
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// Why training stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The budget's steps are done.
    Finished,
    /// `--max-time` has passed.
    TimeLimit,
    /// Ctrl-C.
    Interrupted,
}

/// Where dynamic loss scaling has come to in one network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LossScale {
    pub scale: f32,
    /// Optimiser steps left out because a gradient was not finite, those before a resume included.
    pub skipped_steps: u64,
}

impl LossScale {
    /// Of network `d` or `g`; None where its losses are not scaled.
    pub fn of(network: &str, state: &CheckpointData) -> Option<LossScale> {
        let number = |name: &str| state.tensor(&format!("scaler_{network}.{name}"), &[1]);
        Some(LossScale {
            scale: number("scale").ok()?[0],
            skipped_steps: number("skipped_steps").ok()?[0] as u64,
        })
    }
}

/// Final figures of one invocation of `train`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub outcome: Outcome,
    /// Rounds completed, those before a resume included.
    pub steps: u64,
    pub images_seen: u64,
    /// Seconds from the first step of this invocation to its last sample.
    pub wall_s: f64,
    /// Real images per second of training, samples and checkpoints aside.
    pub images_per_second: f64,
    /// Of the last step; `None` (JSON null) if there was none to do.
    pub loss_d: Option<f32>,
    pub loss_g: Option<f32>,
    /// Bytes written into device buffers by the steps themselves, per step.
    pub host_to_device_bytes_per_step: f64,
    /// Bytes read back by the steps themselves (losses), per step.
    pub device_to_host_bytes_per_step: f64,
    /// Bytes of per-dispatch constants recorded into command buffers, per step.
    pub constant_bytes_per_step: f64,
    /// Bytes read back for samples and checkpoints, in all.
    pub device_to_host_bytes_for_output: u64,
    /// The most that buffers held at once, those for reading back apart; `--dry-run` says it ahead.
    pub peak_device_bytes: u64,
    /// `program`, `adapter`, `driver`, `kernels`.
    #[serde(flatten)]
    pub origin: Origin,
    pub precision: Precision,
    /// Only of runs in f16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_scale_d: Option<LossScale>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_scale_g: Option<LossScale>,
    pub params_g: u64,
    pub params_d: u64,
    /// Every metric of a built-in point set by its name, and on 1-D sets `d_real_mean` and `d_fake_mean`; absent for images.
    #[serde(flatten)]
    pub toy: Option<ToySummary>,
    #[serde(serialize_with = "lossy")]
    pub run: PathBuf,
    #[serde(serialize_with = "lossy")]
    pub checkpoint: PathBuf,
    /// The last picture of samples.
    #[serde(serialize_with = "lossy_if_any")]
    pub samples: Option<PathBuf>,
    /// The animation of curves along training, for data on a line.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "lossy_if_any"
    )]
    pub curves: Option<PathBuf>,
    /// The run on a page.
    #[serde(serialize_with = "lossy")]
    pub report: PathBuf,
}

/// JSON is UTF-8, paths need not be: what is not is replaced, rather than that a run has no summary.
pub(super) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn lossy_if_any<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => lossy(path, serializer),
        None => serializer.serialize_none(),
    }
}

/// What `summary.json` holds of a run that diverged: outcome, step, the message and the last good checkpoint. `None` of other errors.
pub fn of_divergence(error: &RunError) -> Option<serde_json::Value> {
    let RunError::Diverged {
        step,
        last_good,
        run,
        ..
    } = error
    else {
        return None;
    };
    let text = |path: &Path| path.display().to_string();
    Some(serde_json::json!({
        "outcome": "diverged",
        "steps": step,
        "error": error.to_string(),
        "run": text(run),
        "checkpoint": last_good.as_deref().map(text),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_read_from_the_state() {
        let mut state = CheckpointData::default();
        assert_eq!(LossScale::of("d", &state), None);
        state.insert("scaler_d.scale", [1], vec![1024.0]);
        state.insert("scaler_d.skipped_steps", [1], vec![6.0]);
        let found = LossScale {
            scale: 1024.0,
            skipped_steps: 6,
        };
        assert_eq!(LossScale::of("d", &state), Some(found));
        assert_eq!(LossScale::of("g", &state), None);
    }
}
