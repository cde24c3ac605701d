//! Where real batches come from, on the device.
use super::programs::Inputs;
use super::table::{Purpose, Table, counter};
use crate::data::toy::ToySet;
use crate::data::{ImageSet, glyphs, stacked};
use crate::gan::GanError;
use crate::gan::config::GanConfig;
use crate::gan::methods::Conditional;
use crate::gpu::{Caps, Kernel};
use crate::graph::Shape;
use crate::graph::plan::{Effect, Region};
use crate::kernels::glyphs as glyph_kernel;
use crate::kernels::label_batch::{self, Labels};
use crate::kernels::random_source::RandomSource;
use crate::kernels::{KernelError, dataset_batch, stacked_batch, toy_batch};
use crate::nn::{Extent, Model};

/// The data of a run.
pub enum Data {
    /// Images that are kept on the device as u8 and drawn without replacement.
    Set(ImageSet),
    /// A built-in point set, drawn without end.
    Toy(ToySet),
    /// The built-in digits, drawn without end.
    Glyphs,
    /// Triples of the images of a grey set, as the channels of one, drawn without end (`data::stacked`).
    Stacked(ImageSet),
    /// One batch in the discriminator's input shape that is used at every step; latents are drawn on the device. For benchmarks.
    FixedBatch(Vec<f32>),
    /// Data, latents and interpolation weights are written by the host before each program. For parity tests.
    Host,
}

impl Data {
    /// Samples in the set; None if it is drawn without end.
    pub fn count(&self) -> Option<u64> {
        match self {
            Data::Set(set) => Some(set.count as u64),
            _ => None,
        }
    }
}

/// Random stream of the data; latents and noise have others.
const DATA_STREAM: u32 = 0xda7a;

/// Buffers that the host fills, where `Data` says so.
#[derive(Clone, Copy, Debug)]
pub struct HostBuffers {
    pub data: usize,
    /// Of the real batch, `[N]`.
    pub labels: usize,
    pub latents: usize,
    pub interpolation: usize,
}

/// What programs and trainer need to know of the data.
pub struct Bound {
    pub inputs: Inputs,
    pub host: Option<HostBuffers>,
}

/// Makes a sampler's kernel for an output at this element of its buffer.
type MakeKernel = Box<dyn Fn(u32) -> Result<Kernel, KernelError>>;

/// A device sampler: makes the kernel for a place in the plan, and lists the buffers before the output.
pub struct Sampler {
    /// Shape of a batch as the kernel writes it.
    pub shape: Shape,
    /// Classes of the samples, where they have labels: those are 0..classes.
    pub classes: Option<usize>,
    kernel: MakeKernel,
    buffers: Vec<usize>,
    labels: Option<LabelSampler>,
}

/// Finds the labels of the batches that a [`Sampler`] draws.
struct LabelSampler {
    params: label_batch::Params,
    caps: Caps,
    counters: usize,
    /// What the labels are read from, if anything.
    table: Option<usize>,
}

impl Sampler {
    /// The dispatch that fills `region` with the next batch.
    pub fn effect(&self, region: Region) -> Result<Effect, String> {
        let kernel = (self.kernel)(region.offset as u32).map_err(|e| e.to_string())?;
        let mut buffers = self.buffers.clone();
        buffers.push(region.buffer);
        Ok(Effect {
            kernel,
            buffers,
            scope: "data",
            bytes: 4 * self.shape.numel() as u64,
        })
    }

    /// The dispatch that fills `region`, `[N]`, with the labels of the batch that [`Sampler::effect`] draws in the same execution:
    /// whole numbers in f32.
    ///
    /// # Errors
    /// Where the data has no labels.
    pub fn label_effect(&self, region: Region) -> Result<Effect, String> {
        let labels = self.labels.as_ref().ok_or("the data has no labels")?;
        let params = label_batch::Params {
            out_offset: region.offset as u32,
            ..labels.params
        };
        let kernel = label_batch::kernel(&labels.caps, &params).map_err(|e| e.to_string())?;
        let mut buffers = vec![labels.counters, region.buffer];
        buffers.extend(labels.table);
        Ok(Effect {
            kernel,
            buffers,
            scope: "data",
            bytes: 8 * u64::from(labels.params.n),
        })
    }
}

