//! The table of a comparison: mean and deviation over seeds of every metric, what was spent, and what diverged.
use super::origins;
use super::record::Status;
use super::results::RunResult;
use super::{CompareError, Comparison};
use crate::metrics::{Better, Exact, Metric, mean_and_deviation};
use crate::run::eval::number;
use crate::run::origin::Origin;
use crate::run::tensors::write_atomic;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    pub title: String,
    pub budget: String,
    pub seeds: Vec<u64>,
    /// Drawn from each run to be measured.
    pub samples: Option<usize>,
    pub metrics: Vec<Column>,
    pub rows: Vec<Row>,
    /// What computed the runs.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    pub name: String,
    pub better: Better,
    /// What as many exact samples score; `None` if that is not known, or not one for all variants.
    pub exact: Option<Exact>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub variant: String,
    /// By metric, over the seeds for which it is defined.
    pub metrics: BTreeMap<String, Spread>,
    /// The paper's figures.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, f64>,
    /// Of the finished runs.
    pub steps: Option<Spread>,
    pub seconds: Option<Spread>,
    pub images_seen: Option<Spread>,
    pub finished: usize,
    /// Seed and step of those that diverged.
    pub diverged: Vec<Divergence>,
    /// Runs not trained to the end yet.
    pub missing: usize,
    pub runs: Vec<Run>,
}

