//! What computed a run. Where all of it is the same, so are the bits of what follows; elsewhere they may differ.
use super::checkpoint::CheckpointError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Where it stands in a checkpoint's metadata, as JSON.
const KEY: &str = "origin";

/// Program, adapter, driver and kernels of a run, as checkpoints, `summary.json` and the records of a comparison hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name and version of the program.
    pub program: String,
    /// The adapter's name.
    pub adapter: String,
    /// The driver's name and version, as it gives them.
    pub driver: String,
    /// [`Trainer::fingerprint`](crate::gan::trainer::Trainer::fingerprint): equal where the same kernels run in the same order.
    pub kernels: String,
}

impl Origin {
    /// Of this program's kernels on an adapter.
    pub fn of_this_program(adapter: &str, driver: &str, kernels: String) -> Self {
        Self {
            program: concat!("gan-gpu ", env!("CARGO_PKG_VERSION")).into(),
            adapter: adapter.into(),
            driver: driver.into(),
            kernels,
        }
    }

    /// How this differs from what came `before`, in words, where results may differ for it. The program's version alone changes nothing.
    pub fn differs(&self, before: &Self) -> Option<String> {
        let mut words = vec![];
        if self.adapter != before.adapter {
            words.push(format!(
                "the adapter was `{}`, now `{}`",
                before.adapter, self.adapter
            ));
        }
        if self.driver != before.driver {
            words.push(format!(
                "the driver was `{}`, now `{}`",
                before.driver, self.driver
            ));
        }
        if self.kernels != before.kernels {
            words.push(format!(
                "the kernels were others (those of {}, now {})",
                before.program, self.program
            ));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Adds it to a checkpoint's metadata.
    pub fn insert(&self, metadata: &mut BTreeMap<String, String>) {
        metadata.insert(KEY.into(), serde_json::json!(self).to_string());
    }

    /// Takes it out of the metadata of the checkpoint `path`. `None` where nothing is said of it, as in files of before it was kept.
    ///
    /// # Errors
    /// [`CheckpointError::Metadata`] where it is not readable.
    pub fn take(
        path: &Path,
        metadata: &mut BTreeMap<String, String>,
    ) -> Result<Option<Self>, CheckpointError> {
        let Some(text) = metadata.remove(KEY) else {
            return Ok(None);
        };
        match serde_json::from_str(&text) {
            Ok(origin) => Ok(Some(origin)),
            Err(error) => Err(CheckpointError::Metadata {
                path: path.into(),
                key: KEY.into(),
                got: text,
                expected: format!("what computed the run ({error})"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_no_bit_is_no_difference() {
        let origin = Origin::of_this_program("a", "d 1", "00".into());
        let older = Origin {
            program: "gan-gpu 0.0.1".into(),
            ..origin.clone()
        };
        assert_eq!(origin.differs(&older), None);
        let other = Origin::of_this_program("b", "d 2", "01".into());
        let words = other.differs(&older).unwrap();
        for expected in ["`a`, now `b`", "`d 1`, now `d 2`", "gan-gpu 0.0.1"] {
            assert!(words.contains(expected), "{words}");
        }
    }
}
