//! Checkpoints: the complete state of a run as one safetensors file.
//!
//! Tensors are named by role and PyTorch's state_dict name: `g.<name>`, `d.<name>` (parameters and running statistics),
//! `g_ema.<name>`, and the optimisers' moments `opt_g.<moment>.<name>`, `opt_d.<moment>.<name>`. Counters and the run's
//! configuration are strings in the file's metadata, so that a checkpoint stands alone. There is no time stamp and no path
//! in it: two runs of one configuration give the same bytes.
use super::origin::Origin;
use super::tensors::{TEMPORARY_SUFFIX, Tensor, TensorFile, TensorFileError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of this layout, in the metadata under `gan_gpu_checkpoint`.
const VERSION: &str = "1";
const VERSION_KEY: &str = "gan_gpu_checkpoint";
const COUNTER_PREFIX: &str = "counter.";

/// The state of training, as an engine hands it out and takes it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointData {
    /// Rounds completed.
    pub step: u64,
    pub images_seen: u64,
    /// Whatever else the engine counts, e.g. `updates_d`.
    pub counters: BTreeMap<String, u64>,
    pub tensors: BTreeMap<String, Tensor>,
}

/// A checkpoint does not hold what the network needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    #[error(
        "the checkpoint has no tensor `{tensor}` (expected shape {expected:?}); was it made by another model?"
    )]
    MissingTensor {
        tensor: String,
        expected: Vec<usize>,
    },
    #[error(
        "tensor `{tensor}` has shape {got:?} in the checkpoint, the model expects {expected:?}"
    )]
    Shape {
        tensor: String,
        expected: Vec<usize>,
        got: Vec<usize>,
    },
    #[error(
        "the checkpoint has no counter `{counter}`; was it made by another version of gan-gpu?"
    )]
    MissingCounter { counter: String },
}

impl CheckpointData {
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: Vec<f32>,
    ) {
        self.tensors.insert(name.into(), Tensor::new(shape, values));
    }

    /// The values of tensor `name`, which must have exactly this shape.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&[f32], ContentError> {
        match self.tensors.get(name) {
            None => Err(ContentError::MissingTensor {
                tensor: name.into(),
                expected: shape.into(),
            }),
            Some(tensor) if tensor.shape != shape => Err(ContentError::Shape {
                tensor: name.into(),
                expected: shape.into(),
                got: tensor.shape.clone(),
            }),
            Some(tensor) => Ok(&tensor.values),
        }
    }

    pub fn counter(&self, name: &str) -> Result<u64, ContentError> {
        self.counters
            .get(name)
            .copied()
            .ok_or_else(|| ContentError::MissingCounter {
                counter: name.into(),
            })
    }

    /// The first tensor (by name) with a NaN or an infinity in it, and that value.
    pub fn non_finite(&self) -> Option<(&str, f32)> {
        self.tensors.iter().find_map(|(name, tensor)| {
            let value = tensor.values.iter().copied().find(|v| !v.is_finite())?;
            Some((name.as_str(), value))
        })
    }
}

/// A checkpoint file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    File(#[from] TensorFileError),
    #[error("{} is a safetensors file, but no gan-gpu checkpoint: its metadata has no `{key}`", path.display())]
    Foreign { path: PathBuf, key: String },
    #[error("{} is no classifier: its metadata has no `{key}`; `gan-gpu classify train` makes one", path.display())]
    NoClassifier { path: PathBuf, key: String },
    #[error("{}: metadata `{key}` is {got:?}, expected {expected}", path.display())]
    Metadata {
        path: PathBuf,
        key: String,
        got: String,
        expected: String,
    },
    #[error("{} has no checkpoints; the run was stopped before its first one", folder.display())]
    None { folder: PathBuf },
    #[error("{} has no checkpoint of step {step}; there are those of {}", run.display(), steps_in_words(.there))]
    NoStep {
        run: PathBuf,
        step: u64,
        there: Vec<u64>,
    },
}

