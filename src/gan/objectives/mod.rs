//! The table of objectives: one file per objective, one line per objective here.
//!
//! s is the discriminator's output before any sigmoid, `[1, N]`: s_r on real samples, s_f on generated ones; sp is softplus.
//! Every loss is minimised, and is a mean over the batch. `D = sigmoid(s)` where an objective speaks of probabilities.
mod energy;
mod hinge;
mod least_squares;
mod minimax;
mod non_saturating;
mod relativistic;
mod relativistic_average;
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

/// What a loss depends on besides D's outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    /// Target of real samples, below 1 with one-sided label smoothing (Salimans et al., arXiv 1606.03498, section 3.4).
    pub real: f32,
    /// Energy up to which generated samples are pushed ([`Objective::Energy`]).
    pub margin: f32,
}

impl Default for Targets {
    fn default() -> Targets {
        Targets {
            real: 1.0,
            margin: 1.0,
        }
    }
}

/// One pair of losses. Implementations give the batch's mean from logits `[1, N]`.
trait Losses {
    /// What D minimises.
    fn discriminator(
        &self,
        g: &mut Graph,
        s_real: Expr,
        s_fake: Expr,
        targets: Targets,
    ) -> Result<Expr>;
    /// What G minimises; `s_real` is D's output on real samples where [`Losses::generator_sees_real`].
    fn generator(&self, g: &mut Graph, s_real: Expr, s_fake: Expr) -> Result<Expr>;
    fn score(&self) -> Score;
    /// Whether real samples have a target that label smoothing can lower.
    fn has_target(&self) -> bool {
        false
    }
    /// Whether G's loss is relative to D's output on real samples.
    fn generator_sees_real(&self) -> bool {
        false
    }
    /// Whether G's loss is minus D's, but for what does not depend on G's samples.
    fn zero_sum(&self) -> bool {
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
    /// Jolicoeur-Martineau, arXiv 1807.00734, section 4.1 (RpGAN with f = softplus): pairs of a real and a generated sample.
    Relativistic "relativistic" relativistic::Relativistic;
    /// Jolicoeur-Martineau, arXiv 1807.00734, section 4.2 (RaGAN): against the other side's mean.
    RelativisticAverage "relativistic_average" relativistic_average::RelativisticAverage;
    /// Zhao et al., arXiv 1609.03126, eq. 1 and 2 (EBGAN): D is an auto-encoder, s its reconstruction error.
    Energy "energy" energy::Energy;
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
    /// D's loss, a scalar, from logits `[1, N]` on real and `[1, M]` on generated samples, with the usual targets.
    ///
    /// # Errors
    /// [`GanError::Logits`] for other shapes.
    pub fn discriminator_loss(self, g: &mut Graph, s_real: Expr, s_fake: Expr) -> Result<Expr> {
        self.discriminator_loss_with(g, s_real, s_fake, Targets::default())
    }
    /// D's loss with other targets.
    ///
    /// # Errors
    /// [`GanError::Logits`]; [`GanError::Setting`] if the objective has no target to lower and `targets.real` is not 1.
    pub fn discriminator_loss_with(
        self,
        g: &mut Graph,
        s_real: Expr,
        s_fake: Expr,
        targets: Targets,
    ) -> Result<Expr> {
        check(g, "discriminator loss, real", s_real)?;
        check(g, "discriminator loss, generated", s_fake)?;
        if targets.real != 1.0 && !self.has_target() {
            return Err(GanError::Setting {
                field: "label_smoothing".into(),
                expected: format!("0 with the objective {}, which has no labels", self.name()),
                got: format!("{}", 1.0 - targets.real),
            });
        }
        self.losses().discriminator(g, s_real, s_fake, targets)
    }
    /// G's loss, a scalar, from logits `[1, N]` on generated samples and, for the relativistic objectives, on as many real ones.
    ///
    /// # Errors
    /// [`GanError::Logits`] for other shapes; [`GanError::Input`] where the real ones are needed and not given.
    pub fn generator_loss(self, g: &mut Graph, s_real: Option<Expr>, s_fake: Expr) -> Result<Expr> {
        check(g, "generator loss", s_fake)?;
        let s_real = match s_real {
            Some(s_real) => {
                check(g, "generator loss, real", s_real)?;
                s_real
            }
            None if self.generator_sees_real() => {
                return Err(GanError::Input(format!(
                    "G's loss of the objective {} needs D's output on real samples",
                    self.name()
                )));
            }
            None => s_fake,
        };
        self.losses().generator(g, s_real, s_fake)
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
    /// Whether G's loss needs D's output on real samples.
    pub fn generator_sees_real(self) -> bool {
        self.losses().generator_sees_real()
    }
    /// Whether G's loss is minus D's, but for what does not depend on G's samples: one value that both play for.
    pub fn zero_sum(self) -> bool {
        self.losses().zero_sum()
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

/// Differences of pairs `[1, N]`: sample n of one side against sample n of the other.
fn paired(g: &mut Graph, what: &'static str, a: Expr, b: Expr) -> Result<Expr> {
    if g.shape(a) != g.shape(b) {
        return Err(GanError::Logits {
            what,
            got: format!("{} against {}", g.shape(a), g.shape(b)),
        });
    }
    Ok(g.sub(a, b)?)
}
