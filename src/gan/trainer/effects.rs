//! What follows the gradients of a program: optimiser steps, clipping, moving averages, the row of results.
use super::programs::{Inputs, Kind};
use super::table::{NetworkArenas, RING_ROWS, Table, counter};
use crate::gan::config::{Adam, GanConfig, Optimiser, Rmsprop, Sgd};
use crate::gpu::Caps;
use crate::graph::plan::Effect;
use crate::kernels::momentum::Momentum;
use crate::kernels::scaler::{self, Skip};
use crate::kernels::{adam, clip, ema, record, rmsprop, sgd};
use crate::nn::Model;
use std::num::NonZeroU32;

/// D's optimiser step (with losses scaled, the check before and the new scale after it), then weight clipping where the method asks for it.
pub fn after_d(caps: &Caps, config: &GanConfig, table: &Table, model: &Model) -> Vec<Effect> {
    let count = model.discriminator.arena_len() as u32;
    let mut effects = steps(
        caps,
        "d",
        &config.optimiser.d,
        &table.d,
        count,
        table,
        counter::STEP_D,
    );
    if let Some(bound) = config.clip {
        let kernel = clip::kernel(
            caps,
            &clip::Params {
                count,
                offset: 0,
                bound: bound as f32,
            },
        );
        let buffers = vec![table.d.params];
        effects.push(Effect {
            kernel,
            buffers,
            scope: "d",
            bytes: moved(count, 2),
        });
    }
    effects
}

/// G's optimiser step as [`after_d`], the encoder's where there is one, then the moving averages of its parameters and states.
pub fn after_g(caps: &Caps, config: &GanConfig, table: &Table, model: &Model) -> Vec<Effect> {
    let count = model.generator.arena_len() as u32;
    let mut effects = steps(
        caps,
        "g",
        &config.optimiser.g,
        &table.g,
        count,
        table,
        counter::STEP_G,
    );
    if let (Some(network), Some(arenas)) = (&model.encoder, &table.e) {
        let count = network.arena_len() as u32;
        let optimiser = &config.optimiser.g;
        effects.push(step(
            caps,
            "e",
            optimiser,
            arenas,
            count,
            table,
            counter::STEP_G,
        ));
    }
    if let (Some(decay), Some([params, state])) = (config.ema_decay(), table.ema) {
        let arenas = [
            (params, table.g.params, count),
            (state, table.g.state, model.generator.state_len() as u32),
        ];
        for (average, values, count) in arenas.into_iter().filter(|a| a.2 > 0) {
            let params = ema::Params {
                count,
                offsets: [0, 0],
                decay,
            };
            effects.push(Effect {
                kernel: ema::kernel(caps, &params),
                buffers: vec![average, values],
                scope: "g",
                bytes: moved(count, 3),
            });
        }
    }
    effects
}

/// Bytes of an arena's floats that are read or written `times` times.
fn moved(count: u32, times: u64) -> u64 {
    4 * times * u64::from(count)
}

/// The optimiser step of one network; where its loss is scaled, between a look at the gradients and a new scale.
fn steps(
    caps: &Caps,
    scope: &'static str,
    optimiser: &Optimiser,
    arenas: &NetworkArenas,
    count: u32,
    table: &Table,
    counter: usize,
) -> Vec<Effect> {
    let step = step(caps, scope, optimiser, arenas, count, table, counter);
    let Some(state) = arenas.scaler else {
        return vec![step];
    };
    let check = Effect {
        kernel: scaler::check(caps, count, 0),
        buffers: vec![arenas.grads, state],
        scope,
        bytes: moved(count, 1),
    };
    let update = Effect {
        kernel: scaler::update(&scaler::Params::new(counter as u32)),
        buffers: vec![state, table.counters],
        scope,
        bytes: 0,
    };
    vec![check, step, update]
}

fn step(
    caps: &Caps,
    scope: &'static str,
    optimiser: &Optimiser,
    arenas: &NetworkArenas,
    count: u32,
    table: &Table,
    counter: usize,
) -> Effect {
    let [first, second] = arenas.moments;
    let skip = match arenas.scaler {
        Some(_) => Skip::NonFinite,
        None => Skip::Never,
    };
    let with_momentum = |momentum: f64| {
        (momentum != 0.0).then_some(Momentum {
            momentum,
            offset: 0,
        })
    };
    match *optimiser {
        Optimiser::Adam(Adam {
            lr,
            beta1,
            beta2,
            eps,
        }) => {
            let params = adam::Params {
                count,
                offsets: [0; 4],
                counter: counter as u32,
                lr,
                beta1,
                beta2,
                eps,
                skip,
            };
            let mut buffers = vec![arenas.params, arenas.grads, first, second, table.counters];
            buffers.extend(arenas.scaler);
            Effect {
                kernel: adam::kernel(caps, &params),
                buffers,
                scope,
                bytes: moved(count, 7),
            }
        }
        Optimiser::Rmsprop(Rmsprop {
            lr,
            alpha,
            eps,
            momentum,
        }) => {
            let params = rmsprop::Params {
                count,
                offsets: [0; 3],
                lr,
                alpha,
                eps,
                momentum: with_momentum(momentum),
                skip,
            };
            let mut buffers = vec![arenas.params, arenas.grads, first];
            buffers.extend(params.momentum.as_ref().map(|_| second));
            buffers.extend(arenas.scaler);
            Effect {
                kernel: rmsprop::kernel(caps, &params),
                buffers,
                scope,
                bytes: moved(count, if params.momentum.is_some() { 7 } else { 5 }),
            }
        }
        Optimiser::Sgd(Sgd { lr, momentum }) => {
            let params = sgd::Params {
                count,
                offsets: [0; 2],
                lr,
                momentum: with_momentum(momentum),
                skip,
            };
            let mut buffers = vec![arenas.params, arenas.grads];
            buffers.extend(params.momentum.as_ref().map(|_| first));
            buffers.extend(arenas.scaler);
            Effect {
                kernel: sgd::kernel(caps, &params),
                buffers,
                scope,
                bytes: moved(count, if params.momentum.is_some() { 5 } else { 3 }),
            }
        }
    }
}

/// The end of every program: its scalars go into the ring's next row, then the counters move.
pub fn record(
    caps: &Caps,
    table: &Table,
    config: &GanConfig,
    kind: Kind,
    inputs: &Inputs,
) -> Effect {
    let draws = kind.draws_real(config) && matches!(inputs, Inputs::Device(_));
    let increment = |index: usize, by: bool| record::Increment {
        index: index as u32,
        by: u32::from(by),
    };
    let params = record::Params {
        count: table.row as u32,
        scalars_offset: 0,
        rows: NonZeroU32::new(RING_ROWS as u32).unwrap_or(NonZeroU32::MIN),
        tick: counter::EXECUTION as u32,
        increments: [
            increment(counter::EXECUTION, true),
            increment(counter::BATCH, draws),
            // With losses scaled, the new scale's kernel counts the steps that were made.
            increment(counter::STEP_D, kind.trains_d() && table.d.scaler.is_none()),
            increment(counter::STEP_G, kind.trains_g() && table.g.scaler.is_none()),
        ],
    };
    Effect {
        kernel: record::kernel(caps, &params),
        buffers: vec![table.scalars, table.ring, table.counters],
        scope: "results",
        bytes: moved(table.row as u32, 2),
    }
}
