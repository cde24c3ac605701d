//! `metrics.jsonl`: one JSON object per reported step, appended as training goes.
use super::distances::Distances;
use super::session::StepReport;
use super::tensors::write_atomic;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum MetricsLogError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} line {line} is no row of metrics: {reason}", path.display())]
    Row {
        path: PathBuf,
        line: usize,
        reason: String,
    },
}

/// A row of the file: `step, images_seen, loss_d, loss_g, d_real, d_fake, images_per_second`, then what the method adds, then
/// distances from the data.
pub struct MetricsRow<'a> {
    pub report: &'a StepReport,
    /// Of the block of steps that the row lies in; the only column that differs between two runs of one configuration.
    pub images_per_second: f64,
    /// At the steps of pictures, where the data is a point set.
    pub distances: Option<&'a Distances>,
}

impl Serialize for MetricsRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.report;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step", &report.step)?;
        map.serialize_entry("images_seen", &report.images_seen)?;
        map.serialize_entry("loss_d", &report.loss_d)?;
        map.serialize_entry("loss_g", &report.loss_g)?;
        map.serialize_entry("d_real", &report.d_real)?;
        map.serialize_entry("d_fake", &report.d_fake)?;
        map.serialize_entry(
            "images_per_second",
            &((self.images_per_second * 10.0).round() / 10.0),
        )?;
        for (name, value) in &report.extra {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in self.distances.iter().flat_map(|d| &d.0) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The file, open for appending.
pub struct MetricsLog {
    path: PathBuf,
    file: std::io::BufWriter<fs::File>,
}

impl MetricsLog {
    /// Opens the file for a run that stands at `step`, dropping the rows after it (and a last row that was torn by a kill):
    /// the run makes them again.
    pub fn open(path: &Path, step: u64) -> Result<Self, MetricsLogError> {
        let io = |source| MetricsLogError::Io {
            path: path.into(),
            source,
        };
        if path.exists() {
            let text = fs::read_to_string(path).map_err(io)?;
            write_atomic(path, kept_rows(&text, step, path)?.as_bytes()).map_err(io)?;
        }
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(io)?;
        Ok(Self {
            path: path.into(),
            file: std::io::BufWriter::new(file),
        })
    }

    pub fn append(&mut self, row: &MetricsRow) -> Result<(), MetricsLogError> {
        let write = |file: &mut std::io::BufWriter<fs::File>| -> std::io::Result<()> {
            serde_json::to_writer(&mut *file, row)?;
            file.write_all(b"\n")
        };
        write(&mut self.file).map_err(|source| MetricsLogError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// Hands all rows to the operating system: called once per block, so that `tail -f` follows a run.
    pub fn flush(&mut self) -> Result<(), MetricsLogError> {
        self.file.flush().map_err(|source| MetricsLogError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// Every row of the file; none where there is no such file yet.
///
/// # Errors
/// A file that cannot be read; the first line that is no row, with its number.
pub fn rows(
    path: &Path,
) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, MetricsLogError> {
    if !path.exists() {
        return Ok(vec![]);
    }
    let text = fs::read_to_string(path).map_err(|source| MetricsLogError::Io {
        path: path.into(),
        source,
    })?;
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| parsed(line, index, path))
        .collect()
}

fn bad(path: &Path, index: usize, reason: impl ToString) -> MetricsLogError {
    MetricsLogError::Row {
        path: path.into(),
        line: index + 1,
        reason: reason.to_string(),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(
    line: &str,
    index: usize,
    path: &Path,
) -> Result<T, MetricsLogError> {
    serde_json::from_str(line).map_err(|error| bad(path, index, error))
}

/// The rows of `text` up to and including `step`.
fn kept_rows(text: &str, step: u64, path: &Path) -> Result<String, MetricsLogError> {
    let mut kept = String::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if !line.ends_with('\n') {
            break;
        }
        let row: serde_json::Value = parsed(line, index, path)?;
        let at = row
            .get("step")
            .and_then(|s| s.as_u64())
            .ok_or_else(|| bad(path, index, "it has no whole number `step`"))?;
        if at <= step {
            kept.push_str(line);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64) -> StepReport {
        let extra = vec![("gradient_penalty".into(), 0.25)];
        StepReport {
            step,
            images_seen: step * 64,
            loss_d: 0.1,
            loss_g: 0.7,
            d_real: 0.5,
            d_fake: 0.5,
            extra,
        }
    }

    fn append(log: &mut MetricsLog, step: u64) {
        log.append(&MetricsRow {
            report: &report(step),
            images_per_second: 123.456,
            distances: Some(&Distances(vec![("w1", 0.5)])),
        })
        .unwrap();
        log.flush().unwrap();
    }

    #[test]
    fn a_row_has_the_contract_s_columns_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        append(&mut MetricsLog::open(&path, 0).unwrap(), 3);
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(
            text,
            "{\"step\":3,\"images_seen\":192,\"loss_d\":0.1,\"loss_g\":0.7,\"d_real\":0.5,\"d_fake\":0.5,\
             \"images_per_second\":123.5,\"gradient_penalty\":0.25,\"w1\":0.5}\n"
        );
    }

    #[test]
    fn resuming_drops_what_came_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            append(&mut log, step);
        }
        drop(log);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\":4").unwrap();
        let mut log = MetricsLog::open(&path, 20).unwrap();
        append(&mut log, 25);
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["step"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert_eq!(steps, [10, 20, 25]);
    }

    #[test]
    fn a_spoiled_row_is_named_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":1}\nnot json\n").unwrap();
        let message = MetricsLog::open(&path, 5).err().unwrap().to_string();
        assert!(message.contains("metrics.jsonl line 2"), "{message}");
    }
}
