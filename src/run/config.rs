//! A run's complete configuration: what `config.toml` in the run folder holds, and what presets are written in.
//!
//! It reproduces the run: the networks stand in it layer by layer, and nothing in it depends on where the run folder is.
use super::session::EngineFacts;
use super::tune::NamedChoices;
use crate::data::{self, ImageOptions, Source, stacked};
use crate::gan::{GanConfig, GanError};
pub use crate::graph::plan::Precision;
use crate::nn::{Extent, Model, ModelSpec, NetworkSpec, NnError, model_by_name_or_file};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// What is wrong with a configuration, by field.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{file}: {source}")]
    Read {
        file: String,
        source: std::io::Error,
    },
    /// The parser's words hold line, column and the line itself.
    #[error("{file}: {message}")]
    Toml { file: String, message: String },
    #[error("configuration cannot be written: {message}")]
    Write { message: String },
    #[error("{field}: {problem}")]
    Field {
        field: &'static str,
        problem: String,
    },
    #[error("model: {0}")]
    Model(#[from] NnError),
    #[error("method.{0}")]
    Method(#[from] GanError),
}

fn field(field: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Field {
        field,
        problem: problem.into(),
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Everything random in the run is a function of this number.
    #[serde(default)]
    pub seed: u64,
    /// As `--adapter` takes it: `auto`, a backend, `cpu`, an index or a part of a name.
    #[serde(default = "auto")]
    pub adapter: String,
    #[serde(default)]
    pub precision: Precision,
    pub data: DataConfig,
    pub budget: Budget,
    #[serde(default)]
    pub report: Report,
    pub method: GanConfig,
    pub model: ModelConfig,
    /// Variants of matrix products and convolutions, by operation. What a run was started with is what
    /// it is resumed with; without the table, what was measured on this adapter before is used, and written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<NamedChoices>,
}

fn auto() -> String {
    "auto".into()
}

/// What is learnt. The options are for images; a preset may leave size and channels out, a written configuration has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The name of a built-in set, or the path of a file or folder.
    pub source: String,
    /// Height and width to bring images to; by default what the model takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// How images of another size are brought to `size`.
    #[serde(default)]
    pub fit: Fit,
    /// 1 (grey) or 3 (RGB); by default what the model takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// RGB that shows through transparent pixels and fills the margins of `fit = "pad"`.
    #[serde(default)]
    pub background: [u8; 3],
    /// Use this many images at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    #[serde(default)]
    pub split: Split,
}

/// How an image of another size is brought to the right one; [`data::Fit`] as a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Refuse it
    #[default]
    Exact,
    /// Stretch it, whatever becomes of its proportions
    Resize,
    /// Scale until the shorter side fits, cut the rest off evenly
    Crop,
    /// Scale until the longer side fits, fill the margins with the background
    Pad,
}

/// Which part of a data set that has two; [`data::Split`] as a setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    #[default]
    Train,
    Test,
}

impl DataConfig {
    pub fn source(&self) -> Source {
        Source::parse(&self.source)
    }

    /// Refuses what has no meaning for a built-in set, rather than that it is passed over.
    fn refuse_unused(&self) -> Result<(), ConfigError> {
        let (why, points) = match self.source() {
            Source::Toy(_) => ("points are drawn from their law, without end", true),
            Source::Glyphs => ("they are drawn as the model takes them, without end", false),
            Source::Stacked(_) | Source::Path(_) => return Ok(()),
        };
        let given = [
            ("data.size", points && self.size.is_some()),
            ("data.channels", points && self.channels.is_some()),
            ("data.fit", self.fit != Fit::Exact),
            ("data.background", self.background != [0; 3]),
            ("data.limit", self.limit.is_some()),
            ("data.split", self.split != Split::Train),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(field(
                key,
                format!("has no meaning for `{}`: {why}; leave it out", self.source),
            )),
            None => Ok(()),
        }
    }

