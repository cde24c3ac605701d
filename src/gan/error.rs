//! Errors of the GAN floor.
use crate::gpu::GpuError;
use crate::graph::GraphError;
use crate::nn::NnError;

/// What is wrong with a method or with the program it makes.
#[derive(Debug, thiserror::Error)]
pub enum GanError {
    /// A setting has a value that the method cannot use.
    #[error("{field}: expected {expected}, got {got}")]
    Setting {
        /// The setting as the configuration names it, e.g. `optimiser.d.lr`.
        field: String,
        expected: String,
        got: String,
    },
    /// The settings are not the TOML that this program reads.
    #[error("{file}: {message}")]
    Toml {
        file: String,
        /// The parser's words, with line and column.
        message: String,
    },
    /// Critic outputs that are not one row of logits.
    #[error("{what}: expected logits of shape [1, N], got {got}")]
    Logits { what: &'static str, got: String },
    /// A saved tensor or counter is missing or is not the one that this model has.
    #[error("{what}: expected {expected}, got {got}")]
    State {
        /// Its name.
        what: String,
        expected: String,
        got: String,
    },
    /// Latents that are not whole samples.
    #[error("latents: {got} numbers do not fill rows of {width}")]
    Latents { width: usize, got: usize },
    /// Samples to be judged that are not whole ones.
    #[error("samples: {got} numbers do not fill rows of {width}")]
    Samples { width: usize, got: usize },
    /// Something that this trainer was not set up for.
    #[error("{0}")]
    Input(String),
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error(transparent)]
    Network(#[from] NnError),
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Result of the GAN floor.
pub type Result<T> = std::result::Result<T, GanError>;
