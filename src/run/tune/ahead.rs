//! Measuring ahead, for `gan-gpu tune`.
use super::{Policy, Row, decide};
use crate::gan::GanConfig;
use crate::gan::trainer::contractions;
use crate::gpu::CacheFolder;
use crate::graph::plan::Target;
use crate::nn::{Model, model_by_name_or_file};
use crate::run::bench::BenchModel;
use crate::run::config::TrainConfig;
use crate::run::engine::{bench_config, build_model, engine_error, open_gpu};
use crate::run::session::EngineError;
use std::time::Duration;

/// Networks and how they are trained.
pub struct Subject {
    model: Model,
    method: GanConfig,
}

impl Subject {
    /// Of a resolved configuration.
    ///
    /// # Errors
    /// [`EngineError::Input`].
    pub fn of_config(config: &TrainConfig) -> Result<Self, EngineError> {
        Ok(Self {
            model: build_model(config)?,
            method: config.method.clone(),
        })
    }

    /// Of `bench step`.
    ///
    /// # Errors
    /// [`EngineError::Input`].
    pub fn of_model(model: BenchModel, batch: usize) -> Result<Self, EngineError> {
        let spec = model_by_name_or_file(model.name).and_then(|spec| spec.build());
        Ok(Self {
            model: spec.map_err(|e| EngineError::input(e.to_string()))?,
            method: bench_config(model, batch),
        })
    }
}

/// How `gan-gpu tune` measures.
pub struct Tuner {
    /// Where choices are kept.
    pub cache: CacheFolder,
    /// Measures what is known, too.
    pub force: bool,
    /// Per operation, compiling not counted.
    pub each: Duration,
}

impl Tuner {
    /// Measures what the `subjects` compute on `adapter` (as `--adapter` takes it). Returns whether the choices are kept.
    ///
    /// # Errors
    /// [`EngineError::Adapter`], [`EngineError::Input`], [`EngineError::Device`].
    pub fn run(
        &self,
        adapter: &str,
        subjects: &[Subject],
        tell: &mut dyn FnMut(&Row),
    ) -> Result<bool, EngineError> {
        let gpu = open_gpu(adapter, &self.cache)?;
        let target = Target::of(gpu.caps());
        let mut all = Vec::new();
        for Subject { model, method } in subjects {
            for c in contractions(&target, model, method).map_err(engine_error)? {
                if !all.contains(&c) {
                    all.push(c);
                }
            }
        }
        let policy = Policy::Ahead {
            force: self.force,
            each: self.each,
        };
        let decision =
            decide(&gpu, &target, &all, &self.cache, policy, tell).map_err(EngineError::device)?;
        Ok(decision.kept)
    }
}
