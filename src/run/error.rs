//! How a run can end badly.
use super::checkpoint::CheckpointError;
use super::config::ConfigError;
use super::eval::EvalError;
use super::folder::{FolderError, report_of};
use super::grid::PictureError;
use super::metrics_log::MetricsLogError;
use super::plot::PlotError;
use super::session::EngineError;
use super::tensors::TensorFileError;
use crate::metrics::MetricError;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Training produced a NaN or an infinity. Checkpoints written before are whole and finite.
    #[error("training diverged: {what} is {value} at step {step}{}; {}; {}{}", describe_culprit(.culprit), describe_last(.last_good), describe_cure(.rates), describe_report(run, *reported))]
    Diverged {
        step: u64,
        /// The loss, statistic or tensor in which it showed.
        what: String,
        value: f32,
        /// The first tensor of the state that is no longer finite, if any.
        culprit: Option<Box<str>>,
        last_good: Option<PathBuf>,
        /// The learning rates of D and G.
        rates: [f32; 2],
        /// The run's folder.
        run: PathBuf,
        /// Whether the run's page says so already.
        reported: bool,
    },
    #[error(
        "--resume: {} has other settings than {} was written with; put them back, or start a new run",
        config.display(),
        checkpoint.display()
    )]
    OtherRun {
        config: PathBuf,
        checkpoint: PathBuf,
    },
    #[error(
        "--resume: {} is of step {step}, and the budget ends at step {steps}; give a larger one, or resume an earlier checkpoint of the run",
        checkpoint.display()
    )]
    Behind {
        checkpoint: PathBuf,
        step: u64,
        steps: u64,
    },
    #[error("{}: {source}", path.display())]
    Restore { path: PathBuf, source: EngineError },
    #[error(transparent)]
    Eval(#[from] EvalError),
    #[error(transparent)]
    Metric(#[from] MetricError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    #[error(transparent)]
    Metrics(#[from] MetricsLogError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

fn describe_culprit(culprit: &Option<Box<str>>) -> String {
    culprit
        .as_ref()
        .map(|tensor| format!(" (first non-finite tensor: `{tensor}`)"))
        .unwrap_or_default()
}

fn describe_last(last_good: &Option<PathBuf>) -> String {
    match last_good {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "there was no checkpoint yet".into(),
    }
}

fn describe_cure([d, g]: &[f32; 2]) -> String {
    match d == g {
        true => "lower --lr or add a regulariser".into(),
        false => format!("lower --d-lr or --g-lr (now {d} and {g}) or add a regulariser"),
    }
}

fn describe_report(run: &Path, reported: bool) -> String {
    match reported {
        true => format!("; how it went is in {}", report_of(run).display()),
        false => String::new(),
    }
}
