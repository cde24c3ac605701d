//! The adversarial loop on the device: everything is compiled and bound before the first step, then only submitted.
//!
//! A round is `d_steps` discriminator updates and then `g_steps` generator updates. The host submits blocks of rounds and reads
//! back one row of scalars per program execution; weights, batches and latents never leave the device.
pub(super) mod beside;
mod compile;
mod effects;
mod footprint;
pub(super) mod judge;
pub(super) mod layout;
mod losses;
mod pair;
mod players;
pub(super) mod programs;
mod sampler;
mod source;
mod state;
pub mod table;

use crate::data::rng;
use crate::gan::GanError;
use crate::gan::config::{ExtraScalar, GanConfig};
use crate::gpu::{Dispatch, Gpu, Kernel, Submission, Traffic, hex, shader};
use crate::graph::plan::{Attribution, Plan, Target};
use crate::kernels::scaler;
use crate::nn::Model;
use compile::Compiled;
pub use compile::{contractions, kernels};
pub use footprint::{Footprint, Holding, footprint};
pub use pair::Pair;
pub use programs::Kind;
pub(super) use programs::leaves;
pub use sampler::{Generator, Sampled};
use sha2::{Digest, Sha256};
pub use source::Data;
pub(super) use state::arena_values;
pub use state::{COUNTERS as COUNTER_NAMES, State, StateTensor};
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
pub use table::Purpose;
use table::{RING_ROWS, SCALAR_STRIDE, Table};

/// Executions that are recorded into one submission at most.
const EXECUTIONS_PER_SUBMIT: usize = 4;
/// As many of them as take about this long, but at least one: systems reset a GPU that is at work on one submission for seconds.
const SUBMISSION: Duration = Duration::from_millis(250);
/// Submissions that may be under way at once.
const SUBMISSIONS_IN_FLIGHT: usize = 2;

/// The scalars of one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Rounds completed, this one included.
    pub step: u64,
    /// Real samples that D has been trained on, this round included.
    pub images_seen: u64,
    /// Loss of the round's last D update, penalties included.
    pub loss_d: f32,
    /// Loss of the round's last G update.
    pub loss_g: f32,
    /// Mean output of D on real and generated samples (see `Objective::statistics`).
    pub d_real: f32,
    pub d_fake: f32,
    /// What else the programs report, in the order of [`GanConfig::extra_scalars`].
    pub extra: Vec<f32>,
}

/// One dispatch of a profiled round.
#[derive(Clone, Debug)]
pub struct TimedStep {
    pub attribution: Attribution,
    /// Its kernel's label.
    pub kernel: String,
    /// On the device; NaN where the driver recorded no time.
    pub seconds: f64,
    /// Of matrix products and convolutions; 0 for the rest.
    pub flops: u64,
    /// Read and written if every operand moves once.
    pub bytes: u64,
}

/// See [`Trainer::time_once`].
#[derive(Clone, Copy, Debug)]
pub struct HostTime {
    pub submitting_s: f64,
    pub total_s: f64,
}

/// One program, bound and ready.
struct Program {
    plan: Plan,
    dispatches: Vec<Dispatch>,
}

/// A generator and a discriminator on a device, with everything that trains them.
pub struct Trainer {
    gpu: Gpu,
    model: Model,
    config: GanConfig,
    /// What the programs report beside losses and D's outputs.
    extra: Vec<ExtraScalar>,
    seed: u64,
    table: Table,
    host_buffers: Option<source::HostBuffers>,
    programs: Vec<(Kind, Program)>,
    sampler: sampler::Sampler,
    /// Made when it is first asked.
    judge: OnceCell<judge::Judge>,
    step: u64,
    images_seen: u64,
    executions: u64,
    /// Executions per submission, from what the last block took; one before the first.
    per_submit: usize,
}

