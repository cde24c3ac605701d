//! What the samplers build their programs on: both networks in evaluation mode, bound to a pair's weights.
use crate::gan::trainer::Pair;
use crate::gan::trainer::beside::Beside;
use crate::gan::trainer::judge::{score, takes_single_samples};
use crate::gan::trainer::layout::{chunk, from_batch, to_batch};
use crate::gan::trainer::programs::leaves;
use crate::gan::trainer::table::Table;
use crate::gan::{GanConfig, GanError, Result};
use crate::gpu::Dispatch;
use crate::graph::plan::{Environment, Plan, Region, Stage};
use crate::graph::{Expr, Graph, Shape};
use crate::nn::{Mode, Model};

/// A pair whose D judges single samples.
pub struct Stand<'a> {
    pub pair: &'a Pair,
    /// Whether G is taken with the average of its weights.
    average: bool,
    /// Samples per execution.
    pub batch: usize,
}

impl<'a> Stand<'a> {
    /// # Errors
    /// [`GanError::Input`] where D has no output for one sample alone, or there is no D.
    pub fn new(pair: &'a Pair, use_ema: bool) -> Result<Stand<'a>> {
        takes_single_samples(pair.model())?;
        pair.has_discriminator()?;
        let model = pair.model();
        let batch = chunk(model.sample.numel()).next_multiple_of(model.generator.batch_multiple());
        let average = use_ema && pair.config().ema.is_some();
        Ok(Stand {
            pair,
            average,
            batch,
        })
    }
    pub fn model(&self) -> &'a Model {
        self.pair.model()
    }
    pub fn config(&self) -> &'a GanConfig {
        self.pair.config()
    }
    fn table(&self) -> &'a Table {
        self.pair.table()
    }
    /// # Errors
    /// Those of the device.
    pub fn beside(&self) -> Result<Beside> {
        Ok(Beside::new(self.pair.gpu(), self.table())?)
    }
    /// Shape of a batch of latents.
    pub fn latent_shape(&self) -> Shape {
        self.model().generator.input_shape(self.batch)
    }
    /// Shape of a batch of samples, as the networks see them.
    pub fn sample_shape(&self) -> Shape {
        self.model().generator.output_shape(self.batch)
    }
    /// G of latents.
    ///
    /// # Errors
    /// Those of the graph.
    pub fn generate(&self, g: &mut Graph, env: &mut Environment, z: Expr) -> Result<Expr> {
        let (net, table) = (&self.model().generator, self.table());
        let [params, states] = match (self.average, table.ema) {
            (true, Some(ema)) => ema,
            _ => [table.g.params, table.g.state],
        };
        let always = 0..usize::MAX;
        let params = leaves(g, env, "g", net.params(), params, always.clone());
        let states = leaves(g, env, "g", net.states(), states, always);
        Ok(net.forward(g, &params, &states, z, Mode::Eval)?.output)
    }
    /// What the objective sees of D's output on samples as the networks see them, `[1, N]`.
    ///
    /// # Errors
    /// Those of the graph.
    pub fn score(&self, g: &mut Graph, env: &mut Environment, x: Expr) -> Result<Expr> {
        score(g, env, (self.table(), self.model(), self.config()), x)
    }

    /// Scores of samples given row by row.
    ///
    /// # Errors
    /// Those of the device.
    pub fn scores(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let extent = self.model().generator.output();
        let mut beside = self.beside()?;
        let given = beside.push("given samples", self.sample_shape().numel())?;
        let scores = beside.push("scores", self.batch)?;
        let mut env = beside.environment(0);
        let mut g = Graph::new();
        let x = leaf(&mut g, &mut env, "samples", self.sample_shape(), given);
        let s = self.score(&mut g, &mut env, x)?;
        let program = compile(&beside, &g, vec![(s, scores)], vec![], &env)?;
        let mut all = vec![];
        for rows in samples.chunks(self.batch * extent.numel()) {
            beside.write(given, &to_batch(extent, rows, self.batch))?;
            beside.gpu().submit(&program)?;
            all.extend(beside.read(scores, rows.len() / extent.numel())?);
        }
        Ok(all)
    }

    /// # Errors
    /// Those of the device.
    pub fn proposer(&self) -> Result<Proposer<'a>> {
        let mut beside = self.beside()?;
        let latents = beside.push("latents", self.latent_shape().numel())?;
        let samples = beside.push("samples", self.sample_shape().numel())?;
        let scores = beside.push("scores", self.batch)?;
        let mut env = beside.environment(0);
        let mut g = Graph::new();
        let z = leaf(&mut g, &mut env, "latents", self.latent_shape(), latents);
        let x = self.generate(&mut g, &mut env, z)?;
        let s = self.score(&mut g, &mut env, x)?;
        let program = compile(&beside, &g, vec![(x, samples), (s, scores)], vec![], &env)?;
        Ok(Proposer {
            model: self.model(),
            batch: self.batch,
            beside,
            latents,
            samples,
            scores,
            program,
        })
    }
}