/// Mean and standard deviation (n - 1) over `n` runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub mean: f64,
    pub deviation: f64,
    pub n: usize,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let (mean, deviation) = mean_and_deviation(&values);
        (!values.is_empty()).then_some(Self {
            mean,
            deviation,
            n: values.len(),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Divergence {
    pub seed: u64,
    pub at_step: u64,
}

/// One run, as its folder has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    pub seed: u64,
    /// `null` if it was never started.
    pub status: Option<Status>,
    pub steps: u64,
    pub images_seen: u64,
    pub seconds: f64,
    pub params_g: u64,
    pub params_d: u64,
    /// `null` where it is not known.
    pub origin: Option<Origin>,
    pub metrics: BTreeMap<String, Option<f64>>,
    pub folder: PathBuf,
}

impl Table {
    /// Of everything that is there.
    pub fn new(plan: &Comparison, results: &[RunResult]) -> Self {
        let columns = columns(plan, results);
        let rows = plan
            .variant
            .iter()
            .map(|variant| {
                let own: Vec<&RunResult> = results
                    .iter()
                    .filter(|r| r.planned.variant == variant.name)
                    .collect();
                row(
                    variant.name.clone(),
                    variant.published.clone(),
                    &own,
                    &columns,
                )
            })
            .collect();
        let mut samples: Vec<usize> = results
            .iter()
            .filter_map(|r| Some(r.figures.as_ref()?.samples))
            .collect();
        samples.dedup();
        Self {
            title: plan.title.clone(),
            budget: plan.budget.clone(),
            seeds: plan.seeds.clone(),
            samples: match samples[..] {
                [one] => Some(one),
                _ => None,
            },
            metrics: columns,
            rows,
            notes: origins::notes(results),
        }
    }

    /// The table in Markdown: the best mean of each metric in bold unless all are the same, published figures in brackets, exact samples in the last row.
    pub fn markdown(&self) -> String {
        let names = self.metrics.iter().map(|m| m.name.clone());
        let mut rows = vec![
            ["method".to_string()]
                .into_iter()
                .chain(names)
                .chain(["steps", "seconds", "images", "runs"].map(String::from))
                .collect::<Vec<_>>(),
        ];
        for row in &self.rows {
            let mut cells = vec![row.variant.replace('|', "\\|")];
            for column in &self.metrics {
                let spread = row.metrics.get(&column.name);
                let mut cell = match spread {
                    Some(spread) if self.is_best(column, *spread) => {
                        format!("**{}**", spread_text(*spread))
                    }
                    Some(spread) => spread_text(*spread),
                    None => "none".into(),
                };
                if let Some(spread) = spread
                    && spread.n < row.finished
                {
                    cell += &format!(" ({} of {})", spread.n, row.finished);
                }
                if let Some(published) = row.published.get(&column.name) {
                    cell += &format!(" [{}]", number(*published));
                }
                cells.push(cell);
            }
            let spent = [row.steps, row.seconds, row.images_seen];
            cells.extend(spent.map(|s| s.map_or("none".into(), whole_text)));
            cells.push(runs_text(row));
            rows.push(cells);
        }
        if self.metrics.iter().any(|m| m.exact.is_some()) {
            let exact = |m: &Column| match m.exact {
                Some(e) => spread_text(Spread {
                    mean: e.mean,
                    deviation: e.deviation,
                    n: 2,
                }),
                None => String::new(),
            };
            let mut cells = vec!["exact samples".to_string()];
            cells.extend(self.metrics.iter().map(exact));
            cells.extend(std::iter::repeat_n(String::new(), 4));
            rows.push(cells);
        }
        let samples = self
            .samples
            .map_or(String::new(), |n| format!(", {n} samples each"));
        let published = match self.rows.iter().any(|row| !row.published.is_empty()) {
            true => "; in brackets the paper's own figures",
            false => "",
        };
        let notes: String = self.notes.iter().map(|n| format!("\n\n{n}")).collect();
        format!(
            "{}\n\nBudget {}, {} {}{samples}; mean ± standard deviation over seeds{published}.\n\n{}{notes}",
            self.title,
            self.budget,
            self.seeds.len(),
            if self.seeds.len() == 1 {
                "seed"
            } else {
                "seeds"
            },
            aligned(&rows)
        )
    }

    /// Whether no row's mean is better, and one is worse. `false` where there is nothing to compare with.
    fn is_best(&self, column: &Column, spread: Spread) -> bool {
        let means: Vec<f64> = self
            .rows
            .iter()
            .filter_map(|row| Some(row.metrics.get(&column.name)?.mean))
            .collect();
        means.iter().any(|&m| m != spread.mean)
            && match column.better {
                Better::Higher => means.iter().all(|&m| m <= spread.mean),
                Better::Lower => means.iter().all(|&m| m >= spread.mean),
                Better::Neither => false,
            }
    }

    /// One line per variant, full precision, empty where there is no value.
    pub fn csv(&self) -> String {
        let mut head = vec!["method".to_string()];
        for column in &self.metrics {
            let name = &column.name;
            head.extend(["mean", "deviation", "n", "published"].map(|p| format!("{name}_{p}")));
        }
        for name in ["steps", "seconds", "images_seen"] {
            head.extend(["mean", "deviation"].map(|p| format!("{name}_{p}")));
        }
        head.extend(["finished", "diverged", "missing"].map(String::from));
        let mut lines = vec![csv_line(&head)];
        let text = |x: f64| x.to_string();
        for row in &self.rows {
            let mut cells = vec![row.variant.clone()];
            for column in &self.metrics {
                match row.metrics.get(&column.name) {
                    Some(s) => cells.extend([text(s.mean), text(s.deviation), s.n.to_string()]),
                    None => cells.extend(["", "", "0"].map(String::from)),
                }
                let published = row.published.get(&column.name);
                cells.push(published.map_or(String::new(), |p| text(*p)));
            }
            for spent in [row.steps, row.seconds, row.images_seen] {
                match spent {
                    Some(s) => cells.extend([text(s.mean), text(s.deviation)]),
                    None => cells.extend(["", ""].map(String::from)),
                }
            }
            cells.extend([row.finished, row.diverged.len(), row.missing].map(|n| n.to_string()));
            lines.push(csv_line(&cells));
        }
        lines.join("\n") + "\n"
    }

    /// Writes `table.md`, `table.json` and `table.csv`.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write(&self, out: &Path) -> Result<[PathBuf; 3], CompareError> {
        let paths = ["table.md", "table.json", "table.csv"].map(|name| out.join(name));
        let json = serde_json::to_string_pretty(self).map_err(CompareError::at(&paths[1]))?;
        let texts = [self.markdown() + "\n", json + "\n", self.csv()];
        for (path, text) in paths.iter().zip(texts) {
            write_atomic(path, text.as_bytes()).map_err(|source| CompareError::Io {
                path: path.clone(),
                source,
            })?;
        }
        Ok(paths)
    }
}

/// The metrics with one number per run, in the plan's order, else that of the evaluations.
fn columns(plan: &Comparison, results: &[RunResult]) -> Vec<Column> {
    let mut names: Vec<String> = vec![];
    let listed = plan.metrics.iter().filter_map(|name| Metric::find(name));
    let measured = results.iter().filter_map(|r| r.figures.as_ref());
    let found = measured.clone().flat_map(|f| f.metrics.keys().cloned());
    let wanted: Vec<String> = match plan.metrics.is_empty() {
        true => found.collect(),
        false => listed.map(|m| m.name.to_string()).collect(),
    };
    for name in wanted {
        let scalar = measured.clone().any(|f| f.is_scalar(&name));
        if scalar && !names.contains(&name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let mut exact: Vec<Option<Exact>> = measured.clone().map(|f| f.exact(&name)).collect();
            exact.dedup();
            Column {
                better: Metric::find(&name).map_or(Better::Neither, |m| m.better),
                exact: match exact[..] {
                    [one] => one,
                    _ => None,
                },
                name,
            }
        })
        .collect()
}

