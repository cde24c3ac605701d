//! Layers without parameters that change the shape: between vector and image, and between image sizes.
use super::Layer;
use crate::graph::{Expr, Graph, Result as GraphResult};
use crate::nn::declare::Declare;
use crate::nn::pass::Pass;
use crate::nn::{Extent, Pair, Result};
use serde::{Deserialize, Serialize};

/// Image to vector in PyTorch's (c, h, w) order: `[C, N, H, W]` -> `[C H W, N]`. A vector stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {}

/// Vector to image in PyTorch's (c, h, w) order: `[C H W, N]` -> `[C, N, H, W]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unflatten {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

/// Nearest-neighbour up-sampling by whole factors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upsample {
    pub factor: Pair,
}

/// Average over windows that do not overlap (kernel = stride = factor).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool {
    pub factor: Pair,
}

/// Maximum over windows that do not overlap (stride = kernel); `torch.nn.MaxPool2d(kernel)` on images that the kernel divides. Of
/// equal largest values the first in row-major order gets the whole gradient, as there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    pub kernel: Pair,
}

/// Image batch to vectors in PyTorch's (c, h, w) order: `[C, N, H, W]` -> `[C H W, N]`; vectors `[F, N]` stay as they are.
///
/// # Errors
/// If x is neither.
pub fn flatten(g: &mut Graph, x: Expr) -> GraphResult<Expr> {
    let s = g.shape(x).clone();
    if s.rank() == 2 {
        return Ok(x);
    }
    let batch_last = g.transpose(x, &[0, 2, 3, 1])?;
    g.reshape(batch_last, [s[0] * s[2] * s[3], s[1]])
}

/// Vectors to image batch in PyTorch's (c, h, w) order: `[C H W, N]` -> `[C, N, H, W]`.
///
/// # Errors
/// If x does not have that many rows.
pub fn unflatten(g: &mut Graph, x: Expr, [c, h, w]: [usize; 3]) -> GraphResult<Expr> {
    let batch = g.shape(x).last().copied().unwrap_or(1);
    let batch_last = g.reshape(x, [c, h, w, batch])?;
    g.transpose(batch_last, &[0, 3, 1, 2])
}

impl Layer for Flatten {
    fn declare(&self, _: &mut Declare, input: Extent) -> Result<Extent> {
        Ok(Extent::Features {
            features: input.numel(),
        })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let y = flatten(p.g, x);
        p.at(y)
    }
}

impl Layer for Unflatten {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let (channels, height, width) = (self.channels, self.height, self.width);
        let features = d.elements("channels, height and width", &[channels, height, width])?;
        if input != (Extent::Features { features }) {
            return d.mismatch(
                format!("{channels} x {height} x {width} = {features} features"),
                input,
            );
        }
        Ok(Extent::Image {
            channels,
            height,
            width,
        })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let y = unflatten(p.g, x, [self.channels, self.height, self.width]);
        p.at(y)
    }
}

impl Layer for Upsample {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let [fh, fw] = self.factor.get();
        d.at_least_one("factor", fh.min(fw))?;
        match input {
            Extent::Image {
                channels,
                height,
                width,
            } => {
                d.elements("an image", &[channels, height, width, fh, fw])?;
                Ok(Extent::Image {
                    channels,
                    height: height * fh,
                    width: width * fw,
                })
            }
            Extent::Features { .. } => d.mismatch("an image", input),
        }
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let y = p.g.upsample_nearest(x, self.factor.get());
        p.at(y)
    }
}

/// The image that windows of this size leave of `input`.
fn pooled(d: &Declare, what: &str, [fh, fw]: [usize; 2], input: Extent) -> Result<Extent> {
    d.at_least_one(what, fh.min(fw))?;
    match input {
        Extent::Image {
            channels,
            height,
            width,
        } if height.is_multiple_of(fh) && width.is_multiple_of(fw) => Ok(Extent::Image {
            channels,
            height: height / fh,
            width: width / fw,
        }),
        _ => d.mismatch(
            format!("an image whose sizes are multiples of the {what} {fh}x{fw}"),
            input,
        ),
    }
}

impl Layer for AvgPool {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        pooled(d, "factor", self.factor.get(), input)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let y = p.g.avg_pool(x, self.factor.get());
        p.at(y)
    }
}

impl Layer for MaxPool {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        pooled(d, "kernel", self.kernel.get(), input)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let y = p.g.max_pool(x, self.kernel.get());
        p.at(y)
    }
}
