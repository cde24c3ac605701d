//! Every way in which a verb can fail, and its exit code.
use crate::gpu::GpuError;
use crate::metrics::MetricError;
use crate::run::RunError;
use crate::run::compare::CompareError;
use crate::run::config::ConfigError;
use crate::run::session::EngineError;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Flags that contradict each other or the state of things.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error("standard output: {0}")]
    Output(std::io::Error),
}

impl CliError {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// What `--preset` names is no preset.
    pub fn preset(message: String) -> Self {
        Self::Usage(format!("--preset: {message}"))
    }

    /// 2 bad usage or input (a full disk included), 3 no usable adapter, 4 diverged, 1 for what the user cannot help.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Usage(_) => 2,
            CliError::Run(error) => run_code(error),
            CliError::Gpu(_) => 3,
            CliError::Compare(CompareError::Run { source, .. }) => run_code(source),
            CliError::Compare(CompareError::Child { code, .. }) => match code {
                Some(code @ (2 | 3)) => *code as u8,
                _ => 1,
            },
            CliError::Compare(_) => 2,
            CliError::Output(_) => 1,
        }
    }
}

fn run_code(error: &RunError) -> u8 {
    match error {
        RunError::Engine(error) => engine_code(error),
        RunError::Diverged { .. } => 4,
        RunError::Metric(MetricError::NonFinite { .. }) => 4,
        RunError::Metric(_) => 1,
        RunError::Config(ConfigError::Write { .. }) => 1,
        RunError::Restore { source, .. } => engine_code(source),
        _ => 2,
    }
}

fn engine_code(error: &EngineError) -> u8 {
    match error {
        EngineError::Input(_) | EngineError::Checkpoint(_) => 2,
        EngineError::Adapter(_) => 3,
        EngineError::NonFinite { .. } => 4,
        EngineError::Device(_) => 1,
    }
}

// `?` on a part of a run.
macro_rules! through_run {
    ($($error:ty),*) => { $(impl From<$error> for CliError {
        fn from(error: $error) -> Self {
            CliError::Run(error.into())
        }
    })* };
}
through_run!(
    ConfigError,
    EngineError,
    crate::run::folder::FolderError,
    crate::run::checkpoint::CheckpointError,
    crate::run::tensors::TensorFileError,
    crate::run::eval::EvalError,
    crate::run::grid::PictureError,
    crate::run::plot::PlotError,
    MetricError
);

impl From<super::adapters::AdaptersError> for CliError {
    fn from(error: super::adapters::AdaptersError) -> Self {
        match error {
            super::adapters::AdaptersError::Gpu(error) => CliError::Gpu(error),
            super::adapters::AdaptersError::Output(error) => CliError::Output(error),
        }
    }
}

impl From<crate::run::presets::UnknownPreset> for CliError {
    fn from(error: crate::run::presets::UnknownPreset) -> Self {
        CliError::Usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_contract_s() {
        let code = |error: EngineError| CliError::from(error).exit_code();
        assert_eq!(CliError::usage("x").exit_code(), 2);
        assert_eq!(code(EngineError::input("no such file")), 2);
        assert_eq!(code(EngineError::adapter("none")), 3);
        assert_eq!(
            code(EngineError::NonFinite {
                step: 1,
                tensor: "loss_d".into(),
                value: f32::NAN
            }),
            4
        );
        let (what, value) = ("loss_d".into(), f32::NAN);
        let diverged = RunError::Diverged {
            step: 3,
            what,
            value,
            culprit: None,
            last_good: None,
            rates: [1e-3; 2],
            run: "r".into(),
            reported: false,
        };
        assert_eq!(CliError::Run(diverged).exit_code(), 4);
        let none = GpuError::NoAdapter {
            wanted: "metal".into(),
            available: vec![],
        };
        assert_eq!(CliError::from(none).exit_code(), 3);
        assert_eq!(code(EngineError::device("lost")), 1);
    }
}
