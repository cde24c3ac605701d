//! The table of penalties on the critic's gradient: one file per penalty, one line per penalty here.
//!
//! Each is an ordinary expression that holds a gradient; D's update differentiates it once more.
mod dragan;
mod gradient_penalty;
mod r1;
mod r2;

use super::{GanError, Result};
use crate::graph::{Distribution, Expr, Graph};
use serde::{Deserialize, Serialize};

/// D's forward pass: samples `[F, N]` or `[C, N, H, W]` to logits `[1, N]`.
pub type Forward<'a> = dyn FnMut(&mut Graph, Expr) -> Result<Expr> + 'a;

/// D, whose gradient with respect to its input is penalised.
pub struct Critic<'a, 'f> {
    pub forward: &'a mut Forward<'f>,
    /// Its parameters. They are held fixed in that gradient even where they were computed from the samples, as unrolled updates are.
    pub params: &'a [Expr],
}

impl<'a, 'f> Critic<'a, 'f> {
    /// D with these parameters.
    pub fn new(params: &'a [Expr], forward: &'a mut Forward<'f>) -> Self {
        Self { forward, params }
    }
}

/// What a penalty is evaluated on.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    /// Real samples, batch second.
    pub real: Expr,
    /// Generated samples of the same shape.
    pub fake: Expr,
    /// Uniform numbers on [0, 1), one per sample, in any shape of N elements.
    pub epsilon: Expr,
}

impl Samples {
    /// Samples with an epsilon of their own from the graph's next random stream.
    pub fn new(g: &mut Graph, real: Expr, fake: Expr) -> Samples {
        let batch = g.shape(real).get(1).copied().unwrap_or(1);
        let epsilon = g.random(Distribution::Uniform, [1, batch]);
        Samples {
            real,
            fake,
            epsilon,
        }
    }
}

macro_rules! table {
    ($($(#[$doc:meta])* $variant:ident $name:literal $default:literal $penalty:expr;)*) => {
        /// A penalty on the gradient of D with respect to its input.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Regulariser {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }
        impl Regulariser {
            /// Every penalty, in the order of the table.
            pub const ALL: &'static [Regulariser] = &[$(Regulariser::$variant,)*];
            /// Its name in settings and on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Regulariser::$variant => $name,)* }
            }
            /// The weight where none is given.
            pub fn default_weight(self) -> f64 {
                match self { $(Regulariser::$variant => $default,)* }
            }
            /// The penalty, a scalar to be added to D's loss.
            ///
            /// # Errors
            /// Those of the critic; [`GanError::Logits`] if it does not give logits `[1, N]`.
            pub fn penalty(self, g: &mut Graph, weight: f32, samples: Samples, critic: Critic) -> Result<Expr> {
                match self { $(Regulariser::$variant => $penalty(g, weight, samples, critic),)* }
            }
        }
    };
}

table! {
    /// lambda E (||grad D(x^)|| - 1)^2 between real and generated samples: Gulrajani et al., arXiv 1704.00028, eq. 3.
    GradientPenalty "gradient_penalty" 10.0 gradient_penalty::penalty;
    /// gamma/2 E ||grad D(x)||^2 on real samples: Mescheder et al., arXiv 1801.04406, eq. 9.
    R1 "r1" 10.0 r1::penalty;
    /// gamma/2 E ||grad D(G(z))||^2 on generated samples: Mescheder et al., arXiv 1801.04406, eq. 10.
    R2 "r2" 10.0 r2::penalty;
    /// lambda E (||grad D(x + noise)|| - 1)^2 around real samples: Kodali et al., arXiv 1705.07215, section 2.3.
    Dragan "dragan" 10.0 dragan::penalty;
}

impl std::str::FromStr for Regulariser {
    type Err = GanError;
    fn from_str(name: &str) -> Result<Regulariser> {
        let known = Regulariser::ALL.iter().map(|r| r.name());
        match Regulariser::ALL
            .iter()
            .find(|r| r.name() == name.replace('-', "_"))
        {
            Some(&r) => Ok(r),
            None => Err(GanError::Setting {
                field: "regulariser".into(),
                expected: format!("one of {}", known.collect::<Vec<_>>().join(", ")),
                got: name.into(),
            }),
        }
    }
}

/// ||grad_x D(x)||^2 per sample, `[1, N]` or `[1, N, 1, 1]`. The gradient is that of the sum of D over the batch, as in PyTorch:
/// with a batch norm in D it also holds what a sample does to the others.
fn squared_gradient_norm(g: &mut Graph, x: Expr, critic: Critic) -> Result<Expr> {
    let s = (critic.forward)(g, x)?;
    if !matches!(g.shape(s)[..], [1, _]) {
        return Err(GanError::Logits {
            what: "regulariser",
            got: g.shape(s).to_string(),
        });
    }
    let total = g.sum_all(s)?;
    let gradient = g.gradients_holding(total, &[x], critic.params)?[0];
    let squared = g.square(gradient)?;
    let features: Vec<usize> = (0..g.shape(x).rank()).filter(|&i| i != 1).collect();
    Ok(g.sum(squared, &features)?)
}

/// weight E (||grad_x D(x)||_2 - 1)^2; a critic of dead ReLUs has a gradient of exactly 0.
fn off_unit_norm(g: &mut Graph, weight: f32, x: Expr, critic: Critic) -> Result<Expr> {
    let square = squared_gradient_norm(g, x, critic)?;
    let norm = g.guarded_sqrt(square)?;
    let off = g.shift(norm, -1.0)?;
    let squared = g.square(off)?;
    let mean = g.mean_all(squared)?;
    Ok(g.scale(mean, weight)?)
}

/// weight/2 E ||grad_x D(x)||^2
fn half_mean_square(g: &mut Graph, weight: f32, x: Expr, critic: Critic) -> Result<Expr> {
    let square = squared_gradient_norm(g, x, critic)?;
    let mean = g.mean_all(square)?;
    Ok(g.scale(mean, 0.5 * weight)?)
}
