//! VEEGAN: a reconstructor F maps samples to latents, D tells pairs (F(x), x) from pairs (z, G(z)), and F(G(z)) has to be z; a mode that G
//! leaves out is one that F sends to latents which G maps elsewhere. Srivastava et al., arXiv 1705.07761, eq. 4 and algorithm 1.
use super::Result;
use super::mrgan::squared_length;
use crate::graph::{Expr, Graph, Shape};

/// The pair as one input of D: latents `[Z, N]` behind the features `[F, N]`, or as constant maps behind the channels `[C, N, H, W]`.
///
/// # Errors
/// Those of the graph.
pub fn joint(g: &mut Graph, x: Expr, latents: Expr) -> Result<Expr> {
    let shape = g.shape(x).to_vec();
    let width = g.shape(latents)[0];
    let latents = match shape[..] {
        [_, batch, height, width_px] => {
            let column = g.reshape(latents, [width, batch, 1, 1])?;
            g.expand(column, &Shape::from([width, batch, height, width_px]))?
        }
        _ => latents,
    };
    Ok(g.concat(&[x, latents], 0)?)
}

/// What G minimises of D's logits on its pairs: algorithm 1 takes the mean logit itself, the log ratio of the two joint densities.
///
/// # Errors
/// Those of the graph.
pub fn generator_loss(g: &mut Graph, s_fake: Expr) -> Result<Expr> {
    let negative = g.neg(s_fake);
    Ok(g.mean_all(negative)?)
}

/// weight E ||z - F(G(z))||^2, the reconstruction in latent space.
///
/// # Errors
/// Those of the graph.
pub fn reconstruction(g: &mut Graph, latents: Expr, rebuilt: Expr, weight: f64) -> Result<Expr> {
    let off = g.sub(latents, rebuilt)?;
    squared_length(g, off, weight)
}
