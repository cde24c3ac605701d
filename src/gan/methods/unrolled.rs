//! Unrolled GAN: G's loss is taken through K more updates of D, and G differentiates through all of them.
//! Metz et al., arXiv 1611.02163, eq. 7 to 10: theta_D^{k+1} = theta_D^k - update(theta_D^k), f_K(theta_G) = f(theta_G, theta_D^K).
//!
//! f is the value of the game, which G and D share: with an objective of that kind (minimax, WGAN) G minimises minus D's whole loss at
//! theta_D^K, the part on real samples included. That part has no gradient in the plain game, but has one through D's updates: leaving
//! modes out makes D's next updates better on real samples, and so costs G. The other objectives (non-saturating, hinge, ..) have a loss
//! of G's own, which is taken at theta_D^K as it is; it lacks that part, and unrolling it is no cure: non-saturating on the grid of 25
//! Gaussians, K = 5, Adam at 1e-3, spread over all modes at first and fell into one by 9,000 steps.
//!
//! The updates are those that D's own optimiser would make, on the same batch: plain gradient steps, or Adam from its present moments, as in
//! the authors' notebook, with its moments differentiated through too. D's weights are not changed by them. The control arm
//! (`first_order`) makes the same updates and lets no gradient through: it has D's foresight without what G can do to it.
use super::{GanError, Result};
use crate::gan::config::Optimiser;
use crate::graph::{Expr, Graph};
use serde::{Deserialize, Serialize};

/// The unrolling, as a setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unroll {
    /// K; 0 is the plain game.
    pub steps: usize,
    /// Rate of the unrolled updates; D's own where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// The control arm: no gradient through the updates.
    #[serde(default)]
    pub first_order: bool,
}

/// Where D's optimiser stands before the first unrolled update.
pub struct Standing {
    pub params: Vec<Expr>,
    /// First and second moments per parameter, for optimisers that have them.
    pub moments: [Vec<Expr>; 2],
    /// Updates made so far, a scalar.
    pub updates: Expr,
}

/// D's parameters after the unrolled updates; `loss` is D's loss at given parameters.
///
/// # Errors
/// [`GanError::Setting`] for an optimiser that cannot be unrolled; those of the loss.
pub fn unrolled(
    g: &mut Graph,
    unroll: &Unroll,
    optimiser: &Optimiser,
    from: Standing,
    loss: &mut dyn FnMut(&mut Graph, &[Expr]) -> Result<Expr>,
) -> Result<Vec<Expr>> {
    let Standing {
        mut params,
        moments: [mut first, mut second],
        updates,
    } = from;
    let lr = unroll.lr.unwrap_or(optimiser.lr()) as f32;
    for k in 0..unroll.steps {
        let value = loss(g, &params)?;
        let gradients = g.gradients(value, &params)?;
        match *optimiser {
            Optimiser::Sgd(sgd) if sgd.momentum == 0.0 => {
                for (p, gradient) in params.iter_mut().zip(gradients) {
                    let step = g.scale(gradient, lr)?;
                    *p = g.sub(*p, step)?;
                }
            }
            Optimiser::Adam(adam) => {
                let t = g.shift(updates, k as f32 + 1.0)?;
                let correction1 = bias_correction(g, adam.beta1, t)?;
                let correction2 = bias_correction(g, adam.beta2, t)?;
                for (i, gradient) in gradients.into_iter().enumerate() {
                    first[i] = average(g, first[i], gradient, adam.beta1)?;
                    let square = g.square(gradient)?;
                    second[i] = average(g, second[i], square, adam.beta2)?;
                    let mean = g.div(first[i], correction1)?;
                    let mean_square = g.div(second[i], correction2)?;
                    let root = g.guarded_sqrt(mean_square)?;
                    let root = g.shift(root, adam.eps as f32)?;
                    let step = g.div(mean, root)?;
                    let step = g.scale(step, lr)?;
                    params[i] = g.sub(params[i], step)?;
                }
            }
            _ => return Err(cannot_unroll(optimiser)),
        }
        if unroll.first_order {
            for tensors in [&mut params, &mut first, &mut second] {
                for e in tensors.iter_mut() {
                    *e = g.stop_gradient(*e);
                }
            }
        }
    }
    Ok(params)
}

/// Why this optimiser is not unrolled.
pub(crate) fn cannot_unroll(optimiser: &Optimiser) -> GanError {
    GanError::Setting {
        field: "unroll".into(),
        expected: "adam, or sgd without momentum, as D's optimiser: those are the updates that are unrolled"
            .into(),
        got: optimiser.name().into(),
    }
}

/// Whether [`unrolled`] knows the optimiser.
pub(crate) fn can_unroll(optimiser: &Optimiser) -> bool {
    match optimiser {
        Optimiser::Adam(_) => true,
        Optimiser::Sgd(sgd) => sgd.momentum == 0.0,
        Optimiser::Rmsprop(_) => false,
    }
}

/// beta old + (1 - beta) new
fn average(g: &mut Graph, old: Expr, new: Expr, beta: f64) -> Result<Expr> {
    let old = g.scale(old, beta as f32)?;
    let new = g.scale(new, (1.0 - beta) as f32)?;
    Ok(g.add(old, new)?)
}

/// 1 - beta^t
fn bias_correction(g: &mut Graph, beta: f64, t: Expr) -> Result<Expr> {
    if beta == 0.0 {
        return Ok(g.scalar(1.0));
    }
    let exponent = g.scale(t, beta.ln() as f32)?;
    let power = g.exp(exponent);
    let negative = g.neg(power);
    Ok(g.shift(negative, 1.0)?)
}
