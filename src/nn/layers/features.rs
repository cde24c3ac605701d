//! The marker of a network's features.
use super::Layer;
use crate::graph::Expr;
use crate::nn::declare::Declare;
use crate::nn::pass::Pass;
use crate::nn::{Extent, Result};
use serde::{Deserialize, Serialize};

/// Changes nothing; what passes here is the pass's [`crate::nn::Forward::features`]: the code of an auto-encoder, or what a second
/// head reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {}

impl Layer for Features {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        if d.features.replace(input).is_some() {
            return d.mismatch("one features layer in a network", "a second one");
        }
        Ok(input)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        p.features = Some(x);
        Ok(x)
    }
}
