//! Tensor programs as static graphs, closed under differentiation.
//!
//! A [`Graph`] holds interned expressions over a small set of primitive operations ([`Op`]); every operand is f32 and every
//! shape is known. [`Graph::gradients`] returns more expressions of the same kind, so a gradient can be differentiated again.
//! `plan` compiles expressions to a list of dispatches.
mod build;
mod compose;
mod error;
mod gradients;
mod op;
pub mod plan;
mod shape;
mod view;

pub use build::{Graph, Leaf};
pub use error::{GraphError, Result};
pub use op::{Binary, Distribution, LeafId, Node, Op, Scalar, SourceId, Unary, Window};
pub use shape::Shape;

/// Handle of an expression in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expr(u32);

impl Expr {
    /// Position of the expression among the graph's nodes; operands always stand before their users.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
