//! Both networks of a finished run, without data, optimisers or anything that trains them.
use super::judge::Judge;
use super::sampler::{self, Buffers, Generator, Sampler};
use super::state::{Arena, State, arena_values, discriminator_arenas, generator_arenas};
use super::table::{FIRST_EXTRA, Table};
use crate::gan::GanError;
use crate::gan::config::GanConfig;
use crate::gpu::Gpu;
use crate::graph::plan::{Environment, Target};
use crate::nn::Model;
use std::cell::OnceCell;

/// A generator to sample from and the discriminator that it was trained with.
pub struct Pair {
    gpu: Gpu,
    model: Model,
    config: GanConfig,
    table: Table,
    sampler: Sampler,
    /// Made when it is first asked.
    judge: OnceCell<Judge>,
    /// Whether the state that was restored had a discriminator.
    has_d: bool,
}

impl Pair {
    /// Compiles and binds the sampling programs; the weights are zero until [`Pair::restore`].
    ///
    /// # Errors
    /// Where the model does not fit the adapter.
    pub fn new(gpu: &Gpu, model: Model, config: GanConfig) -> Result<Pair, GanError> {
        let mut table = Table::new(&model, FIRST_EXTRA, config.ema.is_some());
        let buffers = Buffers::new(&mut table, &model);
        let (bound, counters) = (table.bound(), table.counters);
        let environment = || Environment::new(Target::of(gpu.caps()), bound, counters, 0);
        let plans = sampler::compile(&model, &table, &buffers, environment)?;
        table.allocate(gpu, &plans)?;
        let sampler = Sampler::new(buffers, plans, gpu, &table)?;
        Ok(Pair {
            gpu: gpu.clone(),
            model,
            config,
            table,
            sampler,
            judge: OnceCell::new(),
            has_d: false,
        })
    }
    /// The networks.
    pub fn model(&self) -> &Model {
        &self.model
    }
    /// The settings they were trained with.
    pub fn config(&self) -> &GanConfig {
        &self.config
    }
    /// Takes over G's tensors and their averages, and D's where the state has any: a generator alone can be sampled from, but not judged.
    ///
    /// # Errors
    /// [`GanError::State`] where one is missing or has another shape; nothing is changed then.
    pub fn restore(&mut self, state: &State) -> Result<(), GanError> {
        let d = discriminator_arenas(&self.model, &self.table);
        let (prefix, ..) = d[0];
        let has_d = state.tensors.iter().any(|t| t.name.starts_with(prefix));
        let mut arenas: Vec<Arena> = generator_arenas(&self.model, &self.table);
        if has_d {
            arenas.extend(d);
        }
        let values = arenas
            .into_iter()
            .map(|(prefix, specs, buffer)| Ok((buffer, arena_values(state, prefix, specs)?)))
            .collect::<Result<Vec<_>, GanError>>()?;
        for (buffer, values) in values.iter().filter(|(_, values)| !values.is_empty()) {
            let bytes = bytemuck::cast_slice(values);
            self.gpu.upload(&self.table.buffers[*buffer], 0, bytes)?;
        }
        self.has_d = has_d;
        Ok(())
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
    pub(in crate::gan) fn table(&self) -> &Table {
        &self.table
    }
    /// # Errors
    /// [`GanError::Input`] where no discriminator was restored.
    pub fn has_discriminator(&self) -> Result<(), GanError> {
        match self.has_d {
            true => Ok(()),
            false => Err(GanError::Input(
                "there is no discriminator to ask: the checkpoint has no tensor `d.*`; take one that a training run wrote".into(),
            )),
        }
    }
    /// As [`super::Trainer::judge`].
    ///
    /// # Errors
    /// As [`super::Trainer::judge`]; [`GanError::Input`] where no discriminator was restored.
    pub fn judge(&self, samples: &[f32]) -> Result<Vec<f32>, GanError> {
        self.has_discriminator()?;
        Judge::of(&self.judge, (&self.gpu, &self.table, &self.model))?.judge(samples)
    }
}