impl Trainer {
    /// Compiles and binds all programs and initialises the weights from `seed`.
    ///
    /// # Errors
    /// Where data, model, settings or the adapter's limits do not fit together.
    pub fn new(
        gpu: &Gpu,
        model: Model,
        config: GanConfig,
        data: Data,
        seed: u64,
    ) -> Result<Trainer, GanError> {
        let target = Target::of(gpu.caps());
        Trainer::with_target(gpu, &target, model, config, data, seed)
    }

    /// As [`Trainer::new`] with the kernels of `target`, which may differ from the choice by rule.
    ///
    /// # Errors
    /// As for [`Trainer::new`].
    pub fn with_target(
        gpu: &Gpu,
        target: &Target,
        model: Model,
        config: GanConfig,
        data: Data,
        seed: u64,
    ) -> Result<Trainer, GanError> {
        let Compiled {
            mut table,
            host,
            programs,
            sampler,
            sample_plans,
        } = compile::compile(target, &model, &config, &data, seed)?;
        let all = programs.iter().map(|(_, p)| p).chain(&sample_plans);
        table.allocate(gpu, all)?;
        let bind = |plan: Plan| -> Result<Program, GanError> {
            let dispatches = plan.prepare(gpu, &table.buffers)?;
            Ok(Program { plan, dispatches })
        };
        let programs = programs
            .into_iter()
            .map(|(kind, plan)| Ok((kind, bind(plan)?)))
            .collect::<Result<_, GanError>>()?;
        let sampler = sampler::Sampler::new(sampler, sample_plans, gpu, &table)?;
        let trainer = Trainer {
            gpu: gpu.clone(),
            model,
            extra: config.extra_scalars(),
            config,
            seed,
            table,
            host_buffers: host,
            programs,
            sampler,
            judge: OnceCell::new(),
            step: 0,
            images_seen: 0,
            executions: 0,
            per_submit: 1,
        };
        trainer.initialise()?;
        Ok(trainer)
    }

    /// Fresh weights, zero moments, moving average = weights.
    fn initialise(&self) -> Result<(), GanError> {
        let words = rng::seed_words(self.seed);
        let key = |network: u32| rng::threefry2x32(words, [network, 0x1217]);
        let g = self.model.generator.initialise(key(0));
        let d = self.model.discriminator.initialise(key(1));
        let (g_state, d_state) = (
            self.model.generator.initial_state(),
            self.model.discriminator.initial_state(),
        );
        let t = &self.table;
        for (buffer, values) in [
            (t.g.params, &g),
            (t.d.params, &d),
            (t.g.state, &g_state),
            (t.d.state, &d_state),
        ] {
            self.write(buffer, values)?;
        }
        if let (Some(network), Some(arenas)) = (&self.model.encoder, &t.e) {
            self.write(arenas.params, &network.initialise(key(2)))?;
            self.write(arenas.state, &network.initial_state())?;
        }
        if let Some([params, state]) = t.ema {
            self.write(params, &g)?;
            self.write(state, &g_state)?;
        }
        for state in [t.g.scaler, t.d.scaler].into_iter().flatten() {
            self.write(state, &scaler::INITIAL)?;
        }
        Ok(())
    }

    fn write(&self, buffer: usize, values: &[f32]) -> Result<(), GanError> {
        if !values.is_empty() {
            let bytes = bytemuck::cast_slice(values);
            self.gpu.upload(&self.table.buffers[buffer], 0, bytes)?;
        }
        Ok(())
    }

