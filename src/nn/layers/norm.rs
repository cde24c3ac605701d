//! Batch norm and layer norm, composed of plain graph operations, so that they can be differentiated to any order.
use super::Layer;
use crate::graph::{Expr, Graph, Result as GraphResult};
use crate::nn::declare::Declare;
use crate::nn::init::Family;
use crate::nn::network::Mode;
use crate::nn::pass::Pass;
use crate::nn::{Extent, Init, InitOverride, Result};
use serde::{Deserialize, Serialize};

/// Batch norm (Ioffe and Szegedy, arXiv 1502.03167) per channel or feature; `torch.nn.BatchNorm1d/2d`.
///
/// Training normalises by the batch's mean and biased variance, and moves the running mean and the running *unbiased*
/// variance by `momentum` towards the batch's; evaluation normalises by the running ones. PyTorch's counter
/// `num_batches_tracked` serves only `momentum = None` and is not kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Weight of the newest batch in the running statistics (PyTorch's sense; Keras' momentum is 1 minus this).
    #[serde(default = "momentum")]
    pub momentum: f64,
    #[serde(default = "eps")]
    pub eps: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}

/// Layer norm (Ba et al., arXiv 1607.06450) over all features of each sample; `torch.nn.LayerNorm(x.shape[1:])`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerNorm {
    #[serde(default)]
    pub affine: Affine,
    #[serde(default = "eps")]
    pub eps: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<InitOverride>,
}

/// What the learnt scale and shift of a layer norm belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Affine {
    /// Each element of a sample: weight `[C, H, W]` or `[F]`, as in `torch.nn.LayerNorm`.
    #[default]
    Element,
    /// Each channel: weight `[C]`, as in `torch.nn.GroupNorm(1, C)` and in WGAN-GP's critic.
    Channel,
    /// None.
    None,
}

fn momentum() -> f64 {
    0.1
}
fn eps() -> f64 {
    1e-5
}

/// As it is added, f32. Devices may take what is below the normal numbers as 0.
fn check_eps(d: &Declare, eps: f64) -> Result<()> {
    if (eps as f32).is_normal() && eps > 0.0 {
        return Ok(());
    }
    let expected = format!("an eps of at least {:e} that f32 holds", f32::MIN_POSITIVE);
    d.mismatch(expected, format!("{eps:?}"))
}

/// One in how many of the values tells roughly where they lie.
const SHIFT_FROM: usize = 16;

/// The first two moments over `axes` from two sums that do not need each other, so that one pass over x takes both, and one pass
/// over x and the gradient takes both sums of the backward pass.
///
/// E x^2 - (E x)^2 loses every digit when the mean is large against the spread; E u^2 - (E u)^2 with u = x - k does not while k is
/// near the mean. k is the mean of the first sixteenth of the values: by Cauchy and Schwarz (k - mean)^2 <= 16 variance whatever the
/// values are, so at worst the rounding errors of the sums grow 17-fold. k is a constant to the gradient: neither moment depends on it.
struct Moments {
    /// u = x - k.
    shifted: Expr,
    /// E u = mean - k.
    offset: Expr,
    mean: Expr,
    /// Biased.
    variance: Expr,
    /// How many values each went over.
    count: usize,
}
fn moments(g: &mut Graph, x: Expr, axes: &[usize]) -> GraphResult<Moments> {
    let shape = g.shape(x).clone();
    let mut few = shape.to_vec();
    if let Some(&axis) = axes.first() {
        few[axis] = few[axis].div_ceil(SHIFT_FROM);
    }
    let few = g.slice(x, &vec![0; shape.rank()], &few)?;
    let shift = mean(g, few, axes)?;
    let shift = g.stop_gradient(shift);
    let shifted = g.sub(x, shift)?;
    let squared = g.square(shifted)?;
    let offset = mean(g, shifted, axes)?;
    let second = mean(g, squared, axes)?;
    let square = g.square(offset)?;
    // Rounding must not make it negative where all values are the same.
    let variance = g.sub(second, square)?;
    let zero = g.scalar(0.0);
    let variance = g.max(variance, zero)?;
    Ok(Moments {
        mean: g.add(shift, offset)?,
        count: shape.numel() / g.shape(offset).numel(),
        shifted,
        offset,
        variance,
    })
}

/// A quotient, as a product with 1/count would shift a large mean by that constant's rounding.
fn mean(g: &mut Graph, x: Expr, axes: &[usize]) -> GraphResult<Expr> {
    let sum = g.sum(x, axes)?;
    let count = g.shape(x).numel() / g.shape(sum).numel();
    divide(g, sum, count as f32)
}

fn divide(g: &mut Graph, a: Expr, by: f32) -> GraphResult<Expr> {
    let by = g.scalar(by);
    g.div(a, by)
}

/// sqrt(variance + eps)
fn deviation(g: &mut Graph, variance: Expr, eps: f64) -> GraphResult<Expr> {
    let v = g.shift(variance, eps as f32)?;
    Ok(g.sqrt(v))
}

/// old + momentum (new - old), as PyTorch's running statistics move.
fn move_towards(g: &mut Graph, old: Expr, new: Expr, momentum: f64) -> GraphResult<Expr> {
    let kept = g.scale(old, (1.0 - momentum) as f32)?;
    let added = g.scale(new, momentum as f32)?;
    g.add(kept, added)
}

