//! The adversarial loop as graphs: one program for a discriminator update, one for a generator update, and one for both on the same
//! generated batch (G runs forward once, as the tutorials do).
use super::players::{Batch, Player};
use super::source::{HostBuffers, Sampler};
use super::table::{self, Table};
use crate::gan::GanError;
use crate::gan::config::{ExtraScalar, GanConfig, Prior, Updates};
use crate::gan::methods::classes::uniform_one_hot;
use crate::graph::plan::{Effect, Environment, Region, Stage};
use crate::graph::{Distribution, Expr, Graph, Shape};
use crate::kernels::density;
use crate::kernels::random_source::RandomSource;
use crate::nn::{Given, Model, ParamSpec};
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
    /// True if the program draws a real batch.
    pub fn draws_real(self, config: &GanConfig) -> bool {
        self.trains_d() || config.generator_sees_real()
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
const LABELS: u32 = 3;
const CATEGORY: u32 = 4;
const CODES: u32 = 5;

/// The networks of one program.
pub(super) struct Players<'a> {
    pub g: Player<'a>,
    pub d: Player<'a>,
    pub e: Option<Player<'a>>,
}

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
        if kind == Kind::Both {
            // G's old gradients are nobody's while D is trained.
            let lent = overwritten(model.generator.params());
            env.lent.push((table.g.grads, lent));
        }
        let simultaneous = kind == Kind::Both && config.updates == Updates::Simultaneous;
        // D's weights are overwritten at the end of stage 0 if this program trains it.
        let until = if kind.trains_d() { 1 } else { usize::MAX };
        let always = 0..usize::MAX;
        let made_by = (&model.generator, &table.g);
        let mut players = Players {
            g: Player::new(&mut g, env, "g", made_by.0, made_by.1, always.clone()),
            d: Player::new(&mut g, env, "d", &model.discriminator, &table.d, 0..until),
            e: None,
        };
        if let (Some(network), Some(arenas)) = (&model.encoder, &table.e) {
            players.e = Some(Player::new(&mut g, env, "e", network, arenas, always));
        }
        let real = self.real_batch(kind, &mut g, env)?;
        let fake = self.generate(&mut g, env, &mut players.g, real.as_ref())?;
        let mut stages = vec![];
        if kind.trains_d() {
            let Some(real) = &real else {
                return Err(GanError::Input("D's update without real samples".into()));
            };
            let mut stage = Stage::default();
            let detached = Batch {
                x: g.stop_gradient(fake.x),
                ..fake
            };
            let sides = [real, &detached];
            let (loss, [on_real, on_fake]) =
                self.discriminator_loss(&mut g, env, &mut players, sides)?;
            let params = players.d.params.clone();
            let gradients = gradients(&mut g, env, "d", loss.value, &params, table.d.scaler, 0..1)?;
            self.report(&mut g, &mut stage, loss.terms, &gradients, true)?;
            stage.outputs.extend(regions(
                model.discriminator.params(),
                gradients,
                table.d.grads,
            ));
            stage.outputs.extend([
                (loss.value, table.scalar(table::LOSS_D)),
                (on_real, table.scalar(table::D_REAL)),
                (on_fake, table.scalar(table::D_FAKE)),
            ]);
            stage.effects = self.after_d.clone();
            stages.push(stage);
        }
        if kind.trains_g() {
            let mut stage = match simultaneous {
                true => stages.pop().unwrap_or_default(),
                false => Stage::default(),
            };
            if kind.trains_d() && !simultaneous {
                let (net, buffer) = (&model.discriminator, table.d.params);
                let after = 1..usize::MAX;
                players.d.params = leaves(&mut g, env, "d", net.params(), buffer, after);
            }
            let loss =
                self.generator_loss(&mut g, env, kind, &mut players, real.as_ref(), &fake)?;
            let own = players.g.params.len();
            let mut params = players.g.params.clone();
            params.extend(players.e.iter().flat_map(|e| e.params.iter().copied()));
            let valid = 0..usize::MAX;
            let scaler = table.g.scaler;
            let mut gradients = gradients(&mut g, env, "g", loss.value, &params, scaler, valid)?;
            self.report(&mut g, &mut stage, loss.terms, &gradients[..own], false)?;
            let encoder = gradients.split_off(own);
            stage
                .outputs
                .extend(regions(model.generator.params(), gradients, table.g.grads));
            if let (Some(network), Some(arenas)) = (&model.encoder, &table.e) {
                stage
                    .outputs
                    .extend(regions(network.params(), encoder, arenas.grads));
            }
            stage
                .outputs
                .push((loss.value, table.scalar(table::LOSS_G)));
            stage.effects.extend(self.after_g.iter().cloned());
            stages.push(stage);
        }
        if let Some(last) = stages.last_mut() {
            let Players { g: made, d, e } = players;
            let mut moved = vec![(made, table.g.state), (d, table.d.state)];
            moved.extend(e.zip(table.e).map(|(e, arenas)| (e, arenas.state)));
            for (player, buffer) in moved {
                let next = regions(player.network.states(), player.states, buffer);
                last.outputs
                    .extend(next.filter(|(e, _)| g.leaf_id(*e).is_none()));
            }
        }
        Ok((g, stages))
    }

    /// Real samples with their labels, where this program looks at any.
    fn real_batch(
        &self,
        kind: Kind,
        g: &mut Graph,
        env: &mut Environment,
    ) -> Result<Option<Batch>, GanError> {
        if !kind.draws_real(self.config) {
            return Ok(None);
        }
        let outer = g.enter_scope("data");
        let x = self.real(g, env)?;
        let label = match self.config.conditional {
            Some(c) => Some(self.real_labels(g, env, c.classes)?),
            None => None,
        };
        g.restore_scope(outer);
        Ok(Some(Batch {
            x,
            latents: None,
            label,
        }))
    }

    /// Generated samples; their labels are those of the real ones, or drawn where there are none.
    fn generate(
        &self,
        g: &mut Graph,
        env: &mut Environment,
        generator: &mut Player,
        real: Option<&Batch>,
    ) -> Result<Batch, GanError> {
        let outer = g.enter_scope("latents");
        let latents = self.latents(g, env)?;
        let label = match (self.config.conditional, real.and_then(|r| r.label)) {
            (None, _) => None,
            (Some(_), Some(label)) => Some(label),
            (Some(c), None) => {
                let shape = [self.config.batch];
                let u = g.random_stream(Distribution::Uniform, shape, LABELS);
                Some(uniform_one_hot(g, u, c.classes)?)
            }
        };
        g.restore_scope(outer);
        let made = generator.pass(g, Given { x: latents, label })?;
        Ok(Batch {
            x: made.output,
            latents: Some(latents),
            label,
        })
    }

    /// The named terms of a loss and, where they are asked for, the norm of its gradients.
    fn report(
        &self,
        g: &mut Graph,
        stage: &mut Stage,
        mut terms: Vec<(&'static str, Expr)>,
        gradients: &[Expr],
        by_d: bool,
    ) -> Result<(), GanError> {
        if self.config.gradient_norms {
            let name = if by_d { "grad_norm_d" } else { "grad_norm_g" };
            terms.push((name, norm(g, gradients)?));
        }
        let scalars = self.config.extra_scalars();
        for (name, value) in terms {
            let own = |s: &ExtraScalar| s.by_d == by_d && s.name == name;
            if let Some(k) = scalars.iter().position(own) {
                let region = self.table.scalar(table::FIRST_EXTRA + k);
                stage.outputs.push((value, region));
            }
        }
        Ok(())
    }

    /// `[noise; categorical; continuous]`, the codes only where there are any.
    fn latents(&self, g: &mut Graph, env: &mut Environment) -> Result<Expr, GanError> {
        let batch = self.config.batch;
        let shape = self.model.generator.input_shape(batch);
        if let Inputs::Host(host) = self.inputs {
            return Ok(input(g, env, "latents", shape, host.latents));
        }
        let Some(info) = self.config.info else {
            return Ok(prior(g, env, self.config.prior, shape));
        };
        let noise = shape[0].saturating_sub(info.width());
        let mut parts = vec![];
        if noise > 0 {
            parts.push(prior(g, env, self.config.prior, [noise, batch].into()));
        }
        if info.categorical > 0 {
            let u = g.random_stream(Distribution::Uniform, [batch], CATEGORY);
            parts.push(uniform_one_hot(g, u, info.categorical)?);
        }
        if info.continuous > 0 {
            let u = g.random_stream(Distribution::Uniform, [info.continuous, batch], CODES);
            let scaled = g.scale(u, 2.0)?;
            parts.push(g.shift(scaled, -1.0)?);
        }
        Ok(g.concat(&parts, 0)?)
    }
    /// The labels of the real batch, one-hot `[classes, N]`.
    fn real_labels(
        &self,
        g: &mut Graph,
        env: &mut Environment,
        classes: usize,
    ) -> Result<Expr, GanError> {
        let shape = Shape::from([self.config.batch]);
        let labels = match self.inputs {
            Inputs::Device(sampler) => {
                let source = g.source("labels", shape);
                if let Some(id) = g.source_id(source) {
                    let sampler = Rc::clone(sampler);
                    let make = Box::new(move |region| sampler.label_effect(region));
                    env.sources.insert(id, make);
                }
                source
            }
            Inputs::Host(host) => input(g, env, "labels", shape, host.labels),
            Inputs::FixedBatch { .. } => {
                return Err(GanError::Input(
                    "a fixed batch has no labels, which a conditional method needs".into(),
                ));
            }
        };
        Ok(g.one_hot(labels, classes)?)
    }
    /// Uniform weights between real and generated samples, one per pack.
    pub(super) fn interpolation(&self, g: &mut Graph, env: &mut Environment) -> Expr {
        let shape = Shape::from([1, self.config.batch / self.config.pack]);
        match self.inputs {
            Inputs::Host(host) => input(g, env, "interpolation", shape, host.interpolation),
            _ => g.random_stream(Distribution::Uniform, shape, INTERPOLATION),
        }
    }
    fn real(&self, g: &mut Graph, env: &mut Environment) -> Result<Expr, GanError> {
        let shape = self.model.generator.output_shape(self.config.batch);
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

/// Euclidean norm of all gradients together.
fn norm(g: &mut Graph, gradients: &[Expr]) -> Result<Expr, GanError> {
    let mut total = g.scalar(0.0);
    for &gradient in gradients {
        let square = g.square(gradient)?;
        let sum = g.sum_all(square)?;
        total = g.add(total, sum)?;
    }
    Ok(g.sqrt(total))
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

/// Latents of the prior: N(0, 1), uniform on [-1, 1), or a named density that a kernel of its own draws.
pub fn prior(g: &mut Graph, env: &mut Environment, prior: Prior, shape: Shape) -> Expr {
    if let Some(drawn) = prior.density() {
        let numbers = shape.numel() as u64;
        let params = density::Params {
            density: drawn,
            n: numbers as u32,
            random: RandomSource {
                seed: env.seed,
                stream: LATENTS,
                counter_index: env.execution_counter as u32,
            },
            out_offset: 0,
        };
        let (caps, counters) = (env.target.caps.clone(), env.counters);
        let make = move |region: Region| {
            let params = density::Params {
                out_offset: region.offset as u32,
                ..params
            };
            let kernel = density::kernel(&caps, drawn.usual_method(), &params);
            Ok(Effect {
                kernel: kernel.map_err(|e| e.to_string())?,
                buffers: vec![counters, region.buffer],
                scope: "latents",
                bytes: 4 * numbers,
            })
        };
        let source = g.source("latents", shape);
        if let Some(id) = g.source_id(source) {
            env.sources.insert(id, Box::new(make));
        }
        return source;
    }
    match prior {
        Prior::Uniform => {
            let u = g.random_stream(Distribution::Uniform, shape.clone(), LATENTS);
            let two = g.constant(2.0, shape.clone());
            let minus = g.constant(-1.0, shape);
            // Shapes are equal: these cannot fail.
            let scaled = g.mul(u, two).unwrap_or(u);
            g.add(scaled, minus).unwrap_or(scaled)
        }
        _ => g.random_stream(Distribution::Normal, shape, LATENTS),
    }
}

fn input(g: &mut Graph, env: &mut Environment, name: &str, shape: Shape, buffer: usize) -> Expr {
    let leaf = g.leaf(name, shape);
    if let Some(id) = g.leaf_id(leaf) {
        env.leaves.insert(id, Region { buffer, offset: 0 });
    }
    leaf
}

/// How many elements from an arena's start are overwritten, all of them, when each of its tensors is. Padding is not, and has to stay 0:
/// optimisers, moving averages and the check for what is not finite go over it too.
fn overwritten(specs: &[ParamSpec]) -> usize {
    let padded = |p: &&ParamSpec| !p.shape.numel().is_multiple_of(4);
    let last = specs.iter().find(padded).or(specs.last());
    // Temporaries take whole vectors of four.
    last.map_or(0, |p| (p.offset + p.shape.numel()) / 4 * 4)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::trainer::{Data, Trainer};
    use crate::gpu::testing::{gpu, read_f32};
    use crate::graph::plan::Target;
    use crate::nn::ModelSpec;

    /// A G of these layers for points, and a D whose activations take 72 floats for each.
    fn model(layers: &str) -> Model {
        let text = format!(
            "[generator]\ninput = {{ features = 8 }}\nlayer = [{layers}]\n\
             [discriminator]\ninput = {{ features = 2 }}\nlayer = [{{ type = \"linear\", out = 72 }}, \
             {{ type = \"tanh\" }}, {{ type = \"linear\", out = 1 }}]"
        );
        ModelSpec::from_toml("padded", &text)
            .unwrap()
            .build()
            .unwrap()
    }

    fn two_layers(hidden: usize) -> Model {
        model(&format!(
            "{{ type = \"linear\", out = {hidden} }}, {{ type = \"tanh\" }}, {{ type = \"linear\", out = 2 }}"
        ))
    }

    #[test]
    fn padding_is_not_lent() {
        let lent = |model: Model| overwritten(model.generator.params());
        // Weights, their biases, weights: the last bias is padded.
        assert_eq!(lent(two_layers(64)), 512 + 64 + 128);
        // The first bias is, and what lies behind it is not lent.
        assert_eq!(lent(two_layers(6)), 48 + 4);
        let whole = model("{ type = \"linear\", out = 2, bias = false }");
        assert_eq!(lent(whole), 16);
        assert_eq!(overwritten(&[]), 0);
    }

    /// D's activations, 72 by 64, are longer than what lies before the first padding, of a bias of 510, and shorter than the arena.
    #[test]
    fn padding_stays_zero() {
        let gpu = gpu();
        let model = two_layers(510);
        let params = model.generator.params().to_vec();
        let sgd = "{ name = \"sgd\", lr = 0.1 }";
        let text = format!(
            "objective = \"non_saturating\"\nbatch = 64\n[optimiser]\nd = {sgd}\ng = {sgd}\n"
        );
        let config = GanConfig::from_toml("padded", &text).unwrap();
        let data = Data::FixedBatch((0..128).map(|i| (i as f32).sin()).collect());
        let target = Target::of(gpu.caps());
        let mut trainer = Trainer::with_target(&gpu, &target, model, config, data, 0).unwrap();
        trainer.step_block(3).unwrap();
        let table = &trainer.table;
        for buffer in [table.g.grads, table.g.params] {
            let values = read_f32(&gpu, &table.buffers[buffer]);
            let padding = params.iter().flat_map(|p| {
                let end = p.offset + p.shape.numel();
                &values[end..end.next_multiple_of(4)]
            });
            let padding: Vec<f32> = padding.copied().collect();
            assert_eq!(padding, [0.0; 4]);
            assert!(values.iter().any(|&v| v != 0.0));
        }
    }
}
