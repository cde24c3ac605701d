//! The table of objectives: one file per objective, one line per objective here.
//!
//! s is the discriminator's output before any sigmoid, `[1, N]`: s_r on real samples, s_f on generated ones; sp is softplus.
//! Every loss is minimised, and is a mean over the batch. `D = sigmoid(s)` where an objective speaks of probabilities.
mod hinge;
mod least_squares;
mod minimax;
mod non_saturating;
mod wgan;

use super::{GanError, Result};
use crate::graph::{Expr, Graph};
use serde::{Deserialize, Serialize};

/// What is shown as `d_real` and `d_fake`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Mean of sigmoid(s): the probability of being real; 1/2 at the optimum.
    Probability,
    /// Mean of s: a critic's value, without a scale of its own.
    Value,
}

/// One pair of losses. Implementations give loss per sample from logits of any shape.
trait Losses {
    /// What D minimises; `real` is the target of real samples, below 1 with one-sided label smoothing.
    fn discriminator(&self, g: &mut Graph, s_real: Expr, s_fake: Expr, real: f32) -> Result<Expr>;
    /// What G minimises.
    fn generator(&self, g: &mut Graph, s_fake: Expr) -> Result<Expr>;
    fn score(&self) -> Score;
    /// Whether real samples have a target that label smoothing can lower.
    fn has_target(&self) -> bool {
        false
    }
}

macro_rules! table {
    ($($(#[$doc:meta])* $variant:ident $name:literal $losses:expr;)*) => {
        /// The game that G and D play.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Objective {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }
        impl Objective {
            /// Every objective, in the order of the table.
            pub const ALL: &'static [Objective] = &[$(Objective::$variant,)*];
            /// Its name in settings and on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Objective::$variant => $name,)* }
            }
            fn losses(self) -> &'static dyn Losses {
                match self { $(Objective::$variant => &$losses,)* }
            }
        }
    };
}

table! {
    /// Goodfellow et al., arXiv 1406.2661, eq. 1, with the generator loss that saturates.
    Minimax "minimax" minimax::Minimax;
    /// Goodfellow et al., arXiv 1406.2661, section 3: G maximises log D(G(z)).
    NonSaturating "non_saturating" non_saturating::NonSaturating;
    /// Mao et al., arXiv 1611.04076, eq. 9: a = 0, b = c = 1.
    LeastSquares "least_squares" least_squares::LeastSquares;
    /// Lim and Ye, arXiv 1705.02894; Miyato et al., arXiv 1802.05957, eq. 16 and 17.
    Hinge "hinge" hinge::Hinge;
    /// Arjovsky et al., arXiv 1701.07875, eq. 2; needs clipped weights or a gradient penalty.
    Wgan "wgan" wgan::Wgan;
}

impl std::str::FromStr for Objective {
    type Err = GanError;
    fn from_str(name: &str) -> Result<Objective> {
        let known = Objective::ALL.iter().map(|o| o.name());
        match Objective::ALL
            .iter()
            .find(|o| o.name() == name.replace('-', "_"))
        {
            Some(&o) => Ok(o),
            None => Err(GanError::Setting {
                field: "objective".into(),
                expected: format!("one of {}", known.collect::<Vec<_>>().join(", ")),
                got: name.into(),
            }),
        }
    }
}

impl Objective {
    /// D's loss, a scalar, from logits `[1, N]` on real and `[1, M]` on generated samples.
    ///
    /// # Errors
    /// [`GanError::Logits`] for other shapes.
    pub fn discriminator_loss(self, g: &mut Graph, s_real: Expr, s_fake: Expr) -> Result<Expr> {
        self.discriminator_loss_smoothed(g, s_real, s_fake, 1.0)
    }
    /// D's loss with one-sided label smoothing (Salimans et al., arXiv 1606.03498, section 3.4): real samples have the target
    /// `real` instead of 1.
    ///
    /// # Errors
    /// [`GanError::Logits`]; [`GanError::Setting`] if the objective has no target to lower and `real` is not 1.
    pub fn discriminator_loss_smoothed(
        self,
        g: &mut Graph,
        s_real: Expr,
        s_fake: Expr,
        real: f32,
    ) -> Result<Expr> {
        check(g, "discriminator loss, real", s_real)?;
        check(g, "discriminator loss, generated", s_fake)?;
        if real != 1.0 && !self.has_target() {
            return Err(GanError::Setting {
                field: "label_smoothing".into(),
                expected: format!("0 with the objective {}, which has no labels", self.name()),
                got: format!("{}", 1.0 - real),
            });
        }
        self.losses().discriminator(g, s_real, s_fake, real)
    }
    /// G's loss, a scalar, from logits `[1, N]` on generated samples.
    ///
    /// # Errors
    /// [`GanError::Logits`] for other shapes.
    pub fn generator_loss(self, g: &mut Graph, s_fake: Expr) -> Result<Expr> {
        check(g, "generator loss", s_fake)?;
        self.losses().generator(g, s_fake)
    }
    /// `d_real` or `d_fake`, a scalar: the mean probability of being real, or a critic's mean value.
    ///
    /// # Errors
    /// [`GanError::Logits`] for logits of another shape than `[1, N]`.
    pub fn statistic(self, g: &mut Graph, s: Expr) -> Result<Expr> {
        check(g, "statistic", s)?;
        let s = match self.score() {
            Score::Probability => g.sigmoid(s),
            Score::Value => s,
        };
        Ok(g.mean_all(s)?)
    }
    /// `d_real` and `d_fake`: [`Objective::statistic`] of both.
    ///
    /// # Errors
    /// As for [`Objective::statistic`].
    pub fn statistics(self, g: &mut Graph, s_real: Expr, s_fake: Expr) -> Result<(Expr, Expr)> {
        Ok((self.statistic(g, s_real)?, self.statistic(g, s_fake)?))
    }
    /// What [`Objective::statistic`] is.
    pub fn score(self) -> Score {
        self.losses().score()
    }
    /// Whether one-sided label smoothing is defined for it.
    pub fn has_target(self) -> bool {
        self.losses().has_target()
    }
}

fn check(g: &Graph, what: &'static str, s: Expr) -> Result<()> {
    match g.shape(s)[..] {
        [1, _] => Ok(()),
        _ => Err(GanError::Logits {
            what,
            got: g.shape(s).to_string(),
        }),
    }
}

/// Mean of sp(-s_r) + sp(s_f), the binary cross-entropy that minimax and non-saturating share; with target t of real samples
/// t sp(-s_r) + (1 - t) sp(s_r) = sp(-s_r) + (1 - t) s_r.
fn cross_entropy(g: &mut Graph, s_real: Expr, s_fake: Expr, real: f32) -> Result<Expr> {
    let negative = g.neg(s_real);
    let mut on_real = g.softplus(negative);
    if real != 1.0 {
        let rest = g.scale(s_real, 1.0 - real)?;
        on_real = g.add(on_real, rest)?;
    }
    let on_fake = g.softplus(s_fake);
    sum_of_means(g, on_real, on_fake)
}

/// Mean of a plus mean of b: the two batches may differ in size.
fn sum_of_means(g: &mut Graph, a: Expr, b: Expr) -> Result<Expr> {
    let (a, b) = (g.mean_all(a)?, g.mean_all(b)?);
    Ok(g.add(a, b)?)
}
