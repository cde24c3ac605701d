//! Elementwise activations.
use super::Layer;
use crate::graph::Expr;
use crate::nn::declare::Declare;
use crate::nn::pass::Pass;
use crate::nn::{Extent, Result};
use serde::{Deserialize, Serialize};

/// x for x > 0, slope x otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakyRelu {
    /// PyTorch's default is 0.01, GANs mostly use 0.2.
    #[serde(default = "slope")]
    pub slope: f64,
}
fn slope() -> f64 {
    0.01
}

impl Layer for LeakyRelu {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        if !(self.slope as f32).is_finite() {
            return d.mismatch("a finite slope", self.slope);
        }
        Ok(input)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        Ok(p.g.leaky_relu(x, self.slope as f32))
    }
}

macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident => $function:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {}
        impl Layer for $name {
            fn declare(&self, _: &mut Declare, input: Extent) -> Result<Extent> {
                Ok(input)
            }
            fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
                Ok(p.g.$function(x))
            }
        }
    )*};
}
plain! {
    /// max(x, 0)
    Relu => relu;
    /// tanh x
    Tanh => tanh;
    /// 1 / (1 + e^-x)
    Sigmoid => sigmoid;
    /// ln(1 + e^x)
    Softplus => softplus;
}
