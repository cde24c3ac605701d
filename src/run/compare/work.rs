//! One run of a comparison: trained to the end of its budget, gone on with where it stopped, measured.
use super::record::{Record, Status};
use super::results;
use super::{CompareError, Comparison, Planned};
use crate::metrics::Samples;
use crate::run::checkpoint::CheckpointStore;
use crate::run::classifier::Classifier;
use crate::run::config::TrainConfig;
use crate::run::error::RunError;
use crate::run::eval;
use crate::run::finished::Finished;
use crate::run::folder::RunFolder;
use crate::run::interrupt::Interrupt;
use crate::run::lock::Lock;
use crate::run::pictures::reference;
use crate::run::progress::{Progress, Reporter, Start};
use crate::run::session::{Engine, EngineError, Sampler};
use crate::run::summary::{Outcome, Summary};
use crate::run::tensors::{Tensor, TensorFile, write_atomic};
use crate::run::train::{self, Clock, Job, Place, Surroundings};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Opens something on a device for a configuration.
pub type Open<'a, T> = &'a dyn Fn(&TrainConfig) -> Result<Box<T>, EngineError>;

/// Where engines come from.
pub struct Engines<'a> {
    pub train: Open<'a, dyn Engine>,
    pub sample: Open<'a, dyn Sampler>,
    /// Opens a classifier's file.
    pub judge: &'a dyn Fn(&TrainConfig, &Path) -> Result<Classifier, RunError>,
}

/// Trains a planned run as far as its budget goes and measures it. A run that is over is only measured, where that is missing. Divergence
/// and interruption are no errors: the record says so. `None`: another process is at work on the run.
///
/// # Errors
/// What the engine, the disk or the configuration refuses; the variant and the seed are named.
pub fn run(
    plan: &Comparison,
    planned: &Planned,
    engines: &Engines,
    around: Surroundings,
) -> Result<Option<Record>, CompareError> {
    let Some(_held) = hold(&planned.folder)? else {
        return Ok(None);
    };
    let before = Record::read(planned)?;
    let record = match before {
        Some(record) if record.is_over() => record,
        before => train(planned, before, engines, around)?,
    };
    if record.status == Status::Finished && !results::is_measured(plan, planned)? {
        measure(plan, planned, engines).map_err(|source| of_run(planned, source))?;
    }
    Ok(Some(record))
}

/// Keeps other processes from a run's folder: a locked file in a folder of locks beside the runs. `None` where another process has it.
fn hold(folder: &Path) -> Result<Option<Lock>, CompareError> {
    let path = lock_path(folder);
    let io = |source| CompareError::Io {
        path: path.clone(),
        source,
    };
    if let Some(locks) = path.parent() {
        std::fs::create_dir_all(locks).map_err(io)?;
    }
    Lock::take(&path).map_err(io)
}

/// `locks/NAME` beside the folder of runs that `folder` is in.
fn lock_path(folder: &Path) -> PathBuf {
    let out = folder.parent().and_then(Path::parent);
    let locks = out.unwrap_or(Path::new("")).join("locks");
    locks.join(folder.file_name().unwrap_or_default())
}

fn of_run(planned: &Planned, source: RunError) -> CompareError {
    CompareError::Run {
        variant: planned.variant.clone(),
        seed: planned.seed,
        source: Box::new(source),
    }
}

fn train(
    planned: &Planned,
    before: Option<Record>,
    engines: &Engines,
    around: Surroundings,
) -> Result<Record, CompareError> {
    let place = place(planned, before.is_some())?;
    let record = match (&place, before) {
        (Place::Resume { .. }, Some(record)) => record,
        _ => Record::new(planned),
    };
    let mut config = planned.config.clone();
    if let Place::Resume { folder, .. } = &place {
        // The variants of kernels that it began with, whatever was measured since.
        let own = TrainConfig::read(&folder.config()).map_err(|e| of_run(planned, e.into()))?;
        config.choices = Some(own.choices.unwrap_or_default());
    }
    let job = Job {
        reference: reference(&config),
        config,
        place,
        spent: Duration::try_from_secs_f64(record.seconds).unwrap_or_default(),
    };
    let Surroundings {
        reporter,
        interrupt,
        clock,
    } = around;
    let mut recorder = Recorder {
        before: record.seconds,
        record,
        elapsed: Duration::ZERO,
        folder: &planned.folder,
        inner: reporter,
        failed: None,
    };
    let trained = train::run(
        &job,
        |config| (engines.train)(config),
        Surroundings {
            reporter: &mut recorder,
            interrupt,
            clock,
        },
    );
    recorder.end(trained).map_err(|source| match source {
        RecordError::Run(source) => of_run(planned, source),
        RecordError::Record(error) => error,
    })
}

/// Where the run goes on, or a new folder. What a killed process left without a checkpoint is removed: the folder's name is the hash of
/// this run, so nothing else lies there.
fn place(planned: &Planned, started: bool) -> Result<Place, CompareError> {
    if started && let Ok(folder) = RunFolder::open(&planned.folder) {
        let store = CheckpointStore::new(folder.checkpoints(), 0);
        if let Ok(checkpoint) = store.latest() {
            return Ok(Place::Resume {
                folder,
                checkpoint: Some(checkpoint),
            });
        }
    }
    if planned.folder.exists() {
        std::fs::remove_dir_all(&planned.folder).map_err(|source| CompareError::Io {
            path: planned.folder.clone(),
            source,
        })?;
    }
    Ok(Place::New {
        out: Some(planned.folder.clone()),
        runs: planned.folder.clone(),
        label: String::new(),
    })
}

