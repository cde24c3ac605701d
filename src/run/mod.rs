//! A run: its folder, configuration, checkpoints, logs and pictures, and the loop that makes them.
//!
//! The loop ([`train`]) drives any [`session::Engine`] and knows nothing of devices; the trainer implements that trait.
pub mod checkpoint;
pub mod folder;
pub mod grid;
pub mod interrupt;
pub mod metrics_log;
pub mod progress;
pub mod scatter;
pub mod session;
pub mod summary;
pub mod tensors;
