//! How a run can end badly.
use super::checkpoint::CheckpointError;
use super::config::ConfigError;
use super::eval::EvalError;
use super::folder::FolderError;
use super::grid::PictureError;
use super::metrics_log::MetricsLogError;
use super::plot::PlotError;
use super::session::EngineError;
use super::tensors::TensorFileError;
use crate::metrics::MetricError;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Training produced a NaN or an infinity. Checkpoints written before are whole and finite.
    #[error("training diverged: {what} is {value} at step {step}{}; {}; {}{}", describe_culprit(.culprit), describe_last(.last_good), describe_cure(.rates), describe_report(.report))]
    Diverged {
        step: u64,
        /// The loss, statistic or tensor in which it showed.
        what: String,
        value: f32,
        /// The first tensor of the state that is no longer finite, if any.
        culprit: Option<String>,
        last_good: Option<PathBuf>,
        /// The learning rates of D and G.
        rates: [f64; 2],
        /// The run's folder.
        run: PathBuf,
        /// The run on a page, once it is written.
        report: Option<PathBuf>,
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

fn describe_culprit(culprit: &Option<String>) -> String {
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

fn describe_cure([d, g]: &[f64; 2]) -> String {
    match d == g {
        true => "lower --lr or add a regulariser".into(),
        false => format!("lower --d-lr or --g-lr (now {d} and {g}) or add a regulariser"),
    }
}

fn describe_report(report: &Option<PathBuf>) -> String {
    report
        .as_ref()
        .map(|path| format!("; how it went is in {}", path.display()))
        .unwrap_or_default()
}