/// Keeps the record true while a run is trained: as of its last checkpoint.
struct Recorder<'a> {
    record: Record,
    /// Seconds spent by earlier invocations.
    before: f64,
    elapsed: Duration,
    folder: &'a Path,
    inner: &'a mut dyn Reporter,
    failed: Option<CompareError>,
}

enum RecordError {
    Run(RunError),
    Record(CompareError),
}

impl Recorder<'_> {
    fn write(&mut self) {
        if let Err(error) = self.record.write(self.folder) {
            self.failed.get_or_insert(error);
        }
    }

    /// The record of a run that has ended one way or another.
    fn end(mut self, trained: Result<Summary, RunError>) -> Result<Record, RecordError> {
        self.record.seconds = self.before + self.elapsed.as_secs_f64();
        match trained {
            Ok(summary) => {
                self.record.status = match summary.outcome {
                    Outcome::Finished | Outcome::TimeLimit => Status::Finished,
                    Outcome::Interrupted => Status::Interrupted,
                };
                self.record.steps = summary.steps;
                self.record.images_seen = summary.images_seen;
                self.record.seconds = self.before + summary.wall_s;
            }
            Err(error @ RunError::Diverged { .. }) => {
                let RunError::Diverged { step, .. } = &error else {
                    return Err(RecordError::Run(error));
                };
                self.record.status = Status::Diverged {
                    at_step: *step,
                    message: error.to_string(),
                };
                self.record.steps = *step;
            }
            Err(error) => return Err(RecordError::Run(error)),
        }
        self.write();
        match self.failed {
            Some(error) => Err(RecordError::Record(error)),
            None => Ok(self.record),
        }
    }
}

impl Reporter for Recorder<'_> {
    fn start(&mut self, start: &Start) {
        self.record.status = Status::Started;
        self.record.params_g = start.facts.params_g;
        self.record.params_d = start.facts.params_d;
        self.record.origin = Some(start.facts.origin.clone());
        self.write();
        self.inner.start(start);
    }

    fn progress(&mut self, progress: &Progress) {
        self.elapsed = progress.elapsed;
        self.record.steps = progress.report.step;
        self.record.images_seen = progress.report.images_seen;
        self.inner.progress(progress);
    }

    fn wrote(&mut self, what: &str, path: &Path) {
        if what == "checkpoint" {
            self.record.seconds = self.before + self.elapsed.as_secs_f64();
            self.write();
        }
        self.inner.wrote(what, path);
    }

    fn finish(&mut self, summary: &Summary) {
        self.inner.finish(summary);
    }
}

/// Measures a finished run: `eval.json` and, for the picture, the samples that were measured.
fn measure(plan: &Comparison, planned: &Planned, engines: &Engines) -> Result<(), RunError> {
    let judge = match &plan.classifier {
        Some(file) => Some((engines.judge)(&planned.config, file)?),
        None if results::has_no_metric(plan, planned) => return Ok(()),
        None => None,
    };
    let run = Finished::open(eval::find_checkpoint(&planned.folder, None)?)?;
    let mut sampler = (engines.sample)(&run.config)?;
    run.restore(&mut *sampler)?;
    let request = eval::Request {
        metrics: plan.metrics.clone(),
        samples: plan.samples,
        seed: None,
        use_ema: true,
        how: None,
    };
    let (evaluation, samples) = eval::evaluate(&request, &run, &mut *sampler, judge.as_ref())?;
    if let Some(file) = points_file(samples) {
        file.write(&results::points_path(&planned.folder))?;
    }
    let out = results::evaluation_path(&planned.folder);
    let text = serde_json::to_string_pretty(&evaluation).map_err(std::io::Error::from);
    text.and_then(|text| write_atomic(&out, (text + "\n").as_bytes()))
        .map_err(|source| RunError::Io { path: out, source })
}

/// Tensor `points`, `[n, features]`; `None` for images.
fn points_file(samples: Samples) -> Option<TensorFile> {
    let n = samples.len();
    let (features, values) = match samples {
        Samples::Line(values) => (1, values),
        Samples::Plane(points) => (2, points.concat()),
        Samples::Labels { .. } => return None,
    };
    let mut file = TensorFile::default();
    file.tensors
        .insert("points".into(), Tensor::new([n, features], values));
    Some(file)
}

/// Hears of each run that ends, with `None` of one that another process is at work on.
pub type Told<'a> = &'a mut dyn FnMut(&Planned, Option<&Record>);

/// Trains and measures the runs one after another in this process, but for those that another one is at work on. `false` if an interrupt
/// ended it.
///
/// # Errors
/// As [`run`]; the runs before are kept.
pub fn one_by_one(
    plan: &Comparison,
    runs: &[Planned],
    engines: &Engines,
    (reporter, interrupt): (&mut dyn FnMut() -> Box<dyn Reporter>, &Interrupt),
    clock: &dyn Clock,
    told: Told,
) -> Result<bool, CompareError> {
    for planned in runs {
        if interrupt.requested() {
            return Ok(false);
        }
        let around = Surroundings {
            reporter: &mut *reporter(),
            interrupt,
            clock,
        };
        let record = run(plan, planned, engines, around)?;
        told(planned, record.as_ref());
        if record.is_some_and(|record| record.status == Status::Interrupted) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_one_process_s_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("runs").join("GAN-seed0");
        let held = hold(&run).unwrap();
        assert!(held.is_some() && hold(&run).unwrap().is_none());
        assert!(folder.path().join("locks/GAN-seed0").is_file());
    }
}
