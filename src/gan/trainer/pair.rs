//! Both networks of a finished run, without data, optimisers or anything that trains them.
use super::judge::Judge;
use super::sampler::{self, Buffers, Sampled, Sampler};
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
    /// As [`super::Trainer::sample`].
    ///
    /// # Errors
    /// As [`super::Trainer::sample`].
    pub fn sample(
        &self,
        latents: &[f32],
        use_ema: bool,
        packed: bool,
    ) -> Result<Sampled, GanError> {
        self.sample_labelled(latents, None, use_ema, packed)
    }
    /// As [`super::Trainer::sample_labelled`].
    ///
    /// # Errors
    /// As [`super::Trainer::sample_labelled`].
    pub fn sample_labelled(
        &self,
        latents: &[f32],
        labels: Option<&[u32]>,
        use_ema: bool,
        packed: bool,
    ) -> Result<Sampled, GanError> {
        let average = use_ema && self.config.ema.is_some();
        let on = (&self.gpu, &self.table, &self.model);
        self.sampler.sample(on, (latents, labels), average, packed)
    }
    /// Latents of the run's prior, codes included.
    pub fn latents(&self, count: usize, seed: u64) -> Vec<f32> {
        let width = self.model.generator.input().numel();
        sampler::latents(&self.config, width, count, seed)
    }
    /// Latents `first..first + count` of those that [`Pair::latents`] draws.
    pub fn latents_from(&self, first: usize, count: usize, seed: u64) -> Vec<f32> {
        let width = self.model.generator.input().numel();
        sampler::latents_from(&self.config, width, first, count, seed)
    }
    /// Samples as floats, row by row.
    ///
    /// # Errors
    /// As [`Pair::sample`].
    pub fn sample_f32(&self, latents: &[f32], use_ema: bool) -> Result<Vec<f32>, GanError> {
        match self.sample(latents, use_ema, false)? {
            Sampled::F32(values) => Ok(values),
            Sampled::PackedNhwc(_) => Err(GanError::Input(
                "samples that were asked for as floats came packed".into(),
            )),
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
