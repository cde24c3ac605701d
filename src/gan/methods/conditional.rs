//! Generation by class: the label goes to G, and to D in one of three ways.
use super::classes::cross_entropy;
use super::{GanError, Result};
use crate::graph::{Expr, Graph};
use serde::{Deserialize, Serialize};

/// How D uses the label. G always has it concatenated to its latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Concatenated to what D sees: Mirza and Osindero, arXiv 1411.1784.
    Concat,
    /// D(x, y) = v_y . phi(x) + psi(phi(x)): Miyato and Koyama, arXiv 1802.05637, eq. 3.
    Projection,
    /// D classifies beside judging (AC-GAN): Odena et al., arXiv 1610.09585, eq. 2 and 3.
    Auxiliary,
}

impl Condition {
    /// Every kind, with its name in settings.
    pub const ALL: [(&'static str, Condition); 3] = [
        ("concat", Condition::Concat),
        ("projection", Condition::Projection),
        ("auxiliary", Condition::Auxiliary),
    ];
    /// Its name in settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Concat => "concat",
            Condition::Projection => "projection",
            Condition::Auxiliary => "auxiliary",
        }
    }
    /// Whether D itself takes the label.
    pub fn d_sees_label(self) -> bool {
        self != Condition::Auxiliary
    }
}

impl std::str::FromStr for Condition {
    type Err = GanError;
    fn from_str(name: &str) -> Result<Condition> {
        let known = Condition::ALL.iter().find(|(known, _)| *known == name);
        known.map(|k| k.1).ok_or_else(|| GanError::Setting {
            field: "conditional".into(),
            expected: "one of concat, projection, auxiliary".into(),
            got: name.into(),
        })
    }
}

/// Generation by class, as a setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditional {
    pub kind: Condition,
    /// Number of classes; the data's labels are below it.
    #[serde(default = "ten")]
    pub classes: usize,
    /// Weight of the class losses of [`Condition::Auxiliary`].
    #[serde(default = "one")]
    pub weight: f64,
}

fn ten() -> usize {
    10
}
fn one() -> f64 {
    1.0
}

/// AC-GAN's class loss of one side, L_C of eq. 3: cross-entropy of D's class logits `[C, N]` and the labels that the samples were drawn
/// or made with, one-hot `[C, N]`.
///
/// # Errors
/// Those of the graph.
pub fn class_loss(g: &mut Graph, logits: Expr, label: Expr, weight: f64) -> Result<Expr> {
    let loss = cross_entropy(g, logits, label)?;
    Ok(g.scale(loss, weight as f32)?)
}
