//! WGAN: D minimises s_f - s_r, minus an estimate of the Wasserstein-1 distance where the critic is 1-Lipschitz; G minimises -s_f.
//! Arjovsky et al., arXiv 1701.07875, eq. 2. The constraint is a clip of the weights or a gradient penalty.
use super::{Losses, Result, Score, Targets};
use crate::graph::{Expr, Graph};

pub(super) struct Wgan;

impl Losses for Wgan {
    fn discriminator(&self, g: &mut Graph, s_real: Expr, s_fake: Expr, _: Targets) -> Result<Expr> {
        let (real, fake) = (g.mean_all(s_real)?, g.mean_all(s_fake)?);
        Ok(g.sub(fake, real)?)
    }
    fn generator(&self, g: &mut Graph, _: Expr, s_fake: Expr) -> Result<Expr> {
        let loss = g.neg(s_fake);
        Ok(g.mean_all(loss)?)
    }
    fn zero_sum(&self) -> bool {
        true
    }
    fn score(&self) -> Score {
        Score::Value
    }
}
