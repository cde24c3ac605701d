//! Networks as data: layers with shapes that are checked once, PyTorch's parameter names and initialisation, and the
//! forward pass as graph expressions.
//!
//! A [`NetworkSpec`] is what a TOML file says; [`Network::new`] checks it and lays its parameters out in one arena;
//! [`Network::forward`] writes it into a [`crate::graph::Graph`]. Activations are features first, batch second:
//! `[F, N]` and `[C, N, H, W]`.
mod declare;
mod edit;
mod error;
pub mod init;
pub mod layers;
pub mod models;
mod network;
mod pass;
mod spec;
mod spectral;

pub use error::{NnError, Result};
pub use init::{Init, InitOverride, InitScheme, InitSpec};
pub use layers::LayerSpec;
pub use models::{Model, ModelSpec, model_by_name_or_file};
pub use network::{Forward, Given, LayerCost, Mode, Network, ParamSpec, StateSpec};
pub use spec::{Extent, MOST_ELEMENTS, NetworkSpec, Pair};
