//! InfoGAN: some latents are codes that a head of D recovers from the sample. Chen et al., arXiv 1606.03657, eq. 6.
//!
//! The latents are `[noise; categorical one-hot; continuous]`. Q shares D's trunk: its rows stand behind the logit in D's output.
//! The lower bound of the mutual information is log Q(c | x): a softmax for the categorical code, and for continuous ones (uniform on
//! [-1, 1)) a Gaussian of unit variance around Q's output, as the fixed-variance form of the authors' code.
use super::Result;
use super::classes::cross_entropy;
use crate::graph::{Expr, Graph};
use serde::{Deserialize, Serialize};

/// The codes, as a setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// Values of the categorical code; 0 for none.
    #[serde(default)]
    pub categorical: usize,
    /// Number of continuous codes.
    #[serde(default)]
    pub continuous: usize,
    /// lambda of eq. 6.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

impl Info {
    /// Latent components that are codes, and rows of Q.
    pub fn width(&self) -> usize {
        self.categorical + self.continuous
    }
}

/// -lambda L_I: what both sides add to their loss. `q`: Q's rows `[width, N]`; `codes`: the codes that the samples were made with,
/// `[width, N]`.
///
/// # Errors
/// Those of the graph.
pub fn information_loss(g: &mut Graph, info: &Info, q: Expr, codes: Expr) -> Result<Expr> {
    let batch = g.shape(q)[1];
    let (c, k) = (info.categorical, info.continuous);
    let mut loss = None;
    if c > 0 {
        let logits = g.slice(q, &[0, 0], &[c, batch])?;
        let target = g.slice(codes, &[0, 0], &[c, batch])?;
        loss = Some(cross_entropy(g, logits, target)?);
    }
    if k > 0 {
        let mean = g.slice(q, &[c, 0], &[k, batch])?;
        let target = g.slice(codes, &[c, 0], &[k, batch])?;
        let off = g.sub(mean, target)?;
        let square = g.square(off)?;
        let per_sample = g.sum(square, &[0])?;
        let mean = g.mean_all(per_sample)?;
        let half = g.scale(mean, 0.5)?;
        loss = Some(match loss {
            Some(loss) => g.add(loss, half)?,
            None => half,
        });
    }
    let loss = loss.unwrap_or_else(|| g.scalar(0.0));
    Ok(g.scale(loss, info.weight as f32)?)
}
