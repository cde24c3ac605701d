//! The training loop: blocks of steps, and between them logs, pictures, checkpoints and reasons to stop.
use super::checkpoint::{Checkpoint, CheckpointStore};
use super::config::TrainConfig;
use super::curves;
use super::distances::{self, Measured};
use super::error::RunError;
use super::folder::RunFolder;
use super::interrupt::Interrupt;
use super::metrics_log::{MetricsLog, MetricsRow};
use super::pace::Pace;
use super::pictures;
use super::progress::{Progress, Reporter, Start};
use super::report;
use super::resume::{reaches, resumed};
use super::session::{Engine, EngineError, EngineFacts, EngineTraffic, StepReport};
use super::summary::{self, LossScale, Outcome, Summary};
use super::tensors::write_atomic;
use super::toy::{self, RecentOutputs};
use crate::metrics::MetricError;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where a run's files go and what it starts from.
#[derive(Clone, Debug)]
pub enum Place {
    New {
        /// `--out`; a numbered folder under `runs` otherwise.
        out: Option<PathBuf>,
        runs: PathBuf,
        /// The end of a numbered folder's name.
        label: String,
    },
    Resume {
        folder: RunFolder,
        /// A checkpoint file of this folder; none where the run was stopped before its first.
        checkpoint: Option<PathBuf>,
    },
}

/// Everything that one invocation of `train` is asked to do.
#[derive(Clone, Debug)]
pub struct Job {
    pub config: TrainConfig,
    pub place: Place,
    /// Real points `[n, features]`, row-major, to draw behind the generated ones; empty for images.
    pub reference: Vec<f32>,
    /// What earlier invocations have taken of the budget's time.
    pub spent: Duration,
}

/// Time since some fixed moment; tests bring their own.
pub trait Clock {
    fn now(&self) -> Duration;
}

/// The system's monotonic clock.
pub struct SystemClock(Instant);

impl SystemClock {
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Who watches a run, and who can stop it.
pub struct Surroundings<'a> {
    pub reporter: &'a mut dyn Reporter,
    pub interrupt: &'a Interrupt,
    pub clock: &'a dyn Clock,
}

