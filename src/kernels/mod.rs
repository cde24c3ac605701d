//! One file per kernel: parameters, launch, CPU reference in f64, tests. The WGSL is in `shaders/`, under the same names.
pub mod dataset_batch;
pub mod error;
mod flat;
pub mod glyphs;
pub mod mixture_batch;
pub mod random;
pub mod swissroll_batch;

pub use error::KernelError;
