//! The trainer's device memory: arenas of both networks, counters, scalars, the ring of results.
use crate::gpu::{Buffer, Gpu, GpuError};
use crate::graph::plan::{Plan, Region, pool_slots};
use crate::kernels::scaler;
use crate::nn::{Model, Network};
use serde::Serialize;

/// Scalars that a program reports per execution, in this order; further ones are those of `GanConfig::extra_scalars`.
pub const LOSS_D: usize = 0;
pub const LOSS_G: usize = 1;
pub const D_REAL: usize = 2;
pub const D_FAKE: usize = 3;
pub const FIRST_EXTRA: usize = 4;

/// Indices into the counters buffer (u32 each).
pub mod counter {
    /// Executions of any program: random numbers depend on it.
    pub const EXECUTION: usize = 0;
    /// Batches drawn from the data set.
    pub const BATCH: usize = 1;
    /// Optimiser steps of D and G.
    pub const STEP_D: usize = 2;
    pub const STEP_G: usize = 3;
    /// Size of the buffer.
    pub const COUNT: usize = 8;
}

/// Elements from one scalar to the next: regions start at multiples of 4.
pub const SCALAR_STRIDE: usize = 4;
/// Rows of the ring of results: executions that may run before the host reads them.
pub const RING_ROWS: usize = 2048;

/// Table positions of one network's arenas.
#[derive(Clone, Copy, Debug)]
pub struct NetworkArenas {
    pub params: usize,
    pub grads: usize,
    /// First and second optimiser moments, as far as the optimiser has them.
    pub moments: [usize; 2],
    pub state: usize,
    /// The state of its loss scaling, where the losses are scaled ([`Table::scale_losses`]).
    pub scaler: Option<usize>,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Parameters and states, moving averages included.
    Weights,
    /// Gradients and moments.
    Optimiser,
    /// The data set, or the batch that the host brings.
    Data,
    /// Scalars, counters, and what sampling needs.
    Results,
    /// Activations and everything else that lives for a part of a step.
    Temporaries,
}

/// A buffer of the table before it is allocated.
struct Planned {
    label: String,
    bytes: u64,
    purpose: Purpose,
    /// What it starts with; zeros otherwise.
    contents: Option<Vec<u8>>,
}

/// The device buffers that every program is bound to, by position. Positions are given out first and programs compiled against
/// them, which takes no device; [`Table::allocate`] then makes the buffers.
pub struct Table {
    planned: Vec<Planned>,
    /// Empty until [`Table::allocate`].
    pub buffers: Vec<Buffer>,
    pub counters: usize,
    pub scalars: usize,
    pub ring: usize,
    pub g: NetworkArenas,
    pub d: NetworkArenas,
    /// Of the encoder, where the method has one.
    pub e: Option<NetworkArenas>,
    /// Moving averages of G's parameters and states, where the run keeps them.
    pub ema: Option<[usize; 2]>,
    /// Floats in one row of the ring.
    pub row: usize,
}

impl Table {
    /// Places everything but data and temporaries; `scalars` is how many a program reports, `ema` says whether G is averaged.
    pub fn new(model: &Model, scalars: usize, ema: bool) -> Table {
        let (generator, discriminator) = (&model.generator, &model.discriminator);
        use Purpose::{Optimiser, Results, Weights};
        let mut planned = vec![];
        let mut add = |purpose, label: &str, floats| plan(&mut planned, purpose, label, floats);
        let row = scalars * SCALAR_STRIDE;
        let counters = add(Results, "counters", counter::COUNT);
        let scalar_buffer = add(Results, "scalars", row);
        let ring = add(Results, "ring", row * RING_ROWS);
        let mut arenas = |name: &str, net: &Network| {
            let len = net.arena_len();
            NetworkArenas {
                params: add(Weights, &format!("{name}.parameters"), len),
                grads: add(Optimiser, &format!("{name}.gradients"), len),
                moments: [
                    add(Optimiser, &format!("{name}.moment1"), len),
                    add(Optimiser, &format!("{name}.moment2"), len),
                ],
                state: add(Weights, &format!("{name}.state"), net.state_len()),
                scaler: None,
            }
        };
        let g = arenas("g", generator);
        let d = arenas("d", discriminator);
        let e = model.encoder.as_ref().map(|encoder| arenas("e", encoder));
        let ema = ema.then(|| {
            [
                add(Weights, "g_ema.parameters", generator.arena_len()),
                add(Weights, "g_ema.state", generator.state_len()),
            ]
        });
        Table {
            planned,
            buffers: vec![],
            counters,
            scalars: scalar_buffer,
            ring,
            g,
            d,
            e,
            ema,
            row,
        }
    }

