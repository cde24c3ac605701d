//! The table of layer types: one file per family, one line per type here.
mod activation;
mod branches;
mod conv;
mod dropout;
mod features;
mod label;
mod linear;
mod maxout;
mod minibatch;
mod norm;
mod residual;
mod resize;

pub use activation::{LeakyRelu, Relu, Sigmoid, Softplus, Tanh};
pub use branches::Branches;
pub use conv::{Conv2d, ConvTranspose2d};
pub use dropout::Dropout;
pub use features::Features;
pub use label::{Condition, Projection};
pub use linear::Linear;
pub use maxout::Maxout;
pub use minibatch::MinibatchDiscrimination;
pub use norm::{Affine, BatchNorm, LayerNorm};
pub use residual::Residual;
pub use resize::{AvgPool, Flatten, MaxPool, Unflatten, Upsample, flatten, unflatten};

use super::declare::Declare;
use super::pass::Pass;
use super::{Extent, Result};
use crate::graph::Expr;
use serde::{Deserialize, Serialize};

/// A type of layer. Parameters and states are declared and later taken in one and the same order.
pub(super) trait Layer {
    /// Checks the input, declares parameters, states and cost, and gives the output.
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent>;
    /// Writes the layer into the graph; x has the declared input's shape.
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr>;
}

macro_rules! table {
    ($($variant:ident $kind:literal)*) => {
        /// One layer of a network: `type = "..."` and that type's settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type")]
        pub enum LayerSpec {
            $(#[serde(rename = $kind)] $variant($variant),)*
        }
        impl LayerSpec {
            /// The type's name in TOML.
            pub fn kind(&self) -> &'static str {
                match self { $(LayerSpec::$variant(_) => $kind,)* }
            }
            pub(super) fn layer(&self) -> &dyn Layer {
                match self { $(LayerSpec::$variant(layer) => layer,)* }
            }
        }
    };
}

table! {
    Linear "linear"
    Conv2d "conv2d"
    ConvTranspose2d "conv_transpose2d"
    BatchNorm "batch_norm"
    LayerNorm "layer_norm"
    Relu "relu"
    LeakyRelu "leaky_relu"
    Tanh "tanh"
    Sigmoid "sigmoid"
    Softplus "softplus"
    Flatten "flatten"
    Unflatten "unflatten"
    Upsample "upsample"
    AvgPool "avg_pool"
    MaxPool "max_pool"
    Residual "residual"
    Branches "branches"
    Maxout "maxout"
    MinibatchDiscrimination "minibatch_discrimination"
    Condition "condition"
    Projection "projection"
    Dropout "dropout"
    Features "features"
}

/// serde's default of `bias`.
fn yes() -> bool {
    true
}
/// True where serde leaves `spectral_norm` out.
fn no(value: &bool) -> bool {
    !value
}
