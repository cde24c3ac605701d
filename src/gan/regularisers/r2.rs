//! R2: gamma/2 E ||grad D(G(z))||^2 on generated samples. Mescheder et al., arXiv 1801.04406, eq. 10; `weight` is gamma.
use super::{Critic, Result, Samples, half_mean_square};
use crate::graph::{Expr, Graph};

pub(super) fn penalty(
    g: &mut Graph,
    weight: f32,
    samples: Samples,
    critic: Critic,
) -> Result<Expr> {
    half_mean_square(g, weight, samples.fake, critic)
}
