//! Experiments that show the game as its theory describes it: one file each, with a figure and numbers.
pub mod critic;
pub mod dirac;
pub mod mle;
pub mod strength;

use super::RunError;
use super::config::{ModelConfig, TrainConfig};
use super::grid::Picture;
use super::presets::preset;
use super::session::EngineError;
use super::tensors::write_atomic;
use crate::data::toy::{Distribution, Mixture, ToySet};
use crate::gpu::CacheFolder;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What all experiments are asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As `--adapter` takes it.
    pub adapter: String,
    pub seed: u64,
    /// Where compiled pipelines are kept.
    pub cache: CacheFolder,
}

/// Figures and numbers of one experiment, still in memory.
pub struct Outcome<T> {
    /// Without extension.
    pub name: &'static str,
    pub numbers: T,
    pub figure: Picture,
    /// A table in Markdown, where there is one.
    pub table: Option<String>,
}

impl<T: Serialize> Outcome<T> {
    /// Writes `NAME.png`, `NAME.json` and, where there is a table, `NAME.md`; gives the files.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, RunError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| RunError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let file = |extension: &str| folder.join(format!("{}.{extension}", self.name));
        let picture = file("png");
        self.figure.write(&picture)?;
        let numbers = file("json");
        let text = serde_json::to_string_pretty(&self.numbers)
            .map_err(|e| io(&numbers)(std::io::Error::from(e)))?;
        write_atomic(&numbers, (text + "\n").as_bytes()).map_err(io(&numbers))?;
        let mut written = vec![picture, numbers];
        if let Some(table) = &self.table {
            let path = file("md");
            write_atomic(&path, table.as_bytes()).map_err(io(&path))?;
            written.push(path);
        }
        Ok(written)
    }
}

/// The networks of the preset gauss1d on a set on a line, with nothing that helps the game along: no penalties, no average.
///
/// # Errors
/// [`EngineError::Input`] where the set is no mixture on a line.
fn bare_game(set: ToySet, settings: &Settings) -> Result<TrainConfig, RunError> {
    on_a_line(set)?;
    let mut config = preset("gauss1d")
        .map_err(EngineError::input)?
        .unresolved()?;
    config.data.source = set.name().into();
    config.model = ModelConfig::named("gauss1d");
    config.method.ema = None;
    config.method.regularisers = vec![];
    config.adapter = settings.adapter.clone();
    config.seed = settings.seed;
    Ok(config)
}

/// The set's mixture.
fn on_a_line(set: ToySet) -> Result<Mixture<1>, RunError> {
    match set.distribution() {
        Distribution::Mixture1(target) => Ok(target),
        _ => Err(EngineError::input(format!(
            "{set} is not on a line; take gauss1d, mixture1d or bimodal1d"
        ))
        .into()),
    }
}

/// Spearman's rank correlation of two columns of one length, equal values sharing the mean of their ranks; 0 where one of them is constant.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| -> Vec<f64> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let mut ranks = vec![0.0; values.len()];
        let mut first = 0;
        for equal in order.chunk_by(|&i, &j| values[i] == values[j]) {
            for &i in equal {
                ranks[i] = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
            }
            first += equal.len();
        }
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let sum = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let scale = (sum(&a, &a) * sum(&b, &b)).sqrt();
    if scale > 0.0 {
        sum(&a, &b) / scale
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_whatever_the_scale() {
        let a = [3.0, 1.0, 2.0, 10.0];
        assert!((rank_correlation(&a, &a.map(f64::exp)) - 1.0).abs() < 1e-12);
        assert!((rank_correlation(&a, &a.map(|x| -x)) + 1.0).abs() < 1e-12);
        assert_eq!(rank_correlation(&[], &[]), 0.0);
        assert_eq!(rank_correlation(&a, &[7.0; 4]), 0.0);
        // Ranks 0, 1, 2, 3 and 0, 1.5, 1.5, 3.
        let tied = rank_correlation(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 2.0, 9.0]);
        assert!((tied - 4.5 / (5.0f64 * 4.5).sqrt()).abs() < 1e-12, "{tied}");
    }
}
