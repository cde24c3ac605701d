//! Mode-regularised GAN: an encoder E maps real samples into G's latents, and G has to give them back and have them taken for real, so
//! that every mode of the data has latents. Che et al., arXiv 1612.02136, eq. in section 3.2:
//! T_G and T_E both hold E_x [lambda_1 d(x, G(E(x))) + lambda_2 log D(G(E(x)))] in the paper's print; what is *minimised* is
//! lambda_1 d - lambda_2 log D, as the text says ("encourages p_g(x_i) to move towards a nearby mode").
use super::Result;
use crate::gan::objectives::Objective;
use crate::graph::{Expr, Graph};

/// lambda_1 d(x, G(E(x))): d is the mean over the batch of the squared Euclidean distance.
///
/// # Errors
/// Those of the graph.
pub fn distance(g: &mut Graph, real: Expr, rebuilt: Expr, weight: f64) -> Result<Expr> {
    let off = g.sub(real, rebuilt)?;
    squared_length(g, off, weight)
}

/// -lambda_2 log D(G(E(x))) = lambda_2 sp(-s), the mean over the batch, from D's outputs `[1, N]`. Under [`Objective::Energy`] they are no
/// logits but energies, low where D takes a sample for real: the term is then the energy, as in G's own loss there.
///
/// # Errors
/// Those of the graph.
pub fn realism(g: &mut Graph, s: Expr, weight: f64, objective: Objective) -> Result<Expr> {
    let loss = match objective {
        Objective::Energy => s,
        _ => {
            let negative = g.neg(s);
            g.softplus(negative)
        }
    };
    let mean = g.mean_all(loss)?;
    Ok(g.scale(mean, weight as f32)?)
}

/// weight times the mean over the batch of ||x_n||^2, for x `[F, N]` or `[C, N, H, W]`.
///
/// # Errors
/// Those of the graph.
pub(super) fn squared_length(g: &mut Graph, x: Expr, weight: f64) -> Result<Expr> {
    let batch = g.shape(x)[1] as f32;
    let square = g.square(x)?;
    let sum = g.sum_all(square)?;
    Ok(g.scale(sum, weight as f32 / batch)?)
}
