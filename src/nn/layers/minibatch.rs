//! Minibatch discrimination.
use super::Layer;
use crate::graph::Expr;
use crate::nn::declare::Declare;
use crate::nn::init::{Family, Matrix};
use crate::nn::pass::Pass;
use crate::nn::{Extent, InitOverride, Result};
use serde::{Deserialize, Serialize};

/// Tells D how close each sample is to the others of its batch (Salimans et al., arXiv 1606.03498, section 3.2): with M = T^T x,
/// read as a `kernels x dims` matrix per sample, appends to x `[F, N]` the `kernels` features
/// f_b(x_i) = sum over j != i of exp(-|M_ib - M_jb|_1).
///
/// `weight` is T, `[F, kernels dims]`, as in the paper; it starts as a linear layer's of fan-in F. f grows with the batch: D learns
/// for batches of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinibatchDiscrimination {
    /// Features that are appended (the paper's B).
    pub kernels: usize,
    /// Numbers that each distance goes over (the paper's C).
    #[serde(default = "dims")]
    pub dims: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}
/// The kernel is written out over dims; the paper has 5.
const MOST_DIMS: usize = 256;
fn dims() -> usize {
    5
}

impl Layer for MinibatchDiscrimination {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let Extent::Features { features } = input else {
            return d.mismatch(
                "a vector of features (put a flatten layer before it)",
                input,
            );
        };
        d.at_least_one("kernels", self.kernels)?;
        d.at_least_one("dims", self.dims)?;
        if self.dims > MOST_DIMS {
            return d.mismatch(format!("dims of at most {MOST_DIMS}"), self.dims);
        }
        let columns = d.elements("kernels dims", &[self.kernels, self.dims])?;
        // T stands the other way round than a linear layer's weight.
        let matrix = Matrix {
            fan_in: features,
            columns,
        };
        let [weight, _] = d.init(Family::Linear, Some(matrix), self.init.as_ref())?;
        d.param("weight", [features, columns], weight)?;
        d.cost(features as u64 * columns as u64);
        Ok(Extent::Features {
            features: features + self.kernels,
        })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let weight = p.param("weight");
        let m = p.g.matmul_t(weight, x, true, false);
        let m = p.at(m)?;
        let f = p.g.closeness(m, self.dims);
        let f = p.at(f)?;
        let y = p.g.concat(&[x, f], 0);
        p.at(y)
    }
}