/// Trains. The folder is made only once the engine stands: bad input leaves nothing behind.
///
/// An interrupted run is no error: it ends with a checkpoint and [`Outcome::Interrupted`].
///
/// # Errors
/// [`RunError::Diverged`] on the first non-finite loss or weight; whatever the engine, the disk or the configuration refuses.
pub fn run<'a>(
    job: &'a Job,
    open_engine: impl FnOnce(&TrainConfig) -> Result<Box<dyn Engine>, EngineError>,
    around: Surroundings<'a>,
) -> Result<Summary, RunError> {
    let resumed = resumed(&job.place, &job.config)?;
    let (budget, per_step) = (&job.config.budget, job.config.images_per_step());
    reaches(budget.steps_of_any_data(per_step), &resumed)?;
    let mut engine = open_engine(&job.config)?;
    around.interrupt.hold();
    let facts = engine.facts().clone();
    let steps = budget.steps(facts.images_per_step, facts.data_len)?;
    reaches(steps, &resumed)?;
    let folder = match &job.place {
        Place::New { out, runs, label } => RunFolder::create(out.as_deref(), runs, label)?,
        Place::Resume { folder, .. } => folder.clone(),
    };
    let _held = folder.lock()?;
    let mut store = CheckpointStore::new(folder.checkpoints(), job.config.report.keep);
    let mut last_good = None;
    let mut loss_scales = [None; 2];
    if let Some((checkpoint, Checkpoint { data, origin, .. })) = resumed {
        if let Some(changed) = origin.and_then(|origin| facts.origin.differs(&origin)) {
            log::warn!(
                "{}: {changed}. The run goes on, but not bit for bit as it would have there",
                checkpoint.display()
            );
        }
        engine.restore(&data).map_err(|source| RunError::Restore {
            path: checkpoint.clone(),
            source,
        })?;
        store.forget_after(data.step);
        loss_scales = ["d", "g"].map(|network| LossScale::of(network, &data));
        last_good = Some(checkpoint);
    }
    // With the variants that the engine runs, so that it is the same run when it is resumed.
    let mut config = job.config.clone();
    config.choices = facts.choices.clone().or(config.choices);
    let config_text = config.to_toml()?;
    // A run that is over stays as it is.
    let over = steps.is_some_and(|steps| engine.step() >= steps);
    if !over || !folder.config().exists() {
        write(&folder.config(), config_text.as_bytes())?;
    }
    let log = MetricsLog::open(&folder.metrics(), engine.step())?;
    let page = folder.clone();
    let run = Run {
        config: &job.config,
        config_text,
        reference: &job.reference,
        facts,
        steps,
        started: around.clock.now(),
        max_time: job
            .config
            .budget
            .max_time()
            .map(|limit| limit.saturating_sub(job.spent)),
        around,
        folder,
        store,
        log,
        pace: Pace::default(),
        last_good,
        last_picture: None,
        measured: None,
        loss_scales,
        meter: Meter::default(),
        recent: RecentOutputs::default(),
    };
    let mut ended = run.go(&mut *engine);
    if let Err(error) = &mut ended
        && let Some(summary) = summary::of_divergence(error)
    {
        // The error itself is what has to be told.
        let text = format!("{summary:#}\n");
        if let Err(problem) = write(&page.summary(), text.as_bytes()) {
            log::error!("no summary: {problem}");
        }
        let written = report::write(&page, report::State::Failed(error));
        if let Err(problem) = &written {
            log::error!("no report: {problem}");
        }
        if let RunError::Diverged { reported, .. } = error {
            *reported = written.is_ok();
        }
    }
    ended
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    write_atomic(path, bytes).map_err(|source| RunError::Io {
        path: path.into(),
        source,
    })
}

/// What the steps themselves cost, apart from pictures and checkpoints.
#[derive(Default)]
struct Meter {
    blocks: u64,
    rounds: u64,
    images: u64,
    time: Duration,
    /// Of the first block, in which drivers finish what they put off.
    first: (u64, Duration),
    host_to_device_bytes: u64,
    device_to_host_bytes: u64,
    constant_bytes: u64,
}

impl Meter {
    fn add(
        &mut self,
        rounds: u64,
        images: u64,
        time: Duration,
        before: EngineTraffic,
        after: EngineTraffic,
    ) {
        if self.blocks == 0 {
            self.first = (images, time);
        }
        self.blocks += 1;
        self.rounds += rounds;
        self.images += images;
        self.time += time;
        self.host_to_device_bytes += after.host_to_device_bytes - before.host_to_device_bytes;
        self.device_to_host_bytes += after.device_to_host_bytes - before.device_to_host_bytes;
        self.constant_bytes += after.constant_bytes - before.constant_bytes;
    }

    /// Without the first block, if there was another.
    fn images_per_second(&self) -> f64 {
        let (images, time) = match self.blocks {
            0 | 1 => (self.images, self.time),
            _ => (self.images - self.first.0, self.time - self.first.1),
        };
        if time.is_zero() {
            0.0
        } else {
            images as f64 / time.as_secs_f64()
        }
    }

    fn per_step(&self, bytes: u64) -> f64 {
        bytes as f64 / self.rounds.max(1) as f64
    }
}

/// What was measured at this step, if that was the last.
fn found(measured: &Option<(u64, Option<Measured>)>, step: u64) -> Option<&Measured> {
    let (_, found) = measured.as_ref().filter(|(at, _)| *at == step)?;
    found.as_ref()
}

