//! Tensor programs as static graphs, closed under differentiation.
//!
//! A [`Graph`] holds interned expressions over a small set of primitive operations ([`Op`]); every operand is f32 and every
//! shape is known. [`Graph::gradients`] returns more expressions of the same kind, so a gradient can be differentiated again.
//! `plan` compiles expressions to a list of dispatches; [`Reference`] evaluates them in f64 on the CPU.
//!
//! ```
//! use gan_gpu::graph::{Graph, GraphError, Reference};
//! let mut g = Graph::new();
//! let x = g.leaf("x", [2]);
//! // A gradient penalty is the gradient of an expression that holds a gradient: y = sum x^3, penalty = sum (dy/dx)^2.
//! let x2 = g.square(x)?;
//! let x3 = g.mul(x2, x)?;
//! let y = g.sum_all(x3)?;
//! let dy = g.gradients(y, &[x])?[0];
//! let squared = g.square(dy)?;
//! let penalty = g.sum_all(squared)?;
//! let d_penalty = g.gradients(penalty, &[x])?[0];
//!
//! let mut reference = Reference::new();
//! reference.bind(&g, x, vec![1.0, -2.0]);
//! assert_eq!(reference.evaluate(&g, &[dy, penalty])?, [vec![3.0, 12.0], vec![153.0]]); // 3 x^2, sum 9 x^4
//! assert_eq!(reference.evaluate(&g, &[d_penalty])?, [vec![36.0, -288.0]]); // 36 x^3
//! # Ok::<(), GraphError>(())
//! ```
mod build;
mod compose;
mod error;
mod gradients;
mod op;
mod origin;
pub mod plan;
mod reference;
mod shape;
mod view;

pub use build::{Graph, Leaf};
pub use error::{GraphError, Result};
pub use op::{Binary, Distribution, LeafId, Node, Op, Scalar, SourceId, Unary, Window};
pub use origin::Origin;
pub use reference::Reference;
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
