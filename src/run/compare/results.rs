//! What there is of a comparison: records and figures of its runs, as their folders hold them.
use super::record::Record;
use super::{CompareError, Comparison, Planned};
use crate::data::Source;
use crate::metrics::{Exact, Metric};
use crate::run::classifier;
use crate::run::tensors::TensorFile;
use serde::Deserialize;
use std::path::{Path, PathBuf};

pub fn evaluation_path(folder: &Path) -> PathBuf {
    folder.join("eval.json")
}

/// The samples that were measured: tensor `points`, `[n, features]`.
pub fn points_path(folder: &Path) -> PathBuf {
    folder.join("eval-points.safetensors")
}

/// `eval.json` as far as tables need it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Figures {
    /// SHA-256 of the classifier's file that images were judged by.
    #[serde(default)]
    pub classifier: Option<String>,
    pub samples: usize,
    pub protocol_samples: usize,
    /// In the order of the file.
    pub metrics: serde_json::Map<String, serde_json::Value>,
}

impl Figures {
    /// `None` if the metric has no single number here.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.metrics.get(name)?.get("value")?.as_f64()
    }

    /// Whether the metric is one number per run, be it undefined for this one.
    pub fn is_scalar(&self, name: &str) -> bool {
        let value = self.metrics.get(name).and_then(|m| m.get("value"));
        value.is_some_and(|v| v.is_number() || v.is_null())
    }

    pub fn exact(&self, name: &str) -> Option<Exact> {
        let exact = self.metrics.get(name)?.get("exact")?;
        Some(Exact {
            mean: exact.get("mean")?.as_f64()?,
            deviation: exact.get("deviation")?.as_f64()?,
        })
    }
}

/// A planned run and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    pub planned: Planned,
    /// `None` if it was never started.
    pub record: Option<Record>,
    /// `None` if it was not measured.
    pub figures: Option<Figures>,
}

/// Everything that is there.
///
/// # Errors
/// If a file is there but cannot be read.
pub fn gather(plan: &Comparison, out: &Path) -> Result<Vec<RunResult>, CompareError> {
    plan.runs(out)?
        .into_iter()
        .map(|planned| {
            Ok(RunResult {
                record: Record::read(&planned)?,
                figures: figures(&planned.folder)?,
                planned,
            })
        })
        .collect()
}

fn figures(folder: &Path) -> Result<Option<Figures>, CompareError> {
    let path = evaluation_path(folder);
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CompareError::Io { path, source }),
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(figures) => Ok(Some(figures)),
            Err(error) => Err(CompareError::File {
                problem: format!("is no evaluation: {error}; remove it to measure the run again"),
                path,
            }),
        },
    }
}

/// Whether the figures of this run are those that the comparison asks for.
pub fn is_measured(plan: &Comparison, planned: &Planned) -> Result<bool, CompareError> {
    if has_no_metric(plan, planned) {
        return Ok(true);
    }
    let Some(figures) = figures(&planned.folder)? else {
        return Ok(false);
    };
    let wanted = plan.samples.unwrap_or(figures.protocol_samples);
    let has = |name: &String| {
        Metric::find(name).is_some_and(|metric| figures.metrics.contains_key(metric.name))
    };
    // A classifier that is no longer there measures nothing anew.
    let judge = plan.classifier.as_deref().map(classifier::digest);
    let same_judge = match judge {
        Some(Err(_)) => true,
        Some(Ok(digest)) => figures.classifier == Some(digest),
        None => figures.classifier.is_none(),
    };
    Ok(figures.samples == wanted && same_judge && plan.metrics.iter().all(has))
}

/// Whether these are images that nothing can be said of: no metric was asked for, and there is no classifier.
pub fn has_no_metric(plan: &Comparison, planned: &Planned) -> bool {
    let points = matches!(planned.config.data.source(), Source::Toy(_));
    !points && plan.classifier.is_none() && plan.metrics.is_empty()
}

/// The points that were measured, `[n, features]` row-major, and their features; `None` if the samples are no points.
///
/// # Errors
/// If the file is damaged.
pub fn points(folder: &Path) -> Result<Option<(usize, Vec<f32>)>, CompareError> {
    let path = points_path(folder);
    if !path.is_file() {
        return Ok(None);
    }
    let file = TensorFile::read(&path).map_err(CompareError::at(&path))?;
    match file.tensors.into_iter().find(|(name, _)| name == "points") {
        Some((_, tensor)) if tensor.shape.len() == 2 => Ok(Some((tensor.shape[1], tensor.values))),
        _ => Err(CompareError::File {
            path,
            problem: "has no tensor `points` [n, features]".into(),
        }),
    }
}
