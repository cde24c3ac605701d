//! The two programs of a classifier: a training step, and the probabilities that it gives to images.
use super::batches::Batches;
use super::{Result, SCHEDULE, Settings};
use crate::gan::methods::classes;
use crate::gan::trainer::leaves;
use crate::graph::plan::{Effect, Environment, Plan, Region, Stage, Target};
use crate::graph::{Expr, Graph};
use crate::kernels::scaler::Skip;
use crate::kernels::{adam, record};
use crate::nn::{Mode, Network};
use std::num::NonZeroU32;
use std::rc::Rc;

/// Indices into the counters buffer (u32 each).
pub const EXECUTION: usize = 0;
pub const COUNTERS: usize = 4;
/// Elements from one scalar to the next: regions start at multiples of 4.
pub const STRIDE: usize = 4;
/// Scalars that a step reports: its loss, and the share of its samples that it got right.
pub const SCALARS: usize = 2;
/// Rows of the ring of results: steps that may run before the host reads them.
pub const RING_ROWS: usize = 1024;

/// Positions in the table of buffers.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub counters: usize,
    pub scalars: usize,
    pub ring: usize,
    pub params: usize,
    pub grads: usize,
    pub moments: [usize; 2],
    pub state: usize,
    /// How many buffers there are before the temporaries.
    pub bound: usize,
}

fn environment(target: &Target, places: &Places, seed: u64) -> Environment {
    let mut env = Environment::new(target.clone(), places.bound, places.counters, seed);
    env.execution_counter = EXECUTION;
    env
}

/// A training step at the rate of the schedule's entry `phase`:
///
///   loss = -1/N sum_n sum_c t_cn log softmax(logits)_cn,   t = (1 - s) one-hot + s / classes
///
/// then Adam, and a row for the ring.
///
/// # Errors
/// Where network, batch and adapter do not fit together.
pub fn training(
    target: &Target,
    network: &Network,
    settings: &Settings,
    batches: &Rc<Batches>,
    places: &Places,
    phase: usize,
) -> Result<Plan> {
    let mut g = Graph::new();
    let mut env = environment(target, places, settings.seed);
    let n = settings.batch;
    let outer = g.enter_scope("data");
    let x = g.source("data", network.input_shape(n));
    let labels = g.source("labels", [n]);
    g.restore_scope(outer);
    if let Some(id) = g.source_id(x) {
        let batches = Rc::clone(batches);
        let make = move |region: Region| batches.image_effect(region);
        env.sources.insert(id, Box::new(make));
    }
    if let Some(id) = g.source_id(labels) {
        let batches = Rc::clone(batches);
        let make = move |region: Region| batches.label_effect(region);
        env.sources.insert(id, Box::new(make));
    }
    // The end of the only stage overwrites the weights.
    let params = leaves(&mut g, &mut env, "c", network.params(), places.params, 0..1);
    let states = leaves(&mut g, &mut env, "c", network.states(), places.state, 0..1);
    let outer = g.enter_scope("c");
    let made = network.forward(&mut g, &params, &states, x, Mode::Train)?;
    g.restore_scope(outer);
    let outer = g.enter_scope("loss");
    let logits = made.output;
    let classes = g.shape(logits)[0];
    let one_hot = g.one_hot(labels, classes)?;
    let smoothing = settings.label_smoothing as f32;
    let kept = g.scale(one_hot, 1.0 - smoothing)?;
    let soft = g.shift(kept, smoothing / classes as f32)?;
    let loss = classes::cross_entropy(&mut g, logits, soft)?;
    let right = share_right(&mut g, logits, one_hot)?;
    g.restore_scope(outer);
    let gradients = g.gradients(loss, &params)?;
    let scalar = |index: usize| Region {
        buffer: places.scalars,
        offset: index * STRIDE,
    };
    let mut outputs: Vec<(Expr, Region)> = vec![(loss, scalar(0)), (right, scalar(1))];
    let arena = |buffer: usize| move |offset: usize| Region { buffer, offset };
    let (grads, state) = (arena(places.grads), arena(places.state));
    let specs = network.params().iter();
    outputs.extend(specs.zip(gradients).map(|(p, e)| (e, grads(p.offset))));
    for (i, value) in &made.state_updates {
        outputs.push((*value, state(network.states()[*i].offset)));
    }
    let stage = Stage {
        outputs,
        effects: vec![
            step(target, network, settings, places, phase),
            report(target, places),
        ],
    };
    Ok(Plan::compile(&g, &[stage], &env)?)
}

/// The share of samples whose label has the largest logit; a tie counts.
fn share_right(g: &mut Graph, logits: Expr, one_hot: Expr) -> Result<Expr> {
    let logits = g.stop_gradient(logits);
    let largest = g.max_along(logits, 0)?;
    let own = g.mul(logits, one_hot)?;
    let own = g.sum(own, &[0])?;
    let right = g.less_equal(largest, own)?;
    Ok(g.mean_all(right)?)
}

fn step(
    target: &Target,
    network: &Network,
    settings: &Settings,
    places: &Places,
    phase: usize,
) -> Effect {
    let [m, v] = places.moments;
    let count = network.arena_len() as u32;
    let params = adam::Params {
        count,
        offsets: [0; 4],
        counter: EXECUTION as u32,
        lr: settings.lr * SCHEDULE[phase].1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        skip: Skip::Never,
    };
    Effect {
        kernel: adam::kernel(&target.caps, &params),
        buffers: vec![places.params, places.grads, m, v, places.counters],
        scope: "c",
        bytes: 28 * u64::from(count),
    }
}

fn report(target: &Target, places: &Places) -> Effect {
    let mut increments = [record::Increment::default(); 4];
    increments[0] = record::Increment {
        index: EXECUTION as u32,
        by: 1,
    };
    let params = record::Params {
        count: (SCALARS * STRIDE) as u32,
        scalars_offset: 0,
        rows: NonZeroU32::new(RING_ROWS as u32).unwrap_or(NonZeroU32::MIN),
        tick: EXECUTION as u32,
        increments,
    };
    Effect {
        kernel: record::kernel(&target.caps, &params),
        buffers: vec![places.scalars, places.ring, places.counters],
        scope: "results",
        bytes: 8 * (SCALARS * STRIDE) as u64,
    }
}

/// Softmax of the logits, `[classes, n]`, for n images in buffer `images`, into buffer `output`.
///
/// # Errors
/// As [`training`].
pub fn probabilities(
    target: &Target,
    network: &Network,
    places: &Places,
    (n, images, output): (usize, usize, usize),
) -> Result<Plan> {
    let mut g = Graph::new();
    let mut env = environment(target, places, 0);
    let always = 0..usize::MAX;
    let params = leaves(
        &mut g,
        &mut env,
        "c",
        network.params(),
        places.params,
        always.clone(),
    );
    let states = leaves(
        &mut g,
        &mut env,
        "c",
        network.states(),
        places.state,
        always,
    );
    let at = |buffer: usize| Region { buffer, offset: 0 };
    let x = g.leaf("images", network.input_shape(n));
    if let Some(id) = g.leaf_id(x) {
        env.leaves.insert(id, at(images));
    }
    let made = network.forward(&mut g, &params, &states, x, Mode::Eval)?;
    let logs = classes::log_softmax(&mut g, made.output)?;
    let shares = g.exp(logs);
    let stage = Stage {
        outputs: vec![(shares, at(output))],
        effects: vec![],
    };
    Ok(Plan::compile(&g, &[stage], &env)?)
}
