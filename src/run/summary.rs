//! What a run amounts to: the object that `--json` prints and `summary.json` holds.
use super::toy::ToySummary;
use serde::Serialize;
use std::path::PathBuf;

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
    pub peak_device_bytes: u64,
    pub adapter: String,
    pub params_g: u64,
    pub params_d: u64,
    /// `modes, high_quality_percent, reverse_kl`, or `w1, d_real_mean, d_fake_mean`; absent for images.
    #[serde(flatten)]
    pub toy: Option<ToySummary>,
    pub run: PathBuf,
    pub checkpoint: PathBuf,
    /// The last picture of samples.
    pub samples: Option<PathBuf>,
}