/// Places the data and says how programs get their batches.
///
/// # Errors
/// [`GanError::Input`] where the data's samples are not what the model takes.
pub fn bind(
    caps: &Caps,
    table: &mut Table,
    model: &Model,
    config: &GanConfig,
    data: &Data,
    seed: u64,
) -> Result<Bound, GanError> {
    let batch = model.generator.output_shape(config.batch);
    let random = RandomSource {
        seed,
        stream: DATA_STREAM,
        counter_index: counter::BATCH as u32,
    };
    let sampler = match data {
        Data::FixedBatch(values) => {
            if values.len() != batch.numel() {
                return Err(GanError::Input(format!(
                    "a fixed batch of {} numbers, expected {batch}",
                    values.len()
                )));
            }
            let data = table.push_filled("data", bytemuck::cast_slice(values).to_vec());
            let inputs = Inputs::FixedBatch { data };
            return Ok(Bound { inputs, host: None });
        }
        Data::Host => {
            let latent = model.generator.input_shape(config.batch).numel();
            let host = HostBuffers {
                data: table.push(Purpose::Data, "data", batch.numel()),
                labels: table.push(Purpose::Data, "labels", config.batch),
                latents: table.push(Purpose::Data, "latents", latent),
                interpolation: table.push(Purpose::Data, "interpolation", config.batch),
            };
            return Ok(Bound {
                inputs: Inputs::Host(host),
                host: Some(host),
            });
        }
        Data::Set(set) => image_sampler(caps, table, model, config.batch, set, random)?,
        Data::Glyphs => glyph_sampler(caps, table, model, config.batch, random)?,
        Data::Stacked(set) => stacked_sampler(caps, table, model, config.batch, set, random)?,
        Data::Toy(set) => toy_sampler(caps, table, model, config.batch, *set, random)?,
    };
    if let Some(conditional) = &config.conditional {
        check_classes(&sampler, conditional)?;
    }
    Ok(Bound {
        inputs: Inputs::Device(std::rc::Rc::new(sampler)),
        host: None,
    })
}

/// Refuses data without labels, labels that a one-hot column of so many classes cannot hold, and classes that never occur: nothing would
/// be learnt of them, and samples of them could be asked for.
fn check_classes(sampler: &Sampler, conditional: &Conditional) -> Result<(), GanError> {
    let (kind, classes) = (conditional.kind.name(), conditional.classes);
    let what = match sampler.classes {
        Some(found) if found == classes => return Ok(()),
        Some(found @ 2..) => format!(
            "{found}: give --conditional {kind}={found}, or `classes = {found}` in the configuration"
        ),
        Some(_) => "one; choose data with at least two".into(),
        None => "no labels; choose labelled data".into(),
    };
    Err(GanError::Input(format!(
        "the method is conditional on {classes} classes, the data has {what}"
    )))
}

fn image_sampler(
    caps: &Caps,
    table: &mut Table,
    model: &Model,
    batch: usize,
    set: &ImageSet,
    random: RandomSource,
) -> Result<Sampler, GanError> {
    let found = Extent::Image {
        channels: set.channels,
        height: set.height,
        width: set.width,
    };
    check_sample(model, found, &set.name)?;
    let pixels = table.push_filled("data set", set.words());
    let labels = set_labels(caps, table, batch, set, random)?;
    let params = dataset_batch::Params {
        count: set.count as u32,
        channels: set.channels as u32,
        h: set.height as u32,
        w: set.width as u32,
        n: batch as u32,
        layout: layout_of(model),
        random,
        out_offset: 0,
    };
    let caps = caps.clone();
    Ok(Sampler {
        shape: model.generator.output_shape(batch),
        classes: set.classes(),
        labels,
        kernel: Box::new(move |out_offset| {
            dataset_batch::kernel(
                &caps,
                &dataset_batch::Params {
                    out_offset,
                    ..params
                },
            )
        }),
        buffers: vec![pixels, table.counters],
    })
}

/// How the generator's samples lie in memory.
fn layout_of(model: &Model) -> dataset_batch::Layout {
    match model.generator.output() {
        Extent::Image { .. } => dataset_batch::Layout::ImagesCNHW,
        Extent::Features { .. } => dataset_batch::Layout::FeaturesFirst,
    }
}

/// The labels of a set, where it has them, placed on the device.
fn set_labels(
    caps: &Caps,
    table: &mut Table,
    batch: usize,
    set: &ImageSet,
    random: RandomSource,
) -> Result<Option<LabelSampler>, GanError> {
    let (Some(labels), Some(classes)) = (&set.labels, set.classes()) else {
        return Ok(None);
    };
    let limit = classes.min(label_batch::MAX_LABELS as usize);
    let beyond = labels.iter().position(|&label| label as usize >= limit);
    if labels.len() != set.count || beyond.is_some() {
        let wrong = match beyond {
            Some(i) => format!("image {i} has label {}, of {limit} classes", labels[i]),
            None => format!("{} labels for {} images", labels.len(), set.count),
        };
        return Err(GanError::Input(format!(
            "`{}`: {wrong}; labels are 0, 1, .. in the order of the images",
            set.name
        )));
    }
    let table_position = table.push_filled("labels", bytemuck::cast_slice(labels).to_vec());
    Ok(Some(LabelSampler {
        params: label_batch::Params {
            labels: Labels::Set {
                count: set.count as u32,
            },
            n: batch as u32,
            random,
            out_offset: 0,
        },
        caps: caps.clone(),
        counters: table.counters,
        table: Some(table_position),
    }))
}

