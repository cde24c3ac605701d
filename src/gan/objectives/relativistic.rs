//! RpGAN: D minimises sp(-(s_r - s_f)), G minimises sp(-(s_f - s_r)): is this real sample more realistic than that generated one?
//! Jolicoeur-Martineau, arXiv 1807.00734, eq. 3 and 4 with f1 = softplus(-.). Both losses are log 2 at the equilibrium. With R1 and R2 it
//! is the objective of R3GAN (arXiv 2501.05441), which has a local convergence proof and no modes to hide in: each real sample has
//! a generated one that it is compared with.
use super::{Losses, Result, Score, Targets, paired};
use crate::graph::{Expr, Graph};

pub(super) struct Relativistic;

/// Mean of sp(-(a - b)).
fn loss(g: &mut Graph, a: Expr, b: Expr) -> Result<Expr> {
    let behind = paired(g, "relativistic loss", b, a)?;
    let loss = g.softplus(behind);
    Ok(g.mean_all(loss)?)
}

impl Losses for Relativistic {
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
