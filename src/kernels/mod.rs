//! One file per kernel: parameters, launch, CPU reference in f64, tests. The WGSL is in `shaders/`, under the same names.
pub mod adam;
pub mod clip;
pub mod copy;
pub mod counter_value;
pub mod dataset_batch;
pub mod ema;
pub mod error;
mod flat;
mod form;
pub mod gemm;
pub mod glyphs;
pub mod label_batch;
pub mod mixture_batch;
pub mod momentum;
pub mod pack_u8;
pub mod random;
pub mod random_source;
pub mod record;
pub mod rmsprop;
pub mod scaler;
pub mod sgd;
pub mod stacked_batch;
pub mod swissroll_batch;
pub mod timing;
mod walk;

pub use error::KernelError;
pub use form::{Form, Scalar};
