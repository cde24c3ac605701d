//! (in progress)
pub mod rng;
