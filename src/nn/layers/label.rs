//! Layers that use each sample's class: conditional GANs by concatenation and by projection.
use super::{Layer, no, yes};
use crate::graph::Expr;
use crate::nn::declare::Declare;
use crate::nn::init::{Family, Matrix};
use crate::nn::pass::Pass;
use crate::nn::spectral::WeightForm;
use crate::nn::{Extent, Init, InitOverride, Result};
use serde::{Deserialize, Serialize};

/// Appends the label `[classes, N]` to x (Mirza and Osindero, arXiv 1411.1784): as further features, or as further channels of an
/// image that are constant over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {}

/// D's last layer with a projection (Miyato and Koyama, arXiv 1802.05637, eq. 3): for phi `[F, N]` and label y `[classes, N]`,
/// `w phi + b + y^T V phi`, `[1, N]`; w `[1, F]`, b `[1]` and V = `embedding.weight` `[classes, F]`.
///
/// The embedding starts as in the authors' code, uniform on +-sqrt(6 / (classes + F)) (Glorot); `init` is w's and b's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    #[serde(default = "yes")]
    pub bias: bool,
    /// Spectral norm of w and of the embedding.
    #[serde(default, skip_serializing_if = "no")]
    pub spectral_norm: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}

impl Layer for Condition {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let classes = d.label()?;
        Ok(match input {
            Extent::Features { features } => Extent::Features {
                features: features + classes,
            },
            Extent::Image {
                channels,
                height,
                width,
            } => Extent::Image {
                channels: channels + classes,
                height,
                width,
            },
        })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let label = p.label()?;
        // [classes, N] -> [classes, N, 1, 1] -> [classes, N, H, W].
        let mut shape = p.g.shape(x).to_vec();
        let classes = p.g.shape(label)[0];
        shape[0] = classes;
        let over_image: Vec<usize> = (0..shape.len())
            .map(|axis| if axis < 2 { shape[axis] } else { 1 })
            .collect();
        let label = p.g.reshape(label, over_image);
        let label = p.at(label)?;
        let label = p.g.expand(label, &shape.into());
        let label = p.at(label)?;
        let y = p.g.concat(&[x, label], 0);
        p.at(y)
    }
}

impl Projection {
    fn form(&self, bias: bool) -> WeightForm {
        WeightForm {
            axis: 0,
            spectral_norm: self.spectral_norm,
            bias,
        }
    }
}

impl Layer for Projection {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let classes = d.label()?;
        let Extent::Features { features } = input else {
            return d.mismatch(
                "a vector of features (put a flatten layer before it)",
                input,
            );
        };
        let shape = [1, features];
        let init = d.init(Family::Linear, Some(Matrix::of(&shape)), self.init.as_ref())?;
        d.weights(&shape, init, self.form(self.bias))?;
        let bound = (6.0 / (classes + features) as f64).sqrt() as f32;
        let glorot = Init::Uniform {
            low: -bound,
            high: bound,
        };
        let shape = [classes, features];
        d.weight("embedding.weight", &shape, glorot, self.form(false))?;
        d.cost((1 + classes) as u64 * features as u64);
        Ok(Extent::Features { features: 1 })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let label = p.label()?;
        let (w, bias) = p.weights(self.form(self.bias))?;
        let embedding = p.weight("embedding.weight", self.form(false))?;
        let plain = p.g.matmul(w, x);
        let plain = p.at(plain)?;
        let plain = p.add_per_channel(plain, bias)?;
        // V phi first: a matrix product, and a sum over classes instead of features.
        let per_class = p.g.matmul(embedding, x);
        let per_class = p.at(per_class)?;
        let chosen = p.g.mul(label, per_class);
        let chosen = p.at(chosen)?;
        let chosen = p.g.sum(chosen, &[0]);
        let chosen = p.at(chosen)?;
        let y = p.g.add(plain, chosen);
        p.at(y)
    }
}
