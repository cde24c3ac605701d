//! Samples of the generator in evaluation mode: latents go up, images come back, nothing of the training state changes.
use super::Trainer;
use super::layout::{chunk, from_batch, to_batch};
use super::programs::leaves;
use super::table::{Purpose, Table};
use crate::data::density::Drawer;
use crate::data::rng::{Stream, normal2, uniform01};
use crate::gan::GanError;
use crate::gan::config::Prior;
use crate::gpu::{Dispatch, Gpu, GpuError};
use crate::graph::Graph;
use crate::graph::plan::{Effect, Environment, Plan, Region, Stage};
use crate::kernels::pack_u8;
use crate::nn::{Extent, Mode, Model};

/// Random stream of sampling latents; the training programs use lower ones.
const SAMPLE_STREAM: u32 = 0x5a5a;

/// Generated samples on the host, sample by sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Sampled {
    /// `[count, channels, height, width]` in -1..1, or `[count, features]`.
    F32(Vec<f32>),
    /// `[count, height, width, channels]`, 0..=255.
    PackedNhwc(Vec<u8>),
}

/// Table positions and sizes of what sampling needs.
pub struct Buffers {
    latents: usize,
    samples: usize,
    /// None for point sets.
    packed: Option<(usize, pack_u8::Params)>,
    /// Samples per execution.
    chunk: usize,
}

impl Buffers {
    /// Places them.
    pub fn new(table: &mut Table, model: &Model) -> Buffers {
        let per_sample = model.sample.numel();
        let chunk = chunk(per_sample).next_multiple_of(model.generator.batch_multiple());
        let latent = model.generator.input().numel();
        let latents = table.push(Purpose::Results, "sampling latents", latent * chunk);
        let samples = table.push(Purpose::Results, "samples", per_sample * chunk);
        let packed = match model.sample {
            Extent::Image {
                channels,
                height,
                width,
            } => {
                let params = pack_u8::Params {
                    channels: channels as u32,
                    images: chunk as u32,
                    height: height as u32,
                    width: width as u32,
                    order: pack_u8::Order::Nhwc,
                    x_offset: 0,
                    y_offset: 0,
                };
                let words = params.words() as usize;
                let packed = table.push(Purpose::Results, "packed samples", words);
                Some((packed, params))
            }
            Extent::Features { .. } => None,
        };
        Buffers {
            latents,
            samples,
            packed,
            chunk,
        }
    }
}

/// Plans for the weights themselves and, where there is one, for their moving average, in this order.
pub fn compile(
    model: &Model,
    table: &Table,
    buffers: &Buffers,
    environment: impl Fn() -> Environment,
) -> Result<Vec<Plan>, GanError> {
    let weights = Some([table.g.params, table.g.state]);
    let mut plans = vec![];
    for [params, state] in weights.into_iter().chain(table.ema) {
        let mut env = environment();
        let mut g = Graph::new();
        let net = &model.generator;
        let always = 0..usize::MAX;
        let params = leaves(&mut g, &mut env, "g", net.params(), params, always.clone());
        let states = leaves(&mut g, &mut env, "g", net.states(), state, always);
        let z = g.leaf("latents", net.input_shape(buffers.chunk));
        if let Some(id) = g.leaf_id(z) {
            let buffer = buffers.latents;
            env.leaves.insert(id, Region { buffer, offset: 0 });
        }
        let made = net.forward(&mut g, &params, &states, z, Mode::Eval)?;
        let shown = model.network_to_data(&mut g, made.output)?;
        let region = Region {
            buffer: buffers.samples,
            offset: 0,
        };
        let pack = buffers.packed.as_ref().map(|(buffer, params)| Effect {
            kernel: pack_u8::kernel(&env.target.caps, params),
            buffers: vec![buffers.samples, *buffer],
            scope: "samples",
            bytes: 5 * u64::from(params.bytes()),
        });
        let stage = Stage {
            outputs: vec![(shown, region)],
            effects: pack.into_iter().collect(),
        };
        plans.push(Plan::compile(&g, &[stage], &env)?);
    }
    Ok(plans)
}

/// Ready to sample.
pub struct Sampler {
    buffers: Buffers,
    /// For the weights themselves, then for their moving average if there is one.
    dispatches: Vec<Vec<Dispatch>>,
}

