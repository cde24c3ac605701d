//! The lowest floor: one adapter, its device, buffers, WGSL shaders, and lists of dispatches.
//!
//! Everything above describes work as plain data ([`Kernel`]: WGSL text, grid, immediates), binds it once to buffers
//! ([`Gpu::prepare`]) and submits lists of the result ([`Gpu::submit`]) without creating anything more.
//! No wgpu type leaves this floor.
//!
//! A [`Gpu`] is not `Send`: wgpu is submitted to and polled from one thread, always.
pub mod adapter;
pub mod ahead;
pub mod buffer;
pub mod cache;
pub mod choice;
pub mod device;
pub mod dispatch;
pub mod error;
pub mod pipeline;
pub mod readback;
#[cfg(not(target_vendor = "apple"))]
mod robustness;
pub mod shader;
#[doc(hidden)]
pub mod testing;
pub mod timestamps;
pub mod traffic;
mod translate;

pub use adapter::{
    AdapterClass, AdapterReport, Caps, GpuBackend, MatrixScalar, MatrixTile, faster_driver,
    hush_device_select_layer, list_adapters, mesa_before_24,
};
pub use ahead::CompileAhead;
pub use buffer::Buffer;
pub use cache::{CacheFolder, hex};
pub use choice::{ADAPTER_VARIABLE, AdapterChoice};
pub use device::{Checks, DeviceOptions, Gpu, Submission};
pub use dispatch::{Dispatch, Kernel, Recorder};
pub use error::GpuError;
pub use readback::Pending;
pub use shader::{Reflection, ShaderError};
pub use traffic::Traffic;
