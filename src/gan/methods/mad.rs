//! MAD-GAN: K generators behind a shared trunk, and a D that says which of them made a sample, or that it is real.
//! Ghosh et al., arXiv 1704.02906, section 3: D is a softmax over K + 1 classes; G tries to be taken for real.
//!
//! Row 0 of D's output is "real", row 1 + k is "made by generator k"; sample n of a batch is made by generator n mod K.
use super::Result;
use super::classes::{cross_entropy, log_sum_exp};
use crate::gan::Objective;
use crate::graph::{Expr, Graph};

/// One-hot columns `[K + 1, N]` of who made each generated sample.
///
/// # Errors
/// Those of the graph.
pub fn makers(g: &mut Graph, generators: usize, batch: usize) -> Result<Expr> {
    let n = g.iota([batch], 0)?;
    // n mod K + 1 in whole numbers below 2^24, exactly: the half keeps the quotient off the edge.
    let shifted = g.shift(n, 0.5)?;
    let quotient = g.scale(shifted, 1.0 / generators as f32)?;
    let quotient = g.floor(quotient);
    let back = g.scale(quotient, generators as f32)?;
    let rest = g.sub(n, back)?;
    let class = g.shift(rest, 1.0)?;
    Ok(g.one_hot(class, generators + 1)?)
}

/// Mean -log p(real | x) + mean -log p(generator k | G_k(z)), eq. 4, from outputs `[K + 1, N]`.
///
/// # Errors
/// Those of the graph.
pub fn discriminator_loss(g: &mut Graph, on_real: Expr, on_fake: Expr) -> Result<Expr> {
    let (rows, batch) = (g.shape(on_fake)[0], g.shape(on_fake)[1]);
    let real = is_real(g, on_real)?;
    let makers = makers(g, rows - 1, batch)?;
    let (real, fake) = (
        cross_entropy(g, on_real, real)?,
        cross_entropy(g, on_fake, makers)?,
    );
    Ok(g.add(real, fake)?)
}

/// What G minimises: the plain objective's loss of the logit of "real".
///
/// # Errors
/// Those of the graph.
pub fn generator_loss(g: &mut Graph, objective: Objective, on_fake: Expr) -> Result<Expr> {
    let s = real_logit(g, on_fake)?;
    objective.generator_loss(g, None, s)
}

/// log p(real) - log(1 - p(real)), `[1, N]`: the logit of a D with two answers that believes the same.
///
/// # Errors
/// Those of the graph.
pub fn real_logit(g: &mut Graph, output: Expr) -> Result<Expr> {
    let (rows, batch) = (g.shape(output)[0], g.shape(output)[1]);
    let real = g.slice(output, &[0, 0], &[1, batch])?;
    let others = g.slice(output, &[1, 0], &[rows - 1, batch])?;
    let others = log_sum_exp(g, others)?;
    Ok(g.sub(real, others)?)
}

fn is_real(g: &mut Graph, output: Expr) -> Result<Expr> {
    let (rows, batch) = (g.shape(output)[0], g.shape(output)[1]);
    let zeros = g.constant(0.0, [batch]);
    Ok(g.one_hot(zeros, rows)?)
}
