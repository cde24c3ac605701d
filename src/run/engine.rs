//! Where the command line gets its engines: the only place that knows which trainer stands behind the interfaces.
use super::bench::{BenchFacts, BenchRequest, N_CRITIC, StepBench, model_flops};
use super::checkpoint::CheckpointData;
use super::config::{Split, TrainConfig};
use super::fit;
use super::origin::Origin;
use super::session::{
    Engine, EngineError, EngineFacts, EngineTraffic, Latents, SampleRequest, SampleShape,
    SampleValues, Sampler, Samples, StepReport,
};
use super::tune::{self, Decision, NamedChoices, Policy};
use crate::data::{self, ImageSet, Source};
use crate::gan::config::{Adam, GanConfig, Optimiser, Penalty};
use crate::gan::samplers;
use crate::gan::trainer::{
    Data, Generator, Pair, Round, Sampled, State, StateTensor, Trainer, contractions,
};
use crate::gan::{GanError, Objective, Regulariser};
use crate::gpu::{
    AdapterChoice, AdapterClass, AdapterReport, CacheFolder, CompileAhead, DeviceOptions, Gpu,
};
use crate::graph::plan::{Precision, Target};
use crate::nn::{Extent, Model, model_by_name_or_file};
use std::path::Path;

/// `cache`: where compiled pipelines are kept.
pub(super) fn open_gpu(adapter: &str, cache: &CacheFolder) -> Result<Gpu, EngineError> {
    let choice: AdapterChoice = adapter.parse().map_err(EngineError::input)?;
    Gpu::open(&choice, DeviceOptions::of_runs(cache.clone()))
        .map_err(|e| EngineError::adapter(e.to_string()))
}

/// What programs are compiled for.
///
/// # Errors
/// [`EngineError::Adapter`] where the adapter cannot store numbers so.
pub(super) fn target(report: &AdapterReport, precision: Precision) -> Result<Target, EngineError> {
    if precision == Precision::F16 && !report.caps.f16 {
        return Err(EngineError::adapter(format!(
            "{} ({}) has no 16-bit floats in shaders, which --precision f16 needs; train in f32 (leave --precision out), or choose \
             an adapter that `gan-gpu adapters` lists with f16",
            report.name, report.backend
        )));
    }
    Ok(Target::of(&report.caps).with_precision(precision))
}

/// By who can do something about it: the device's own failures are nobody's input.
pub(super) fn engine_error(error: GanError) -> EngineError {
    match error {
        GanError::Gpu(e) => EngineError::device(e.to_string()),
        other => EngineError::input(other.to_string()),
    }
}

pub(super) fn build_model(config: &TrainConfig) -> Result<Model, EngineError> {
    config
        .build_model()
        .map_err(|e| EngineError::input(e.to_string()))
}

/// The trainer for a resolved configuration: loads the data, opens the adapter, compiles everything. `cache`: where compiled
/// pipelines and measured choices are kept.
///
/// # Errors
/// [`EngineError::Input`], [`EngineError::Adapter`], [`EngineError::Device`].
pub fn open(config: &TrainConfig, cache: &CacheFolder) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(trainer(config, cache)?))
}

/// As [`open`], for those who look into the trainer.
pub(super) fn trainer(
    config: &TrainConfig,
    cache: &CacheFolder,
) -> Result<TrainerEngine, EngineError> {
    let model = build_model(config)?;
    let data = load_data(config)?;
    let data_len = data.count();
    let gpu = open_gpu(&config.adapter, cache)?;
    let target = target(gpu.report(), config.precision)?;
    let measured = measure_of(&gpu, config.precision);
    fit::check(&measured, &model, &config.method, &data)?;
    let what = (&model, &config.method);
    let decision = decide(&gpu, &target, what, config.choices.as_ref(), cache)?;
    let target = Target {
        choices: decision.choices,
        ..target
    };
    let method = config.method.clone();
    let trainer = Trainer::with_target(&gpu, &target, model, method, data, config.seed)
        .map_err(engine_error)?;
    let (report, model) = (gpu.report(), trainer.model());
    let facts = EngineFacts {
        origin: Origin::of_this_program(&report.name, &report.driver, trainer.fingerprint()),
        params_g: model.generator.param_count() as u64,
        params_d: model.discriminator.param_count() as u64,
        sample_shape: sample_shape(model),
        classes: model.generator.classes(),
        images_per_step: config.images_per_step(),
        data_len,
        choices: Some(decision.named),
    };
    let ahead = start(&trainer);
    Ok(TrainerEngine {
        trainer,
        facts,
        _ahead: ahead,
    })
}

