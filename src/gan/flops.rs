//! Arithmetic of one training iteration: twice the multiply-accumulates of linear and convolution layers that it needs.
//! Norms, activations and optimisers are not counted, nor the input gradient of a network's first layer.
use super::Regulariser;
use crate::nn::Network;

/// What one iteration consists of: D's steps, each on a batch of real and one of generated samples, then one G step.
#[derive(Clone, Debug)]
pub struct Iteration<'a> {
    pub batch: usize,
    pub d_steps: usize,
    /// Penalties in each D step.
    pub regularisers: &'a [Regulariser],
    /// G's step draws latents of its own; otherwise it uses the generated batch of the only D step, as tutorials do.
    pub fresh_latents: bool,
    /// G's step leaves out the gradients of D's weights, which it does not use; PyTorch computes them unless told not to.
    pub freeze_d: bool,
}

/// Floating-point operations of an iteration.
pub fn iteration_flops(generator: &Network, discriminator: &Network, it: &Iteration) -> u64 {
    let (g, d) = (generator.flops(it.batch), discriminator.flops(it.batch));
    let forward = |layers: &[u64]| layers.iter().sum::<u64>();
    let (gf, df) = (forward(&g), forward(&d));
    // A gradient of the weights and one of the input, each as much as the forward pass.
    let backward = |layers: &[u64]| 2 * forward(layers) - layers.first().unwrap_or(&0);
    let (gb, db) = (backward(&g), backward(&d));
    // The gradient to the sample, and its own gradient to the weights; the last layer's input gradient is its weight.
    let second_order = df + (2 * df - d.last().unwrap_or(&0));
    let penalty = |r: &Regulariser| match r {
        Regulariser::GradientPenalty | Regulariser::Dragan => df + second_order,
        Regulariser::R1 | Regulariser::R2 => second_order,
    };
    let penalties: u64 = it.regularisers.iter().map(penalty).sum();
    let d_step = gf + 2 * df + 2 * db + penalties;
    let through_d = 2 * df + if it.freeze_d { 0 } else { df };
    let g_step = through_d + gb + if it.fresh_latents { gf } else { 0 };
    it.d_steps as u64 * d_step + g_step
}
