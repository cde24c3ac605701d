//! Network descriptions changed as a method asks: more outputs, labels, minibatch discrimination, spectral norm, several branches.
use super::layers::{Branches, Condition, MinibatchDiscrimination, Projection};
use super::{Extent, LayerSpec, Network, NetworkSpec, NnError, Result};

impl NetworkSpec {
    /// The same layers for another input, e.g. packed samples or latents with a code.
    pub fn with_input(&self, input: Extent) -> NetworkSpec {
        NetworkSpec {
            input,
            ..self.clone()
        }
    }
    /// Spectral norm on every layer that has it, nested ones included.
    pub fn with_spectral_norm(&self) -> NetworkSpec {
        let mut spec = self.clone();
        set_spectral_norm(&mut spec.layers);
        spec
    }
    /// The same layers for so many latents; where the first makes one pixel of all of them, as DCGAN's does, it makes one of these.
    pub fn with_latents(&self, latents: usize) -> NetworkSpec {
        let mut spec = self.with_input(Extent::Features { features: latents });
        if let Some(channels) = spec.pixel_of_input() {
            *channels = latents;
        }
        spec
    }
    /// Labels of so many classes appended to the input, or to the pixel that the first layer makes of it.
    pub fn with_condition(&self, classes: usize) -> NetworkSpec {
        let mut spec = self.clone();
        spec.classes = Some(classes);
        let at = usize::from(spec.pixel_of_input().is_some());
        spec.layers.insert(at, LayerSpec::Condition(Condition {}));
        spec
    }
    /// The channels of the one pixel that the first layer makes of the whole input, where it does.
    fn pixel_of_input(&mut self) -> Option<&mut usize> {
        match self.layers.first_mut() {
            Some(LayerSpec::Unflatten(layer)) if (layer.height, layer.width) == (1, 1) => {
                Some(&mut layer.channels)
            }
            _ => None,
        }
    }
    /// The final linear layer replaced by a projection of labels of so many classes; bias, init and spectral norm stay.
    ///
    /// # Errors
    /// [`NnError::Layer`] unless the last layer with parameters is a linear one of one output.
    pub fn with_projection(&self, classes: usize) -> Result<NetworkSpec> {
        let at = self.final_layer("a final linear layer of one output to project at")?;
        let LayerSpec::Linear(linear) = &self.layers[at] else {
            return self.refuse(at, "linear, to be replaced by a projection");
        };
        if linear.out != 1 {
            let what = format!("one output to project at (it has {})", linear.out);
            return self.refuse(at, &what);
        }
        let projection = Projection {
            bias: linear.bias,
            spectral_norm: linear.spectral_norm,
            init: linear.init,
        };
        let mut spec = self.clone();
        spec.classes = Some(classes);
        spec.layers[at] = LayerSpec::Projection(projection);
        Ok(spec)
    }
    /// So many features out: the final linear layer, or a final convolution that leaves one pixel, is given as many outputs.
    ///
    /// # Errors
    /// [`NnError::Layer`] if the last layer with parameters is no such layer; those of [`Network::new`].
    pub fn with_output_features(&self, n: usize) -> Result<NetworkSpec> {
        let at = self.final_layer("a final linear layer, whose outputs can be counted anew")?;
        let mut spec = self.clone();
        match &mut spec.layers[at] {
            LayerSpec::Linear(layer) => layer.out = n,
            LayerSpec::Conv2d(layer) => layer.out = n,
            LayerSpec::Projection(_) if n == 1 => {}
            LayerSpec::Projection(_) => {
                return self.refuse(at, &format!("linear: a projection has 1 output, not {n}"));
            }
            _ => return self.refuse(at, "linear, so that its outputs can be counted anew"),
        }
        if Network::new(&spec)?.output() != (Extent::Features { features: n }) {
            return self.refuse(at, &format!("the last to change the size, to {n} features"));
        }
        Ok(spec)
    }
    /// Minibatch discrimination of so many kernels, over so many numbers each, before the final linear layer or projection.
    ///
    /// # Errors
    /// [`NnError::Layer`] if there is no such layer; those of [`Network::new`].
    pub fn with_minibatch_discrimination(
        &self,
        kernels: usize,
        dims: usize,
    ) -> Result<NetworkSpec> {
        let at = self.final_layer("a final linear layer to give more features to")?;
        if !matches!(
            self.layers[at],
            LayerSpec::Linear(_) | LayerSpec::Projection(_)
        ) {
            return self.refuse(at, "linear or projection, to be given more features");
        }
        let layer = MinibatchDiscrimination {
            kernels,
            dims,
            init: None,
        };
        let mut spec = self.clone();
        spec.layers
            .insert(at, LayerSpec::MinibatchDiscrimination(layer));
        Network::new(&spec)?;
        Ok(spec)
    }
    /// The layers from number `trunk` on as `count` branches; those before are shared.
    ///
    /// # Errors
    /// [`NnError::Layers`] if nothing is left to branch; those of [`Network::new`].
    pub fn with_branches(&self, count: usize, trunk: usize) -> Result<NetworkSpec> {
        if trunk >= self.layers.len() {
            return Err(NnError::Layers {
                expected: format!("more than the {trunk} of the shared trunk"),
                got: self.layers.len().to_string(),
            });
        }
        let mut spec = self.clone();
        let layers = spec.layers.split_off(trunk);
        spec.layers
            .push(LayerSpec::Branches(Branches { count, layers }));
        Network::new(&spec)?;
        Ok(spec)
    }

    /// Number of the last layer that has parameters.
    fn final_layer(&self, wanted: &str) -> Result<usize> {
        let network = Network::new(self)?;
        let last = network.params().last();
        let first_part = last.and_then(|p| p.name.split('.').next());
        match first_part.and_then(|number| number.parse().ok()) {
            Some(at) => Ok(at),
            None => Err(NnError::Layers {
                expected: wanted.into(),
                got: "none with parameters".into(),
            }),
        }
    }
    fn refuse<T>(&self, at: usize, expected: &str) -> Result<T> {
        let kind = self.layers[at].kind();
        Err(NnError::Layer {
            layer: at.to_string(),
            kind,
            expected: format!("the last layer with parameters to be {expected}"),
            got: kind.into(),
        })
    }
}

fn set_spectral_norm(layers: &mut [LayerSpec]) {
    for layer in layers {
        match layer {
            LayerSpec::Linear(l) => l.spectral_norm = true,
            LayerSpec::Conv2d(l) => l.spectral_norm = true,
            LayerSpec::ConvTranspose2d(l) => l.spectral_norm = true,
            LayerSpec::Maxout(l) => l.spectral_norm = true,
            LayerSpec::Projection(l) => l.spectral_norm = true,
            LayerSpec::Residual(l) => {
                set_spectral_norm(&mut l.layers);
                set_spectral_norm(l.shortcut.as_deref_mut().unwrap_or_default());
            }
            LayerSpec::Branches(l) => set_spectral_norm(&mut l.layers),
            _ => {}
        }
    }
}