/// The data of a resolved configuration.
pub(super) fn load_data(config: &TrainConfig) -> Result<Data, EngineError> {
    Ok(match Source::parse(&config.data.source) {
        Source::Toy(set) => Data::Toy(set),
        Source::Glyphs => Data::Glyphs,
        Source::Stacked(path) => Data::Stacked(load_part(config, &path)?),
        Source::Path(path) => Data::Set(load_part(config, &path)?),
    })
}

/// As [`load_images`], for training: a test part that is asked for must be one.
fn load_part(config: &TrainConfig, path: &Path) -> Result<ImageSet, EngineError> {
    let set = load_images(config, path)?;
    let has_parts = || data::has_parts(path).map_err(|e| EngineError::input(e.to_string()));
    if config.data.split == Split::Test && !has_parts()? {
        return Err(EngineError::input(format!(
            "data.split: {} does not come in a train and a test part; leave --split out to take all of it",
            path.display()
        )));
    }
    Ok(set)
}

pub(super) fn load_images(config: &TrainConfig, path: &Path) -> Result<ImageSet, EngineError> {
    let options = config.data.image_options();
    data::load(path, &options).map_err(|e| EngineError::input(e.to_string()))
}

/// An open device as [`fit`] sees it.
fn measure_of(gpu: &Gpu, precision: Precision) -> fit::Target {
    fit::Target {
        name: gpu.report().name.clone(),
        caps: gpu.caps().clone(),
        precision,
    }
}

/// What was recorded, where something was; else what was measured on this adapter.
fn decide(
    gpu: &Gpu,
    target: &Target,
    (model, method): (&Model, &GanConfig),
    recorded: Option<&NamedChoices>,
    cache: &CacheFolder,
) -> Result<Decision, EngineError> {
    let contractions = contractions(target, model, method).map_err(engine_error)?;
    match recorded {
        Some(named) => Ok(Decision::recorded(target, &contractions, named)),
        None => tune::decide(gpu, target, &contractions, cache, Policy::FirstUse, |_| ())
            .map_err(EngineError::device),
    }
}

fn sample_shape(model: &Model) -> SampleShape {
    match model.sample {
        Extent::Image {
            channels,
            height,
            width,
        } => SampleShape::Image {
            channels,
            height,
            width,
        },
        Extent::Features { features } => SampleShape::Point { features },
    }
}

/// Keeps what set-up compiled, and lets idle cores compile what the driver left for the first step.
fn start(trainer: &Trainer) -> CompileAhead {
    trainer.gpu().save_pipelines();
    trainer.gpu().compile_ahead(trainer.kernels())
}

pub(super) struct TrainerEngine {
    pub(super) trainer: Trainer,
    facts: EngineFacts,
    _ahead: CompileAhead,
}

impl TrainerEngine {
    /// A round that met a non-finite value reports it; the loop stops there and looks for the tensor.
    fn report(&self, round: Round) -> StepReport {
        let names = self.trainer.extra_scalars().iter().map(|s| s.name.into());
        StepReport {
            step: round.step,
            images_seen: round.images_seen,
            loss_d: round.loss_d,
            loss_g: round.loss_g,
            d_real: round.d_real,
            d_fake: round.d_fake,
            extra: names.zip(round.extra).collect(),
        }
    }
}

impl Engine for TrainerEngine {
    fn facts(&self) -> &EngineFacts {
        &self.facts
    }
    fn step(&self) -> u64 {
        self.trainer.step()
    }
    fn images_seen(&self) -> u64 {
        self.trainer.images_seen()
    }
    fn step_block(&mut self, rounds: u64) -> Result<Vec<StepReport>, EngineError> {
        let block = self.trainer.step_block(rounds).map_err(engine_error)?;
        Ok(block.into_iter().map(|r| self.report(r)).collect())
    }
    fn sample(&mut self, request: &SampleRequest) -> Result<Samples, EngineError> {
        samples(self.trainer.generator(), self.facts.sample_shape, request)
    }
    fn judge(&mut self, samples: &[f32]) -> Result<Vec<f32>, EngineError> {
        self.trainer.judge(samples).map_err(engine_error)
    }
    fn checkpoint(&mut self) -> Result<CheckpointData, EngineError> {
        let state = self.trainer.state().map_err(engine_error)?;
        Ok(checkpoint_data(state))
    }
    fn restore(&mut self, data: &CheckpointData) -> Result<(), EngineError> {
        self.trainer.restore(&state_of(data)).map_err(engine_error)
    }
    fn traffic(&self) -> EngineTraffic {
        let t = self.trainer.traffic();
        EngineTraffic {
            host_to_device_bytes: t.host_to_device_bytes,
            device_to_host_bytes: t.device_to_host_bytes,
            constant_bytes: t.immediate_bytes,
            peak_device_bytes: t.peak_bytes,
        }
    }
}

