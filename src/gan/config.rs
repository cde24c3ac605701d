//! The settings of a method: what a preset or a run's `config.toml` says about the game.
use super::methods::{Conditional, EncoderMethod, Info, Unroll};
use super::objectives::Targets;
use super::regularisers::{Critic, Samples};
use super::{GanError, Objective, Regulariser, Result};
use crate::data::density::Density;
use crate::graph::{Expr, Graph};
use crate::nn::Network;
use crate::nn::models::{DiscriminatorOutput, Pairing};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// Everything that defines the training method, apart from networks, data and length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanConfig {
    pub objective: Objective,
    /// Target of real samples is 1 minus this, for D only (one-sided).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// D's weights are clipped to +- this after each of its steps (WGAN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// D's steps per round.
    #[serde(default = "one")]
    pub d_steps: usize,
    /// G's steps per round.
    #[serde(default = "one")]
    pub g_steps: usize,
    /// D's steps before the first round.
    #[serde(default)]
    pub warmup_d_steps: usize,
    /// Real samples, and as many generated ones, per D step; generated ones per G step.
    pub batch: usize,
    /// Width of the latents; the model's own where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latent_dim: Option<usize>,
    #[serde(default)]
    pub prior: Prior,
    pub optimiser: Optimisers,
    /// Average of G's weights, for sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// Penalties added to D's loss at every step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regularisers: Vec<Penalty>,
    /// Whether D or both networks move first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub updates: Updates,
    /// Samples that D judges together (PacGAN).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub pack: usize,
    /// G's loss looks through updates of D (unrolled GAN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unroll: Option<Unroll>,
    /// Generators behind a shared trunk (MAD-GAN); G has a `branches` layer of as many.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub generators: usize,
    /// A third network from samples to latents (MRGAN, VEEGAN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderMethod>,
    /// Generation by class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional: Option<Conditional>,
    /// Latent codes that D recovers (InfoGAN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Info>,
    /// Energy up to which D pushes generated samples, with the objective energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Weight of the pulling-away term on G, with the objective energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulling_away: Option<f64>,
    /// Report the Euclidean norms of the whole gradients of D and G.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gradient_norms: bool,
}

/// In which order the networks move within a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Updates {
    /// D first, then G against the new D.
    #[default]
    Alternating,
    /// Both against the other's old weights.
    Simultaneous,
}

/// A number that the programs report beside losses and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraScalar {
    /// Its key in `metrics.jsonl`.
    pub name: &'static str,
    /// Whether D's update computes it, or G's.
    pub by_d: bool,
}

/// A penalty and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Penalty {
    pub name: Regulariser,
    /// lambda of the gradient penalty, gamma of R1 and R2 (in gamma/2 E ||grad D||^2).
    pub weight: f64,
}

impl Penalty {
    /// The penalty, a scalar to be added to D's loss.
    ///
    /// # Errors
    /// As for [`Regulariser::penalty`].
    pub fn penalty(&self, g: &mut Graph, samples: Samples, critic: Critic) -> Result<Expr> {
        self.name.penalty(g, self.weight as f32, samples, critic)
    }
}

/// Distribution of the latents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// N(0, 1) per component.
    #[default]
    Normal,
    /// Uniform on [-1, 1) per component.
    Uniform,
    // Those of `data::density` in one dimension, each component drawn by its usual method.
    Exponential,
    Logistic,
    Laplace,
    Cauchy,
    Triangular,
    Kumaraswamy,
    #[value(alias = "truncated_normal")]
    TruncatedNormal,
    Semicircle,
    #[serde(rename = "doublewell")]
    #[value(name = "doublewell")]
    DoubleWell,
}

