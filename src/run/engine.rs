//! Where the command line gets its engines: the only place that knows which trainer stands behind the interfaces.
use super::bench::{BenchRequest, StepBench};
use super::config::TrainConfig;
use super::session::{Engine, EngineError, Sampler};

/// The trainer for a resolved configuration: loads the data, opens the adapter, compiles everything.
pub fn open(_config: &TrainConfig) -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::device("this build has no trainer yet"))
}

/// Only the generator of a resolved configuration; reads no data. `adapter` is as `--adapter` takes it.
pub fn open_sampler(
    _config: &TrainConfig,
    _adapter: &str,
) -> Result<Box<dyn Sampler>, EngineError> {
    Err(EngineError::device("this build has no trainer yet"))
}

/// A baseline model, ready to be timed.
pub fn open_bench(_request: &BenchRequest) -> Result<Box<dyn StepBench>, EngineError> {
    Err(EngineError::device("this build has no trainer yet"))
}
