//! RaGAN: each side against the mean of the other. D minimises 1/2 [sp(-(s_r - mean s_f)) + sp(s_f - mean s_r)], G the same with the sides
//! swapped. Jolicoeur-Martineau, arXiv 1807.00734, eq. 5 to 8 (RaSGAN), halved as in the author's code. log 2 at the equilibrium.
use super::{Losses, Result, Score, Targets, sum_of_means};
use crate::graph::{Expr, Graph};

pub(super) struct RelativisticAverage;

/// 1/2 [mean sp(-(a - mean b)) + mean sp(b - mean a)]
fn loss(g: &mut Graph, a: Expr, b: Expr) -> Result<Expr> {
    let (mean_a, mean_b) = (g.mean_all(a)?, g.mean_all(b)?);
    let behind = g.sub(mean_b, a)?;
    let ahead = g.sub(b, mean_a)?;
    let (behind, ahead) = (g.softplus(behind), g.softplus(ahead));
    let sum = sum_of_means(g, behind, ahead)?;
    Ok(g.scale(sum, 0.5)?)
}

impl Losses for RelativisticAverage {
    fn discriminator(&self, g: &mut Graph, s_real: Expr, s_fake: Expr, _: Targets) -> Result<Expr> {
        loss(g, s_real, s_fake)
    }
    fn generator(&self, g: &mut Graph, s_real: Expr, s_fake: Expr) -> Result<Expr> {
        loss(g, s_fake, s_real)
    }
    fn score(&self) -> Score {
        Score::Value
    }
    fn generator_sees_real(&self) -> bool {
        true
    }
}
