//! Cross-entropy over classes, stable: log softmax(l)_i = l_i - max l - log sum exp(l - max l).
use super::Result;
use crate::graph::{Expr, Graph};

/// log softmax over axis 0 of logits `[C, N]`.
///
/// # Errors
/// Those of the graph.
pub fn log_softmax(g: &mut Graph, logits: Expr) -> Result<Expr> {
    let total = log_sum_exp(g, logits)?;
    Ok(g.sub(logits, total)?)
}

/// log sum exp over axis 0: `[C, N]` to `[1, N]`. The maximum only shifts: no gradient goes through it.
///
/// # Errors
/// Those of the graph.
pub fn log_sum_exp(g: &mut Graph, logits: Expr) -> Result<Expr> {
    let (classes, batch) = (g.shape(logits)[0], g.shape(logits)[1]);
    let mut largest = g.slice(logits, &[0, 0], &[1, batch])?;
    for class in 1..classes {
        let row = g.slice(logits, &[class, 0], &[1, batch])?;
        largest = g.max(largest, row)?;
    }
    let largest = g.stop_gradient(largest);
    let below = g.sub(logits, largest)?;
    let powers = g.exp(below);
    let sum = g.sum(powers, &[0])?;
    let log = g.log(sum);
    Ok(g.add(log, largest)?)
}

/// Mean over the batch of -sum_c target_c log softmax(logits)_c, for logits and targets `[C, N]`.
///
/// # Errors
/// Those of the graph.
pub fn cross_entropy(g: &mut Graph, logits: Expr, target: Expr) -> Result<Expr> {
    let log = log_softmax(g, logits)?;
    let weighted = g.mul(log, target)?;
    let per_sample = g.sum(weighted, &[0])?;
    let mean = g.mean_all(per_sample)?;
    Ok(g.neg(mean))
}

/// One-hot columns `[C, N]` of classes drawn uniformly by random numbers u `[N]` on [0, 1).
///
/// # Errors
/// Those of the graph.
pub fn uniform_one_hot(g: &mut Graph, u: Expr, classes: usize) -> Result<Expr> {
    let scaled = g.scale(u, classes as f32)?;
    let index = g.floor(scaled);
    Ok(g.one_hot(index, classes)?)
}