fn row(
    variant: String,
    published: BTreeMap<String, f64>,
    own: &[&RunResult],
    columns: &[Column],
) -> Row {
    let finished: Vec<&&RunResult> = own
        .iter()
        .filter(|r| {
            let record = r.record.as_ref();
            record.is_some_and(|record| record.status == Status::Finished)
        })
        .collect();
    let over_seeds = |name: &str| {
        let values = finished
            .iter()
            .filter_map(|r| r.figures.as_ref()?.value(name));
        Spread::of(values)
    };
    let spent = |f: fn(&super::record::Record) -> f64| {
        Spread::of(finished.iter().filter_map(|r| r.record.as_ref()).map(f))
    };
    let diverged: Vec<Divergence> = own
        .iter()
        .filter_map(|r| match r.record.as_ref()?.status {
            Status::Diverged { at_step, .. } => Some(Divergence {
                seed: r.planned.seed,
                at_step,
            }),
            _ => None,
        })
        .collect();
    let runs = own.iter().map(|r| {
        let record = r.record.as_ref();
        Run {
            seed: r.planned.seed,
            status: record.map(|record| record.status.clone()),
            steps: record.map_or(0, |record| record.steps),
            images_seen: record.map_or(0, |record| record.images_seen),
            seconds: record.map_or(0.0, |record| record.seconds),
            params_g: record.map_or(0, |record| record.params_g),
            params_d: record.map_or(0, |record| record.params_d),
            origin: record.and_then(|record| record.origin.clone()),
            metrics: columns
                .iter()
                .filter_map(|c| Some((c.name.clone(), r.figures.as_ref()?.value(&c.name))))
                .collect(),
            folder: r.planned.folder.clone(),
        }
    });
    Row {
        variant,
        published,
        metrics: columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), over_seeds(&c.name)?)))
            .collect(),
        steps: spent(|record| record.steps as f64),
        seconds: spent(|record| record.seconds),
        images_seen: spent(|record| record.images_seen as f64),
        finished: finished.len(),
        missing: own.len() - finished.len() - diverged.len(),
        diverged,
        runs: runs.collect(),
    }
}

/// `7.9 ± 0.32`; without a deviation for one run.
pub fn spread_text(spread: Spread) -> String {
    if spread.n < 2 || spread.deviation == 0.0 {
        return number(spread.mean);
    }
    format!("{} ± {}", number(spread.mean), number(spread.deviation))
}

/// Steps, seconds, images: a mean, rounded.
fn whole_text(spread: Spread) -> String {
    match spread.mean {
        mean if mean < 10.0 => number((mean * 10.0).round() / 10.0),
        mean => format!("{mean:.0}"),
    }
}

/// `3`, or `2 of 3 (seed 1 diverged at step 812)`.
fn runs_text(row: &Row) -> String {
    let all = row.runs.len();
    if row.finished == all {
        return all.to_string();
    }
    let mut why: Vec<String> = row
        .diverged
        .iter()
        .map(|d| format!("seed {} diverged at step {}", d.seed, d.at_step))
        .collect();
    if row.missing > 0 {
        why.push(format!("{} to be trained", row.missing));
    }
    format!("{} of {all} ({})", row.finished, why.join(", "))
}

/// A Markdown table whose columns also line up as plain text.
fn aligned(rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len))
        .map(|c| {
            let cells = rows.iter().map(|row| row[c].chars().count());
            cells.max().unwrap_or(0).max(3)
        })
        .collect();
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![];
    for (i, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths);
        lines.push(line(cells.map(|(c, w)| format!("{c:w$}")).collect()));
        if i == 0 {
            lines.push(line(widths.iter().map(|&w| "-".repeat(w)).collect()));
        }
    }
    lines.join("\n")
}

