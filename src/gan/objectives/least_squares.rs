//! Least squares: D minimises 1/2 (s_r - b)^2 + 1/2 (s_f - a)^2, G minimises 1/2 (s_f - c)^2; a = 0, b = c = 1.
//! Mao et al., arXiv 1611.04076, eq. 2 and 9. The best D is s* = p / (p + q), 1/2 at the equilibrium.
use super::{Losses, Result, Score, Targets, sum_of_means};
use crate::graph::{Expr, Graph};

pub(super) struct LeastSquares;

fn half_square(g: &mut Graph, s: Expr, target: f32) -> Result<Expr> {
    let off = g.shift(s, -target)?;
    let square = g.square(off)?;
    Ok(g.scale(square, 0.5)?)
}

impl Losses for LeastSquares {
    fn discriminator(
        &self,
        g: &mut Graph,
        s_real: Expr,
        s_fake: Expr,
        targets: Targets,
    ) -> Result<Expr> {
        let on_real = half_square(g, s_real, targets.real)?;
        let on_fake = half_square(g, s_fake, 0.0)?;
        sum_of_means(g, on_real, on_fake)
    }
    fn generator(&self, g: &mut Graph, _: Expr, s_fake: Expr) -> Result<Expr> {
        let loss = half_square(g, s_fake, 1.0)?;
        Ok(g.mean_all(loss)?)
    }
    // s regresses the label itself: no sigmoid.
    fn score(&self) -> Score {
        Score::Value
    }
    fn has_target(&self) -> bool {
        true
    }
}
