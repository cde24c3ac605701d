//! What became of one run of a comparison: `compare.json` in its folder.
use super::{CompareError, Planned};
use crate::run::origin::Origin;
use crate::run::tensors::write_atomic;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Status {
    /// Being trained, or its process was killed: to be gone on with.
    Started,
    /// Stopped by Ctrl-C, with a checkpoint.
    Interrupted,
    /// Its budget is spent.
    Finished,
    /// A loss or weight is no longer finite; nothing would change if it ran again.
    Diverged { at_step: u64, message: String },
}

/// What a run has spent, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub variant: String,
    pub seed: u64,
    /// Of everything that determines the result.
    pub hash: String,
    #[serde(flatten)]
    pub status: Status,
    pub steps: u64,
    pub images_seen: u64,
    /// Wall time of training up to the last checkpoint, over all invocations.
    pub seconds: f64,
    #[serde(default)]
    pub params_g: u64,
    #[serde(default)]
    pub params_d: u64,
    /// What computed its last steps; `None` in records of before it was kept.
    #[serde(default)]
    pub origin: Option<Origin>,
}

impl Record {
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("compare.json")
    }

    /// Of a run that starts now.
    pub fn new(planned: &Planned) -> Self {
        Self {
            variant: planned.variant.clone(),
            seed: planned.seed,
            hash: planned.hash.clone(),
            status: Status::Started,
            steps: 0,
            images_seen: 0,
            seconds: 0.0,
            params_g: 0,
            params_d: 0,
            origin: None,
        }
    }

    /// The record of a planned run, if it was ever started.
    ///
    /// # Errors
    /// If the file is there but cannot be read, or is another run's.
    pub fn read(planned: &Planned) -> Result<Option<Self>, CompareError> {
        let path = Self::path(&planned.folder);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| CompareError::Io {
                path: path.clone(),
                source,
            })?,
        };
        let record: Self = serde_json::from_slice(&bytes).map_err(|error| CompareError::File {
            path: path.clone(),
            problem: format!("is no record of a run: {error}; remove its folder to train it again"),
        })?;
        if record.hash != planned.hash {
            return Err(CompareError::File {
                path,
                problem: "is the record of another configuration; remove its folder".into(),
            });
        }
        Ok(Some(record))
    }

    pub fn write(&self, folder: &Path) -> Result<(), CompareError> {
        let path = Self::path(folder);
        let io = |source| CompareError::Io {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_string_pretty(self).map_err(|error| io(error.into()))?;
        write_atomic(&path, (text + "\n").as_bytes()).map_err(io)
    }

    /// Whether there is nothing more to train.
    pub fn is_over(&self) -> bool {
        matches!(self.status, Status::Finished | Status::Diverged { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::presets::preset;

    fn planned(folder: &Path) -> Planned {
        Planned {
            variant: "a".into(),
            seed: 3,
            config: preset("ring8").unwrap().config().unwrap(),
            hash: "ab".repeat(32),
            folder: folder.into(),
        }
    }

    #[test]
    fn a_record_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let planned = planned(folder.path());
        assert_eq!(Record::read(&planned).unwrap(), None);
        for status in [
            Status::Started,
            Status::Finished,
            Status::Diverged {
                at_step: 7,
                message: "loss_d is NaN".into(),
            },
        ] {
            let record = Record {
                status,
                seconds: 1.5,
                ..Record::new(&planned)
            };
            record.write(folder.path()).unwrap();
            assert_eq!(Record::read(&planned).unwrap(), Some(record));
        }
    }

    #[test]
    fn broken_and_foreign_records_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let planned = planned(folder.path());
        std::fs::write(Record::path(folder.path()), "{").unwrap();
        let message = Record::read(&planned).unwrap_err().to_string();
        assert!(message.contains("compare.json"), "{message}");
        let mut other = Record::new(&planned);
        other.hash = "cd".repeat(32);
        other.write(folder.path()).unwrap();
        let message = Record::read(&planned).unwrap_err().to_string();
        assert!(message.contains("another configuration"), "{message}");
    }
}
