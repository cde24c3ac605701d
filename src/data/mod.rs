//! Data on the host: image files, the built-in sets, and the pure functions that sampling on the device is checked against.
pub mod permutation;
pub mod rng;
pub mod toy;
