//! Samples of the generator in evaluation mode: latents go up, images come back, nothing of the training state changes.
use super::layout::{chunk, from_batch, to_batch};
use super::programs::leaves;
use super::table::{Purpose, Table};
use crate::data::density::Drawer;
use crate::data::rng::{Stream, normal2, uniform01};
use crate::gan::GanError;
use crate::gan::config::{GanConfig, Prior};
use crate::gpu::{Dispatch, Gpu, GpuError};
use crate::graph::Graph;
use crate::graph::plan::{Effect, Environment, Plan, Region, Stage};
use crate::kernels::pack_u8;
use crate::nn::{Extent, Given, Mode, Model};

/// Random stream of sampling latents; the training programs use lower ones.
const SAMPLE_STREAM: u32 = 0x5a5a;
/// That of latents drawn from a named density.
const DENSITY_STREAM: u32 = 0x5a5b;

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
    /// One-hot labels and the number of classes, where G takes labels.
    labels: Option<(usize, usize)>,
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
        // Whole groups, so that each sample goes through the branch that its number says.
        let chunk = chunk(per_sample).next_multiple_of(model.generator.batch_multiple());
        let latent = model.generator.input().numel();
        let latents = table.push(Purpose::Results, "sampling latents", latent * chunk);
        let labels = model.generator.classes().map(|classes| {
            let floats = classes * chunk;
            (
                table.push(Purpose::Results, "sampling labels", floats),
                classes,
            )
        });
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
            labels,
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
        let label = buffers.labels.map(|(buffer, classes)| {
            let label = g.leaf("labels", [classes, buffers.chunk]);
            if let Some(id) = g.leaf_id(label) {
                env.leaves.insert(id, Region { buffer, offset: 0 });
            }
            label
        });
        let given = Given { x: z, label };
        let made = net.forward(&mut g, &params, &states, given, Mode::Eval)?;
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

impl Sampler {
    /// The labels that were given, else every class in turn; none where G takes none.
    fn labels(&self, given: Option<&[u32]>, samples: usize) -> Result<Vec<u32>, GanError> {
        match (self.buffers.labels, given) {
            (None, None) => Ok(vec![]),
            (None, Some(_)) => Err(GanError::Input(
                "this generator takes no labels: it was not trained with --conditional".into(),
            )),
            (Some((_, classes)), None) => Ok((0..samples).map(|n| (n % classes) as u32).collect()),
            (Some((_, classes)), Some(labels)) => {
                if labels.len() != samples {
                    return Err(GanError::Input(format!(
                        "{} labels for {samples} samples",
                        labels.len()
                    )));
                }
                match labels.iter().find(|&&label| label as usize >= classes) {
                    Some(label) => Err(GanError::Input(format!(
                        "class {label}, but there are {classes}: 0 to {}",
                        classes - 1
                    ))),
                    None => Ok(labels.to_vec()),
                }
            }
        }
    }
}

/// The generator of a trainer or of a finished run, in evaluation mode: nothing of the state of training changes.
#[derive(Clone, Copy)]
pub struct Generator<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) table: &'a Table,
    pub(super) model: &'a Model,
    pub(super) config: &'a GanConfig,
    pub(super) sampler: &'a Sampler,
}

