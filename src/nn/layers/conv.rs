//! Convolutions and transposed convolutions.
use super::{Layer, no, yes};
use crate::graph::{Expr, Window};
use crate::nn::declare::Declare;
use crate::nn::init::{Family, Matrix};
use crate::nn::pass::Pass;
use crate::nn::spectral::WeightForm;
use crate::nn::{Extent, InitOverride, Pair, Result};
use serde::{Deserialize, Serialize};

/// Cross-correlation of x `[C, N, H, W]` with weight `[out, C, KH, KW]`, zero padding; `torch.nn.Conv2d`.
/// Rows out = (H + 2 pad - KH) / stride + 1, rounded down; columns likewise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Channels that come out.
    pub out: usize,
    pub kernel: Pair,
    #[serde(default = "Pair::one")]
    pub stride: Pair,
    #[serde(default = "Pair::zero")]
    pub pad: Pair,
    #[serde(default = "yes")]
    pub bias: bool,
    /// The weight is divided by its largest singular value: [`crate::nn::spectral`].
    #[serde(default, skip_serializing_if = "no")]
    pub spectral_norm: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}

/// The adjoint of a convolution in its input: x `[C, N, H, W]`, weight `[C, out, KH, KW]`; `torch.nn.ConvTranspose2d`.
/// Rows out = (H - 1) stride - 2 pad + KH + output_padding; columns likewise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    /// Channels that come out.
    pub out: usize,
    pub kernel: Pair,
    #[serde(default = "Pair::one")]
    pub stride: Pair,
    #[serde(default = "Pair::zero")]
    pub pad: Pair,
    /// Rows and columns added at the far side, less than the stride: picks one of the image sizes that a strided convolution
    /// maps to the same size.
    #[serde(default = "Pair::zero")]
    pub output_padding: Pair,
    #[serde(default = "yes")]
    pub bias: bool,
    /// The weight is divided by its largest singular value: [`crate::nn::spectral`].
    #[serde(default, skip_serializing_if = "no")]
    pub spectral_norm: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}

fn image(d: &Declare, input: Extent) -> Result<(usize, [usize; 2])> {
    match input {
        Extent::Image {
            channels,
            height,
            width,
        } => Ok((channels, [height, width])),
        Extent::Features { .. } => d.mismatch("an image (put an unflatten layer before it)", input),
    }
}

/// The input gradient has a product for each phase of the stride, rows times columns.
const MOST_PHASES: usize = 4096;

/// Refuses strides with more phases than that.
fn check_phases(d: &Declare, stride: [usize; 2]) -> Result<()> {
    if stride[0].saturating_mul(stride[1]) > MOST_PHASES {
        let expected = format!("a stride of at most {MOST_PHASES}, rows times columns");
        return d.mismatch(expected, format!("{stride:?}"));
    }
    Ok(())
}

impl Conv2d {
    fn form(&self) -> WeightForm {
        WeightForm {
            axis: 0,
            spectral_norm: self.spectral_norm,
            bias: self.bias,
        }
    }
}

impl Layer for Conv2d {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let (channels, size) = image(d, input)?;
        let ([kh, kw], stride, pad) = (self.kernel.get(), self.stride.get(), self.pad.get());
        d.at_least_one("out", self.out)?;
        d.at_least_one("kernel", kh.min(kw))?;
        d.at_least_one("stride", stride[0].min(stride[1]))?;
        let padded = [0, 1].map(|i| size[i].saturating_add(pad[i].saturating_mul(2)));
        d.elements("a padded image", &padded)?;
        let out = |i: usize, k: usize| padded[i].checked_sub(k).map(|v| v / stride[i] + 1);
        let (Some(height), Some(width)) = (out(0, kh), out(1, kw)) else {
            return d.mismatch(
                format!("an image that, padded, is at least as large as the kernel {kh}x{kw}"),
                format!("{input}, {}x{} with its padding", padded[0], padded[1]),
            );
        };
        if stride[0] > padded[0] || stride[1] > padded[1] {
            return d.mismatch(
                format!("a stride of at most the padded image, {padded:?}"),
                format!("{stride:?}"),
            );
        }
        check_phases(d, stride)?;
        let shape = [self.out, channels, kh, kw];
        let weights = d.elements("weight", &shape)?;
        let init = d.init(Family::Conv, Some(Matrix::of(&shape)), self.init.as_ref())?;
        d.weights(&shape, init, self.form())?;
        d.cost((height * width) as u64 * weights as u64);
        Ok(Extent::Image {
            channels: self.out,
            height,
            width,
        })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let window = Window {
            stride: self.stride.get(),
            pad: self.pad.get(),
        };
        let (w, bias) = p.weights(self.form())?;
        let y = p.g.conv2d(x, w, window);
        let y = p.at(y)?;
        p.add_per_channel(y, bias)
    }
}

impl ConvTranspose2d {
    fn form(&self) -> WeightForm {
        WeightForm {
            axis: 1,
            spectral_norm: self.spectral_norm,
            bias: self.bias,
        }
    }
    /// Image that comes out, where one does.
    fn size(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let (k, s, p, o) = (
            self.kernel.get(),
            self.stride.get(),
            self.pad.get(),
            self.output_padding.get(),
        );
        let along = |i: usize| {
            ((input[i] - 1) * s[i] + k[i] + o[i])
                .checked_sub(p[i].saturating_mul(2))
                .filter(|&v| v > 0)
        };
        Some([along(0)?, along(1)?])
    }
}

impl Layer for ConvTranspose2d {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        let (channels, size) = image(d, input)?;
        let ([kh, kw], stride, extra) = (
            self.kernel.get(),
            self.stride.get(),
            self.output_padding.get(),
        );
        d.at_least_one("out", self.out)?;
        d.at_least_one("kernel", kh.min(kw))?;
        d.at_least_one("stride", stride[0].min(stride[1]))?;
        if extra[0] >= stride[0] || extra[1] >= stride[1] {
            return d.mismatch(
                format!("output_padding below the stride {stride:?}"),
                format!("{extra:?}"),
            );
        }
        // One above the kernel leaves rows and columns of the bias alone, and is PyTorch's too.
        check_phases(d, stride)?;
        let shape = [channels, self.out, kh, kw];
        let weights = d.elements("weight", &shape)?;
        let Some([height, width]) = self.size(size) else {
            return d.mismatch(
                format!("a padding that leaves an image of {input}"),
                format!("pad {:?} with kernel {kh}x{kw}", self.pad.get()),
            );
        };
        // PyTorch's fan-in of a weight is size(1) times the kernel area; here size(1) is the output channels.
        let init = d.init(Family::Conv, Some(Matrix::of(&shape)), self.init.as_ref())?;
        d.weights(&shape, init, self.form())?;
        d.cost((size[0] * size[1]) as u64 * weights as u64);
        Ok(Extent::Image {
            channels: self.out,
            height,
            width,
        })
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let window = Window {
            stride: self.stride.get(),
            pad: self.pad.get(),
        };
        let shape = p.g.shape(x).clone();
        let Some(size) = self.size([shape[2], shape[3]]) else {
            return p.mismatch("an image that the padding leaves something of", shape);
        };
        let (w, bias) = p.weights(self.form())?;
        let y = p.g.conv2d_input_grad(w, x, window, size);
        let y = p.at(y)?;
        p.add_per_channel(y, bias)
    }
}
