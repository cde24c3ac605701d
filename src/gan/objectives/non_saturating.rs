//! Non-saturating: D as in minimax, G minimises sp(-s_f) = -log D(G(z)), whose gradient -sigmoid(-s_f) is largest where D is
//! sure of generated samples. Goodfellow et al., arXiv 1406.2661, section 3.
use super::{Losses, Result, Score, Targets, cross_entropy};
use crate::graph::{Expr, Graph};

pub(super) struct NonSaturating;

impl Losses for NonSaturating {
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
        let negative = g.neg(s_fake);
        let loss = g.softplus(negative);
        Ok(g.mean_all(loss)?)
    }
    fn score(&self) -> Score {
        Score::Probability
    }
    fn has_target(&self) -> bool {
        true
    }
}
