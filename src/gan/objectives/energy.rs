//! EBGAN: D's output is an energy, low on real samples. D minimises E(x) + max(0, m - E(G(z))), G minimises E(G(z)).
//! Zhao et al., arXiv 1609.03126, eq. 1 and 2. D is an auto-encoder and E(x) = ||Dec(Enc(x)) - x||, its reconstruction error.
use super::{Losses, Result, Score, Targets, sum_of_means};
use crate::graph::{Expr, Graph};

pub(super) struct Energy;

impl Losses for Energy {
    fn discriminator(
        &self,
        g: &mut Graph,
        e_real: Expr,
        e_fake: Expr,
        targets: Targets,
    ) -> Result<Expr> {
        let negative = g.neg(e_fake);
        let below = g.shift(negative, targets.margin)?;
        let below = g.relu(below);
        sum_of_means(g, e_real, below)
    }
    fn generator(&self, g: &mut Graph, _: Expr, e_fake: Expr) -> Result<Expr> {
        Ok(g.mean_all(e_fake)?)
    }
    fn score(&self) -> Score {
        Score::Value
    }
}
