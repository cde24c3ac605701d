//! WGAN-GP: weight E (||grad D(x^)||_2 - 1)^2 at x^ = eps x + (1 - eps) G(z), eps uniform per sample.
//! Gulrajani et al., arXiv 1704.00028, eq. 3 and algorithm 1.
use super::{Critic, Result, Samples, squared_gradient_norm};
use crate::graph::{Expr, Graph};

/// Squared norms below this count as it. The derivative of a square root at 0 is infinite, and a critic of dead ReLUs has a
/// gradient of exactly 0; there the derivative is taken as 0, as PyTorch's norm does.
const SMALLEST_SQUARE: f32 = 1e-24;

pub(super) fn penalty(
    g: &mut Graph,
    weight: f32,
    samples: Samples,
    critic: &mut Critic,
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
    let square = squared_gradient_norm(g, between, critic)?;
    let smallest = g.scalar(SMALLEST_SQUARE);
    let square = g.max(square, smallest)?;
    let norm = g.sqrt(square);
    let off = g.shift(norm, -1.0)?;
    let squared = g.square(off)?;
    let mean = g.mean_all(squared)?;
    Ok(g.scale(mean, weight)?)
}
