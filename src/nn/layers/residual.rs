//! Residual blocks.
use super::{Layer, LayerSpec};
use crate::graph::Expr;
use crate::nn::declare::Declare;
use crate::nn::pass::Pass;
use crate::nn::{Extent, Result};
use serde::{Deserialize, Serialize};

/// y = body(x) + shortcut(x) (He et al., arXiv 1512.03385); without a shortcut x itself is added.
///
/// Parameters are named `<index>.body.<i>.weight` and `<index>.shortcut.<i>.weight`: the `state_dict` of a PyTorch module
/// with two `Sequential`s of those names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The body.
    pub layers: Vec<LayerSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<Vec<LayerSpec>>,
}

impl Layer for Residual {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        if self.layers.is_empty() {
            return d.mismatch("at least one layer in `layers`", "none");
        }
        let body = d.nested("body", &self.layers, input)?;
        let shortcut = match &self.shortcut {
            Some(layers) => d.nested("shortcut", layers, input)?,
            None => input,
        };
        if body != shortcut {
            return d.mismatch(
                format!("the body to give what the shortcut gives ({shortcut})"),
                body,
            );
        }
        Ok(body)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let body = p.nested("body", &self.layers, x)?;
        let shortcut = match &self.shortcut {
            Some(layers) => p.nested("shortcut", layers, x)?,
            None => x,
        };
        let y = p.g.add(body, shortcut);
        p.at(y)
    }
}
