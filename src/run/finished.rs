//! A run as its checkpoint holds it: what sampling and measuring start from.
use super::checkpoint::Checkpoint;
use super::config::TrainConfig;
use super::error::RunError;
use super::session::Sampler;
use std::path::PathBuf;

/// A checkpoint with the configuration that made it.
pub struct Finished {
    pub path: PathBuf,
    pub checkpoint: Checkpoint,
    /// Resolved.
    pub config: TrainConfig,
}

impl Finished {
    /// Reads the checkpoint file at `path`.
    ///
    /// # Errors
    /// If it is no whole checkpoint, or its configuration cannot be used.
    pub fn open(path: PathBuf) -> Result<Finished, RunError> {
        let checkpoint = Checkpoint::read(&path)?;
        let file = path.display().to_string();
        let config = TrainConfig::from_toml(&file, &checkpoint.config)?.resolve()?;
        Ok(Finished {
            path,
            checkpoint,
            config,
        })
    }

    /// Gives its weights to a sampler that was opened for its configuration.
    ///
    /// # Errors
    /// [`RunError::Restore`], which names the file.
    pub fn restore(&self, sampler: &mut dyn Sampler) -> Result<(), RunError> {
        let restored = sampler.restore(&self.checkpoint.data);
        restored.map_err(|source| RunError::Restore {
            path: self.path.clone(),
            source,
        })
    }
}
