//! Several methods under one budget: trained for each seed, measured by the protocol of `eval`, in one table, side by side and along
//! training.
//!
//! A comparison is a plan ([`file`]): variants, each a preset and what is changed of it, seeds, a budget. Its folder holds the plan
//! complete (`comparison.toml`), one run folder for each variant and seed, the results (`table.md`, `.json`, `.csv`, `picture.png`,
//! `training.png`), and `locks`, by which several processes share the work. A run's folder is named by the hash of everything that
//! determines its result, and [`record`] keeps what became of it: so a comparison goes on where it stopped, and a changed setting means new runs, never mixed ones.
pub mod budget;
pub mod builtin;
pub mod children;
pub mod file;
pub mod origins;
pub mod overlay;
pub mod picture;
pub mod record;
pub mod results;
pub mod table;
pub mod work;

use super::config::TrainConfig;
use super::error::RunError;
use super::folder::file_name_part;
use crate::gpu::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is wrong with a comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("{file}: {problem}")]
    Plan { file: String, problem: String },
    /// The configuration that a variant comes to.
    #[error("variant `{variant}`: {problem}")]
    Variant { variant: String, problem: String },
    #[error("{0}")]
    Usage(String),
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("{variant}, seed {seed}: {source}")]
    Run {
        variant: String,
        seed: u64,
        source: Box<RunError>,
    },
    #[error("{variant}, seed {seed}: its process ended with {status}; the message above says why")]
    Child {
        variant: String,
        seed: u64,
        status: String,
        /// Its exit code, unless it was killed.
        code: Option<i32>,
    },
}

impl CompareError {
    /// Of a file, in the words of the error that it met.
    fn at<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |error| Self::File {
            path,
            problem: error.to_string(),
        }
    }
}

/// A comparison, complete: what `comparison.toml` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    pub title: String,
    pub seeds: Vec<u64>,
    /// As it was given, e.g. `2000steps`.
    pub budget: String,
    /// All that apply if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// The protocol's number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// The file that images are judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<PathBuf>,
    pub variant: Vec<Variant>,
}

/// One method: a row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub name: String,
    /// Figures of the paper that the row stands beside, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, f64>,
    /// Complete, with the comparison's budget; the seed is each run's own.
    pub config: TrainConfig,
}

/// One training: a variant under a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub variant: String,
    pub seed: u64,
    pub config: TrainConfig,
    /// Of everything that determines the result, 64 hexadecimal digits.
    pub hash: String,
    pub folder: PathBuf,
}

impl Comparison {
    /// The file of the plan in a comparison's folder.
    pub fn path(out: &Path) -> PathBuf {
        out.join("comparison.toml")
    }

    /// Every run, seed by seed: the table is whole early, and fills up.
    ///
    /// # Errors
    /// If a configuration cannot be written down.
    pub fn runs(&self, out: &Path) -> Result<Vec<Planned>, CompareError> {
        let pairs = self
            .seeds
            .iter()
            .flat_map(|&seed| self.variant.iter().map(move |variant| (seed, variant)));
        pairs
            .map(|(seed, variant)| {
                let config = TrainConfig {
                    seed,
                    ..variant.config.clone()
                };
                let hash = hash(&config).map_err(|problem| CompareError::Variant {
                    variant: variant.name.clone(),
                    problem,
                })?;
                let name = file_name_part(&variant.name);
                let folder = out.join(format!("runs/{name}-seed{seed}-{}", &hash[..8]));
                Ok(Planned {
                    variant: variant.name.clone(),
                    seed,
                    config,
                    hash,
                    folder,
                })
            })
            .collect()
    }
}

/// SHA-256 of what a configuration's result depends on.
fn hash(config: &TrainConfig) -> Result<String, String> {
    let text = config.result_alone().to_toml();
    let text = text.map_err(|error| error.to_string())?;
    Ok(hex(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::presets::preset;

    fn comparison() -> Comparison {
        let variant = |name: &str| Variant {
            name: name.into(),
            published: BTreeMap::new(),
            config: preset("ring8").unwrap().config().unwrap(),
        };
        Comparison {
            title: "x".into(),
            seeds: vec![0, 7],
            budget: "10steps".into(),
            metrics: vec![],
            samples: None,
            classifier: None,
            variant: vec![variant("a b"), variant("c")],
        }
    }

    #[test]
    fn a_plan_survives_its_file() {
        let plan = comparison();
        let text = toml::to_string(&plan).unwrap();
        assert_eq!(toml::from_str::<Comparison>(&text).unwrap(), plan);
    }

    #[test]
    fn runs_go_seed_by_seed_and_their_folders_tell_them_apart() {
        let runs = comparison().runs(Path::new("out")).unwrap();
        let names: Vec<_> = runs.iter().map(|r| (r.variant.as_str(), r.seed)).collect();
        assert_eq!(names, [("a b", 0), ("c", 0), ("a b", 7), ("c", 7)]);
        assert!(runs[0].folder.starts_with("out/runs"));
        let name = runs[2].folder.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("a_b-seed7-"), "{name}");
        assert_eq!(runs[2].config.seed, 7);
    }

    #[test]
    fn the_hash_is_of_what_determines_the_result() {
        let config = preset("ring8").unwrap().config().unwrap();
        let same = TrainConfig {
            adapter: "cpu".into(),
            ..config.clone()
        };
        let mut reported = config.clone();
        reported.report.log_every = 1;
        assert_eq!(hash(&config), hash(&same));
        assert_eq!(hash(&config), hash(&reported));
        let seeded = TrainConfig {
            seed: 1,
            ..config.clone()
        };
        let mut longer = config.clone();
        longer.budget.steps = Some(5);
        let mut other = config.clone();
        other.method.batch = 7;
        for changed in [seeded, longer, other] {
            assert_ne!(hash(&config), hash(&changed));
        }
    }
}
