//! Errors of network descriptions and of their forward passes.
use crate::graph::GraphError;

/// What is wrong with a network, and where.
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    /// A layer does not fit what stands before it, or its own settings contradict each other.
    #[error("layer {layer} ({kind}): expected {expected}, got {got}")]
    Layer {
        /// Position in the list of layers, counted from 0; inside a residual block its path, e.g. `3.body.0`.
        layer: String,
        /// The layer's type as the TOML file names it.
        kind: &'static str,
        expected: String,
        got: String,
    },
    /// The graph refused an operation of a layer.
    #[error("layer {layer} ({kind}): {source}")]
    Graph {
        layer: String,
        kind: &'static str,
        source: GraphError,
    },
    /// A network's input has no numbers, or more than there can be.
    #[error(
        "input: expected 1 to {most} numbers per sample, got {got}",
        most = super::MOST_ELEMENTS
    )]
    Input { got: super::Extent },
    /// A network has no layers.
    #[error("the network has no layers; add a [[layer]] table")]
    Empty,
    /// A network with classes whose layers ignore them.
    #[error(
        "the network has `classes`, but no layer that uses labels; add one of type condition or projection, or remove `classes`"
    )]
    Classes,
    /// A network that lacks the layers that a method changes.
    #[error("the network's layers: expected {expected}, got {got}")]
    Layers { expected: String, got: String },
    /// A tensor that was handed to the forward pass is not the one the network declares.
    #[error("forward: {what}: expected {expected}, got {got}")]
    Argument {
        /// The tensor or list, e.g. the parameter `0.weight`.
        what: String,
        expected: String,
        got: String,
    },
    /// Generator and discriminator do not fit each other.
    #[error("{what}: expected {expected}, got {got}")]
    Pair {
        what: &'static str,
        expected: String,
        got: String,
    },
    /// An error inside one of the two networks of a model.
    #[error("{network}: {source}")]
    In {
        /// `generator` or `discriminator`.
        network: &'static str,
        source: Box<NnError>,
    },
    /// A model file that is not the TOML this program reads.
    #[error("{file}: {message}")]
    Toml {
        file: String,
        /// The parser's words, with line and column.
        message: String,
    },
    /// A model file that cannot be read.
    #[error("{file}: {source}; give the path of a TOML file of layers or one of: {known}")]
    Read {
        file: String,
        known: String,
        source: std::io::Error,
    },
    /// A name that is neither a built-in model nor a file.
    #[error(
        "no model is named `{name}`; built-in models: {known}; or give the path of a .toml file of layers"
    )]
    UnknownModel { name: String, known: String },
}

/// Result of operations on networks.
pub type Result<T> = std::result::Result<T, NnError>;
