//! PacGAN: D sees packs of m samples, which makes a lack of variety visible to it. Lin et al., arXiv 1712.04086, section 2.
use super::Result;
use crate::graph::{Expr, Graph};

/// Packs of `m` neighbours in the batch, concatenated along features or channels: `[F, N]` to `[m F, N / m]`, `[C, N, H, W]` to
/// `[m C, N / m, H, W]`. N is a multiple of m.
///
/// # Errors
/// Those of the graph.
pub fn pack(g: &mut Graph, x: Expr, m: usize) -> Result<Expr> {
    if m == 1 {
        return Ok(x);
    }
    let shape = g.shape(x).to_vec();
    let mut split = vec![shape[0], shape[1] / m, m];
    split.extend(&shape[2..]);
    let split = g.reshape(x, split)?;
    let mut order = vec![2, 0, 1];
    order.extend(3..=shape.len());
    let moved = g.transpose(split, &order)?;
    let mut packed = vec![m * shape[0], shape[1] / m];
    packed.extend(&shape[2..]);
    Ok(g.reshape(moved, packed)?)
}