    /// Rounds completed.
    pub fn step(&self) -> u64 {
        self.step
    }
    /// Real samples that D has been trained on.
    pub fn images_seen(&self) -> u64 {
        self.images_seen
    }
    /// The networks.
    pub fn model(&self) -> &Model {
        &self.model
    }
    /// The settings.
    pub fn config(&self) -> &GanConfig {
        &self.config
    }
    /// What each entry of [`Round::extra`] is.
    pub fn extra_scalars(&self) -> &[ExtraScalar] {
        &self.extra
    }
    /// The generator, to draw from.
    pub fn generator(&self) -> Generator<'_> {
        Generator {
            gpu: &self.gpu,
            table: &self.table,
            model: &self.model,
            config: &self.config,
            sampler: &self.sampler,
        }
    }
    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
    /// What was moved and made so far.
    pub fn traffic(&self) -> Traffic {
        self.gpu.traffic()
    }
    /// The plans of the training programs as text.
    pub fn listing(&self) -> String {
        self.programs
            .iter()
            .map(|(kind, p)| format!("{kind:?}\n{}", p.plan.listing()))
            .collect()
    }
    /// The kernels of the training programs in the order of their first use, with repetitions.
    pub fn kernels(&self) -> Vec<Kernel> {
        let mut kinds = self.schedule(self.step == 0);
        kinds.extend(self.programs.iter().map(|(kind, _)| *kind));
        let programs = kinds.into_iter().filter_map(|kind| self.program(kind));
        let steps = programs.flat_map(|p| &p.plan.steps);
        steps.map(|s| s.kernel.clone()).collect()
    }
    /// SHA-256 (hexadecimal) over text (comments aside) and grid of every dispatch of the training programs, in order: where it is the same, on the same
    /// adapter and driver, the same settings and seed give the same bits. Constants are left out, because seeds are among them.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (kind, program) in &self.programs {
            hash.update(format!("{kind:?} {}\n", program.plan.steps.len()));
            for Kernel { source, grid, .. } in program.plan.steps.iter().map(|s| &s.kernel) {
                hash.update(format!("{grid:?}\n"));
                shader::hash_code(&mut hash, source);
            }
        }
        hex(hash.finalize())
    }
    /// The programs of one round, in order; `first` is the very first round of a run.
    fn schedule(&self, first: bool) -> Vec<Kind> {
        schedule(&self.config, first)
    }

    fn program(&self, kind: Kind) -> Option<&Program> {
        self.programs
            .iter()
            .find(|(k, _)| *k == kind)
            .map(|(_, p)| p)
    }

    /// Runs `rounds` rounds and returns their scalars. How rounds are grouped into blocks never changes a result.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step_block(&mut self, rounds: u64) -> Result<Vec<Round>, GanError> {
        let mut out = vec![];
        let mut left = rounds;
        while left > 0 {
            let longest = schedule(&self.config, self.step == 0).len().max(1);
            let now = left.min(((RING_ROWS / 2) / longest).max(1) as u64);
            out.extend(self.ring_block(now)?);
            left -= now;
        }
        Ok(out)
    }

    /// Fills the buffers of [`Data::Host`] for the next program; layouts are the networks' own (features first).
    ///
    /// # Errors
    /// [`GanError::Input`] where this trainer makes its inputs on the device; those of the device.
    pub fn feed(
        &self,
        real: &[f32],
        latents: &[f32],
        interpolation: &[f32],
    ) -> Result<(), GanError> {
        let Some(host) = &self.host_buffers else {
            return Err(GanError::Input(
                "this trainer draws its own batches; build it with Data::Host to feed it".into(),
            ));
        };
        self.write(host.data, real)?;
        self.write(host.latents, latents)?;
        self.write(host.interpolation, interpolation)
    }

    /// As [`Trainer::feed`], the labels of the real batch: whole numbers, one per sample.
    ///
    /// # Errors
    /// As for [`Trainer::feed`].
    pub fn feed_labels(&self, labels: &[f32]) -> Result<(), GanError> {
        let Some(host) = &self.host_buffers else {
            return Err(GanError::Input(
                "this trainer draws its own labels; build it with Data::Host to feed them".into(),
            ));
        };
        self.write(host.labels, labels)
    }

    /// Runs the programs of one round with a timestamp around every dispatch, and returns the dispatches in order. The round counts
    /// as trained, its scalars are not read.
    ///
    /// # Errors
    /// Where the adapter has no timestamps; those of the device.
    pub fn profile_once(&mut self) -> Result<Vec<TimedStep>, GanError> {
        let mut timed = vec![];
        let kinds = self.schedule(self.step == 0);
        for program in kinds.iter().filter_map(|&k| self.program(k)) {
            let seconds = self.gpu.submit_timed(&program.dispatches)?;
            let steps = program.plan.steps.iter().zip(seconds);
            timed.extend(steps.map(|(step, seconds)| TimedStep {
                attribution: step.attribution.clone(),
                kernel: step.kernel.label.clone(),
                seconds,
                flops: step.flops,
                bytes: step.bytes,
            }));
        }
        self.trained(&kinds);
        Ok(timed)
    }

    /// Runs one round like any other and measures how long the host recorded and submitted, and how long all took. The round counts
    /// as trained, its scalars are not read.
    ///
    /// # Errors
    /// Those of the device.
    pub fn time_once(&mut self) -> Result<HostTime, GanError> {
        let kinds = self.schedule(self.step == 0);
        let begun = Instant::now();
        let programs = kinds.iter().filter_map(|&k| self.program(k));
        let last = self.gpu.submit(programs.flat_map(|p| &p.dispatches))?;
        let submitting_s = begun.elapsed().as_secs_f64();
        self.gpu.wait(&last)?;
        let total_s = begun.elapsed().as_secs_f64();
        self.trained(&kinds);
        Ok(HostTime {
            submitting_s,
            total_s,
        })
    }

    /// One round of these programs has been submitted.
    fn trained(&mut self, kinds: &[Kind]) {
        self.executions += kinds.len() as u64;
        self.step += 1;
        let d_updates = kinds.iter().filter(|k| k.trains_d()).count();
        self.images_seen += (d_updates * self.config.batch) as u64;
    }

    /// Runs one program, for tests that step through a round.
    ///
    /// # Errors
    /// [`GanError::Input`] where the configuration never uses it; those of the device.
    pub fn run_once(&mut self, kind: Kind) -> Result<Round, GanError> {
        let program = self.program(kind).ok_or_else(|| {
            GanError::Input(format!("this configuration has no {kind:?} program"))
        })?;
        self.gpu.submit(&program.dispatches)?;
        let row = self.read_rows(self.executions, 1)?;
        self.executions += 1;
        let mut round = Round::empty(self.step, self.images_seen);
        round.take(&self.extra, kind, &row);
        Ok(round)
    }

    /// At most as many rounds as the ring has rows for, or one that has more executions.
    fn ring_block(&mut self, rounds: u64) -> Result<Vec<Round>, GanError> {
        let schedules: Vec<Vec<Kind>> = (0..rounds)
            .map(|r| self.schedule(self.step + r == 0))
            .collect();
        let executions: Vec<Kind> = schedules.iter().flatten().copied().collect();
        let begun = Instant::now();
        let mut rows = vec![];
        for piece in executions.chunks(RING_ROWS / 2) {
            self.submit(piece)?;
            rows.extend(self.read_rows(self.executions, piece.len())?);
            self.executions += piece.len() as u64;
        }
        let each = begun.elapsed().as_secs_f64() / executions.len().max(1) as f64;
        self.per_submit =
            ((SUBMISSION.as_secs_f64() / each) as usize).clamp(1, EXECUTIONS_PER_SUBMIT);
        let mut rows = rows.chunks_exact(self.table.row / SCALAR_STRIDE);
        let mut reports = vec![];
        for schedule in schedules {
            self.step += 1;
            let d_updates = schedule.iter().filter(|k| k.trains_d()).count();
            self.images_seen += (d_updates * self.config.batch) as u64;
            let mut round = Round::empty(self.step, self.images_seen);
            for kind in schedule {
                if let Some(row) = rows.next() {
                    round.take(&self.extra, kind, row);
                }
            }
            reports.push(round);
        }
        Ok(reports)
    }

    /// Submits these programs, a few at a time.
    fn submit(&self, executions: &[Kind]) -> Result<(), GanError> {
        let mut under_way: VecDeque<Submission> = VecDeque::new();
        for chunk in executions.chunks(self.per_submit) {
            let dispatches = chunk
                .iter()
                .filter_map(|&k| self.program(k))
                .flat_map(|p| &p.dispatches);
            under_way.push_back(self.gpu.submit(dispatches)?);
            if under_way.len() > SUBMISSIONS_IN_FLIGHT
                && let Some(oldest) = under_way.pop_front()
            {
                self.gpu.wait(&oldest)?;
            }
        }
        Ok(())
    }

    /// The scalars of `count` executions from number `first` on, unpadded; no more than the ring has rows.
    fn read_rows(&self, first: u64, count: usize) -> Result<Vec<f32>, GanError> {
        let ring = &self.table.buffers[self.table.ring];
        let row_bytes = self.table.row as u64 * 4;
        let start = first % RING_ROWS as u64;
        let until_end = (RING_ROWS as u64 - start).min(count as u64);
        let mut bytes = self
            .gpu
            .download(ring, start * row_bytes..(start + until_end) * row_bytes)?;
        let rest = count as u64 - until_end;
        if rest > 0 {
            bytes.extend(self.gpu.download(ring, 0..rest * row_bytes)?);
        }
        let floats: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        Ok(floats.into_iter().step_by(SCALAR_STRIDE).collect())
    }
}