impl Generator<'_> {
    /// Width of a latent vector, codes included.
    fn width(&self) -> usize {
        self.model.generator.input().numel()
    }

    /// Latents `[count, width]` as training draws them: noise of the prior, then the codes where there are any. Latent i is a pure
    /// function of (seed, i).
    pub fn latents(&self, count: usize, seed: u64) -> Vec<f32> {
        self.latents_from(0, count, seed)
    }

    /// Latents `first..first + count` of those that [`Generator::latents`] draws.
    pub fn latents_from(&self, first: usize, count: usize, seed: u64) -> Vec<f32> {
        let width = self.width();
        let stream = Stream::new(seed, SAMPLE_STREAM, 0);
        let noise = width.saturating_sub(self.config.code_width());
        let draws = (noise as u32).div_ceil(2);
        let drawer = self.config.prior.density().and_then(Drawer::usual);
        let densities = Stream::new(seed, DENSITY_STREAM, 0);
        let mut all = Vec::with_capacity(count * width);
        for i in first as u32..(first + count) as u32 {
            let mut row = Vec::with_capacity(width + 1);
            if let Some(drawer) = &drawer {
                // Samples of a density take blocks of their own, as many as they need: each number has an index.
                let number = |j: u32| i.wrapping_mul(noise as u32).wrapping_add(j);
                let own = (0..noise as u32).map(|j| drawer.draw(&densities, number(j)).x[0] as f32);
                row.extend(own);
            } else {
                for draw in 0..draws {
                    let bits = stream.block(i, draw);
                    row.extend(match self.config.prior {
                        Prior::Uniform => bits.map(|b| 2.0 * uniform01(b) - 1.0),
                        _ => normal2(bits),
                    });
                }
            }
            row.truncate(noise);
            if let Some(info) = self.config.info {
                let uniform = |draw: usize| uniform01(stream.block(i, draws + draw as u32)[0]);
                let value = (uniform(0) * info.categorical as f32) as usize;
                row.extend((0..info.categorical).map(|c| f32::from(u8::from(c == value))));
                row.extend((0..info.continuous).map(|k| 2.0 * uniform(1 + k) - 1.0));
            }
            all.extend(&row);
        }
        all
    }

    /// Samples of latents `[count, width]` given row by row, with a label each where it takes labels (every class in turn without any);
    /// `use_ema` asks for the average of the weights where there is one, `packed` for bytes where the samples are images.
    ///
    /// # Errors
    /// [`GanError::Latents`] where the latents do not fill whole rows, [`GanError::Input`] where the labels are not as many or not below
    /// the number of classes; those of the device.
    pub fn sample(
        &self,
        latents: &[f32],
        labels: Option<&[u32]>,
        use_ema: bool,
        packed: bool,
    ) -> Result<Sampled, GanError> {
        let Generator {
            gpu, table, model, ..
        } = *self;
        let average = use_ema && self.config.ema.is_some();
        let width = self.width();
        if latents.is_empty() || !latents.len().is_multiple_of(width) {
            return Err(GanError::Latents {
                width,
                got: latents.len(),
            });
        }
        let b = &self.sampler.buffers;
        let samples = latents.len() / width;
        let labels = self.sampler.labels(labels, samples)?;
        let per_sample = model.sample.numel();
        let (mut floats, mut bytes) = (vec![], vec![]);
        for (k, rows) in latents.chunks(b.chunk * width).enumerate() {
            let count = rows.len() / width;
            if let Some((buffer, classes)) = b.labels {
                let mut columns = vec![0.0f32; classes * b.chunk];
                for (n, &label) in labels.iter().skip(k * b.chunk).take(count).enumerate() {
                    columns[label as usize * b.chunk + n] = 1.0;
                }
                gpu.upload(&table.buffers[buffer], 0, bytemuck::cast_slice(&columns))?;
            }
            let z = to_batch(model.generator.input(), rows, b.chunk);
            gpu.upload(&table.buffers[b.latents], 0, bytemuck::cast_slice(&z))?;
            gpu.submit(&self.sampler.dispatches[usize::from(average)])?;
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

    /// As [`Generator::sample`], as floats.
    ///
    /// # Errors
    /// As for [`Generator::sample`].
    pub fn sample_f32(
        &self,
        latents: &[f32],
        labels: Option<&[u32]>,
        use_ema: bool,
    ) -> Result<Vec<f32>, GanError> {
        match self.sample(latents, labels, use_ema, false)? {
            Sampled::F32(values) => Ok(values),
            Sampled::PackedNhwc(_) => Err(GanError::Input(
                "samples that were asked for as floats came packed".into(),
            )),
        }
    }
}
