//! Minimax: D minimises sp(-s_r) + sp(s_f) = -log D(x) - log(1 - D(G(z))), G minimises -sp(s_f) = log(1 - D(G(z))).
//! Goodfellow et al., arXiv 1406.2661, eq. 1. Where D is sure of generated samples, G's gradient sigmoid(s_f) vanishes.
use super::{Losses, Result, Score, Targets, cross_entropy};
use crate::graph::{Expr, Graph};

pub(super) struct Minimax;

impl Losses for Minimax {
    fn discriminator(
        &self,
        g: &mut Graph,
        s_real: Expr,
        s_fake: Expr,
        targets: Targets,
    ) -> Result<Expr> {
        cross_entropy(g, s_real, s_fake, targets.real)
    }
    fn generator(&self, g: &mut Graph, _: Expr, s_fake: Expr) -> Result<Expr> {
        let s = g.softplus(s_fake);
        let loss = g.neg(s);
        Ok(g.mean_all(loss)?)
    }
    fn zero_sum(&self) -> bool {
        true
    }
    fn score(&self) -> Score {
        Score::Probability
    }
    fn has_target(&self) -> bool {
        true
    }
}