impl Round {
    fn empty(step: u64, images_seen: u64) -> Round {
        Round {
            step,
            images_seen,
            loss_d: 0.0,
            loss_g: 0.0,
            d_real: 0.0,
            d_fake: 0.0,
            extra: vec![],
        }
    }
    /// Takes over what a program reported. A round keeps the first non-finite values that it met.
    fn take(&mut self, scalars: &[ExtraScalar], kind: Kind, row: &[f32]) {
        if !self.is_finite() {
            return;
        }
        if kind.trains_d() {
            self.loss_d = row[table::LOSS_D];
            self.d_real = row[table::D_REAL];
            self.d_fake = row[table::D_FAKE];
        }
        if kind.trains_g() {
            self.loss_g = row[table::LOSS_G];
        }
        self.extra.resize(scalars.len(), 0.0);
        let values = scalars.iter().zip(&row[table::FIRST_EXTRA..]);
        for (own, (scalar, &value)) in self.extra.iter_mut().zip(values) {
            let computed = match scalar.by_d {
                true => kind.trains_d(),
                false => kind.trains_g(),
            };
            if computed {
                *own = value;
            }
        }
    }
    /// True if every scalar of the round is finite.
    pub fn is_finite(&self) -> bool {
        let scalars = [self.loss_d, self.loss_g, self.d_real, self.d_fake];
        scalars.iter().chain(&self.extra).all(|v| v.is_finite())
    }
}

/// The programs that a configuration uses.
fn kinds(config: &GanConfig) -> Vec<Kind> {
    let used = [schedule(config, true), schedule(config, false)].concat();
    let all = [Kind::Discriminator, Kind::Both, Kind::Generator];
    all.into_iter().filter(|k| used.contains(k)).collect()
}

/// One D update shares its generated batch with the G update that follows it; several D updates draw a batch each.
fn schedule(config: &GanConfig, first: bool) -> Vec<Kind> {
    let mut all = vec![];
    if first {
        all.extend(vec![Kind::Discriminator; config.warmup_d_steps]);
    }
    if config.d_steps == 1 {
        all.push(Kind::Both);
        all.extend(vec![Kind::Generator; config.g_steps - 1]);
    } else {
        all.extend(vec![Kind::Discriminator; config.d_steps]);
        all.extend(vec![Kind::Generator; config.g_steps]);
    }
    all
}