impl BatchNorm {
    /// (y, new running mean and variance); weight, bias, mean and var are `[C]`.
    fn write(
        &self,
        g: &mut Graph,
        x: Expr,
        [weight, bias, running_mean, running_var]: [Expr; 4],
        mode: Mode,
    ) -> GraphResult<(Expr, Option<[Expr; 2]>)> {
        let shape = g.shape(x).clone();
        let per_channel: Vec<usize> = (0..shape.rank())
            .map(|i| if i == 0 { shape[0] } else { 1 })
            .collect();
        let axes: Vec<usize> = (1..shape.rank()).collect();
        let weight = g.reshape(weight, per_channel.clone())?;
        let bias = g.reshape(bias, per_channel.clone())?;
        // y = from scale + shift, with one division per channel instead of one per element.
        let (from, offset, variance, updates) = match mode {
            Mode::Train => {
                let m = moments(g, x, &axes)?;
                let unbiased = m.count as f32 / (m.count as f32 - 1.0);
                let unbiased = g.scale(m.variance, unbiased)?;
                let mean = g.reshape(m.mean, [shape[0]])?;
                let unbiased = g.reshape(unbiased, [shape[0]])?;
                let new_mean = move_towards(g, running_mean, mean, self.momentum)?;
                let new_var = move_towards(g, running_var, unbiased, self.momentum)?;
                (
                    m.shifted,
                    Some(m.offset),
                    m.variance,
                    Some([new_mean, new_var]),
                )
            }
            Mode::Eval => {
                let mean = g.reshape(running_mean, per_channel.clone())?;
                let variance = g.reshape(running_var, per_channel)?;
                (g.sub(x, mean)?, None, variance, None)
            }
        };
        let deviation = deviation(g, variance, self.eps)?;
        let scale = g.div(weight, deviation)?;
        let shift = match offset {
            Some(offset) => {
                let moved = g.mul(offset, scale)?;
                g.sub(bias, moved)?
            }
            None => bias,
        };
        let y = g.mul(from, scale)?;
        Ok((g.add(y, shift)?, updates))
    }
}

impl Layer for BatchNorm {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        check_eps(d, self.eps)?;
        if !(0.0..=1.0).contains(&self.momentum) {
            return d.mismatch("a momentum between 0 and 1", self.momentum);
        }
        let channels = match input {
            Extent::Features { features } => features,
            Extent::Image { channels, .. } => channels,
        };
        let [weight, bias] = d.init(Family::BatchNorm, None, self.init.as_ref())?;
        d.param("weight", [channels], weight)?;
        d.param("bias", [channels], bias)?;
        d.state("running_mean", [channels], Init::Constant(0.0))?;
        d.state("running_var", [channels], Init::Constant(1.0))?;
        Ok(input)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let shape = p.g.shape(x).clone();
        if p.mode == Mode::Train && shape.numel() == shape[0] {
            return p.mismatch(
                "more than one value per channel in training (a larger batch): one value has no variance",
                shape,
            );
        }
        let (weight, bias) = (p.param("weight"), p.param("bias"));
        let ((mean_slot, mean), (var_slot, var)) =
            (p.state("running_mean"), p.state("running_var"));
        let written = self.write(p.g, x, [weight, bias, mean, var], p.mode);
        let (y, updates) = p.at(written)?;
        if let Some([new_mean, new_var]) = updates {
            p.update(mean_slot, new_mean);
            p.update(var_slot, new_var);
        }
        Ok(y)
    }
}

impl LayerNorm {
    fn write(&self, g: &mut Graph, x: Expr, affine: Option<[Expr; 2]>) -> GraphResult<Expr> {
        let shape = g.shape(x).clone();
        let axes: Vec<usize> = (0..shape.rank()).filter(|&i| i != 1).collect();
        let m = moments(g, x, &axes)?;
        let deviation = deviation(g, m.variance, self.eps)?;
        let offset = g.div(m.offset, deviation)?;
        let y = g.div(m.shifted, deviation)?;
        let y = g.sub(y, offset)?;
        let Some([weight, bias]) = affine else {
            return Ok(y);
        };
        // [C, H, W] -> [C, 1, H, W]; [F] -> [F, 1]; [C] -> [C, 1, 1, 1].
        let mut over_batch: Vec<usize> = shape.to_vec();
        over_batch[1] = 1;
        if self.affine == Affine::Channel {
            over_batch[1..].fill(1);
        }
        let weight = g.reshape(weight, over_batch.clone())?;
        let bias = g.reshape(bias, over_batch)?;
        let y = g.mul(y, weight)?;
        g.add(y, bias)
    }
}

impl Layer for LayerNorm {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        check_eps(d, self.eps)?;
        let shape = match (self.affine, input) {
            (Affine::None, _) => {
                if self.init.is_some() {
                    return d.mismatch("no init, as affine = \"none\" has no parameters", "one");
                }
                return Ok(input);
            }
            (_, Extent::Features { features }) => vec![features],
            (Affine::Channel, Extent::Image { channels, .. }) => vec![channels],
            (
                Affine::Element,
                Extent::Image {
                    channels,
                    height,
                    width,
                },
            ) => vec![channels, height, width],
        };
        let [weight, bias] = d.init(Family::LayerNorm, None, self.init.as_ref())?;
        d.param("weight", shape.clone(), weight)?;
        d.param("bias", shape, bias)?;
        Ok(input)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let affine = match self.affine {
            Affine::None => None,
            _ => Some([p.param("weight"), p.param("bias")]),
        };
        let y = self.write(p.g, x, affine);
        p.at(y)
    }
}
