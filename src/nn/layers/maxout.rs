//! Maxout (Goodfellow et al., arXiv 1302.4389).
use super::{Layer, no, yes};
use crate::graph::Expr;
use crate::nn::declare::Declare;
use crate::nn::init::{Family, Matrix};
use crate::nn::pass::Pass;
use crate::nn::spectral::WeightForm;
use crate::nn::{Extent, InitOverride, Result};
use serde::{Deserialize, Serialize};

/// y_o = max over p of (W x + b)_{o pieces + p}, for x `[in, N]`, W `[out pieces, in]`, b `[out pieces]`. Of equal largest pieces the
/// first gets the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maxout {
    /// Features that come out.
    pub out: usize,
    /// Linear functions that each feature is the largest of.
    pub pieces: usize,
    #[serde(default = "yes")]
    pub bias: bool,
    /// Spectral norm of W.
    #[serde(default, skip_serializing_if = "no")]
    pub spectral_norm: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}

impl Maxout {
    fn form(&self) -> WeightForm {
        WeightForm {
            axis: 0,
            spectral_norm: self.spectral_norm,
            bias: self.bias,
        }
    }
}

impl Layer for Maxout {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let Extent::Features { features } = input else {
            return d.mismatch(
                "a vector of features (put a flatten layer before it)",
                input,
            );
        };
        d.at_least_one("out", self.out)?;
        d.at_least_one("pieces", self.pieces)?;
        let rows = d.elements("out pieces", &[self.out, self.pieces])?;
        let shape = [rows, features];
        let init = d.init(Family::Linear, Some(Matrix::of(&shape)), self.init.as_ref())?;
        d.weights(&shape, init, self.form())?;
        d.cost(features as u64 * rows as u64);
        Ok(Extent::Features { features: self.out })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let (w, bias) = p.weights(self.form())?;
        let y = p.g.matmul(w, x);
        let y = p.at(y)?;
        let y = p.add_per_channel(y, bias)?;
        let batch = p.g.shape(y)[1];
        let pieces = p.g.reshape(y, [self.out, self.pieces, batch]);
        let pieces = p.at(pieces)?;
        let largest = p.g.max_along(pieces, 1);
        let largest = p.at(largest)?;
        let y = p.g.reshape(largest, [self.out, batch]);
        p.at(y)
    }
}