    /// Fills in what the model implies and refuses what it cannot take.
    fn fit_model(&mut self, sample: Extent) -> Result<(), ConfigError> {
        self.refuse_unused()?;
        let no = |problem: String| Err(field("data.source", problem));
        match (self.source(), sample) {
            (Source::Stacked(path), _) if path.as_os_str().is_empty() => no(format!(
                "`{}` names no images; give {}PATH with the path of a grey set, such as MNIST's folder",
                self.source,
                stacked::PREFIX
            )),
            (Source::Toy(set), Extent::Features { features }) if features == set.dim() => Ok(()),
            (Source::Toy(set), _) => no(format!(
                "{set} has {} numbers per sample, but the model is for {sample}; choose another --model or --data",
                set.dim()
            )),
            (Source::Glyphs | Source::Stacked(_) | Source::Path(_), Extent::Features { .. }) => {
                no(format!(
                    "`{}` is images, but the model is for samples of {sample}; choose another --model, or give the model \
                 file a line `sample = {{ channels = .., height = .., width = .. }}`",
                    self.source
                ))
            }
            (Source::Stacked(_), Extent::Image { channels, .. })
                if channels != stacked::CHANNELS =>
            {
                no(format!(
                    "`{}` has 3 channels, one digit in each, but the model is for {sample}; choose a --model with 3 channels",
                    self.source
                ))
            }
            (
                _,
                Extent::Image {
                    channels,
                    height,
                    width,
                },
            ) => {
                let size = *self.size.get_or_insert([height, width]);
                let own = *self.channels.get_or_insert(channels);
                if size != [height, width] {
                    let [h, w] = size;
                    return Err(field(
                        "data.size",
                        format!("is {h}x{w}, but the model is for {height}x{width}"),
                    ));
                }
                if own != channels {
                    return Err(field(
                        "data.channels",
                        format!("is {own}, but the model is for {channels}"),
                    ));
                }
                Ok(())
            }
        }
    }

    /// What [`data::load`] takes.
    pub fn image_options(&self) -> ImageOptions {
        ImageOptions {
            size: self.size.map(|[height, width]| (height, width)),
            fit: match self.fit {
                Fit::Exact => data::Fit::Exact,
                Fit::Resize => data::Fit::Resize,
                Fit::Crop => data::Fit::CropCenter,
                Fit::Pad => data::Fit::Pad,
            },
            // The channels of a stacked set are grey images each.
            channels: match self.source() {
                Source::Stacked(_) => Some(1),
                _ => self.channels,
            },
            background: self.background,
            limit: self.limit,
            split: match self.split {
                Split::Train => data::Split::Train,
                Split::Test => data::Split::Test,
            },
        }
    }
}

/// The networks. A preset may give only the name; a written configuration always has both networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// A built-in model, or the file that the networks came from.
    pub name: String,
    /// The data's own size where the networks see images as vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Extent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<NetworkSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discriminator: Option<NetworkSpec>,
    /// For methods with a network from samples to latents; otherwise made like the discriminator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<NetworkSpec>,
    /// Of a named model: D's layers get spectral normalisation.
    #[serde(default, skip_serializing_if = "is_false")]
    pub spectral_norm: bool,
    /// Of a named model: D gets minibatch discrimination before its last layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minibatch_discrimination: Option<MinibatchFeatures>,
}

/// Size of a minibatch-discrimination layer: Salimans et al., arXiv 1606.03498, section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinibatchFeatures {
    /// B, the features that are added.
    #[serde(default = "sixteen")]
    pub kernels: usize,
    /// C, the numbers per kernel that samples are compared by.
    #[serde(default = "five")]
    pub dims: usize,
}

impl Default for MinibatchFeatures {
    fn default() -> Self {
        Self {
            kernels: sixteen(),
            dims: five(),
        }
    }
}

fn sixteen() -> usize {
    16
}
fn five() -> usize {
    5
}
fn is_false(v: &bool) -> bool {
    !v
}

impl ModelConfig {
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            sample: None,
            generator: None,
            discriminator: None,
            encoder: None,
            spectral_norm: false,
            minibatch_discrimination: None,
        }
    }

    /// The networks: those written here, otherwise the named model's with the changes that are asked for here.
    pub fn spec(&self) -> Result<ModelSpec, ConfigError> {
        match (&self.generator, &self.discriminator) {
            (Some(_), Some(_)) if self.spectral_norm => Err(field(
                "model.spectral_norm",
                "changes a named model; where the networks are written out, give their layers `spectral_norm = true`",
            )),
            (Some(_), Some(_)) if self.minibatch_discrimination.is_some() => Err(field(
                "model.minibatch_discrimination",
                "changes a named model; where the networks are written out, give them a layer `minibatch_discrimination`",
            )),
            (Some(generator), Some(discriminator)) => Ok(ModelSpec {
                sample: self.sample,
                generator: generator.clone(),
                discriminator: discriminator.clone(),
                encoder: self.encoder.clone(),
            }),
            (None, None) => {
                let mut spec = model_by_name_or_file(&self.name)?;
                spec.encoder = self.encoder.clone().or(spec.encoder);
                if let Some(m) = self.minibatch_discrimination {
                    let d = spec.discriminator;
                    spec.discriminator = d.with_minibatch_discrimination(m.kernels, m.dims)?;
                }
                if self.spectral_norm {
                    spec.discriminator = spec.discriminator.with_spectral_norm();
                }
                Ok(spec)
            }
            (None, Some(_)) => Err(field(
                "model.generator",
                "is missing; give both networks or only the model's name",
            )),
            (Some(_), None) => Err(field(
                "model.discriminator",
                "is missing; give both networks or only the model's name",
            )),
        }
    }
}

