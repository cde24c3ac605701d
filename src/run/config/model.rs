//! The networks of a run.
use super::{ConfigError, field};
use crate::nn::{Extent, ModelSpec, NetworkSpec, model_by_name_or_file};
use serde::{Deserialize, Serialize};

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
