//! The adversarial loop as graphs: one program for a discriminator update, one for a generator update, and one for both on the same
//! generated batch (G runs forward once, as the tutorials do).
use super::source::{HostBuffers, Sampler};
use super::table::{self, Table};
use crate::gan::GanError;
use crate::gan::config::{GanConfig, Prior};
use crate::gan::regularisers::Samples;
use crate::graph::plan::{Effect, Environment, Region, Stage};
use crate::graph::{Distribution, Expr, Graph, Origin, Shape};
use crate::nn::{Mode, Model, Network, ParamSpec};
use std::ops::Range;
use std::rc::Rc;

/// Which updates a program makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One discriminator update; G only runs forward.
    Discriminator,
    /// One discriminator update, then one generator update through the new discriminator on the same generated batch.
    Both,
    /// One generator update on fresh latents.
    Generator,
}

impl Kind {
    /// True if D is updated.
    pub fn trains_d(self) -> bool {
        self != Kind::Generator
    }
    /// True if G is updated.
    pub fn trains_g(self) -> bool {
        self != Kind::Discriminator
    }
}

/// Where a program's inputs come from.
pub enum Inputs {
    /// Latents, noise and data are made on the device.
    Device(Rc<Sampler>),
    /// The batch lies in a buffer that the host fills once; latents are drawn on the device.
    FixedBatch { data: usize },
    /// Everything lies in buffers that the host fills before each program.
    Host(HostBuffers),
}

/// What every program is built from.
pub struct Builder<'a> {
    pub model: &'a Model,
    pub config: &'a GanConfig,
    pub table: &'a Table,
    pub inputs: &'a Inputs,
    /// Optimiser steps and what follows them, for D and for G.
    pub after_d: Vec<Effect>,
    pub after_g: Vec<Effect>,
}

/// Random streams of the programs; they differ from each other, and the execution counter does the rest.
const LATENTS: u32 = 1;
const INTERPOLATION: u32 = 2;

