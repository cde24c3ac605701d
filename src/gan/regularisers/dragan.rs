//! DRAGAN: weight E (||grad D(x + noise)||_2 - 1)^2 around the data, noise = 1/2 std(X) u with u uniform on [0, 1) per component and std(X) over
//! the whole batch. Kodali et al., arXiv 1705.07215, section 2.3 and the authors' code.
use super::{Critic, Result, Samples, off_unit_norm};
use crate::graph::{Distribution, Expr, Graph};

/// Random stream of the noise; the trainer's own streams are below it.
const NOISE: u32 = 0xd7a6;

pub(super) fn penalty(
    g: &mut Graph,
    weight: f32,
    samples: Samples,
    critic: Critic,
) -> Result<Expr> {
    let x = samples.real;
    let mean = g.mean_all(x)?;
    let off = g.sub(x, mean)?;
    let square = g.square(off)?;
    let variance = g.mean_all(square)?;
    let std = g.sqrt(variance);
    let half = g.scale(std, 0.5)?;
    let shape = g.shape(x).clone();
    let u = g.random_stream(Distribution::Uniform, shape, NOISE);
    let noise = g.mul(u, half)?;
    let around = g.add(x, noise)?;
    off_unit_norm(g, weight, around, critic)
}