/// RFC 4180: cells with commas, quotes or line ends are quoted.
fn csv_line(cells: &[String]) -> String {
    let cell = |text: &String| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.clone(),
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::super::results::Figures;
    use super::super::{Planned, Variant};
    use super::*;
    use crate::run::presets::preset;

    fn figures(json: serde_json::Value) -> Figures {
        serde_json::from_value(json).unwrap()
    }

    /// Variants `a, b` with figures and `b`, one of whose runs diverged and whose third was not started.
    fn example() -> Table {
        let config = preset("ring8").unwrap().config().unwrap();
        let variant = |name: &str, published: &[(&str, f64)]| Variant {
            name: name.into(),
            published: published.iter().map(|(n, v)| (n.to_string(), *v)).collect(),
            config: config.clone(),
        };
        let plan = Comparison {
            title: "A title".into(),
            seeds: vec![0, 1, 2],
            budget: "10steps".into(),
            metrics: vec![],
            samples: None,
            classifier: None,
            variant: vec![variant("a, b", &[("modes", 6.25)]), variant("b", &[])],
        };
        let result = |variant: &str, seed: u64, status: Option<Status>, modes: Option<f64>| {
            let planned = Planned {
                variant: variant.into(),
                seed,
                config: config.clone(),
                hash: String::new(),
                folder: format!("runs/{variant}{seed}").into(),
            };
            let record = status.map(|status| Record {
                status,
                steps: 10,
                images_seen: 100,
                seconds: 2.0,
                ..Record::new(&planned)
            });
            let kl = if seed == 0 { None } else { Some(0.5) };
            let figures = modes.map(|modes| {
                figures(
                    serde_json::json!({ "samples": 2500, "protocol_samples": 2500, "metrics": {
                    "modes": { "value": modes, "exact": { "mean": 8.0, "deviation": 0.0 } },
                    "reverse_kl": { "value": kl, "exact": { "mean": 0.0014, "deviation": 0.0007 } },
                    "mode_histogram": { "value": [1, 2] } } }),
                )
            });
            RunResult {
                planned,
                record,
                figures,
            }
        };
        let done = Some(Status::Finished);
        let diverged = Some(Status::Diverged {
            at_step: 7,
            message: "x".into(),
        });
        Table::new(
            &plan,
            &[
                result("a, b", 0, done.clone(), Some(2.0)),
                result("a, b", 1, done.clone(), Some(3.0)),
                result("a, b", 2, done.clone(), Some(4.0)),
                result("b", 0, diverged, None),
                result("b", 1, done, Some(8.0)),
                result("b", 2, None, None),
            ],
        )
    }

    #[test]
    fn rows_hold_means_deviations_and_what_went_wrong() {
        let table = example();
        assert_eq!(table.samples, Some(2500));
        let names: Vec<_> = table.metrics.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["modes", "reverse_kl"]);
        let [a, b] = [0, 1].map(|i| &table.rows[i]);
        let modes = a.metrics["modes"];
        assert_eq!((modes.mean, modes.deviation, modes.n), (3.0, 1.0, 3));
        assert_eq!(a.metrics["reverse_kl"].n, 2);
        assert_eq!((a.finished, a.missing), (3, 0));
        assert_eq!((b.finished, b.diverged[0].at_step, b.missing), (1, 7, 1));
        assert_eq!(b.seconds.unwrap().mean, 2.0);
    }

    #[test]
    fn the_markdown_says_what_the_numbers_are() {
        let text = example().markdown();
        for part in [
            "A title",
            "Budget 10steps, 3 seeds, 2500 samples each",
            "3 ± 1 [6.250]",
            "**8**",
            "0.5000 (2 of 3)",
            "1 of 3 (seed 0 diverged at step 7, 1 to be trained)",
            "| exact samples | 8 ",
            "0.0014 ± 0.0007",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(!text.contains("**0.5000"), "both have it: {text}");
        let rows: Vec<_> = text.lines().filter(|l| l.starts_with('|')).collect();
        assert_eq!(rows.len(), 5);
        let widths: Vec<_> = rows.iter().map(|r| r.chars().count()).collect();
        assert!(widths.iter().all(|w| *w == widths[0]), "{text}");
    }

    /// Markdown and CSV are read back and compared with the JSON.
    #[test]
    fn all_three_tables_hold_the_same() {
        let table = example();
        let json = serde_json::to_value(&table).unwrap();
        let csv = table.csv();
        let mut lines = csv.lines();
        let head: Vec<&str> = lines.next().unwrap().split(',').collect();
        let at = |name: &str| head.iter().position(|h| *h == name).unwrap();
        for (row, line) in json["rows"].as_array().unwrap().iter().zip(lines) {
            // The quoted name is the only cell with a comma in it.
            let line = line.replace("\"a, b\"", "a_b");
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), head.len());
            for metric in ["modes", "reverse_kl"] {
                for part in ["mean", "deviation"] {
                    let value = row["metrics"][metric][part].as_f64();
                    let cell = cells[at(&format!("{metric}_{part}"))];
                    assert_eq!(cell.parse().ok(), value, "{metric} {part}: {line}");
                }
            }
            assert_eq!(cells[at("finished")].parse().ok(), row["finished"].as_u64());
            let spread = &row["metrics"]["modes"];
            let mean = number(spread["mean"].as_f64().unwrap());
            let name = row["variant"].as_str().unwrap();
            let markdown = table.markdown();
            let shown = markdown
                .lines()
                .find(|l| l.starts_with(&format!("| {name} ")));
            assert!(shown.unwrap().contains(&mean), "{shown:?}");
        }
    }
}
