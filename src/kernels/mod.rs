//! One file per kernel: parameters, launch, CPU reference and tests; the WGSL lies in `shaders/` under the same name.
pub mod copy;
pub mod gemm;
pub mod random;