fn steps_in_words(steps: &[u64]) -> String {
    match steps {
        [] => "no step".into(),
        steps => steps
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// A checkpoint with the configuration (TOML text) of the run that made it, and what computed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub data: CheckpointData,
    pub config: String,
    /// `None` in files of before it was kept.
    pub origin: Option<Origin>,
}

impl Checkpoint {
    /// Writes the file atomically; equal content gives equal bytes.
    pub fn write(self, path: &Path) -> Result<(), CheckpointError> {
        let CheckpointData {
            step,
            images_seen,
            counters,
            tensors,
        } = self.data;
        let mut metadata = BTreeMap::from([
            (VERSION_KEY.to_string(), VERSION.to_string()),
            ("step".into(), step.to_string()),
            ("images_seen".into(), images_seen.to_string()),
            ("config".into(), self.config),
        ]);
        metadata.extend(
            counters
                .into_iter()
                .map(|(name, n)| (format!("{COUNTER_PREFIX}{name}"), n.to_string())),
        );
        if let Some(origin) = &self.origin {
            origin.insert(&mut metadata);
        }
        Ok(TensorFile { tensors, metadata }.write(path)?)
    }

    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let TensorFile {
            tensors,
            mut metadata,
        } = TensorFile::read(path)?;
        let mut take = |key: &str| {
            metadata
                .remove(key)
                .ok_or_else(|| CheckpointError::Foreign {
                    path: path.into(),
                    key: key.into(),
                })
        };
        let wrong = |key: &str, got: String, expected: &str| CheckpointError::Metadata {
            path: path.into(),
            key: key.into(),
            got,
            expected: expected.into(),
        };
        let version = take(VERSION_KEY)?;
        if version != VERSION {
            return Err(wrong(
                VERSION_KEY,
                version,
                "1; it was made by another version of gan-gpu",
            ));
        }
        let number = |key: &str, text: String| {
            text.parse::<u64>()
                .map_err(|_| wrong(key, text, "a whole number"))
        };
        let step = number("step", take("step")?)?;
        let images_seen = number("images_seen", take("images_seen")?)?;
        let config = take("config")?;
        let origin = Origin::take(path, &mut metadata)?;
        let mut counters = BTreeMap::new();
        for (key, text) in metadata {
            if let Some(name) = key.strip_prefix(COUNTER_PREFIX) {
                counters.insert(name.to_string(), number(&key, text)?);
            }
        }
        Ok(Self {
            data: CheckpointData {
                step,
                images_seen,
                counters,
                tensors,
            },
            config,
            origin,
        })
    }
}

/// The checkpoints of one run: `step-<8 digits>.safetensors` in a folder.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    /// How many to keep; 0 keeps all.
    keep: usize,
    /// Those after this step go with the next one that is written.
    stale_after: Option<u64>,
}

impl CheckpointStore {
    pub fn new(folder: impl Into<PathBuf>, keep: usize) -> Self {
        Self {
            folder: folder.into(),
            keep,
            stale_after: None,
        }
    }

