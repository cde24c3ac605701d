//! EBGAN's pulling-away term on G: 1/(N (N - 1)) sum_{i != j} cos^2(S_i, S_j) of the codes S of a batch of generated samples.
//! Zhao et al., arXiv 1609.03126, eq. 4. The cosine is squared, and the samples themselves are not in the sum.
use super::Result;
use crate::graph::{Expr, Graph};

/// The term, a scalar, of codes `[F, N]` or `[C, N, H, W]`.
///
/// # Errors
/// Those of the graph.
pub fn term(g: &mut Graph, codes: Expr) -> Result<Expr> {
    let codes = crate::nn::layers::flatten(g, codes)?;
    let batch = g.shape(codes)[1];
    let square = g.square(codes)?;
    let length = g.sum(square, &[0])?;
    // A code of zeros has no direction.
    let length = g.guarded_sqrt(length)?;
    let unit = g.div(codes, length)?;
    let cosines = g.matmul_t(unit, unit, true, false)?;
    let squares = g.square(cosines)?;
    let sum = g.sum_all(squares)?;
    // Of each sample with itself: 1, or 0 for a code of zeros. Taken from the lengths, so that nothing is left of it.
    let own = g.square(unit)?;
    let own = g.sum(own, &[0])?;
    let own = g.square(own)?;
    let own = g.sum_all(own)?;
    let pairs = g.sub(sum, own)?;
    Ok(g.scale(pairs, 1.0 / (batch * (batch - 1)).max(1) as f32)?)
}
