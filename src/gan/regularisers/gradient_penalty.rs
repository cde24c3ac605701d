//! WGAN-GP: weight E (||grad D(x^)||_2 - 1)^2 at x^ = eps x + (1 - eps) G(z), eps uniform per sample.
//! Gulrajani et al., arXiv 1704.00028, eq. 3 and algorithm 1.
use super::{Critic, Result, Samples, off_unit_norm};
use crate::graph::{Expr, Graph};

pub(super) fn penalty(
    g: &mut Graph,
    weight: f32,
    samples: Samples,
    critic: Critic,
) -> Result<Expr> {
    // eps x + (1 - eps) G(z), with one product less.
    let from_fake = g.sub(samples.real, samples.fake)?;
    let mut per_sample = vec![1; g.shape(samples.real).rank()];
    if let (Some(batch), Some(&n)) = (per_sample.get_mut(1), g.shape(samples.real).get(1)) {
        *batch = n;
    }
    let epsilon = g.reshape(samples.epsilon, per_sample)?;
    let step = g.mul(epsilon, from_fake)?;
    let between = g.add(samples.fake, step)?;
    off_unit_norm(g, weight, between, critic)
}
