//! Run folders: where a run's files lie, how new ones are named, and how `latest` is found.
//!
//! ```text
//! runs/0007-mnist-dcgan-mnist/
//!   config.toml  metrics.jsonl  summary.json  samples/step-00001000.png  checkpoints/step-00001000.safetensors
//!   report.html  curves/step-00001000.png  curves.gif   (curves: data on a line only)
//! ```
use super::lock::Lock;
use std::fs;
use std::path::{Path, PathBuf};

/// Where runs go unless `--out` names a folder.
pub const RUNS: &str = "runs";
/// What `--resume` and `sample` take for the newest run under [`RUNS`].
pub const LATEST: &str = "latest";
/// The folder of a run's pictures of samples.
const SAMPLES: &str = "samples";

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is a file; --out takes a folder", path.display())]
    IsFile { path: PathBuf },
    #[error("{} is not empty and no run folder; choose another --out", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{} already holds a run; continue it with --resume {}, or choose another --out", path.display(), path.display())]
    HoldsRun { path: PathBuf },
    #[error("{} is no run folder: it has no config.toml", path.display())]
    NoRun { path: PathBuf },
    #[error("there is no run under {}; name a run folder", path.display())]
    NoLatest { path: PathBuf },
    #[error("another process is training the run in {}; wait for it, or stop it with Ctrl-C", path.display())]
    Busy { path: PathBuf },
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> FolderError + '_ {
    move |source| FolderError::Io {
        path: path.into(),
        source,
    }
}

/// The page of the run in that folder.
pub fn report_of(run: &Path) -> PathBuf {
    run.join("report.html")
}

/// A folder with a run in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run: `out` itself, or `<runs>/NNNN-<label>` with the first free number.
    ///
    /// # Errors
    /// Nothing that is there is ever overwritten: `out` must be new or empty.
    pub fn create(out: Option<&Path>, runs: &Path, label: &str) -> Result<Self, FolderError> {
        let path = match out {
            Some(out) => {
                Self::check_empty(out)?;
                fs::create_dir_all(out).map_err(io(out))?;
                out.to_path_buf()
            }
            None => Self::next(runs, label)?,
        };
        let folder = Self { path };
        for sub in [folder.samples(), folder.checkpoints()] {
            fs::create_dir_all(&sub).map_err(io(&sub))?;
        }
        Ok(folder)
    }

    fn check_empty(out: &Path) -> Result<(), FolderError> {
        let path = out.to_path_buf();
        if out.is_file() {
            Err(FolderError::IsFile { path })
        } else if !out.exists() {
            Ok(())
        } else if out.join("config.toml").exists() {
            Err(FolderError::HoldsRun { path })
        } else if fs::read_dir(out).map_err(io(out))?.next().is_some() {
            Err(FolderError::NotEmpty { path })
        } else {
            Ok(())
        }
    }

    fn next(runs: &Path, label: &str) -> Result<PathBuf, FolderError> {
        fs::create_dir_all(runs).map_err(io(runs))?;
        let mut number = numbered(runs)?.iter().map(|(n, _)| *n).max().unwrap_or(0) + 1;
        loop {
            let path = runs.join(format!("{number:04}-{}", file_name_part(label)));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                // Another run took the name in between.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(io(&path)(error)),
            }
        }
    }

    /// The run that `name` means: a run folder, or `latest` for the newest one under `runs`.
    pub fn find(name: &Path, runs: &Path) -> Result<Self, FolderError> {
        if name != Path::new(LATEST) || name.is_dir() {
            return Self::open(name);
        }
        let newest = numbered(runs)
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, p)| p.join("config.toml").exists())
            .max();
        match newest {
            Some((_, path)) => Self::open(&path),
            None => Err(FolderError::NoLatest { path: runs.into() }),
        }
    }

    /// The run in `path`.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Self { path: path.into() };
        if !folder.config().is_file() {
            return Err(FolderError::NoRun { path: path.into() });
        }
        for sub in [folder.samples(), folder.checkpoints()] {
            fs::create_dir_all(&sub).map_err(io(&sub))?;
        }
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Keeps other processes from training in this folder, for as long as the lock is held.
    ///
    /// # Errors
    /// [`FolderError::Busy`]; [`FolderError::Io`].
    pub fn lock(&self) -> Result<Lock, FolderError> {
        let path = self.path.join(".lock");
        match Lock::take(&path).map_err(io(&path))? {
            Some(lock) => Ok(lock),
            None => Err(FolderError::Busy {
                path: self.path.clone(),
            }),
        }
    }

    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The run on a page (`super::report`).
    pub fn report(&self) -> PathBuf {
        report_of(&self.path)
    }

    pub fn samples(&self) -> PathBuf {
        self.path.join(SAMPLES)
    }

    pub fn sample(&self, step: u64) -> PathBuf {
        self.samples().join(format!("step-{step:08}.png"))
    }

    /// The curves of one step, for data on a line.
    pub fn curve(&self, step: u64) -> PathBuf {
        self.curves().join(format!("step-{step:08}.png"))
    }

    fn curves(&self) -> PathBuf {
        self.path.join("curves")
    }

    /// The curves of all steps, one after the other.
    pub fn animation(&self) -> PathBuf {
        self.path.join("curves.gif")
    }

    /// The files of the curves up to `step`, in order.
    pub fn curve_files(&self, step: u64) -> Result<Vec<PathBuf>, FolderError> {
        let files = pictures(&self.curves())?.into_iter();
        let until = files.filter(|(at, _)| *at <= step);
        Ok(until.map(|(_, path)| path).collect())
    }

    /// The pictures of samples with their steps, in order.
    pub fn sample_files(&self) -> Result<Vec<(u64, PathBuf)>, FolderError> {
        samples_of(&self.path)
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}

