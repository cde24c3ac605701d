//! gan-gpu: train generative adversarial networks on any GPU that wgpu reaches.
//!
//! The floors of the house, lowest first; no module imports from one above it
//! (`tests/floors.rs` holds that). `data` is plain CPU code beside them, `metrics` may use graph and nn.
pub mod cli;
pub mod data;
pub mod gan;
pub mod gpu;
pub mod graph;
pub mod kernels;
pub mod metrics;
pub mod nn;
pub mod run;
