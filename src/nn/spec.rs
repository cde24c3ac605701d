//! The description of one network, as a TOML file writes it.
use super::{InitScheme, LayerSpec};
use crate::graph::Shape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One network: what comes in, how weights start, and the layers in order.
///
/// ```toml
/// input = { features = 100 }
/// init = "dcgan"            # or "pytorch", the default
/// [[layer]]
/// type = "linear"
/// out = 784
/// [[layer]]
/// type = "tanh"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    pub input: Extent,
    /// How many classes the label of each sample tells apart; needed by layers that use labels (`condition`, `projection`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// How weights start where a layer does not say otherwise.
    #[serde(default)]
    pub init: InitScheme,
    #[serde(rename = "layer")]
    pub layers: Vec<LayerSpec>,
}

/// Most numbers of one tensor, or of all parameters of a network: what shaders can count. Two sizes that are no larger multiply without
/// overflow.
pub const MOST_ELEMENTS: usize = 1 << 31;

/// Size of one sample between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected `{ features = N }` or `{ channels = C, height = H, width = W }`"
)]
pub enum Extent {
    /// A vector; `[F, N]` as a batch.
    Features { features: usize },
    /// An image; `[C, N, H, W]` as a batch.
    Image {
        channels: usize,
        height: usize,
        width: usize,
    },
}

impl Extent {
    /// Shape of a batch, features first.
    pub fn shape(self, batch: usize) -> Shape {
        match self {
            Extent::Features { features } => [features, batch].into(),
            Extent::Image {
                channels,
                height,
                width,
            } => [channels, batch, height, width].into(),
        }
    }
    /// Numbers per sample; of sizes from a file that no network can have, the largest number there is.
    pub fn numel(self) -> usize {
        let sizes = self.shape(1);
        sizes
            .iter()
            .fold(1, |n: usize, &size| n.saturating_mul(size))
    }
    /// Whether a network can have it: at least one number per sample, and at most [`MOST_ELEMENTS`].
    pub(super) fn possible(self) -> bool {
        (1..=MOST_ELEMENTS).contains(&self.numel())
    }
}
impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::Features { features } => write!(f, "{features} features"),
            Extent::Image {
                channels,
                height,
                width,
            } => write!(f, "{channels} channels of {height}x{width}"),
        }
    }
}

/// A size per image axis: one number for both, or `[rows, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number or `[rows, columns]`")]
pub enum Pair {
    Both(usize),
    Each([usize; 2]),
}
impl Pair {
    /// Rows, columns.
    pub fn get(self) -> [usize; 2] {
        match self {
            Pair::Both(v) => [v, v],
            Pair::Each(v) => v,
        }
    }
    /// The default of strides and factors.
    pub(super) fn one() -> Pair {
        Pair::Both(1)
    }
    /// The default of paddings.
    pub(super) fn zero() -> Pair {
        Pair::Both(0)
    }
}