/// G, and D on what it makes.
pub struct Proposer<'a> {
    model: &'a Model,
    batch: usize,
    beside: Beside,
    latents: usize,
    samples: usize,
    scores: usize,
    program: Vec<Dispatch>,
}

/// Generated samples, row by row, and what D says of each.
pub struct Proposed {
    pub samples: Vec<f32>,
    pub scores: Vec<f32>,
}

impl Proposer<'_> {
    /// From latents given row by row.
    ///
    /// # Errors
    /// Those of the device.
    pub fn propose(&self, latents: &[f32]) -> Result<Proposed> {
        let (from, to) = (self.model.generator.input(), self.model.generator.output());
        let mut all = Proposed {
            samples: vec![],
            scores: vec![],
        };
        for rows in latents.chunks(self.batch * from.numel()) {
            let count = rows.len() / from.numel();
            self.beside
                .write(self.latents, &to_batch(from, rows, self.batch))?;
            self.beside.gpu().submit(&self.program)?;
            let made = self.beside.read(self.samples, self.batch * to.numel())?;
            all.samples.extend(from_batch(to, &made, self.batch, count));
            all.scores.extend(self.beside.read(self.scores, count)?);
        }
        Ok(all)
    }
}

/// A leaf that lies in a buffer of its own.
pub fn leaf(
    g: &mut Graph,
    env: &mut Environment,
    name: &str,
    shape: impl Into<Shape>,
    buffer: usize,
) -> Expr {
    let leaf = g.leaf(name, shape);
    if let Some(id) = g.leaf_id(leaf) {
        env.leaves.insert(id, Region { buffer, offset: 0 });
    }
    leaf
}

/// A program of one stage whose outputs fill buffers of their own, and then `effects`.
///
/// # Errors
/// Those of the graph and of the device.
pub fn compile(
    beside: &Beside,
    g: &Graph,
    outputs: Vec<(Expr, usize)>,
    effects: Vec<crate::graph::plan::Effect>,
    env: &Environment,
) -> Result<Vec<Dispatch>> {
    let outputs = outputs.into_iter().map(|(e, buffer)| {
        let region = Region { buffer, offset: 0 };
        (e, region)
    });
    let stage = Stage {
        outputs: outputs.collect(),
        effects,
    };
    let plan = Plan::compile(g, &[stage], env)?;
    Ok(beside.bind(&[plan])?.concat())
}

/// # Errors
/// [`GanError::Input`] where a score is NaN or infinite.
pub fn finite(scores: &[f32]) -> Result<()> {
    match scores.iter().find(|s| !s.is_finite()) {
        Some(s) => Err(GanError::Input(format!(
            "the discriminator's output on a sample is {s}: the run has diverged; take an earlier checkpoint"
        ))),
        None => Ok(()),
    }
}