/// What a generator makes of a request.
fn samples(
    generator: Generator,
    shape: SampleShape,
    request: &SampleRequest,
) -> Result<Samples, EngineError> {
    let latents = match &request.latents {
        Latents::Seeded { count, seed } => generator.latents(*count, *seed),
        Latents::Given(values) => values.clone(),
    };
    let labels = request.labels.as_deref();
    let made = generator.sample(&latents, labels, request.use_ema, request.packed);
    let (count, values) = match made.map_err(engine_error)? {
        Sampled::F32(v) => (v.len() / shape.len(), SampleValues::F32(v)),
        Sampled::PackedNhwc(v) => (v.len() / shape.len(), SampleValues::PackedNhwc(v)),
    };
    Ok(Samples {
        count,
        shape,
        values,
    })
}

fn checkpoint_data(state: State) -> CheckpointData {
    let mut data = CheckpointData {
        step: state.counter("step").unwrap_or(0),
        images_seen: state.counter("images_seen").unwrap_or(0),
        ..CheckpointData::default()
    };
    for (name, value) in state.counters {
        data.counters.insert(name.into(), value);
    }
    for t in state.tensors {
        data.insert(t.name, t.shape, t.values);
    }
    data
}

fn state_of(data: &CheckpointData) -> State {
    let tensors = data.tensors.iter().map(|(name, t)| StateTensor {
        name: name.clone(),
        shape: t.shape.clone(),
        values: t.values.clone(),
    });
    State {
        tensors: tensors.collect(),
        counters: crate::gan::trainer::COUNTER_NAMES
            .into_iter()
            .filter_map(|name| Some((name, data.counters.get(name).copied()?)))
            .collect(),
    }
}

struct PairSampler {
    pair: Pair,
    shape: SampleShape,
}

impl Sampler for PairSampler {
    fn sample_shape(&self) -> SampleShape {
        self.shape
    }
    fn classes(&self) -> Option<usize> {
        self.pair.model().generator.classes()
    }
    fn latent_dim(&self) -> usize {
        self.pair.model().generator.input().numel()
    }
    fn latents(&self, count: usize, seed: u64) -> Vec<f32> {
        self.pair.generator().latents(count, seed)
    }
    fn restore(&mut self, data: &CheckpointData) -> Result<(), EngineError> {
        self.pair.restore(&state_of(data)).map_err(engine_error)
    }
    fn sample(&mut self, request: &SampleRequest) -> Result<Samples, EngineError> {
        samples(self.pair.generator(), self.shape, request)
    }
    fn judge(&mut self, samples: &[f32]) -> Result<Vec<f32>, EngineError> {
        self.pair.judge(samples).map_err(engine_error)
    }
    fn draw(&mut self, request: &samplers::Request) -> Result<samplers::Drawn, EngineError> {
        self.pair.draw(request).map_err(engine_error)
    }
}

/// Only the networks of a resolved configuration; reads no data. `adapter` is as `--adapter` takes it, `cache` as for [`open`].
///
/// # Errors
/// [`EngineError::Input`], [`EngineError::Adapter`], [`EngineError::Device`].
pub fn open_sampler(
    config: &TrainConfig,
    adapter: &str,
    cache: &CacheFolder,
) -> Result<Box<dyn Sampler>, EngineError> {
    let model = build_model(config)?;
    let shape = sample_shape(&model);
    let gpu = open_gpu(adapter, cache)?;
    let pair = Pair::new(&gpu, model, config.method.clone()).map_err(engine_error)?;
    Ok(Box::new(PairSampler { pair, shape }))
}

pub(super) struct TrainerBench {
    pub(super) trainer: Trainer,
    facts: BenchFacts,
    last: [f32; 2],
    _ahead: CompileAhead,
}

