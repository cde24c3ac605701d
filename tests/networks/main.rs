//! Networks: layers against PyTorch, the built-in models against PyTorch's, and the errors of a wrong file.
#[path = "../support/torch.rs"]
mod torch;

mod edits;
mod errors;
mod layers;
mod methods;
mod models;

use gan_gpu::nn::{Network, NetworkSpec};

/// The network of a TOML text.
fn network(text: &str) -> Network {
    Network::new(&toml::from_str::<NetworkSpec>(text).unwrap()).unwrap()
}
