//! What makes a GAN: objectives and regularisers as graph expressions, and the settings of a method.
mod adapt;
pub mod classifier;
mod combinations;
pub mod config;
mod error;
pub mod flops;
pub mod methods;
pub mod objectives;
pub mod regularisers;
pub mod samplers;
pub mod trainer;

pub use config::GanConfig;
pub use error::{GanError, Result};
pub use objectives::Objective;
pub use regularisers::Regulariser;