impl StepBench for TrainerBench {
    fn run(&mut self, iterations: u64) -> Result<(), EngineError> {
        let rounds = self.trainer.step_block(iterations).map_err(engine_error)?;
        if let Some(round) = rounds.last() {
            self.last = [round.loss_d, round.loss_g];
        }
        Ok(())
    }
    fn losses(&mut self) -> Result<[f32; 2], EngineError> {
        Ok(self.last)
    }
    fn facts(&self) -> BenchFacts {
        self.facts.clone()
    }
}

/// A baseline model, ready to be timed: a fixed batch of uniform noise on the device, latents drawn there. `cache` as for [`open`].
///
/// # Errors
/// [`EngineError::Input`], [`EngineError::Adapter`], [`EngineError::Device`].
pub fn open_bench(
    request: &BenchRequest,
    cache: &CacheFolder,
) -> Result<Box<dyn StepBench>, EngineError> {
    Ok(Box::new(bench_trainer(request, cache)?))
}

/// Networks and method of a baseline model.
pub(super) fn bench_parts(request: &BenchRequest) -> Result<(Model, GanConfig), EngineError> {
    let input = |e: crate::nn::NnError| EngineError::input(e.to_string());
    let model = model_by_name_or_file(&request.model.name)
        .map_err(input)?
        .build()
        .map_err(input)?;
    let wgan_gp = request.model.wgan_gp;
    let optimiser = Optimiser::Adam(Adam {
        lr: 2e-4,
        beta1: if wgan_gp { 0.0 } else { 0.5 },
        beta2: if wgan_gp { 0.9 } else { 0.999 },
        eps: 1e-8,
    });
    let mut config = GanConfig::plain(Objective::NonSaturating, request.batch, optimiser);
    if wgan_gp {
        let name = Regulariser::GradientPenalty;
        config.objective = Objective::Wgan;
        config.d_steps = N_CRITIC;
        config.regularisers = vec![Penalty { name, weight: 10.0 }];
    }
    Ok((model, config))
}

/// As [`open_bench`], for those who look into the trainer.
pub(super) fn bench_trainer(
    request: &BenchRequest,
    cache: &CacheFolder,
) -> Result<TrainerBench, EngineError> {
    let gpu = open_gpu(&request.adapter, cache)?;
    let (model, config) = bench_parts(request)?;
    let rules = NamedChoices::new();
    let recorded = (!request.tune).then_some(&rules);
    let target = target(gpu.report(), request.precision)?;
    let decision = decide(&gpu, &target, (&model, &config), recorded, cache)?;
    let facts = BenchFacts {
        adapter: gpu.report().name.clone(),
        software: gpu.caps().class == AdapterClass::Software,
        params_g: model.generator.param_count() as u64,
        params_d: model.discriminator.param_count() as u64,
        flops: model_flops(
            &request.model,
            &model.generator,
            &model.discriminator,
            request.batch,
        ),
    };
    let stream = data::rng::Stream::new(0, 0, 0);
    let count = model.discriminator.input_shape(request.batch).numel() as u32;
    let noise = (0..count).map(|i| 2.0 * data::rng::uniform01(stream.block(i, 0)[0]) - 1.0);
    let data = Data::FixedBatch(noise.collect());
    let measured = measure_of(&gpu, request.precision);
    fit::check(&measured, &model, &config, &data)?;
    let target = Target {
        choices: decision.choices,
        ..target
    };
    let trainer =
        Trainer::with_target(&gpu, &target, model, config, data, 0).map_err(engine_error)?;
    let ahead = start(&trainer);
    Ok(TrainerBench {
        trainer,
        facts,
        last: [0.0; 2],
        _ahead: ahead,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    #[test]
    fn an_adapter_without_f16_is_refused_with_what_to_do() {
        let mut report = testing::gpu().report().clone();
        for f16 in [false, true] {
            report.caps.f16 = f16;
            let plain = target(&report, Precision::F32).unwrap();
            assert_eq!(plain.precision, Precision::F32);
            match target(&report, Precision::F16) {
                Ok(target) => assert!(f16 && target.precision == Precision::F16),
                Err(EngineError::Adapter(error)) => {
                    let error = error.to_string();
                    assert!(!f16 && error.contains(&report.name), "{error}");
                    assert!(error.contains("leave --precision out"), "{error}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}
