//! Measured choices among the variants of matrix products and convolutions, kept in the user's cache folder.
//!
//! A choice changes the low bits of results. So a run writes the choices it was started with into its configuration, and nothing else
//! is asked when it is resumed; without choices (`--no-tune`) every variant follows its rule. What that came to is written down as well,
//! because it depends on the machine's number of cores.
mod ahead;
mod decide;
mod store;

pub use ahead::{Subject, Tuner};
pub use decide::{Decision, Policy, Row, decide};
pub use store::{Entry, TuneStore};

use crate::graph::plan::Contraction;
use std::collections::BTreeMap;

/// Variant by operation, both by name: what a configuration holds under `choices`.
pub type NamedChoices = BTreeMap<String, String>;

/// The name of an operation on operands stored so: `conv2d n64 ci1 28x28 co64 k4x4 s2x2 p1x1 f32 f32 f32`.
fn key(contraction: &Contraction) -> String {
    let [a, b, c] = contraction.formats.map(|format| format.wgsl());
    format!("{} {a} {b} {c}", contraction.op)
}