/// How long to train: at most one of steps, kimg and epochs, with or without a time limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Rounds: all discriminator updates and then all generator updates of one round are one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Thousands of real images shown to the discriminator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kimg: Option<u64>,
    /// Passes over the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Seconds that one invocation of `train` may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time_s: Option<u64>,
}

/// Refuses passes over a set that has no end.
fn endless(set: &str) -> ConfigError {
    field(
        "budget.epochs",
        format!("{set} is drawn without end; use --steps or --kimg"),
    )
}

impl Budget {
    fn check(&self, data: &DataConfig) -> Result<(), ConfigError> {
        let counts = [
            ("steps", self.steps),
            ("kimg", self.kimg),
            ("epochs", self.epochs),
        ];
        let given: Vec<_> = counts
            .into_iter()
            .filter_map(|(name, n)| Some((name, n?)))
            .collect();
        match given[..] {
            [] if self.max_time_s.is_none() => Err(field(
                "budget",
                "nothing ends this run; give one of steps, kimg, epochs, max_time_s",
            )),
            [(first, _), (second, _), ..] => Err(field(
                "budget",
                format!("`{first}` and `{second}` exclude each other; give one of them"),
            )),
            [(name, 0)] => Err(field("budget", format!("`{name}` is 0; give at least 1"))),
            _ if self.max_time_s == Some(0) => {
                Err(field("budget.max_time_s", "is 0; give at least 1 second"))
            }
            _ if self.epochs.is_some() && !matches!(data.source(), Source::Path(_)) => {
                Err(endless(&format!("`{}`", data.source)))
            }
            _ => Ok(()),
        }
    }

    /// The step at which the run ends, rounded up to whole steps; `None` if only time limits it.
    ///
    /// # Errors
    /// If epochs are asked for of a set that has no end.
    pub fn steps(&self, facts: &EngineFacts) -> Result<Option<u64>, ConfigError> {
        let per_step = facts.images_per_step.max(1);
        let images = match (self.kimg, self.epochs, facts.data_len) {
            (Some(kimg), ..) => kimg.saturating_mul(1000),
            (None, Some(epochs), Some(len)) => epochs.saturating_mul(len),
            (None, Some(_), None) => {
                return Err(endless("this data set"));
            }
            (None, None, _) => return Ok(self.steps),
        };
        Ok(Some(images.div_ceil(per_step)))
    }

    pub fn max_time(&self) -> Option<Duration> {
        self.max_time_s.map(Duration::from_secs)
    }
}

/// What is written along the way; 0 switches a file off (the last checkpoint is always written).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// Steps between rows of metrics.jsonl; at least 1.
    pub log_every: u64,
    /// Steps between pictures of samples.
    pub sample_every: u64,
    pub checkpoint_every: u64,
    /// Checkpoints to keep; 0 keeps all.
    pub keep: usize,
    /// Rows and columns of the pictures.
    pub grid: [usize; 2],
}

impl Default for Report {
    fn default() -> Self {
        Self {
            log_every: 10,
            sample_every: 500,
            checkpoint_every: 1000,
            keep: 3,
            grid: [8, 8],
        }
    }
}

/// Samples that one picture may hold.
const MAX_GRID: usize = 4096;