fn stacked_sampler(
    caps: &Caps,
    table: &mut Table,
    model: &Model,
    batch: usize,
    set: &ImageSet,
    random: RandomSource,
) -> Result<Sampler, GanError> {
    if set.channels != 1 {
        return Err(GanError::Input(format!(
            "`{}` has {} channels; stacked images are made of grey ones",
            set.name, set.channels
        )));
    }
    let found = Extent::Image {
        channels: stacked::CHANNELS,
        height: set.height,
        width: set.width,
    };
    check_sample(model, found, &format!("{}{}", stacked::PREFIX, set.name))?;
    let pixels = table.push_filled("data set", set.words());
    let params = stacked_batch::Params {
        count: set.count as u32,
        h: set.height as u32,
        w: set.width as u32,
        n: batch as u32,
        layout: layout_of(model),
        random,
        out_offset: 0,
    };
    let caps = caps.clone();
    Ok(Sampler {
        shape: model.generator.output_shape(batch),
        classes: None,
        labels: None,
        kernel: Box::new(move |out_offset| {
            stacked_batch::kernel(
                &caps,
                &stacked_batch::Params {
                    out_offset,
                    ..params
                },
            )
        }),
        buffers: vec![pixels, table.counters],
    })
}

fn glyph_sampler(
    caps: &Caps,
    table: &mut Table,
    model: &Model,
    batch: usize,
    random: RandomSource,
) -> Result<Sampler, GanError> {
    let Extent::Image {
        channels: 1,
        height,
        width,
    } = model.sample
    else {
        return Err(GanError::Input(format!(
            "the built-in digits are grey images of any size, the model takes {}; choose a model with one channel",
            model.sample
        )));
    };
    let strokes = glyphs::table();
    let strokes = table.push_filled("glyph strokes", bytemuck::cast_slice(&strokes).to_vec());
    let params = glyph_kernel::Params {
        n: batch as u32,
        h: height as u32,
        w: width as u32,
        random,
        out_offset: 0,
    };
    let labels = LabelSampler {
        params: label_batch::Params {
            labels: Labels::Glyphs,
            n: batch as u32,
            random,
            out_offset: 0,
        },
        caps: caps.clone(),
        counters: table.counters,
        table: None,
    };
    let caps = caps.clone();
    Ok(Sampler {
        shape: model.sample.shape(batch),
        classes: Some(glyphs::CLASSES),
        labels: Some(labels),
        kernel: Box::new(move |out_offset| {
            glyph_kernel::kernel(
                &caps,
                &glyph_kernel::Params {
                    out_offset,
                    ..params
                },
            )
        }),
        buffers: vec![strokes, table.counters],
    })
}

fn toy_sampler(
    caps: &Caps,
    table: &mut Table,
    model: &Model,
    batch: usize,
    set: ToySet,
    random: RandomSource,
) -> Result<Sampler, GanError> {
    let features = set.dim();
    check_sample(model, Extent::Features { features }, set.name())?;
    let caps = caps.clone();
    let n = batch as u32;
    let values = toy_batch::table(set);
    let mixture = values.map(|v| table.push_filled("mixture", bytemuck::cast_slice(&v).to_vec()));
    let components = toy_batch::components(set);
    let labels = components.map(|components| LabelSampler {
        params: label_batch::Params {
            labels: Labels::Mixture { components },
            n,
            random,
            out_offset: 0,
        },
        caps: caps.clone(),
        counters: table.counters,
        table: mixture,
    });
    let params = toy_batch::Params {
        set,
        n,
        random,
        out_offset: 0,
    };
    Ok(Sampler {
        shape: model.generator.output_shape(batch),
        classes: components.map(|c| c as usize),
        labels,
        kernel: Box::new(move |out_offset| {
            toy_batch::kernel(
                &caps,
                &toy_batch::Params {
                    out_offset,
                    ..params
                },
            )
        }),
        buffers: mixture.into_iter().chain([table.counters]).collect(),
    })
}

fn check_sample(model: &Model, found: Extent, name: &str) -> Result<(), GanError> {
    if model.sample == found {
        return Ok(());
    }
    Err(GanError::Input(format!(
        "`{name}` has samples of {found}, the model takes {}; choose another model, or bring the images to its size with --size and --channels",
        model.sample
    )))
}
