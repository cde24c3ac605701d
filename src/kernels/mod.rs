//! One file per kernel: parameters, launch, CPU reference in f64, tests. The WGSL is in `shaders/`, under the same names.
pub mod adam;
pub mod clip;
pub mod copy;
pub mod ema;
pub mod error;
pub mod first_nonfinite;
pub mod gemm;
pub mod momentum;
pub mod pack_u8;
pub mod random;
pub mod record;
pub mod rmsprop;
pub mod sgd;
mod walk;

pub use error::KernelError;
