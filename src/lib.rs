//! gan-gpu: train generative adversarial networks on any GPU that wgpu reaches.
//!
//! The floors of the house, lowest first; no module imports from one above it
//! (`tests/floors.rs` holds that). `data` is plain CPU code beside them, `metrics` may use graph and nn.
pub mod gpu;
pub mod kernels;
pub mod graph;
pub mod nn;
pub mod data;
pub mod metrics;
pub mod gan;
pub mod run;
pub mod cli;
