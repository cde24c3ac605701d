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
    /// Rows or columns, whichever are fewer, orthogonal to each other and of length `gain`: Saxe et al. (arXiv 1312.6120). For
    /// weights, read as one row per first axis.
    Orthogonal {
        #[serde(default = "one")]
        gain: f64,
    },
    /// N(0, 2 / fan_in): He et al. (arXiv 1502.01852), for layers before a ReLU.
    KaimingNormal,
    /// Uniform on +-1/sqrt(fan_in), PyTorch's default.
    KaimingUniform,
}

fn one() -> f64 {
    1.0
}

/// A layer's own choice: a whole scheme, or a distribution for its weight, its bias or both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected \"pytorch\", \"dcgan\" or { weight = .., bias = .. } with \"kaiming_normal\", \"kaiming_uniform\", { constant = V }, { uniform = { low = A, high = B } }, { orthogonal = { gain = G } } or { normal = { mean = M, std = S } }"
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
    /// A matrix of that many columns whose rows or columns, whichever are fewer, are orthogonal and of length `gain`.
    Orthogonal {
        columns: usize,
        gain: f32,
    },
}

/// What a scheme tells layers apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Linear,
    Conv,
    BatchNorm,
    LayerNorm,
}

/// What the init of a weight that is a matrix, or a stack of them, depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    /// PyTorch's: size(1) times the kernel area of the weight, which for a transposed convolution counts its *output* channels.
    pub fan_in: usize,
    /// Elements of a row, of which there is one per first axis.
    pub columns: usize,
}

impl Matrix {
    /// Of a weight of this shape whose fan-in is the length of a row.
    pub fn of(shape: &[usize]) -> Matrix {
        let columns = shape[1..].iter().product();
        Matrix {
            fan_in: columns,
            columns,
        }
    }
}

/// The distributions of a layer's weight and bias; the weights of norms are no matrices.
///
/// # Errors
/// What is wrong with the layer's `init`, as (expected, got).
pub(super) fn resolve(
    scheme: InitScheme,
    family: Family,
    weight: Option<Matrix>,
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
    if let Some(bias @ InitSpec::Orthogonal { .. }) = own_bias {
        return Err((
            "an init for the bias that is not one of matrices".to_string(),
            format!("{bias:?}"),
        ));
    }
    Ok([
        own_weight.unwrap_or(default_weight).resolve(weight)?,
        own_bias.unwrap_or(default_bias).resolve(weight)?,
    ])
}

impl InitSpec {
    fn resolve(self, weight: Option<Matrix>) -> Result<Init, (String, String)> {
        let matrix = || match weight {
            Some(matrix) => Ok(matrix),
            None => Err((
                "an init without fan-in (constant, uniform or normal) for a norm layer".to_string(),
                format!("{self:?}"),
            )),
        };
        let fan = || matrix().map(|m| m.fan_in as f64);
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
            InitSpec::Orthogonal { gain } => Init::Orthogonal {
                columns: matrix()?.columns,
                gain: gain as f32,
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
        // Every number that is drawn is finite; no N(0, 1) of 24 bits is beyond 8.
        const FARTHEST: f32 = 8.0;
        let sound = match init {
            Init::Constant(v) => v.is_finite(),
            Init::Uniform { low, high } => low <= high && (high - low).is_finite(),
            Init::Normal { mean, std } => std >= 0.0 && (mean.abs() + FARTHEST * std).is_finite(),
            Init::UnitVector => true,
            Init::Orthogonal { gain, .. } => gain.is_finite(),
        };
        if !sound {
            return Err((
                "numbers in `init` that f32 holds, high - low too, low <= high and std >= 0"
                    .to_string(),
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
                Init::UnitVector | Init::Orthogonal { .. } => normal2(words()),
            };
            pair.copy_from_slice(&draw[..pair.len()]);
        }
        match self {
            Init::UnitVector => orthogonalise(out, out.len(), 1.0),
            Init::Orthogonal { columns, gain } => orthogonalise(out, columns, gain),
            _ => {}
        }
    }
}

/// Makes the rows of a matrix, or its columns if those are fewer, orthogonal and of length `gain`, by Gram and Schmidt in f64: of
/// normal draws this is uniform over such matrices.
fn orthogonalise(matrix: &mut [f32], columns: usize, gain: f32) {
    let rows = matrix.len() / columns;
    let (count, along, across) = match rows <= columns {
        true => (rows, columns, [columns, 1]),
        false => (columns, rows, [1, columns]),
    };
    let mut found: Vec<Vec<f64>> = vec![];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    for i in 0..count {
        let at = |j: usize| f64::from(matrix[i * across[0] + j * across[1]]);
        let mut v: Vec<f64> = (0..along).map(at).collect();
        // Twice: the first pass leaves rounding errors of the largest projection.
        for _ in 0..2 {
            for earlier in &found {
                let shared = dot(earlier, &v);
                v.iter_mut()
                    .zip(earlier)
                    .for_each(|(x, e)| *x -= shared * e);
            }
        }
        let norm = dot(&v, &v).sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
        for (j, x) in v.iter().enumerate() {
            matrix[i * across[0] + j * across[1]] = (x * f64::from(gain)) as f32;
        }
        found.push(v);
    }
}
