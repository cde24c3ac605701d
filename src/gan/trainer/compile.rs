//! All programs of a run, compiled against positions in the table of buffers: plain data, made without a device.
use super::programs::{Builder, Kind};
use super::source::{self, Data, HostBuffers};
use super::table::{FIRST_EXTRA, Table};
use super::{effects, kinds, sampler};
use crate::gan::GanError;
use crate::gan::config::GanConfig;
use crate::gpu::Kernel;
use crate::graph::plan::{Contraction, Environment, Plan, Precision, Target};
use crate::nn::Model;
use std::collections::HashSet;

/// What a trainer binds to a device.
pub struct Compiled {
    pub table: Table,
    /// Buffers that the host fills, where `Data` says so.
    pub host: Option<HostBuffers>,
    pub programs: Vec<(Kind, Plan)>,
    pub sampler: sampler::Buffers,
    /// For the weights themselves, then for their moving average if there is one.
    pub sample_plans: Vec<Plan>,
}

/// Compiles every program that `config` uses.
///
/// # Errors
/// Where data, model, settings or the adapter's limits do not fit together.
pub fn compile(
    target: &Target,
    model: &Model,
    config: &GanConfig,
    data: &Data,
    seed: u64,
) -> Result<Compiled, GanError> {
    config.validate()?;
    config.check_critic(&model.discriminator)?;
    let caps = &target.caps;
    let scalars = FIRST_EXTRA + config.extra_scalars().len();
    let mut table = Table::new(model, scalars, config.ema.is_some());
    if target.precision == Precision::F16 {
        table.scale_losses();
    }
    let bound = source::bind(caps, &mut table, model, config, data, seed)?;
    let sampler = sampler::Buffers::new(&mut table, model);
    let environment =
        |target: &Target| Environment::new(target.clone(), table.bound(), table.counters, seed);
    let mut programs = vec![];
    for kind in kinds(config) {
        let mut env = environment(target);
        let builder = Builder {
            model,
            config,
            table: &table,
            inputs: &bound.inputs,
            after_d: effects::after_d(caps, config, &table, model),
            after_g: effects::after_g(caps, config, &table, model),
        };
        let (graph, mut stages) = builder.build(kind, &mut env)?;
        if let Some(last) = stages.last_mut() {
            last.effects
                .push(effects::record(caps, &table, config, kind, &bound.inputs));
        }
        programs.push((kind, Plan::compile(&graph, &stages, &env)?));
    }
    // By rule and in f32, as `Pair` does: a sample does not depend on how training was computed.
    let exact = Target::with_form(caps, target.form);
    let sample_plans = sampler::compile(model, &table, &sampler, || environment(&exact))?;
    Ok(Compiled {
        table,
        host: bound.host,
        programs,
        sampler,
        sample_plans,
    })
}

/// The distinct products and convolutions of the training programs, in order of first use: what there is to choose variants for.
///
/// # Errors
/// As for [`super::Trainer::new`], those of the device left out.
pub fn contractions(
    target: &Target,
    model: &Model,
    config: &GanConfig,
) -> Result<Vec<Contraction>, GanError> {
    let compiled = compile(target, model, config, &Data::Host, 0)?;
    let mut seen = HashSet::new();
    let plans = compiled.programs.into_iter().map(|(_, plan)| plan);
    let all = plans.flat_map(|plan| plan.contractions);
    Ok(all.filter(|c| seen.insert((c.op, c.formats))).collect())
}

/// The kernels of every program that a trainer with these settings runs, in order and with repetitions: what `target` would have
/// to compile. Takes no device.
///
/// # Errors
/// As for [`super::Trainer::new`], those of the device left out.
pub fn kernels(
    target: &Target,
    model: &Model,
    config: &GanConfig,
    data: &Data,
) -> Result<Vec<Kernel>, GanError> {
    let compiled = compile(target, model, config, data, 0)?;
    let programs = compiled.programs.into_iter().map(|(_, plan)| plan);
    let plans = programs.chain(compiled.sample_plans);
    Ok(plans.flat_map(|p| p.steps).map(|s| s.kernel).collect())
}
