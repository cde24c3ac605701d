//! Labelled images on the device.
use super::{GanError, Result};
use crate::data::{ImageSet, glyphs};
use crate::gpu::{Caps, Kernel};
use crate::graph::plan::{Effect, Region};
use crate::kernels::label_batch::{self, Labels};
use crate::kernels::random_source::RandomSource;
use crate::kernels::{KernelError, dataset_batch, glyphs as glyph_kernel};
use crate::nn::Extent;

/// What a classifier learns from.
#[derive(Clone, Copy, Debug)]
pub enum Labelled<'a> {
    /// Images with labels, drawn without replacement.
    Set(&'a ImageSet),
    /// The built-in digits, drawn without end, in the network's own size.
    Glyphs,
}

/// Random stream of the batches; dropout's are the graph's own.
const STREAM: u32 = 0xc1a5;

/// Draws images and labels of one and the same batch.
pub struct Batches {
    caps: Caps,
    n: u32,
    /// Channels, height, width.
    size: [u32; 3],
    random: RandomSource,
    /// Images of a set; the built-in digits have no number.
    count: Option<u32>,
    /// Positions in the table of buffers: pixels or strokes, labels, counters.
    images: usize,
    labels: Option<usize>,
    counters: usize,
}

impl Labelled<'_> {
    /// The number of classes that the labels tell apart, and what is wrong with images or labels for a network of `classes` logits
    /// that takes `input`.
    fn check(&self, input: Extent, classes: usize) -> Result<()> {
        let refuse = |what: String| Err(GanError::Input(what));
        match self {
            Labelled::Glyphs => match input {
                Extent::Image { channels: 1, .. } if classes >= glyphs::CLASSES => Ok(()),
                _ => refuse(format!(
                    "the built-in digits are grey images in {} classes; the network takes {input} and gives {classes} logits",
                    glyphs::CLASSES
                )),
            },
            Labelled::Set(set) => {
                let found = Extent::Image {
                    channels: set.channels,
                    height: set.height,
                    width: set.width,
                };
                let name = &set.name;
                let Some(labels) = &set.labels else {
                    return refuse(format!(
                        "`{name}` has no labels; give IDX files with their labels beside them, CIFAR-10, or one folder per class"
                    ));
                };
                if found != input {
                    return refuse(format!(
                        "`{name}` has images of {found}, the classifier takes {input}"
                    ));
                }
                if labels.len() != set.count {
                    return refuse(format!(
                        "`{name}` has {} labels for {} images",
                        labels.len(),
                        set.count
                    ));
                }
                match labels.iter().position(|&label| label as usize >= classes) {
                    Some(i) => refuse(format!(
                        "`{name}`: image {i} has label {}, the classifier gives {classes} logits",
                        labels[i]
                    )),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Batches {
    /// Places the data with `push`, which gives a buffer with these contents a position.
    ///
    /// # Errors
    /// [`GanError::Input`] where images or labels are not what the network takes.
    pub fn new(
        caps: &Caps,
        data: &Labelled,
        (input, classes): (Extent, usize),
        batch: usize,
        (seed, counters, counter_index): (u64, usize, u32),
        push: &mut dyn FnMut(&str, Vec<u8>) -> usize,
    ) -> Result<Batches> {
        data.check(input, classes)?;
        let Extent::Image {
            channels,
            height,
            width,
        } = input
        else {
            return Err(GanError::Input(format!(
                "a classifier takes images, not {input}"
            )));
        };
        let (count, images, labels) = match data {
            Labelled::Glyphs => {
                let strokes = bytemuck::cast_slice(&glyphs::table()).to_vec();
                (None, push("glyph strokes", strokes), None)
            }
            Labelled::Set(set) => {
                let labels = set.labels.as_deref().unwrap_or_default();
                let labels = bytemuck::cast_slice(labels).to_vec();
                (
                    Some(set.count as u32),
                    push("data set", set.words()),
                    Some(push("labels", labels)),
                )
            }
        };
        Ok(Batches {
            caps: caps.clone(),
            n: batch as u32,
            size: [channels, height, width].map(|side| side as u32),
            random: RandomSource {
                seed,
                stream: STREAM,
                counter_index,
            },
            count,
            images,
            labels,
            counters,
        })
    }

    fn image_kernel(&self, out_offset: u32) -> std::result::Result<Kernel, KernelError> {
        let ([channels, h, w], n, random) = (self.size, self.n, self.random);
        match self.count {
            Some(count) => {
                let params = dataset_batch::Params {
                    count,
                    channels,
                    h,
                    w,
                    n,
                    layout: dataset_batch::Layout::ImagesCNHW,
                    random,
                    out_offset,
                };
                dataset_batch::kernel(&self.caps, &params)
            }
            None => {
                let params = glyph_kernel::Params {
                    n,
                    h,
                    w,
                    random,
                    out_offset,
                };
                glyph_kernel::kernel(&self.caps, &params)
            }
        }
    }

    /// Fills a region with the images of the next batch, `[C, N, H, W]` in -1..1.
    ///
    /// # Errors
    /// Where the batch is too large for a kernel.
    pub fn image_effect(&self, region: Region) -> std::result::Result<Effect, String> {
        let kernel = self
            .image_kernel(region.offset as u32)
            .map_err(|e| e.to_string())?;
        let bytes =
            4 * u64::from(self.n) * self.size.iter().map(|&s| u64::from(s)).product::<u64>();
        Ok(Effect {
            kernel,
            buffers: vec![self.images, self.counters, region.buffer],
            scope: "data",
            bytes,
        })
    }

    /// Fills a region with the labels of that batch, `[N]` whole numbers.
    ///
    /// # Errors
    /// As [`Batches::image_effect`].
    pub fn label_effect(&self, region: Region) -> std::result::Result<Effect, String> {
        let params = label_batch::Params {
            labels: match self.count {
                Some(count) => Labels::Set { count },
                None => Labels::Glyphs,
            },
            n: self.n,
            random: self.random,
            out_offset: region.offset as u32,
        };
        let kernel = label_batch::kernel(&self.caps, &params).map_err(|e| e.to_string())?;
        let mut buffers = vec![self.counters, region.buffer];
        buffers.extend(self.labels);
        Ok(Effect {
            kernel,
            buffers,
            scope: "data",
            bytes: 8 * u64::from(self.n),
        })
    }
}
