//! One file per kernel: parameters, launch, CPU reference in f64, tests. The WGSL is in `shaders/`, under the same names.
pub mod copy;
pub mod error;
pub mod gemm;
pub mod random;

pub use error::KernelError;
