//! Pairs of generator and discriminator: the built-in ones (`assets/models/*.toml`) and a user's own file.
use super::layers::{flatten, unflatten};
use super::{Extent, Network, NetworkSpec, NnError, Result};
use crate::graph::{Expr, Graph, Result as GraphResult};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::Path;

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../assets/models/", $name, ".toml")))),*]
    };
}

/// Names and TOML of the built-in models. The first six are the networks of the PyTorch baseline, layer for layer.
pub const MODELS: &[(&str, &str)] = built_in! {
    "mlp" "dcgan28" "dcgan64" "wgangp28" "ring8" "gauss1d" "glyphs" "resnet28" "mnist-tiny" "images-tiny" "stacked-tiny" "ebgan28"
    "pacgan2d" "unrolled2d" "toy512" "drs2d" "ebgan2d"
};

/// A model file: `[generator]` and `[discriminator]`, each a [`NetworkSpec`], and for some methods `[encoder]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The data's own size where the networks see images as vectors, in (c, h, w) order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Extent>,
    pub generator: NetworkSpec,
    pub discriminator: NetworkSpec,
    /// From samples to latents, for methods with such a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<NetworkSpec>,
}

/// What a method wants D to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscriminatorOutput {
    /// The logit, and rows for classes or codes behind it.
    Features(usize),
    /// Its own input: D is an auto-encoder.
    Reconstruction,
}

/// How the networks of a model fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Samples that D sees together, concatenated along features or channels.
    pub pack: usize,
    /// Latents that D sees behind each sample; 0 for none.
    pub joint: usize,
    pub output: DiscriminatorOutput,
    /// Whether there is an encoder.
    pub encoder: bool,
    /// Classes of the labels that G takes, where it takes any.
    pub classes: Option<usize>,
    /// Whether D takes them too.
    pub d_sees_label: bool,
}

impl Default for Pairing {
    /// D sees one sample and gives one logit.
    fn default() -> Pairing {
        Pairing {
            pack: 1,
            joint: 0,
            output: DiscriminatorOutput::Features(1),
            encoder: false,
            classes: None,
            d_sees_label: false,
        }
    }
}

impl Pairing {
    /// What D sees for samples of this size.
    pub fn seen(&self, sample: Extent) -> Extent {
        let packed = |size: usize| self.pack.saturating_mul(size).saturating_add(self.joint);
        match sample {
            Extent::Features { features } => Extent::Features {
                features: packed(features),
            },
            Extent::Image {
                channels,
                height,
                width,
            } => Extent::Image {
                channels: packed(channels),
                height,
                width,
            },
        }
    }
}

/// Checked networks that fit each other as a [`Pairing`] says.
#[derive(Clone, Debug)]
pub struct Model {
    pub generator: Network,
    pub discriminator: Network,
    pub encoder: Option<Network>,
    /// Size of one sample of the data and of what is shown: the discriminator's input unless the model says otherwise.
    pub sample: Extent,
}

impl Model {
    /// A batch in [`Model::sample`]'s shape as the networks see it: the generator's output.
    ///
    /// # Errors
    /// If x is not such a batch.
    pub fn data_to_network(&self, g: &mut Graph, x: Expr) -> GraphResult<Expr> {
        match (self.sample, self.generator.output()) {
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
        self.generator = self.generator.with_latents(latent_dim);
        self
    }
    /// Size of one sample of the data.
    ///
    /// # Errors
    /// As for [`ModelSpec::build_for`], the generator alone.
    pub fn sample_extent(&self) -> Result<Extent> {
        match self.sample {
            Some(sample) => Ok(sample),
            None => Ok(Network::new(&self.generator)?.output()),
        }
    }
    /// Checks both networks and that they make a plain pair: D sees one sample and gives one logit.
    ///
    /// # Errors
    /// As for [`ModelSpec::build_for`].
    pub fn build(&self) -> Result<Model> {
        self.build_for(&Pairing::default())
    }
    /// Checks the networks and that they fit each other.
    ///
    /// # Errors
    /// [`NnError::In`] for an error inside a network; [`NnError::Pair`] where two do not fit.
    pub fn build_for(&self, pairing: &Pairing) -> Result<Model> {
        let build = |network, spec| {
            Network::new(spec).map_err(|e| NnError::In {
                network,
                source: Box::new(e),
            })
        };
        let generator = build("generator", &self.generator)?;
        let discriminator = build("discriminator", &self.discriminator)?;
        let encoder = match (&self.encoder, pairing.encoder) {
            (Some(spec), true) => Some(build("encoder", spec)?),
            (None, true) => {
                return pair("encoder", "a network from samples to latents", "none");
            }
            (_, false) => None,
        };
        if !matches!(generator.input(), Extent::Features { .. }) {
            return pair(
                "generator's input",
                "latents, `{ features = N }`",
                generator.input(),
            );
        }
        let made = generator.output();
        let seen = pairing.seen(made);
        if discriminator.input() != seen {
            let expected = match (pairing.pack, pairing.joint) {
                (1, 0) => format!("what the generator gives ({made})"),
                (pack, 0) => format!("{pack} times what the generator gives ({seen})"),
                (_, latents) => format!("what the generator gives and {latents} latents ({seen})"),
            };
            return pair("discriminator's input", expected, discriminator.input());
        }
        let given = discriminator.output();
        match pairing.output {
            DiscriminatorOutput::Features(n) if given != (Extent::Features { features: n }) => {
                let expected = match n {
                    1 => "1 feature, the logit".into(),
                    n => format!("{n} features: the logit and what the method wants beside it"),
                };
                return pair("discriminator's output", expected, given);
            }
            DiscriminatorOutput::Reconstruction if given != seen => {
                let expected = format!("its own input ({seen}): the method wants an auto-encoder");
                return pair("discriminator's output", expected, given);
            }
            _ => {}
        }
        if let Some(encoder) = &encoder {
            if encoder.input() != made {
                let expected = format!("what the generator gives ({made})");
                return pair("encoder's input", expected, encoder.input());
            }
            if encoder.output() != generator.input() {
                let expected = format!("the generator's latents ({})", generator.input());
                return pair("encoder's output", expected, encoder.output());
            }
        }
        let labels = [
            ("generator's classes", &generator, pairing.classes),
            (
                "discriminator's classes",
                &discriminator,
                pairing.classes.filter(|_| pairing.d_sees_label),
            ),
        ];
        for (what, network, wanted) in labels {
            if network.classes() != wanted {
                let words = |n: Option<usize>| n.map_or("none".into(), |n| n.to_string());
                return pair(what, words(wanted), words(network.classes()));
            }
        }
        let sample = self.sample.unwrap_or(made);
        let vector = Extent::Features {
            features: sample.numel(),
        };
        if sample != made && vector != made {
            let expected =
                format!("what the generator gives ({made}) or an image of as many numbers");
            return pair("sample", expected, sample);
        }
        Ok(Model {
            generator,
            discriminator,
            encoder,
            sample,
        })
    }
}

fn pair<T>(what: &'static str, expected: impl Into<String>, got: impl Display) -> Result<T> {
    Err(NnError::Pair {
        what,
        expected: expected.into(),
        got: got.to_string(),
    })
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