impl Builder<'_> {
    /// The graph of one program and its stages; `env` gets the bindings.
    ///
    /// # Errors
    /// Where shapes or settings do not fit together.
    pub fn build(
        &self,
        kind: Kind,
        env: &mut Environment,
    ) -> Result<(Graph, Vec<Stage>), GanError> {
        let mut g = Graph::new();
        let (config, table, model) = (self.config, self.table, self.model);
        let (g_net, d_net) = (&model.generator, &model.discriminator);
        if kind == Kind::Both {
            // G's old gradients are nobody's while D is trained.
            env.lent.push((table.g.grads, g_net.arena_len()));
        }
        let g_params = leaves(
            &mut g,
            env,
            "g",
            g_net.params(),
            table.g.params,
            0..usize::MAX,
        );
        let g_states = leaves(
            &mut g,
            env,
            "g",
            g_net.states(),
            table.g.state,
            0..usize::MAX,
        );
        let mut d_states = leaves(
            &mut g,
            env,
            "d",
            d_net.states(),
            table.d.state,
            0..usize::MAX,
        );
        // D's weights are overwritten at the end of stage 0 if this program trains it.
        let until = if kind.trains_d() { 1 } else { usize::MAX };
        let mut d_params = leaves(&mut g, env, "d", d_net.params(), table.d.params, 0..until);
        let outer = g.enter_scope("latents");
        let latents = self.latents(&mut g, env);
        g.restore_scope(outer);
        let forward = |g: &mut Graph, name: &str, net: &Network, tensors: [&[Expr]; 2], x: Expr| {
            // Not within the scope of a penalty that asks for it: a layer has one name.
            let outer = g.current_scope();
            g.restore_scope(Origin::default());
            g.enter_scope(name);
            let made = net.forward(g, tensors[0], tensors[1], x, Mode::Train);
            g.restore_scope(outer);
            made
        };
        let made = forward(&mut g, "g", g_net, [&g_params, &g_states], latents)?;
        let mut stages = vec![];
        if kind.trains_d() {
            let mut stage = Stage::default();
            let outer = g.enter_scope("data");
            let real = self.real(&mut g, env)?;
            g.restore_scope(outer);
            let fake = g.stop_gradient(made.output);
            let on_real = forward(&mut g, "d", d_net, [&d_params, &d_states], real)?;
            d_states = on_real.next_states(&d_states);
            let on_fake = forward(&mut g, "d", d_net, [&d_params, &d_states], fake)?;
            d_states = on_fake.next_states(&d_states);
            let (s_real, s_fake) = (on_real.output, on_fake.output);
            let objective = &config.objective;
            let outer = g.enter_scope("loss_d");
            let mut loss = config.discriminator_loss(&mut g, s_real, s_fake)?;
            for (k, regulariser) in config.regularisers.iter().enumerate() {
                let within = g.enter_scope("interpolation");
                let epsilon = self.interpolation(&mut g, env);
                g.restore_scope(within);
                let mut critic = |g: &mut Graph, x: Expr| {
                    let pass = forward(g, "d", d_net, [&d_params, &d_states], x)?;
                    Ok::<Expr, GanError>(pass.output)
                };
                let samples = Samples {
                    real,
                    fake,
                    epsilon,
                };
                let penalty = regulariser.penalty(&mut g, samples, &mut critic)?;
                loss = g.add(loss, penalty)?;
                let region = table.scalar(table::FIRST_PENALTY + k);
                stage.outputs.push((penalty, region));
            }
            let (d_real, d_fake) = objective.statistics(&mut g, s_real, s_fake)?;
            g.restore_scope(outer);
            let gradients = gradients(&mut g, env, "d", loss, &d_params, table.d.scaler, 0..1)?;
            stage
                .outputs
                .extend(regions(d_net.params(), gradients, table.d.grads));
            stage.outputs.extend([
                (loss, table.scalar(table::LOSS_D)),
                (d_real, table.scalar(table::D_REAL)),
                (d_fake, table.scalar(table::D_FAKE)),
            ]);
            stage.effects = self.after_d.clone();
            stages.push(stage);
        }
        if kind.trains_g() {
            let mut stage = Stage::default();
            if kind.trains_d() {
                d_params = leaves(
                    &mut g,
                    env,
                    "d",
                    d_net.params(),
                    table.d.params,
                    1..usize::MAX,
                );
            }
            let judged = forward(&mut g, "d", d_net, [&d_params, &d_states], made.output)?;
            d_states = judged.next_states(&d_states);
            let outer = g.enter_scope("loss_g");
            let loss = config.objective.generator_loss(&mut g, judged.output)?;
            g.restore_scope(outer);
            let gradients = gradients(
                &mut g,
                env,
                "g",
                loss,
                &g_params,
                table.g.scaler,
                0..usize::MAX,
            )?;
            stage
                .outputs
                .extend(regions(g_net.params(), gradients, table.g.grads));
            stage.outputs.push((loss, table.scalar(table::LOSS_G)));
            stage.effects = self.after_g.clone();
            stages.push(stage);
        }
        if let Some(last) = stages.last_mut() {
            let g_next = made.next_states(&g_states);
            let moved = regions(g_net.states(), g_next, table.g.state).chain(regions(
                d_net.states(),
                d_states,
                table.d.state,
            ));
            last.outputs
                .extend(moved.filter(|(e, _)| g.leaf_id(*e).is_none()));
        }
        Ok((g, stages))
    }

    fn latents(&self, g: &mut Graph, env: &mut Environment) -> Expr {
        let shape = self.model.generator.input_shape(self.config.batch);
        match self.inputs {
            Inputs::Host(host) => input(g, env, "latents", shape, host.latents),
            _ => prior(g, self.config.prior, shape),
        }
    }
    /// Uniform weights between real and generated samples, one per sample.
    fn interpolation(&self, g: &mut Graph, env: &mut Environment) -> Expr {
        let shape = Shape::from([1, self.config.batch]);
        match self.inputs {
            Inputs::Host(host) => input(g, env, "interpolation", shape, host.interpolation),
            _ => g.random_stream(Distribution::Uniform, shape, INTERPOLATION),
        }
    }
    fn real(&self, g: &mut Graph, env: &mut Environment) -> Result<Expr, GanError> {
        let shape = self.model.discriminator.input_shape(self.config.batch);
        Ok(match self.inputs {
            Inputs::Device(sampler) => {
                let source = g.source("data", sampler.shape.clone());
                if let Some(id) = g.source_id(source) {
                    let sampler = Rc::clone(sampler);
                    let make = Box::new(move |region| sampler.effect(region));
                    env.sources.insert(id, make);
                }
                match sampler.shape == shape {
                    true => source,
                    false => self.model.data_to_network(g, source)?,
                }
            }
            Inputs::FixedBatch { data } => input(g, env, "data", shape, *data),
            Inputs::Host(host) => input(g, env, "data", shape, host.data),
        })
    }
}

