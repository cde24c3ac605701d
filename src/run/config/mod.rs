//! A run's complete configuration: what `config.toml` in the run folder holds, and what presets are written in.
//!
//! It reproduces the run: the networks stand in it layer by layer, and nothing in it depends on where the run folder is.
mod budget;
mod data;
mod model;

use super::tune::NamedChoices;
use crate::gan::{GanConfig, GanError, Objective};
pub use crate::graph::plan::Precision;
use crate::nn::{Model, ModelSpec, NnError};
pub use budget::Budget;
pub use data::{DataConfig, Fit, Split};
pub use model::{MinibatchFeatures, ModelConfig};
use serde::{Deserialize, Serialize};
use std::path::Path;

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
    /// Networks of another method.
    #[error("model: {source}; {hint}")]
    OtherMethod {
        source: Box<NnError>,
        hint: &'static str,
    },
    #[error("method.{0}")]
    Method(#[from] GanError),
}

fn field(field: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Field {
        field,
        problem: problem.into(),
    }
}

/// With what to do about it, where D is an auto-encoder and the objective wants none, or the other way round.
fn unpaired(error: NnError, spec: &ModelSpec, objective: Objective) -> ConfigError {
    let got = match &error {
        NnError::Pair { what, got, .. } if *what == "discriminator's output" => got,
        _ => return error.into(),
    };
    let hint = if objective == Objective::Energy {
        "--objective energy takes an auto-encoder for D: --model ebgan2d for points, --model ebgan28 for 1x28x28 images, or a file of layers"
    } else if *got == spec.discriminator.input.to_string() {
        "this D gives its own input back, which --objective energy is for"
    } else {
        return error.into();
    };
    ConfigError::OtherMethod {
        source: Box::new(error),
        hint,
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
        let model = spec
            .build_for(&self.method.pairing(latents))
            .map_err(|error| unpaired(error, &spec, self.method.objective))?;
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

    /// Real images that D sees in one step.
    pub fn images_per_step(&self) -> u64 {
        (self.method.batch * self.method.d_steps) as u64
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