struct Run<'a> {
    config: &'a TrainConfig,
    config_text: String,
    reference: &'a [f32],
    facts: EngineFacts,
    /// The step at which the budget ends.
    steps: Option<u64>,
    started: Duration,
    /// What is left of the budget's time to this invocation.
    max_time: Option<Duration>,
    around: Surroundings<'a>,
    folder: RunFolder,
    store: CheckpointStore,
    log: MetricsLog,
    pace: Pace,
    last_good: Option<PathBuf>,
    last_picture: Option<(u64, PathBuf)>,
    /// At which step the generator was measured last, and what came of it.
    measured: Option<(u64, Option<Measured>)>,
    /// Of D and G, as of the last checkpoint.
    loss_scales: [Option<LossScale>; 2],
    meter: Meter,
    recent: RecentOutputs,
}

impl Run<'_> {
    fn go(mut self, engine: &mut dyn Engine) -> Result<Summary, RunError> {
        let before = engine.traffic();
        let max_time = self.max_time;
        self.around.reporter.start(&Start {
            facts: &self.facts,
            run: self.folder.path(),
            step: engine.step(),
            steps: self.steps,
            max_time,
        });
        if engine.step() == 0 && self.config.report.sample_every > 0 {
            self.picture(engine)?;
        }
        let mut last_report = None;
        let outcome = loop {
            if self.steps.is_some_and(|steps| engine.step() >= steps) {
                break Outcome::Finished;
            }
            if self.around.interrupt.requested() {
                break Outcome::Interrupted;
            }
            let time_left = max_time.map(|limit| limit.saturating_sub(self.elapsed()));
            if time_left.is_some_and(|left| left.is_zero()) {
                break Outcome::TimeLimit;
            }
            last_report = self.block(engine, time_left)?.or(last_report);
            if self.picture_due(engine.step()) {
                self.picture(engine)?;
            }
            let every = self.config.report.checkpoint_every;
            if every > 0 && engine.step().is_multiple_of(every) {
                self.checkpoint(engine)?;
                // A run is worth more than its page.
                if let Err(problem) = report::write(&self.folder, report::State::Running) {
                    log::error!("no report: {problem}");
                }
            }
        };
        if self.config.report.sample_every > 0 {
            self.picture(engine)?;
        }
        let checkpoint = self.checkpoint(engine)?;
        self.finish(engine, outcome, last_report, checkpoint, before)
    }

    fn elapsed(&self) -> Duration {
        self.around.clock.now().saturating_sub(self.started)
    }

    /// Rounds until the next step at which something is due.
    fn until_due(&self, step: u64) -> u64 {
        let report = &self.config.report;
        let multiples = [report.sample_every, report.checkpoint_every]
            .into_iter()
            .filter(|&every| every > 0);
        let next = multiples.map(|every| every - step % every);
        let end = self.steps.map(|steps| steps - step);
        next.chain(end).min().unwrap_or(u64::MAX)
    }

    /// One block of steps with its rows in the log; its last report.
    fn block(
        &mut self,
        engine: &mut dyn Engine,
        time_left: Option<Duration>,
    ) -> Result<Option<StepReport>, RunError> {
        let rounds = self.pace.next(self.until_due(engine.step()), time_left);
        let (begun, before, images) = (
            self.around.clock.now(),
            engine.traffic(),
            engine.images_seen(),
        );
        let reports = match engine.step_block(rounds) {
            Ok(reports) => reports,
            Err(EngineError::NonFinite {
                step,
                tensor,
                value,
            }) => {
                return Err(self.diverged(engine, step, tensor, value));
            }
            Err(error) => return Err(error.into()),
        };
        let time = self.around.clock.now().saturating_sub(begun);
        self.pace.measured(rounds, time);
        let images = engine.images_seen() - images;
        self.meter
            .add(rounds, images, time, before, engine.traffic());
        let images_per_second = if time.is_zero() {
            0.0
        } else {
            images as f64 / time.as_secs_f64()
        };
        let diverged = reports.iter().position(|r| r.non_finite().is_some());
        let picture_due = self.picture_due(engine.step());
        let sampled = match picture_due && diverged.is_none() {
            true => self.measure(engine),
            false => Ok(()),
        };
        for report in &reports[..diverged.unwrap_or(reports.len())] {
            self.recent.push(report);
            let measured = found(&self.measured, report.step).filter(|_| picture_due);
            let distances = measured.map(|m| &m.distances);
            // The last one too: a short run has a row.
            let due = report.step.is_multiple_of(self.config.report.log_every)
                || self.steps == Some(report.step);
            if distances.is_some() || due {
                self.log.append(&MetricsRow {
                    report,
                    images_per_second,
                    distances,
                })?;
            }
        }
        self.log.flush()?;
        let first_bad = diverged.map(|at| &reports[at]);
        if let Some((report, (what, value))) = first_bad.and_then(|r| Some((r, r.non_finite()?))) {
            return Err(self.diverged(engine, report.step, what.to_string(), value));
        }
        sampled?;
        let last = reports.into_iter().last();
        if let Some(report) = &last {
            let left = self.time_left(report.step, time_left.map(|left| left.saturating_sub(time)));
            let elapsed = self.elapsed();
            self.around.reporter.progress(&Progress {
                report,
                images_per_second,
                elapsed,
                left,
            });
        }
        Ok(last)
    }

    /// Until the budget's steps or its time are over, at the present speed.
    fn time_left(&self, step: u64, limit: Option<Duration>) -> Option<Duration> {
        let steps = self
            .steps
            .zip(self.pace.round_time())
            .map(|(steps, round)| {
                Duration::try_from_secs_f64(round.as_secs_f64() * steps.saturating_sub(step) as f64)
                    .unwrap_or(Duration::MAX)
            });
        steps.into_iter().chain(limit).min()
    }

    /// The error for a value that is no longer finite, with the first tensor of the state that is not either.
    fn diverged(&self, engine: &mut dyn Engine, step: u64, what: String, value: f32) -> RunError {
        // The state is read only to name a tensor: failing to read it must not hide the divergence.
        let culprit = engine
            .checkpoint()
            .ok()
            .and_then(|data| data.non_finite().map(|(name, _)| name.into()));
        RunError::Diverged {
            step,
            what,
            value,
            culprit,
            last_good: self.last_good.clone(),
            rates: self.rates(),
            run: self.folder.path().into(),
            reported: false,
        }
    }

    /// The learning rates of D and G.
    fn rates(&self) -> [f32; 2] {
        let optimisers = &self.config.method.optimiser;
        [&optimisers.d, &optimisers.g].map(|optimiser| optimiser.lr() as f32)
    }

    /// Writes the state, unless this step's checkpoint is there already; refuses a state that is not finite.
    fn checkpoint(&mut self, engine: &mut dyn Engine) -> Result<PathBuf, RunError> {
        let path = self.store.path(engine.step());
        if self.last_good.as_ref() == Some(&path) {
            return Ok(path);
        }
        let data = engine.checkpoint()?;
        if let Some((tensor, value)) = data.non_finite() {
            let (step, what) = (engine.step(), format!("tensor `{tensor}`"));
            return Err(RunError::Diverged {
                step,
                what,
                value,
                culprit: None,
                last_good: self.last_good.clone(),
                rates: self.rates(),
                run: self.folder.path().into(),
                reported: false,
            });
        }
        self.loss_scales = ["d", "g"].map(|network| LossScale::of(network, &data));
        let path = self.store.save(Checkpoint {
            data,
            config: self.config_text.clone(),
            origin: Some(self.facts.origin.clone()),
        })?;
        self.around.reporter.wrote("checkpoint", &path);
        self.last_good = Some(path.clone());
        Ok(path)
    }

    fn picture_due(&self, step: u64) -> bool {
        let every = self.config.report.sample_every;
        every > 0 && step.is_multiple_of(every)
    }

    /// Measures the generator of this step, unless that is done.
    fn measure(&mut self, engine: &mut dyn Engine) -> Result<(), RunError> {
        let step = engine.step();
        if self.measured.as_ref().is_none_or(|(at, _)| *at != step) {
            let found = distances::measure(engine, self.config);
            self.measured = Some((step, self.finite(found, engine)?));
        }
        Ok(())
    }

    /// A generated sample that is not finite is a run that has diverged: a last update can do that after losses that were finite.
    fn finite<T>(
        &self,
        measured: Result<T, RunError>,
        engine: &mut dyn Engine,
    ) -> Result<T, RunError> {
        measured.map_err(|error| match error {
            RunError::Metric(MetricError::NonFinite { index, value, .. }) => {
                let (step, what) = (engine.step(), format!("generated sample {index}"));
                self.diverged(engine, step, what, value)
            }
            error => error,
        })
    }

    /// Draws from fixed latents, the same at every step of the run, so that pictures show how samples change.
    fn picture(&mut self, engine: &mut dyn Engine) -> Result<(), RunError> {
        let step = engine.step();
        if self
            .last_picture
            .as_ref()
            .is_some_and(|(last, _)| *last == step)
        {
            return Ok(());
        }
        let path = self.folder.sample(step);
        if pictures::draw(engine, self.config, self.reference, &path)? {
            self.around.reporter.wrote("samples", &path);
            self.last_picture = Some((step, path));
        }
        self.measure(engine)?;
        if let Some(measured) = found(&self.measured, step)
            && let Some(path) = curves::draw(engine, self.config, measured, &self.folder)?
        {
            self.around.reporter.wrote("curves", &path);
        }
        Ok(())
    }

    fn finish(
        self,
        engine: &mut dyn Engine,
        outcome: Outcome,
        last: Option<StepReport>,
        checkpoint: PathBuf,
        before: EngineTraffic,
    ) -> Result<Summary, RunError> {
        let measured = toy::measure(engine, self.config, &self.recent);
        let toy = self.finite(measured, engine)?;
        let animation = curves::animation(&self.folder, engine.step())?;
        if let Some(path) = &animation {
            self.around.reporter.wrote("curves", path);
        }
        let wall_s = self.elapsed().as_secs_f64();
        let traffic = engine.traffic();
        let read = traffic.device_to_host_bytes - before.device_to_host_bytes;
        let summary = Summary {
            outcome,
            steps: engine.step(),
            images_seen: engine.images_seen(),
            wall_s,
            images_per_second: self.meter.images_per_second(),
            loss_d: last.as_ref().map(|report| report.loss_d),
            loss_g: last.as_ref().map(|report| report.loss_g),
            host_to_device_bytes_per_step: self.meter.per_step(self.meter.host_to_device_bytes),
            device_to_host_bytes_per_step: self.meter.per_step(self.meter.device_to_host_bytes),
            constant_bytes_per_step: self.meter.per_step(self.meter.constant_bytes),
            device_to_host_bytes_for_output: read - self.meter.device_to_host_bytes,
            peak_device_bytes: traffic.peak_device_bytes,
            origin: self.facts.origin.clone(),
            precision: self.config.precision,
            loss_scale_d: self.loss_scales[0],
            loss_scale_g: self.loss_scales[1],
            params_g: self.facts.params_g,
            params_d: self.facts.params_d,
            toy,
            curves: animation,
            run: self.folder.path().into(),
            checkpoint,
            samples: self.last_picture.map(|(_, path)| path),
            report: self.folder.report(),
        };
        // Of a run that was over already, the one that is there says more.
        let path = self.folder.summary();
        if self.meter.rounds > 0 || !path.exists() {
            let text = serde_json::to_string_pretty(&summary).map_err(|error| RunError::Io {
                path: path.clone(),
                source: error.into(),
            })?;
            write(&path, (text + "\n").as_bytes())?;
        }
        let report = report::write(&self.folder, report::State::Ended)?;
        self.around.reporter.wrote("report", &report);
        self.around.reporter.finish(&summary);
        Ok(summary)
    }
}