/// The pictures of samples of the run in `path` with their steps, in order; none where there is no run.
///
/// # Errors
/// If the folder cannot be read.
pub fn samples_of(path: &Path) -> Result<Vec<(u64, PathBuf)>, FolderError> {
    pictures(&path.join(SAMPLES))
}

/// The files `step-NNNNNNNN.png` in `folder`, if there is one, with their steps and in their order.
fn pictures(folder: &Path) -> Result<Vec<(u64, PathBuf)>, FolderError> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let mut found = vec![];
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        let name = path.file_name().and_then(|n| n.to_str());
        let at = name.and_then(|n| n.strip_prefix("step-")?.strip_suffix(".png")?.parse().ok());
        found.extend(at.map(|at| (at, path)));
    }
    found.sort();
    Ok(found)
}

/// Folders `NNNN-...` under `runs` with their numbers.
fn numbered(runs: &Path) -> Result<Vec<(u64, PathBuf)>, FolderError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(runs).map_err(io(runs))? {
        let path = entry.map_err(io(runs))?.path();
        let number: Option<u64> = path
            .file_name()
            .and_then(|n| n.to_str()?.split_once('-')?.0.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    Ok(found)
}

/// `text` with everything replaced that some file system or shell dislikes.
pub(super) fn file_name_part(text: &str) -> String {
    let safe: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let safe = safe.trim_matches(['.', '-']);
    if safe.is_empty() {
        "run".into()
    } else {
        safe.chars().take(80).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn runs_are_numbered_and_the_latest_is_found() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        let error = RunFolder::find(Path::new(LATEST), &runs).unwrap_err();
        assert!(matches!(error, FolderError::NoLatest { .. }));
        let first = RunFolder::create(None, &runs, "ring8-ring8").unwrap();
        assert!(
            first.path().ends_with("0001-ring8-ring8")
                && first.checkpoints().is_dir()
                && first.samples().is_dir()
        );
        touch(&first.config());
        touch(&runs.join("0009-other/config.toml"));
        touch(&runs.join("notes/config.toml"));
        let tenth = RunFolder::create(None, &runs, "../a b").unwrap();
        assert!(
            tenth.path().ends_with("0010-_a_b"),
            "{}",
            tenth.path().display()
        );
        // A run that never wrote its configuration is no run.
        assert!(
            RunFolder::find(Path::new(LATEST), &runs)
                .unwrap()
                .path()
                .ends_with("0009-other")
        );
        touch(&tenth.config());
        assert_eq!(RunFolder::find(Path::new(LATEST), &runs).unwrap(), tenth);
        assert_eq!(RunFolder::find(first.path(), &runs).unwrap(), first);
    }

    #[test]
    fn nothing_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let create =
            |name: &str| RunFolder::create(Some(&root.path().join(name)), Path::new("unused"), "x");
        create("new/deeper").unwrap();
        fs::create_dir(root.path().join("empty")).unwrap();
        create("empty").unwrap();
        touch(&root.path().join("full/photo.png"));
        assert!(matches!(create("full"), Err(FolderError::NotEmpty { .. })));
        touch(&root.path().join("run/config.toml"));
        assert!(matches!(create("run"), Err(FolderError::HoldsRun { .. })));
        touch(&root.path().join("file"));
        assert!(matches!(create("file"), Err(FolderError::IsFile { .. })));
    }

    #[test]
    fn curves_are_found_in_the_order_of_their_steps() {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join("config.toml"));
        let run = RunFolder::open(root.path()).unwrap();
        assert_eq!(run.curve_files(9).unwrap(), Vec::<PathBuf>::new());
        for step in [200, 0, 1000, 30] {
            touch(&run.curve(step));
        }
        touch(&root.path().join("curves/.step-00000100.png.tmp"));
        let expected: Vec<_> = [0, 30, 200].map(|step| run.curve(step)).into();
        assert_eq!(run.curve_files(999).unwrap(), expected);
    }

    #[test]
    fn a_folder_without_a_run_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let error = RunFolder::open(root.path()).unwrap_err();
        assert!(error.to_string().contains("no config.toml"), "{error}");
    }
}
