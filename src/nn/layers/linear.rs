//! Fully connected layers.
use super::{Layer, no, yes};
use crate::graph::Expr;
use crate::nn::declare::Declare;
use crate::nn::init::{Family, Matrix};
use crate::nn::pass::Pass;
use crate::nn::spectral::WeightForm;
use crate::nn::{Extent, InitOverride, Result};
use serde::{Deserialize, Serialize};

/// y = W x + b for x `[in, N]`, W `[out, in]`, b `[out]`; `torch.nn.Linear`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Features that come out.
    pub out: usize,
    #[serde(default = "yes")]
    pub bias: bool,
    /// W is divided by its largest singular value: [`crate::nn::spectral`].
    #[serde(default, skip_serializing_if = "no")]
    pub spectral_norm: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}

impl Linear {
    fn form(&self) -> WeightForm {
        WeightForm {
            axis: 0,
            spectral_norm: self.spectral_norm,
            bias: self.bias,
        }
    }
}

impl Layer for Linear {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let Extent::Features { features } = input else {
            return d.mismatch(
                "a vector of features (put a flatten layer before it)",
                input,
            );
        };
        d.at_least_one("out", self.out)?;
        let shape = [self.out, features];
        let init = d.init(Family::Linear, Some(Matrix::of(&shape)), self.init.as_ref())?;
        d.weights(&shape, init, self.form())?;
        d.cost(features as u64 * self.out as u64);
        Ok(Extent::Features { features: self.out })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let (w, bias) = p.weights(self.form())?;
        let y = p.g.matmul(w, x);
        let y = p.at(y)?;
        p.add_per_channel(y, bias)
    }
}