    pub fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}.safetensors"))
    }

    /// Steps that have a checkpoint, ascending.
    pub fn steps(&self) -> Result<Vec<u64>, CheckpointError> {
        let io = |source| TensorFileError::Io {
            path: self.folder.clone(),
            source,
        };
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let step: Option<u64> = name.to_str().and_then(|n| {
                n.strip_prefix("step-")?
                    .strip_suffix(".safetensors")?
                    .parse()
                    .ok()
            });
            steps.extend(step);
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The newest checkpoint's file.
    pub fn latest(&self) -> Result<PathBuf, CheckpointError> {
        match self.steps()?.last() {
            Some(&step) => Ok(self.path(step)),
            None => Err(CheckpointError::None {
                folder: self.folder.clone(),
            }),
        }
    }

    /// Writes the checkpoint, then removes what [`CheckpointStore::forget_after`] means, the oldest beyond `keep` and whatever a killed
    /// process left unfinished.
    pub fn save(&mut self, checkpoint: Checkpoint) -> Result<PathBuf, CheckpointError> {
        let step = checkpoint.data.step;
        let path = self.path(step);
        checkpoint.write(&path)?;
        self.prune(step)?;
        Ok(path)
    }

    /// `written`: the step of the newest.
    fn prune(&mut self, written: u64) -> Result<(), CheckpointError> {
        let remove = |path: PathBuf| {
            fs::remove_file(&path)
                .map_err(|source| CheckpointError::File(TensorFileError::Io { path, source }))
        };
        if let Some(start) = self.stale_after.take() {
            let steps = self.steps()?.into_iter();
            for stale in steps.filter(|&s| s > start && s != written) {
                remove(self.path(stale))?;
            }
        }
        if self.keep > 0 {
            let steps = self.steps()?;
            for &step in &steps[..steps.len().saturating_sub(self.keep)] {
                remove(self.path(step))?;
            }
        }
        let io = |source| TensorFileError::Io {
            path: self.folder.clone(),
            source,
        };
        for entry in fs::read_dir(&self.folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.to_string_lossy().ends_with(TEMPORARY_SUFFIX) {
                remove(path)?;
            }
        }
        Ok(())
    }

    /// A run goes on from `step`: checkpoints after it belong to another course of it, and go once this one has written its first.
    pub fn forget_after(&mut self, step: u64) {
        self.stale_after = Some(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn example(step: u64) -> Checkpoint {
        let mut data = CheckpointData {
            step,
            images_seen: step * 64,
            ..Default::default()
        };
        data.insert("g.0.weight", [2, 2], vec![1.0, 2.0, 3.0, step as f32]);
        data.insert("opt_g.exp_avg.0.weight", [2, 2], vec![0.0; 4]);
        data.insert("d.1.running_mean", [3], vec![0.5; 3]);
        for name in ["updates_d", "updates_g", "updates_ema"] {
            data.counters.insert(name.into(), step + 1);
        }
        Checkpoint {
            data,
            config: "seed = 1\n".into(),
            origin: Some(Origin::of_this_program("a", "d", "00".into())),
        }
    }

    #[test]
    fn a_checkpoint_survives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = CheckpointStore::new(folder.path(), 0);
        let path = store.save(example(12)).unwrap();
        assert!(path.ends_with("step-00000012.safetensors"));
        assert_eq!(Checkpoint::read(&path).unwrap(), example(12));
    }

    #[test]
    fn equal_states_have_equal_digests_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |name: &str, checkpoint: Checkpoint| {
            let path = folder.path().join(name);
            checkpoint.write(&path).unwrap();
            Sha256::digest(fs::read(path).unwrap())
        };
        assert_eq!(digest("a", example(3)), digest("b", example(3)));
        assert_ne!(digest("a", example(3)), digest("c", example(4)));
    }

    #[test]
    fn the_last_k_stay_and_unfinished_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = CheckpointStore::new(folder.path(), 2);
        fs::write(
            folder.path().join(".step-00000001.safetensors.partial"),
            "torn",
        )
        .unwrap();
        fs::write(folder.path().join("notes.txt"), "kept").unwrap();
        for step in [5, 100, 20] {
            store.save(example(step)).unwrap();
        }
        assert_eq!(store.steps().unwrap(), [20, 100]);
        assert_eq!(store.latest().unwrap(), store.path(100));
        // Gone on with from 20: what comes after goes with the first that is written.
        store.forget_after(20);
        assert_eq!(store.steps().unwrap(), [20, 100]);
        store.save(example(30)).unwrap();
        assert_eq!(store.steps().unwrap(), [20, 30]);
        store.save(example(40)).unwrap();
        assert_eq!(store.steps().unwrap(), [30, 40]);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            3,
            "two checkpoints and the notes"
        );
    }

    #[test]
    fn an_empty_folder_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = CheckpointStore::new(folder.path(), 2).latest().unwrap_err();
        assert!(matches!(error, CheckpointError::None { .. }));
    }

    #[test]
    fn a_truncated_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        example(3).write(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let message = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(message.contains("c.safetensors is truncated"), "{message}");
    }

    #[test]
    fn a_foreign_safetensors_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        TensorFile {
            tensors: example(1).data.tensors,
            metadata: BTreeMap::new(),
        }
        .write(&path)
        .unwrap();
        assert!(matches!(
            Checkpoint::read(&path),
            Err(CheckpointError::Foreign { .. })
        ));
        let mut newer = TensorFile::default();
        newer.metadata.insert(VERSION_KEY.into(), "99".into());
        newer.write(&path).unwrap();
        let message = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(message.contains("another version"), "{message}");
        let bad = TensorFile {
            metadata: [
                (VERSION_KEY, "1"),
                ("step", "ten"),
                ("images_seen", "1"),
                ("config", ""),
            ]
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .into(),
            ..Default::default()
        };
        bad.write(&path).unwrap();
        let message = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(
            message.contains("`step` is \"ten\", expected a whole number"),
            "{message}"
        );
    }

    #[test]
    fn tensors_are_checked_by_name_and_shape() {
        let data = example(1).data;
        assert_eq!(data.tensor("g.0.weight", &[2, 2]).unwrap()[1], 2.0);
        assert_eq!(
            data.tensor("g.0.weight", &[4]).unwrap_err().to_string(),
            "tensor `g.0.weight` has shape [2, 2] in the checkpoint, the model expects [4]"
        );
        assert!(matches!(
            data.tensor("g.9.weight", &[4]),
            Err(ContentError::MissingTensor { .. })
        ));
        assert!(matches!(
            data.counter("nothing"),
            Err(ContentError::MissingCounter { .. })
        ));
        assert_eq!(data.counter("updates_g"), Ok(2));
    }

    #[test]
    fn the_first_non_finite_tensor_is_found() {
        let mut data = example(1).data;
        assert_eq!(data.non_finite(), None);
        data.insert("g.0.weight", [2], vec![0.0, f32::INFINITY]);
        assert_eq!(data.non_finite(), Some(("g.0.weight", f32::INFINITY)));
    }
}
