//! Dropout.
use super::Layer;
use crate::graph::{Distribution, Expr, Scalar};
use crate::nn::declare::Declare;
use crate::nn::network::Mode;
use crate::nn::pass::Pass;
use crate::nn::{Extent, Result};
use serde::{Deserialize, Serialize};

/// In training each element is 0 with probability p and x / (1 - p) otherwise (Srivastava et al., JMLR 15, 2014; inverted);
/// evaluation leaves x as it is. `torch.nn.Dropout`.
///
/// Each pass draws from a random stream of its own, so that the two passes of D in one step differ and a run repeats bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    pub p: f64,
}

impl Layer for Dropout {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        if !(0.0..1.0).contains(&self.p) {
            return d.mismatch("a probability p of at least 0 and below 1", self.p);
        }
        Ok(input)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        if p.mode == Mode::Eval || self.p == 0.0 {
            return Ok(x);
        }
        let kept = 1.0 - self.p;
        let shape = p.g.shape(x).clone();
        let coin = Distribution::Bernoulli(Scalar(kept as f32));
        let mask = p.g.random(coin, shape);
        let y = p.g.mul(x, mask);
        let y = p.at(y)?;
        let y = p.g.scale(y, (1.0 / kept) as f32);
        p.at(y)
    }
}