    /// Places the state of loss scaling: for programs with gradients in f16.
    pub fn scale_losses(&mut self) {
        for (name, network) in [("g", &mut self.g), ("d", &mut self.d)] {
            let label = format!("{name}.scaler");
            network.scaler = Some(plan(
                &mut self.planned,
                Purpose::Optimiser,
                &label,
                scaler::INITIAL.len(),
            ));
        }
    }

    /// Where scalar `index` is written.
    pub fn scalar(&self, index: usize) -> Region {
        Region {
            buffer: self.scalars,
            offset: index * SCALAR_STRIDE,
        }
    }

    /// Appends a buffer of zeros and returns its position. Only before the first program is compiled: temporaries follow the last one.
    pub fn push(&mut self, purpose: Purpose, label: &str, floats: usize) -> usize {
        plan(&mut self.planned, purpose, label, floats)
    }

    /// As [`Table::push`], for data that the buffer starts with.
    pub fn push_filled(&mut self, label: &str, contents: Vec<u8>) -> usize {
        self.planned.push(Planned {
            label: label.into(),
            bytes: contents.len() as u64,
            purpose: Purpose::Data,
            contents: Some(contents),
        });
        self.planned.len() - 1
    }

    /// Number of buffers, temporaries left out: the temporaries' positions start here.
    pub fn bound(&self) -> usize {
        self.planned.len()
    }

    /// Makes the buffers, and behind them the temporaries that these plans share. Nothing may be pushed afterwards.
    ///
    /// # Errors
    /// When the device has no room or a buffer exceeds its limits.
    pub fn allocate<'a>(
        &mut self,
        gpu: &Gpu,
        plans: impl IntoIterator<Item = &'a Plan>,
    ) -> Result<(), GpuError> {
        for planned in &mut self.planned {
            let label = &planned.label;
            self.buffers.push(match planned.contents.take() {
                Some(contents) => gpu.buffer_from(label, &contents)?,
                None => gpu.buffer(label, planned.bytes)?,
            });
        }
        for (label, bytes) in temporaries(plans) {
            self.buffers.push(gpu.buffer(&label, bytes)?);
        }
        Ok(())
    }

    /// What [`Table::allocate`] would make: purpose, label and bytes of every buffer, in order.
    pub fn holdings<'a>(
        &self,
        plans: impl IntoIterator<Item = &'a Plan>,
    ) -> Vec<(Purpose, String, u64)> {
        let bound = self.planned.iter();
        let bound = bound.map(|p| (p.purpose, p.label.clone(), p.bytes));
        let pool = temporaries(plans).map(|(label, bytes)| (Purpose::Temporaries, label, bytes));
        bound.chain(pool).collect()
    }
}

/// Labels and bytes of the temporaries that these plans share.
fn temporaries<'a>(
    plans: impl IntoIterator<Item = &'a Plan>,
) -> impl Iterator<Item = (String, u64)> {
    let slots = pool_slots(plans).into_iter().enumerate();
    slots.map(|(k, bytes)| (format!("temporary {k}"), bytes))
}

fn plan(planned: &mut Vec<Planned>, purpose: Purpose, label: &str, floats: usize) -> usize {
    planned.push(Planned {
        label: label.into(),
        purpose,
        bytes: floats.max(1).next_multiple_of(4) as u64 * 4,
        contents: None,
    });
    planned.len() - 1
}