impl Prior {
    /// The density of a component, where it is one of the named ones.
    pub fn density(self) -> Option<Density> {
        Some(match self {
            Prior::Normal | Prior::Uniform => return None,
            Prior::Exponential => Density::Exponential,
            Prior::Logistic => Density::Logistic,
            Prior::Laplace => Density::Laplace,
            Prior::Cauchy => Density::Cauchy,
            Prior::Triangular => Density::Triangular,
            Prior::Kumaraswamy => Density::Kumaraswamy,
            Prior::TruncatedNormal => Density::TruncatedNormal,
            Prior::Semicircle => Density::Semicircle,
            Prior::DoubleWell => Density::DoubleWell,
        })
    }
}

/// D's and G's own optimiser: their rates need not be equal (TTUR, arXiv 1706.08500).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimisers {
    pub d: Optimiser,
    pub g: Optimiser,
}

/// An optimiser with PyTorch's meaning and defaults of its settings; the rate has no default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Optimiser {
    Adam(Adam),
    Rmsprop(Rmsprop),
    Sgd(Sgd),
}

/// Kingma and Ba, arXiv 1412.6980; `torch.optim.Adam`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    pub lr: f64,
    #[serde(default = "default_beta1")]
    pub beta1: f64,
    #[serde(default = "default_beta2")]
    pub beta2: f64,
    #[serde(default = "default_eps")]
    pub eps: f64,
}

/// `torch.optim.RMSprop`, not centred.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rmsprop {
    pub lr: f64,
    /// Share of the old average of squares.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    #[serde(default = "default_eps")]
    pub eps: f64,
    #[serde(default)]
    pub momentum: f64,
}

/// `torch.optim.SGD`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    pub lr: f64,
    #[serde(default)]
    pub momentum: f64,
}

/// How slowly the average of G's weights follows them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected `{ decay = B }` or `{ half_life_images = N }`"
)]
pub enum Ema {
    /// Share of the old average that a G step keeps.
    Decay { decay: f64 },
    /// Generated images after which half of the old average is left.
    HalfLife { half_life_images: f64 },
}

impl Ema {
    /// Share of the old average that one G step of `batch` images keeps: 0.5^(batch / half-life).
    pub fn decay(self, batch: usize) -> f64 {
        match self {
            Ema::Decay { decay } => decay,
            Ema::HalfLife { half_life_images } => 0.5f64.powf(batch as f64 / half_life_images),
        }
    }
}

fn one() -> usize {
    1
}
fn is_one(v: &usize) -> bool {
    *v == 1
}
fn is_default<T: Default + PartialEq>(v: &T) -> bool {
    *v == T::default()
}
fn is_zero(v: &f64) -> bool {
    *v == 0.0
}
fn default_beta1() -> f64 {
    0.9
}
fn default_beta2() -> f64 {
    0.999
}
fn default_alpha() -> f64 {
    0.99
}
fn default_eps() -> f64 {
    1e-8
}

impl Optimiser {
    /// Its name in settings.
    pub fn name(&self) -> &'static str {
        match self {
            Optimiser::Adam(_) => "adam",
            Optimiser::Rmsprop(_) => "rmsprop",
            Optimiser::Sgd(_) => "sgd",
        }
    }
    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match self {
            Optimiser::Adam(o) => o.lr,
            Optimiser::Rmsprop(o) => o.lr,
            Optimiser::Sgd(o) => o.lr,
        }
    }
    /// The learning rate, to be changed.
    pub fn lr_mut(&mut self) -> &mut f64 {
        match self {
            Optimiser::Adam(o) => &mut o.lr,
            Optimiser::Rmsprop(o) => &mut o.lr,
            Optimiser::Sgd(o) => &mut o.lr,
        }
    }
    fn validate(&self, whose: &str) -> Result<()> {
        let name = |setting| format!("optimiser.{whose}.{setting}");
        above_zero(&name("lr"), self.lr())?;
        match *self {
            Optimiser::Adam(o) => {
                share(&name("beta1"), o.beta1)?;
                share(&name("beta2"), o.beta2)?;
                above_zero(&name("eps"), o.eps)
            }
            Optimiser::Rmsprop(o) => {
                share(&name("alpha"), o.alpha)?;
                share(&name("momentum"), o.momentum)?;
                above_zero(&name("eps"), o.eps)
            }
            Optimiser::Sgd(o) => share(&name("momentum"), o.momentum),
        }
    }
}

