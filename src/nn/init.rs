//! How weights start: PyTorch's defaults, DCGAN's, or what a layer asks for; drawn by the counter-based generator.
use crate::data::rng::{normal2, threefry2x32, uniform01};
use serde::{Deserialize, Serialize};

/// How a network's weights start where a layer does not say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitScheme {
    /// PyTorch's `reset_parameters`: linear and convolution weights `kaiming_uniform(a = sqrt 5)`, which is uniform on
    /// +-1/sqrt(fan_in), and their biases likewise; norm weights 1, norm biases 0.
    #[default]
    Pytorch,
    /// DCGAN (Radford et al., arXiv 1511.06434) as PyTorch's tutorial writes it: convolution weights N(0, 0.02), batch-norm
    /// weights N(1, 0.02); linear layers and all biases as in [`InitScheme::Pytorch`].
    Dcgan,
}

/// A distribution as a TOML file names it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum InitSpec {
    /// Every element has this value.
    Constant(f64),
    /// Uniform on [low, high).
    Uniform { low: f64, high: f64 },
    /// N(mean, std^2).
    Normal {
        #[serde(default)]
        mean: f64,
        std: f64,
    },
    /// N(0, 2 / fan_in): He et al. (arXiv 1502.01852), for layers before a ReLU.
    KaimingNormal,
    /// Uniform on +-1/sqrt(fan_in), PyTorch's default.
    KaimingUniform,
}

/// A layer's own choice: a whole scheme, or a distribution for its weight, its bias or both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected \"pytorch\", \"dcgan\" or { weight = .., bias = .. } with \"kaiming_normal\", \"kaiming_uniform\", { constant = V }, { uniform = { low = A, high = B } } or { normal = { mean = M, std = S } }"
)]
pub enum InitOverride {
    Scheme(InitScheme),
    Tensors {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<InitSpec>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bias: Option<InitSpec>,
    },
}

/// The distribution of one tensor, resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Constant(f32),
    /// Uniform on [low, high).
    Uniform {
        low: f32,
        high: f32,
    },
    Normal {
        mean: f32,
        std: f32,
    },
    /// A direction: N(0, 1) draws divided by their Euclidean norm.
    UnitVector,
}

/// What a scheme tells layers apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Linear,
    Conv,
    BatchNorm,
    LayerNorm,
}

/// The distributions of a layer's weight and bias. `fan_in` is PyTorch's: size(1) times the kernel area of the weight, which
/// for a transposed convolution counts its *output* channels; norms have none.
///
/// # Errors
/// What is wrong with the layer's `init`, as (expected, got).
pub(super) fn resolve(
    scheme: InitScheme,
    family: Family,
    fan_in: Option<usize>,
    own: Option<&InitOverride>,
) -> Result<[Init; 2], (String, String)> {
    let (scheme, own_weight, own_bias) = match own {
        None => (scheme, None, None),
        Some(InitOverride::Scheme(s)) => (*s, None, None),
        Some(InitOverride::Tensors { weight, bias }) => (scheme, *weight, *bias),
    };
    let default_weight = match (scheme, family) {
        (InitScheme::Dcgan, Family::Conv) => InitSpec::Normal {
            mean: 0.0,
            std: 0.02,
        },
        (InitScheme::Dcgan, Family::BatchNorm) => InitSpec::Normal {
            mean: 1.0,
            std: 0.02,
        },
        (_, Family::BatchNorm | Family::LayerNorm) => InitSpec::Constant(1.0),
        (_, Family::Linear | Family::Conv) => InitSpec::KaimingUniform,
    };
    let default_bias = match family {
        Family::BatchNorm | Family::LayerNorm => InitSpec::Constant(0.0),
        Family::Linear | Family::Conv => InitSpec::KaimingUniform,
    };
    Ok([
        own_weight.unwrap_or(default_weight).resolve(fan_in)?,
        own_bias.unwrap_or(default_bias).resolve(fan_in)?,
    ])
}

impl InitSpec {
    fn resolve(self, fan_in: Option<usize>) -> Result<Init, (String, String)> {
        let fan = || match fan_in {
            Some(n) => Ok(n as f64),
            None => Err((
                "an init without fan-in (constant, uniform or normal) for a norm layer".to_string(),
                format!("{self:?}"),
            )),
        };
        let init = match self {
            InitSpec::Constant(v) => Init::Constant(v as f32),
            InitSpec::Uniform { low, high } => Init::Uniform {
                low: low as f32,
                high: high as f32,
            },
            InitSpec::Normal { mean, std } => Init::Normal {
                mean: mean as f32,
                std: std as f32,
            },
            InitSpec::KaimingNormal => Init::Normal {
                mean: 0.0,
                std: (2.0 / fan()?).sqrt() as f32,
            },
            InitSpec::KaimingUniform => {
                let bound = (1.0 / fan()?.sqrt()) as f32;
                Init::Uniform {
                    low: -bound,
                    high: bound,
                }
            }
        };
        let sound = match init {
            Init::Constant(v) => v.is_finite(),
            Init::Uniform { low, high } => low.is_finite() && high.is_finite() && low <= high,
            Init::Normal { mean, std } => mean.is_finite() && std.is_finite() && std >= 0.0,
            Init::UnitVector => true,
        };
        if !sound {
            return Err((
                "finite numbers in `init`, low <= high and std >= 0".to_string(),
                format!("{self:?}"),
            ));
        }
        Ok(init)
    }
}

impl Init {
    /// Draws a tensor: a pure function of the network's key, the tensor's number and the element's index, so that a tensor
    /// does not depend on the sizes of those before it.
    pub fn fill(self, key: [u32; 2], tensor: u32, out: &mut [f32]) {
        for (block, pair) in out.chunks_mut(2).enumerate() {
            let words = || threefry2x32(key, [tensor, block as u32]);
            let draw = match self {
                Init::Constant(v) => [v; 2],
                Init::Uniform { low, high } => {
                    words().map(|bits| low + (high - low) * uniform01(bits))
                }
                Init::Normal { mean, std } => normal2(words()).map(|v| mean + std * v),
                Init::UnitVector => normal2(words()),
            };
            pair.copy_from_slice(&draw[..pair.len()]);
        }
        if self == Init::UnitVector {
            let squares: f64 = out.iter().map(|&v| f64::from(v).powi(2)).sum();
            let norm = squares.sqrt();
            out.iter_mut()
                .for_each(|v| *v = (f64::from(*v) / norm) as f32);
        }
    }
}
