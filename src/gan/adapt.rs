//! A named model made to fit a method: what D sees and gives, what G takes, and the encoder where one is wanted. Networks that are written
//! out in a configuration are taken as they are; [`crate::nn::ModelSpec::build_for`] then says what does not fit.
use super::config::GanConfig;
use super::methods::Condition;
use super::{GanError, Result};
use crate::nn::models::DiscriminatorOutput;
use crate::nn::{LayerSpec, ModelSpec, Network, NetworkSpec};

impl GanConfig {
    /// The model's networks as this method wants them.
    ///
    /// # Errors
    /// [`GanError::Network`], [`GanError::Setting`] where a network has no place for what is wanted.
    pub fn adapt(&self, mut spec: ModelSpec) -> Result<ModelSpec> {
        let noise = self.latent_dim.unwrap_or(spec.generator.input.numel());
        spec = spec.with_latent_dim(noise + self.code_width());
        if let Some(c) = self.conditional {
            spec.generator = spec.generator.with_condition(c.classes);
            spec.discriminator = match c.kind {
                Condition::Concat => spec.discriminator.with_condition(c.classes),
                Condition::Projection => spec.discriminator.with_projection(c.classes)?,
                Condition::Auxiliary => spec.discriminator,
            };
        }
        if self.generators > 1 {
            spec.generator = branched(spec.generator, self.generators)?;
        }
        let latents = spec.generator.input.numel();
        let pairing = self.pairing(latents);
        let made = Network::new(&spec.generator)?.output();
        if pairing.encoder && spec.encoder.is_none() {
            let own = spec.discriminator.clone().with_input(made);
            spec.encoder = Some(own.with_output_features(latents)?);
        }
        // Otherwise it stays as it was written, and what does not fit is refused.
        if pairing.pack > 1 || pairing.joint > 0 {
            spec.discriminator = spec.discriminator.with_input(pairing.seen(made));
        }
        match pairing.output {
            DiscriminatorOutput::Features(1) | DiscriminatorOutput::Reconstruction => {}
            DiscriminatorOutput::Features(n) => {
                spec.discriminator = spec.discriminator.with_output_features(n)?;
            }
        }
        Ok(spec)
    }
}

/// The last layer with weights, and what follows it, once per generator: all generators share what stands before it, as the paper's do.
fn branched(spec: NetworkSpec, generators: usize) -> Result<NetworkSpec> {
    if spec
        .layers
        .iter()
        .any(|layer| matches!(layer, LayerSpec::Branches(_)))
    {
        return Ok(spec);
    }
    let has_weights = |layer: &LayerSpec| {
        matches!(
            layer,
            LayerSpec::Linear(_) | LayerSpec::Conv2d(_) | LayerSpec::ConvTranspose2d(_)
        )
    };
    let Some(last) = spec.layers.iter().rposition(has_weights) else {
        return Err(GanError::Setting {
            field: "generators".into(),
            expected: "a generator with a linear or convolution layer, which each generator gets for itself".into(),
            got: "a model without one".into(),
        });
    };
    Ok(spec.with_branches(generators, last)?)
}
