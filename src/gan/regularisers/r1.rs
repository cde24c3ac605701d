//! R1: gamma/2 E ||grad D(x)||^2 on real samples. Mescheder et al., arXiv 1801.04406, eq. 9; `weight` is gamma (their code's
//! `reg_param` leaves out the 1/2 and is gamma/2).
use super::{Critic, Result, Samples, half_mean_square};
use crate::graph::{Expr, Graph};

pub(super) fn penalty(
    g: &mut Graph,
    weight: f32,
    samples: Samples,
    critic: Critic,
) -> Result<Expr> {
    half_mean_square(g, weight, samples.real, critic)
}
