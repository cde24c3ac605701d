//! What the stories in `tests/` share. Each story uses a part of it.
#![allow(unused_imports)]
pub use gan_gpu::gpu::testing::{assert_close, buffer_of, close, gpu, nan_buffer, read_f32};