impl GanConfig {
    /// One step of each network per round with one optimiser for both, and nothing else.
    pub fn plain(objective: Objective, batch: usize, optimiser: Optimiser) -> GanConfig {
        GanConfig {
            objective,
            label_smoothing: 0.0,
            clip: None,
            d_steps: 1,
            g_steps: 1,
            warmup_d_steps: 0,
            batch,
            latent_dim: None,
            prior: Prior::default(),
            optimiser: Optimisers {
                d: optimiser,
                g: optimiser,
            },
            ema: None,
            regularisers: vec![],
            updates: Updates::default(),
            pack: 1,
            unroll: None,
            generators: 1,
            encoder: None,
            conditional: None,
            info: None,
            margin: None,
            pulling_away: None,
            gradient_norms: false,
        }
    }

    /// Reads and validates settings; `file` is their name in errors.
    ///
    /// # Errors
    /// [`GanError::Toml`] with line and column, otherwise as [`GanConfig::validate`].
    pub fn from_toml(file: &str, text: &str) -> Result<GanConfig> {
        let config: GanConfig = toml::from_str(text).map_err(|e| GanError::Toml {
            file: file.into(),
            message: e.to_string().trim_end().into(),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// D's loss without its penalties: the objective's, with label smoothing or margin where they are set.
    ///
    /// # Errors
    /// As for [`Objective::discriminator_loss_with`].
    pub fn discriminator_loss(&self, g: &mut Graph, s_real: Expr, s_fake: Expr) -> Result<Expr> {
        let targets = Targets {
            real: (1.0 - self.label_smoothing) as f32,
            margin: self.margin.map_or(Targets::default().margin, |m| m as f32),
        };
        self.objective
            .discriminator_loss_with(g, s_real, s_fake, targets)
    }

    /// Latent components that are codes of InfoGAN; the rest is noise.
    pub fn code_width(&self) -> usize {
        self.info.map_or(0, |info| info.width())
    }

    /// How D must fit G: what it sees and what it gives, for latents of this width (codes included).
    pub fn pairing(&self, latents: usize) -> Pairing {
        let classes = self.auxiliary().map_or(0, |c| c.classes);
        let generators = if self.generators > 1 {
            self.generators
        } else {
            0
        };
        Pairing {
            pack: self.pack,
            joint: match self.encoder {
                Some(method) if method.joint() => latents,
                _ => 0,
            },
            output: match self.objective {
                Objective::Energy => DiscriminatorOutput::Reconstruction,
                _ => DiscriminatorOutput::Features(1 + generators + classes + self.code_width()),
            },
            encoder: self.encoder.is_some(),
            classes: self.conditional.map(|c| c.classes),
            d_sees_label: self.d_sees_label(),
        }
    }

    /// What the programs report beside losses and D's outputs, in the order of their table.
    pub fn extra_scalars(&self) -> Vec<ExtraScalar> {
        let mut all = vec![];
        let mut add = |name: &'static str, by_d: bool| all.push(ExtraScalar { name, by_d });
        for penalty in &self.regularisers {
            add(penalty.name.name(), true);
        }
        if self.auxiliary().is_some() {
            add("class_loss_d", true);
            add("class_loss_g", false);
        }
        if self.info.is_some() {
            add("information_loss_d", true);
            add("information_loss_g", false);
        }
        if self.pulling_away.is_some() {
            add("pulling_away", false);
        }
        match self.encoder {
            Some(EncoderMethod::Mrgan { .. }) => {
                add("rebuilt_distance", false);
                add("rebuilt_realism", false);
            }
            Some(EncoderMethod::Veegan { .. }) => add("latent_reconstruction", false),
            None => {}
        }
        if self.gradient_norms {
            add("grad_norm_d", true);
            add("grad_norm_g", false);
        }
        all
    }

    /// Whether D takes the label of what it judges.
    pub fn d_sees_label(&self) -> bool {
        self.conditional.is_some_and(|c| c.kind.d_sees_label())
    }

    /// The class setting where D has class rows of its own.
    pub fn auxiliary(&self) -> Option<Conditional> {
        self.conditional.filter(|c| !c.kind.d_sees_label())
    }

    /// The unrolling, where there is any.
    pub fn unrolled(&self) -> Option<Unroll> {
        self.unroll.filter(|unroll| unroll.steps > 0)
    }

    /// Whether G's update draws real samples.
    pub fn generator_sees_real(&self) -> bool {
        self.objective.generator_sees_real()
            || self.unrolled().is_some()
            || matches!(self.encoder, Some(EncoderMethod::Mrgan { .. }))
    }

    /// Share of the old average of G's weights that one G step keeps, where there is an average.
    pub fn ema_decay(&self) -> Option<f64> {
        self.ema.map(|ema| ema.decay(self.batch))
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`GanError::Setting`] names the first one that is out of its range or does not go with the others.
    pub fn validate(&self) -> Result<()> {
        at_least_one("batch", self.batch)?;
        at_least_one("d_steps", self.d_steps)?;
        at_least_one("g_steps", self.g_steps)?;
        for (field, updates) in [
            ("d_steps", self.d_steps),
            ("g_steps", self.g_steps),
            ("warmup_d_steps", self.warmup_d_steps),
        ] {
            if updates > MOST_UPDATES {
                return refuse(field, format!("at most {MOST_UPDATES}"), updates);
            }
        }
        if let Some(n) = self.latent_dim {
            at_least_one("latent_dim", n)?;
        }
        if let Some(clip) = self.clip {
            above_zero("clip", clip)?;
        }
        self.optimiser.d.validate("d")?;
        self.optimiser.g.validate("g")?;
        match self.ema {
            Some(Ema::Decay { decay }) => share("ema.decay", decay)?,
            Some(Ema::HalfLife { half_life_images }) => {
                above_zero("ema.half_life_images", half_life_images)?
            }
            None => {}
        }
        for (i, p) in self.regularisers.iter().enumerate() {
            above_zero(&format!("regularisers.{}.weight", p.name.name()), p.weight)?;
            if self.regularisers[..i].iter().any(|q| q.name == p.name) {
                return refuse(
                    "regularisers",
                    "each name once",
                    format!("{} twice", p.name.name()),
                );
            }
        }
        share("label_smoothing", self.label_smoothing)?;
        if self.label_smoothing > 0.0 && !self.objective.has_target() {
            let expected = format!(
                "0 with the objective {}, which has no labels",
                self.objective.name()
            );
            return refuse("label_smoothing", expected, self.label_smoothing);
        }
        self.validate_methods()
    }

    /// Whether something bounds the slope of WGAN's critic: without it its loss has no lower bound.
    ///
    /// # Errors
    /// [`GanError::Setting`] where nothing does.
    pub fn check_critic(&self, discriminator: &Network) -> Result<()> {
        let bounded = self.clip.is_some()
            || !self.regularisers.is_empty()
            || discriminator.is_spectrally_normalised();
        if self.objective != Objective::Wgan || bounded {
            return Ok(());
        }
        let needed = "`clip`, a regulariser or a discriminator with spectral norm with wgan";
        refuse("objective", needed, "none of them")
    }
}

/// Updates of one network in one round, which is not interrupted.
const MOST_UPDATES: usize = 1_000_000;

pub(super) fn refuse(field: &str, expected: impl Into<String>, got: impl Display) -> Result<()> {
    Err(GanError::Setting {
        field: field.into(),
        expected: expected.into(),
        got: got.to_string(),
    })
}
pub(super) fn at_least_one(field: &str, value: usize) -> Result<()> {
    if value >= 1 {
        return Ok(());
    }
    refuse(field, "at least 1", value)
}
pub(super) fn above_zero(field: &str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    refuse(field, "a finite number above 0", value)
}
fn share(field: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    refuse(field, "a number from 0 to below 1", value)
}
