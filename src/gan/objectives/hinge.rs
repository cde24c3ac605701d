//! Hinge: D minimises relu(1 - s_r) + relu(1 + s_f), G minimises -s_f.
//! Lim and Ye, arXiv 1705.02894; Miyato et al., arXiv 1802.05957, eq. 16 and 17. D's loss is 2 at the equilibrium.
use super::{Losses, Result, Score, Targets, sum_of_means};
use crate::graph::{Expr, Graph};

pub(super) struct Hinge;

impl Losses for Hinge {
    fn discriminator(&self, g: &mut Graph, s_real: Expr, s_fake: Expr, _: Targets) -> Result<Expr> {
        let negative = g.neg(s_real);
        let margin = g.shift(negative, 1.0)?;
        let on_real = g.relu(margin);
        let margin = g.shift(s_fake, 1.0)?;
        let on_fake = g.relu(margin);
        sum_of_means(g, on_real, on_fake)
    }
    fn generator(&self, g: &mut Graph, _: Expr, s_fake: Expr) -> Result<Expr> {
        let loss = g.neg(s_fake);
        Ok(g.mean_all(loss)?)
    }
    fn score(&self) -> Score {
        Score::Value
    }
}
