//! The networks as they stand in one program, and what they give: samples, verdicts, latents.
use super::programs::leaves;
use super::table::NetworkArenas;
use crate::gan::config::GanConfig;
use crate::gan::methods::{mad, pack, veegan};
use crate::gan::{GanError, Objective, Result};
use crate::graph::plan::Environment;
use crate::graph::{Expr, Graph, Origin};
use crate::nn::{Forward, Given, Mode, Network};
use std::ops::Range;

/// One network within a program: its tensors as they are at this point of it.
#[derive(Clone)]
pub struct Player<'a> {
    pub name: &'static str,
    pub network: &'a Network,
    pub params: Vec<Expr>,
    pub states: Vec<Expr>,
}

impl<'a> Player<'a> {
    /// Its leaves; the parameters are what is meant during these stages.
    pub fn new(
        g: &mut Graph,
        env: &mut Environment,
        name: &'static str,
        network: &'a Network,
        arenas: &NetworkArenas,
        valid: Range<usize>,
    ) -> Player<'a> {
        let params = leaves(g, env, name, network.params(), arenas.params, valid);
        let always = 0..usize::MAX;
        let states = leaves(g, env, name, network.states(), arenas.state, always);
        Player {
            name,
            network,
            params,
            states,
        }
    }

    /// A forward pass that leaves the states alone.
    ///
    /// # Errors
    /// Where the input does not fit.
    pub fn look(&self, g: &mut Graph, given: Given) -> Result<Forward> {
        // Not within the scope of whatever asks for it: a layer has one name.
        let outer = g.current_scope();
        g.restore_scope(Origin::default());
        g.enter_scope(self.name);
        let made = self
            .network
            .forward(g, &self.params, &self.states, given, Mode::Train);
        g.restore_scope(outer);
        Ok(made?)
    }

    /// A forward pass that moves the states, as every call in training does.
    ///
    /// # Errors
    /// Where the input does not fit.
    pub fn pass(&mut self, g: &mut Graph, given: Given) -> Result<Forward> {
        let made = self.look(g, given)?;
        self.states = made.next_states(&self.states);
        Ok(made)
    }
}

/// Samples with what belongs to them.
#[derive(Clone, Copy)]
pub struct Batch {
    /// `[F, N]` or `[C, N, H, W]`.
    pub x: Expr,
    /// `[Z, N]`: what generated samples were made from, codes included.
    pub latents: Option<Expr>,
    /// One-hot `[classes, N]`.
    pub label: Option<Expr>,
}

/// What D says of a batch.
#[derive(Clone, Copy)]
pub struct Verdict {
    /// All of D's output, `[rows, N / pack]`, or a reconstruction.
    pub output: Expr,
    /// What the objective sees, `[1, N / pack]`.
    pub s: Expr,
    /// D's features, for terms on them.
    pub features: Expr,
}

/// What D sees of a batch: packs, or samples with their latents.
///
/// # Errors
/// Where the latents are wanted and there are none.
pub fn seen(g: &mut Graph, config: &GanConfig, batch: &Batch) -> Result<Expr> {
    if config.encoder.is_some_and(|e| e.joint()) {
        let Some(latents) = batch.latents else {
            return Err(GanError::Input(
                "D judges pairs of latents and samples, and these samples have no latents".into(),
            ));
        };
        return veegan::joint(g, batch.x, latents);
    }
    pack::pack(g, batch.x, config.pack)
}

/// The label where D takes it.
fn label_of_d(config: &GanConfig, batch: &Batch) -> Option<Expr> {
    batch.label.filter(|_| config.d_sees_label())
}

/// D's verdict on what it sees; its states move.
///
/// Real and generated samples as one batch (where no layer looks beyond a sample) save a fifth of the dispatches (mlp 54 -> 42, ring8 49 -> 39)
/// and no time on lavapipe (1.0x: mlp, ring8, wgangp28); and WGAN's bias gradients, in which the two nearly cancel, were off by 6e-5
/// where every gradient of two sums is off by 8e-6 at most.
///
/// # Errors
/// Where the samples do not fit D.
pub fn judge(g: &mut Graph, config: &GanConfig, d: &mut Player, batch: &Batch) -> Result<Verdict> {
    let x = seen(g, config, batch)?;
    let given = Given {
        x,
        label: label_of_d(config, batch),
    };
    let made = d.pass(g, given)?;
    Ok(Verdict {
        output: made.output,
        s: logit(g, config, x, made.output)?,
        features: made.features,
    })
}

/// D as a function of what it sees, for penalties on its gradient: `[1, N]`, states left alone. `batch` gives the label.
///
/// # Errors
/// Where the samples do not fit D.
pub fn critic(
    g: &mut Graph,
    config: &GanConfig,
    d: &Player,
    batch: &Batch,
    x: Expr,
) -> Result<Expr> {
    let given = Given {
        x,
        label: label_of_d(config, batch),
    };
    let made = d.look(g, given)?;
    logit(g, config, x, made.output)
}

/// What the objective sees of D's output, `[1, N]`: its first row, the logit of "real" among several makers, or the error of its
/// reconstruction of x.
///
/// # Errors
/// Those of the graph.
pub fn logit(g: &mut Graph, config: &GanConfig, x: Expr, output: Expr) -> Result<Expr> {
    if config.objective == Objective::Energy {
        let off = g.sub(output, x)?;
        let square = g.square(off)?;
        let batch = g.shape(x)[1];
        let axes: Vec<usize> = (0..g.shape(x).rank()).filter(|&axis| axis != 1).collect();
        let sum = g.sum(square, &axes)?;
        let sum = g.reshape(sum, [1, batch])?;
        return Ok(g.guarded_sqrt(sum)?);
    }
    if config.generators > 1 {
        return mad::real_logit(g, output);
    }
    rows(g, output, 0, 1)
}

/// Some rows of D's output `[rows, N]`.
///
/// # Errors
/// Those of the graph.
pub fn rows(g: &mut Graph, output: Expr, first: usize, count: usize) -> Result<Expr> {
    let shape = g.shape(output).to_vec();
    if shape.len() == 2 && first == 0 && shape[0] == count {
        return Ok(output);
    }
    let mut start = vec![0; shape.len()];
    start[0] = first;
    let mut size = shape;
    size[0] = count;
    Ok(g.slice(output, &start, &size)?)
}
