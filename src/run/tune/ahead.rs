//! Measuring ahead, for `gan-gpu tune`.
use super::{Policy, Row, decide};
use crate::gan::GanConfig;
use crate::gan::trainer::contractions;
use crate::gpu::CacheFolder;
use crate::graph::plan::{Precision, Target};
use crate::nn::Model;
use crate::run::bench::BenchRequest;
use crate::run::config::TrainConfig;
use crate::run::engine::{self, bench_parts, build_model, engine_error, open_gpu};
use crate::run::session::EngineError;
use std::time::Duration;

/// Networks and how they are trained.
pub struct Subject {
    model: Model,
    method: GanConfig,
    precision: Precision,
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
            precision: config.precision,
        })
    }

    /// Of `bench step`.
    ///
    /// # Errors
    /// [`EngineError::Input`].
    pub fn of_bench(request: &BenchRequest) -> Result<Self, EngineError> {
        let (model, method) = bench_parts(request)?;
        Ok(Self {
            model,
            method,
            precision: request.precision,
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
        for Subject {
            model,
            method,
            precision,
        } in subjects
        {
            let target = engine::target(gpu.report(), *precision)?;
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
