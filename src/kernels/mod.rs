//! One file per kernel: parameters, launch, CPU reference and tests; the WGSL lies in `shaders/` under the same name.
pub mod adam;
pub mod clip;
pub mod ema;
pub mod first_nonfinite;
pub mod momentum;
pub mod pack_u8;
pub mod random;
pub mod record;
pub mod rmsprop;
pub mod sgd;
mod walk;
