//! Pairs of generator and discriminator: the built-in ones (`assets/models/*.toml`) and a user's own file.
use super::layers::{flatten, unflatten};
use super::{Extent, Network, NetworkSpec, NnError, Result};
use crate::graph::{Expr, Graph, Result as GraphResult};
use serde::{Deserialize, Serialize};
use std::path::Path;

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../assets/models/", $name, ".toml")))),*]
    };
}

/// Names and TOML of the built-in models. The first six are the networks of the PyTorch baseline, layer for layer.
pub const MODELS: &[(&str, &str)] = built_in! {
    "mlp" "dcgan28" "dcgan64" "wgangp28" "ring8" "gauss1d" "glyphs" "resnet28"
};

/// A model file: `[generator]` and `[discriminator]`, each a [`NetworkSpec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The data's own size where the networks see images as vectors, in (c, h, w) order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Extent>,
    pub generator: NetworkSpec,
    pub discriminator: NetworkSpec,
}

/// A checked pair: the generator's output is the discriminator's input, and the discriminator gives one logit.
#[derive(Clone, Debug)]
pub struct Model {
    pub generator: Network,
    pub discriminator: Network,
    /// Size of one sample of the data and of what is shown: the discriminator's input unless the model says otherwise.
    pub sample: Extent,
}

impl Model {
    /// A batch in [`Model::sample`]'s shape as the discriminator takes it.
    ///
    /// # Errors
    /// If x is not such a batch.
    pub fn data_to_network(&self, g: &mut Graph, x: Expr) -> GraphResult<Expr> {
        match (self.sample, self.discriminator.input()) {
            (Extent::Image { .. }, Extent::Features { .. }) => flatten(g, x),
            _ => Ok(x),
        }
    }
    /// The generator's output in [`Model::sample`]'s shape.
    ///
    /// # Errors
    /// If x is not the generator's output.
    pub fn network_to_data(&self, g: &mut Graph, x: Expr) -> GraphResult<Expr> {
        match (self.sample, self.generator.output()) {
            (
                Extent::Image {
                    channels,
                    height,
                    width,
                },
                Extent::Features { .. },
            ) => unflatten(g, x, [channels, height, width]),
            _ => Ok(x),
        }
    }
}

impl ModelSpec {
    /// Reads a model file's text; `file` is its name in errors.
    ///
    /// # Errors
    /// [`NnError::Toml`] with line and column.
    pub fn from_toml(file: &str, text: &str) -> Result<ModelSpec> {
        toml::from_str(text).map_err(|e| NnError::Toml {
            file: file.into(),
            message: e.to_string().trim_end().into(),
        })
    }
    /// The same model for latents of another width.
    pub fn with_latent_dim(mut self, latent_dim: usize) -> ModelSpec {
        self.generator.input = Extent::Features {
            features: latent_dim,
        };
        self
    }
    /// Checks both networks and that they fit each other.
    ///
    /// # Errors
    /// [`NnError::In`] for an error inside a network; [`NnError::Pair`] where the two do not fit.
    pub fn build(&self) -> Result<Model> {
        let build = |network, spec| {
            Network::new(spec).map_err(|e| NnError::In {
                network,
                source: Box::new(e),
            })
        };
        let generator = build("generator", &self.generator)?;
        let discriminator = build("discriminator", &self.discriminator)?;
        if !matches!(generator.input(), Extent::Features { .. }) {
            return Err(NnError::Pair {
                what: "generator's input",
                expected: "latents, `{ features = N }`".into(),
                got: generator.input().to_string(),
            });
        }
        if generator.output() != discriminator.input() {
            return Err(NnError::Pair {
                what: "discriminator's input",
                expected: format!("what the generator gives ({})", generator.output()),
                got: discriminator.input().to_string(),
            });
        }
        if discriminator.output() != (Extent::Features { features: 1 }) {
            return Err(NnError::Pair {
                what: "discriminator's output",
                expected: "1 feature, the logit".into(),
                got: discriminator.output().to_string(),
            });
        }
        let sample = self.sample.unwrap_or(discriminator.input());
        let vector = Extent::Features {
            features: sample.numel(),
        };
        if sample != discriminator.input() && vector != discriminator.input() {
            return Err(NnError::Pair {
                what: "sample",
                expected: format!(
                    "the discriminator's input ({}) or an image of as many numbers",
                    discriminator.input()
                ),
                got: sample.to_string(),
            });
        }
        Ok(Model {
            generator,
            discriminator,
            sample,
        })
    }
}

/// A built-in model by its name, otherwise the file of that path.
///
/// # Errors
/// [`NnError::UnknownModel`], [`NnError::Read`], [`NnError::Toml`].
pub fn model_by_name_or_file(name: &str) -> Result<ModelSpec> {
    if let Some((_, text)) = MODELS.iter().find(|(known, _)| *known == name) {
        return ModelSpec::from_toml(name, text);
    }
    let known = || MODELS.iter().map(|m| m.0).collect::<Vec<_>>().join(", ");
    let looks_like_a_path = Path::new(name).extension().is_some() || name.contains(['/', '\\']);
    if !looks_like_a_path && !Path::new(name).exists() {
        return Err(NnError::UnknownModel {
            name: name.into(),
            known: known(),
        });
    }
    let text = std::fs::read_to_string(name).map_err(|source| NnError::Read {
        file: name.into(),
        known: known(),
        source,
    })?;
    ModelSpec::from_toml(name, &text)
}
