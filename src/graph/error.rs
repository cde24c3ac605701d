//! Errors of graph construction, differentiation and compilation.
use super::Shape;

/// What went wrong while an expression was built, differentiated or compiled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// An operand's shape does not fit the operation.
    #[error("{op}: expected {expected}, got {got}")]
    Shape {
        /// The operation, by its public name.
        op: &'static str,
        /// What the operation needs.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// A gradient was asked for through an input in which the operation is not differentiable.
    #[error(
        "{op} is not differentiable in its {input}: wrap that input in stop_gradient if it is meant to be a constant"
    )]
    NotDifferentiable {
        /// The operation, by its public name.
        op: &'static str,
        /// Which input.
        input: &'static str,
    },
    /// `gradients` was asked to differentiate something that is not a scalar.
    #[error("gradients: the loss must have one element, got shape {got}")]
    LossNotScalar {
        /// The shape of the expression that was given as the loss.
        got: Shape,
    },
    /// An index of gather is not a whole number inside the axis it picks from.
    #[error("{op}: index {index} at position {position} is not a whole number in 0..{size}")]
    Index {
        /// The operation, by its public name.
        op: &'static str,
        /// Where the index stands in the tensor of indices.
        position: usize,
        /// The index.
        index: f64,
        /// Size of the axis.
        size: usize,
    },
    /// A value that was overwritten by an earlier stage of the program is read again.
    #[error(
        "compile: `{leaf}` is read in stage {stage}, but it is overwritten at the end of stage {last}"
    )]
    Stale {
        /// Name of the leaf.
        leaf: String,
        /// The stage that reads it.
        stage: usize,
        /// The last stage in which it holds the value that was meant.
        last: usize,
    },
    /// A leaf or source of the graph has no device memory bound to it.
    #[error("compile: nothing is bound to `{name}`; bind a buffer region or a source to it")]
    Unbound {
        /// Name of the leaf or source.
        name: String,
    },
    /// A tensor does not fit one binding of this adapter.
    #[error(
        "compile: {what} of shape {shape} needs {bytes} bytes in one binding, the adapter allows {limit}; use a smaller batch or model"
    )]
    TooLarge {
        /// What needs the memory.
        what: String,
        /// Its shape.
        shape: Shape,
        /// Bytes it needs.
        bytes: u64,
        /// The adapter's limit in bytes.
        limit: u64,
    },
    /// A kernel refused its parameters.
    #[error("compile: {op} of shape {shape}: {reason}")]
    Kernel {
        /// The operation.
        op: &'static str,
        /// Its output shape.
        shape: Shape,
        /// The kernel's own words.
        reason: String,
    },
}

/// Result of graph operations.
pub type Result<T> = std::result::Result<T, GraphError>;