/// Gradients of the loss. Where it is scaled, only the last differentiation sees the scale: a gradient within the loss (a penalty) is
/// part of the loss itself and stays as it is.
fn gradients(
    g: &mut Graph,
    env: &mut Environment,
    network: &str,
    loss: Expr,
    params: &[Expr],
    scaler: Option<usize>,
    valid: Range<usize>,
) -> Result<Vec<Expr>, GanError> {
    let Some(buffer) = scaler else {
        return Ok(g.gradients(loss, params)?);
    };
    // The state's first element; the end of the stage writes the next one.
    let scale = g.leaf_during(&format!("{network}.loss_scale"), [], valid);
    if let Some(id) = g.leaf_id(scale) {
        env.leaves.insert(id, Region { buffer, offset: 0 });
    }
    let scaled = g.mul(loss, scale)?;
    let gradients = g.gradients(scaled, params)?;
    let unscaled = gradients.into_iter().map(|x| Ok(g.div(x, scale)?));
    unscaled.collect()
}

/// Latents of the prior: N(0, 1), or uniform on [-1, 1).
pub fn prior(g: &mut Graph, prior: Prior, shape: Shape) -> Expr {
    match prior {
        Prior::Normal => g.random_stream(Distribution::Normal, shape, LATENTS),
        Prior::Uniform => {
            let u = g.random_stream(Distribution::Uniform, shape.clone(), LATENTS);
            let two = g.constant(2.0, shape.clone());
            let minus = g.constant(-1.0, shape);
            // Shapes are equal: these cannot fail.
            let scaled = g.mul(u, two).unwrap_or(u);
            g.add(scaled, minus).unwrap_or(scaled)
        }
    }
}

fn input(g: &mut Graph, env: &mut Environment, name: &str, shape: Shape, buffer: usize) -> Expr {
    let leaf = g.leaf(name, shape);
    if let Some(id) = g.leaf_id(leaf) {
        env.leaves.insert(id, Region { buffer, offset: 0 });
    }
    leaf
}

/// Leaves for every tensor of an arena.
pub fn leaves(
    g: &mut Graph,
    env: &mut Environment,
    network: &str,
    specs: &[ParamSpec],
    buffer: usize,
    valid: Range<usize>,
) -> Vec<Expr> {
    specs
        .iter()
        .map(|p| {
            let name = format!("{network}.{}", p.name);
            let leaf = g.leaf_during(&name, p.shape.clone(), valid.clone());
            if let Some(id) = g.leaf_id(leaf) {
                let offset = p.offset;
                env.leaves.insert(id, Region { buffer, offset });
            }
            leaf
        })
        .collect()
}

/// Each tensor's expression with its place in an arena.
fn regions(
    specs: &[ParamSpec],
    values: Vec<Expr>,
    buffer: usize,
) -> impl Iterator<Item = (Expr, Region)> {
    specs.iter().zip(values).map(move |(p, e)| {
        let offset = p.offset;
        (e, Region { buffer, offset })
    })
}