impl Sampler {
    /// Binds the plans.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(
        buffers: Buffers,
        plans: Vec<Plan>,
        gpu: &Gpu,
        table: &Table,
    ) -> Result<Sampler, GpuError> {
        let dispatches = plans
            .iter()
            .map(|p| p.prepare(gpu, &table.buffers))
            .collect::<Result<_, _>>()?;
        Ok(Sampler {
            buffers,
            dispatches,
        })
    }
}

/// Latents `[count, width]` of the prior; latent i is a pure function of (seed, i).
pub fn latents(prior: Prior, width: usize, count: usize, seed: u64) -> Vec<f32> {
    latents_from(prior, width, 0, count, seed)
}

/// Those from number `first` on.
pub fn latents_from(prior: Prior, width: usize, first: usize, count: usize, seed: u64) -> Vec<f32> {
    let own = first as u32..(first + count) as u32;
    let stream = Stream::new(seed, SAMPLE_STREAM, 0);
    if let Some(drawer) = prior.density().and_then(Drawer::usual) {
        let all = own.flat_map(|i| (0..width as u32).map(move |j| (i, j)));
        let number = |(i, j): (u32, u32)| i.wrapping_mul(width as u32).wrapping_add(j);
        return all
            .map(|at| drawer.draw(&stream, number(at)).x[0] as f32)
            .collect();
    }
    let mut all = Vec::with_capacity(count * width);
    for i in own {
        let mut row = Vec::with_capacity(width + 1);
        for draw in 0..(width as u32).div_ceil(2) {
            let bits = stream.block(i, draw);
            row.extend(match prior {
                Prior::Uniform => bits.map(|b| 2.0 * uniform01(b) - 1.0),
                _ => normal2(bits),
            });
        }
        all.extend(&row[..width]);
    }
    all
}

impl Sampler {
    /// Runs the generator on latents `[count, width]` given row by row; `packed` asks for bytes where the samples are images.
    ///
    /// # Errors
    /// [`GanError::Latents`] where the latents do not fill whole rows; those of the device.
    pub fn sample(
        &self,
        on: (&Gpu, &Table, &Model),
        latents: &[f32],
        average: bool,
        packed: bool,
    ) -> Result<Sampled, GanError> {
        let (gpu, table, model) = on;
        let width = model.generator.input().numel();
        if latents.is_empty() || !latents.len().is_multiple_of(width) {
            return Err(GanError::Latents {
                width,
                got: latents.len(),
            });
        }
        let b = &self.buffers;
        let per_sample = model.sample.numel();
        let (mut floats, mut bytes) = (vec![], vec![]);
        for rows in latents.chunks(b.chunk * width) {
            let count = rows.len() / width;
            let z = to_batch(model.generator.input(), rows, b.chunk);
            gpu.upload(&table.buffers[b.latents], 0, bytemuck::cast_slice(&z))?;
            gpu.submit(&self.dispatches[usize::from(average)])?;
            if let (Some((buffer, _)), true) = (&b.packed, packed) {
                let len = (count * per_sample) as u64;
                bytes.extend(gpu.download(&table.buffers[*buffer], 0..len)?);
                continue;
            }
            let len = (b.chunk * per_sample) as u64 * 4;
            let got = gpu.download(&table.buffers[b.samples], 0..len)?;
            let got: Vec<f32> = bytemuck::pod_collect_to_vec(&got);
            floats.extend(from_batch(model.sample, &got, b.chunk, count));
        }
        Ok(if packed && b.packed.is_some() {
            Sampled::PackedNhwc(bytes)
        } else {
            Sampled::F32(floats)
        })
    }
}

impl Trainer {
    /// Runs the generator, in evaluation mode, on latents `[count, width]` given row by row. Does not change the state of training.
    ///
    /// # Errors
    /// [`GanError::Latents`] where the latents do not fill whole rows; those of the device.
    pub fn sample(
        &self,
        latents: &[f32],
        use_ema: bool,
        packed: bool,
    ) -> Result<Sampled, GanError> {
        let average = use_ema && self.config.ema.is_some();
        let on = (&self.gpu, &self.table, &self.model);
        self.sampler.sample(on, latents, average, packed)
    }

    /// Latents of this run's prior.
    pub fn latents(&self, count: usize, seed: u64) -> Vec<f32> {
        let width = self.model.generator.input().numel();
        latents(self.config.prior, width, count, seed)
    }
}
