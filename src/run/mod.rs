//! A run: its folder, configuration, checkpoints, logs and pictures, and the loop that makes them.
//!
//! The loop ([`train`]) drives any [`session::Engine`] and knows nothing of devices; the trainer implements that trait.
pub mod bench;
pub mod ceilings;
pub mod checkpoint;
pub mod classifier;
pub mod compare;
pub mod config;
pub mod curves;
pub mod density_sample;
pub mod distances;
pub mod engine;
pub mod error;
pub mod eval;
pub mod finished;
pub mod fit;
pub mod folder;
pub mod grid;
pub mod interrupt;
pub mod kernel_bench;
pub mod lock;
pub mod metrics_log;
pub mod origin;
pub mod pace;
pub mod pictures;
pub mod plot;
pub mod presets;
pub mod profile;
pub mod progress;
pub mod report;
pub mod resume;
pub mod samplers;
pub mod scatter;
pub mod session;
pub mod suggest;
pub mod summary;
pub mod tensors;
pub mod theory;
pub mod toy;
pub mod train;
#[cfg(test)]
mod train_tests;
pub mod traverse;
pub mod tune;

pub use error::RunError;
