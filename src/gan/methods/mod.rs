//! What a method adds to the plain game of two networks: one file per idea, each in terms of the graph.
pub mod classes;
pub mod conditional;
pub mod encoder;
pub mod info;
pub mod mad;
pub mod mrgan;
pub mod pack;
pub mod pulling_away;
pub mod unrolled;
pub mod veegan;

pub use conditional::{Condition, Conditional};
pub use encoder::EncoderMethod;
pub use info::Info;
pub use unrolled::Unroll;

use super::{GanError, Result};