impl TrainConfig {
    /// `file` is the text's name in errors.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| ConfigError::Toml {
            file: file.into(),
            message: e.to_string().trim_end().into(),
        })
    }

    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            file: file.clone(),
            source,
        })?;
        Self::from_toml(&file, &text)
    }

    /// The text of `config.toml`; [`Self::from_toml`] gives the same configuration back.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|e| ConfigError::Write {
            message: e.to_string(),
        })
    }

    /// Completes and checks: the networks are written out with the method's latent width, and every field is one that a run
    /// can use. What depends on the data itself is checked when it is loaded.
    pub fn resolve(mut self) -> Result<Self, ConfigError> {
        if self.seed > i64::MAX as u64 {
            return Err(field(
                "seed",
                format!("{} is too large; give a number below 2^63", self.seed),
            ));
        }
        if self.data.source.is_empty() {
            return Err(field(
                "data.source",
                "is empty; give a path or the name of a built-in set",
            ));
        }
        if let Some(channels) = self.data.channels
            && channels != 1
            && channels != 3
        {
            return Err(field(
                "data.channels",
                format!("is {channels}; give 1 (grey) or 3 (RGB)"),
            ));
        }
        if self.data.size.is_some_and(|size| size.contains(&0)) {
            return Err(field("data.size", "has a side of 0 pixels"));
        }
        if self.report.log_every == 0 {
            return Err(field("report.log_every", "is 0; give at least 1"));
        }
        let [rows, cols] = self.report.grid;
        if rows == 0 || cols == 0 || rows.saturating_mul(cols) > MAX_GRID {
            return Err(field(
                "report.grid",
                format!("is {rows}x{cols}; give 1x1 up to {MAX_GRID} samples in all"),
            ));
        }
        self.budget.check(&self.data)?;
        self.method.validate()?;
        let codes = self.method.code_width();
        let mut spec = self.model.spec()?;
        if self.model.generator.is_none() {
            spec = self.method.adapt(spec)?;
        } else if let Some(width) = self.method.latent_dim {
            spec = spec.with_latent_dim(width + codes);
        }
        let latents = spec.generator.input.numel();
        self.method.latent_dim = Some(latents.saturating_sub(codes));
        let model = spec.build_for(&self.method.pairing(latents))?;
        self.method.check_critic(&model.discriminator)?;
        let sample = model.sample;
        self.check_precision()?;
        self.data.fit_model(sample)?;
        self.model = ModelConfig {
            name: self.model.name,
            sample: spec.sample,
            generator: Some(spec.generator),
            discriminator: Some(spec.discriminator),
            encoder: spec.encoder.filter(|_| self.method.encoder.is_some()),
            spectral_norm: false,
            minibatch_discrimination: None,
        };
        Ok(self)
    }

    /// Methods whose inner gradients are not scaled.
    fn check_precision(&self) -> Result<(), ConfigError> {
        if self.precision == Precision::F32 {
            return Ok(());
        }
        let method = match (self.method.unrolled(), self.method.encoder) {
            (Some(_), _) => "unroll",
            (_, Some(_)) => "encoder",
            _ => return Ok(()),
        };
        Err(field(
            "precision",
            format!(
                "is f16, but gradients within `method.{method}` are not scaled and would vanish; use f32"
            ),
        ))
    }

    /// Without what does not change a result: where it runs, what is written along the way, and kernel variants (which change low bits
    /// only).
    pub fn result_alone(&self) -> TrainConfig {
        TrainConfig {
            adapter: "auto".into(),
            report: Default::default(),
            choices: None,
            ..self.clone()
        }
    }

    /// The networks, checked against each other as the method pairs them.
    pub fn build_model(&self) -> Result<Model, ConfigError> {
        let spec = self.model.spec()?;
        let latents = spec.generator.input.numel();
        Ok(spec.build_for(&self.method.pairing(latents))?)
    }

    /// Width of the latents, codes included.
    pub fn latent_dim(&self) -> Result<usize, ConfigError> {
        match self.method.latent_dim {
            Some(width) => Ok(width + self.method.code_width()),
            None => Ok(self.model.spec()?.generator.input.numel()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::presets::preset;

    #[test]
    fn only_what_is_unrolled_needs_f32() {
        let with = |steps: usize| {
            let mut config = preset("unrolled-ring8").unwrap().unresolved().unwrap();
            config.precision = Precision::F16;
            config.method.unroll.as_mut().unwrap().steps = steps;
            config.resolve()
        };
        with(0).unwrap();
        let error = with(1).unwrap_err().to_string();
        assert!(error.contains("`method.unroll`"), "{error}");
    }

    #[test]
    fn passes_over_what_has_no_end_are_refused() {
        for name in ["ring8", "glyphs", "stacked-mnist"] {
            let mut config = preset(name).unwrap().unresolved().unwrap();
            config.budget = Budget {
                epochs: Some(1),
                ..Default::default()
            };
            let error = config.resolve().unwrap_err().to_string();
            assert!(
                error.starts_with("budget.epochs:") && error.contains("--kimg"),
                "{error}"
            );
        }
        preset("mnist-dcgan").unwrap().config().unwrap();
    }

    #[test]
    fn a_stack_of_nothing_is_refused() {
        let mut config = preset("stacked-mnist").unwrap().unresolved().unwrap();
        config.data.source = "stacked:".into();
        let error = config.resolve().unwrap_err().to_string();
        assert!(error.contains("stacked:PATH"), "{error}");
    }
}
