//! `report.html`: a run on one page that needs no other file, to look at, to attach, to keep as an artifact of CI.
//!
//! It shows how the run ended, its figures (`summary.json`), samples from the same latents along training, a chart for every
//! column of `metrics.jsonl` and the configuration. It is made anew from the run folder at every checkpoint and at the end.
use super::error::RunError;
use super::folder::RunFolder;
use super::metrics_log;
use super::plot::{Axis, Chart, Figure, Legend, look};
use super::tensors::write_atomic;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Pictures of samples on the page, from the first to the last.
const PICTURES: usize = 8;
/// Points of a line; of more rows, as many are shown.
const POINTS: usize = 1000;
/// Width and height of a chart, in pixels.
const CHART: [usize; 2] = [640, 400];

/// Columns that make no chart of their own.
const UNDRAWN: [&str; 2] = ["step", "images_seen"];

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#282828;max-width:1340px;margin:2em auto;padding:0 1em}\
h1{font-size:1.6em;margin:0}h2{font-size:1.2em;margin:1.6em 0 .5em}p.end{margin:.2em 0 0;color:#666}p.end.failed{color:#b00020;font-weight:600}\
table{border-collapse:collapse}td{padding:.15em 1.2em .15em 0;vertical-align:top}td:first-child{color:#666}\
.grid{display:grid;gap:1em;grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}.charts{grid-template-columns:repeat(auto-fill,minmax(420px,1fr))}\
figure{margin:0}figure img{width:100%;display:block}figcaption{color:#666;font-size:.9em;text-align:center}\
pre{background:#f5f5f5;padding:1em;overflow:auto;font-size:.85em}";

/// How a run stands when its page is made.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    /// In training: what `summary.json` may hold is of an earlier part.
    Running,
    /// With its `summary.json`.
    Ended,
    /// With this error.
    Failed(&'a RunError),
}

/// Makes the page from what lies in `folder`.
///
/// # Errors
/// A file of the run that cannot be read, or rows of metrics that are none; the page that cannot be written.
pub fn write(folder: &RunFolder, state: State) -> Result<PathBuf, RunError> {
    let path = folder.report();
    let page = page(folder, state)?;
    write_atomic(&path, page.as_bytes()).map_err(io(&path))?;
    Ok(path)
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> RunError + '_ {
    move |source| RunError::Io {
        path: path.into(),
        source,
    }
}

fn read(path: &Path) -> Result<String, RunError> {
    fs::read_to_string(path).map_err(io(path))
}

fn page(folder: &RunFolder, state: State) -> Result<String, RunError> {
    let name = folder.path().file_name();
    let name = name.map_or("run".into(), |name| escaped(&name.to_string_lossy()));
    let rows = metrics_log::rows(&folder.metrics())?;
    let summary: Map<String, Value> = match state {
        State::Ended => serde_json::from_str(&read(&folder.summary())?).unwrap_or_default(),
        _ => Map::new(),
    };
    let step = rows.last().and_then(|row| row.get("step")?.as_u64());
    let step = step.unwrap_or(0);
    let (class, end) = match state {
        State::Running => ("end", format!("in training, at step {step}")),
        State::Ended => ("end", ending(&summary)),
        State::Failed(error) => ("end failed", escaped(&error.to_string())),
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{name}</title><style>{STYLE}</style></head><body>\n<h1>{name}</h1>\n<p class=\"{class}\">{end}</p>\n"
    );
    let config = read(&folder.config())?;
    let mut facts = settings(&config);
    facts.extend(figures(&summary));
    html += "<h2>Figures</h2>\n<table>\n";
    for (what, value) in facts {
        let (what, value) = (escaped(&what), escaped(&value));
        let _ = writeln!(html, "<tr><td>{what}</td><td>{value}</td></tr>");
    }
    html += "</table>\n";
    let pictures = pictures(folder)?;
    if !pictures.is_empty() {
        html += "<h2>Samples along training, from the same latents</h2>\n<div class=\"grid\">\n";
        for (caption, path) in &pictures {
            let bytes = fs::read(path).map_err(io(path))?;
            figure(&mut html, caption, "png", &bytes);
            let _ = writeln!(html, "<figcaption>{caption}</figcaption></figure>");
        }
        html += "</div>\n";
    }
    let charts = charts(&rows);
    if !charts.is_empty() {
        html += "<h2>Along training</h2>\n<div class=\"grid charts\">\n";
        for chart in charts {
            let title = chart.title.clone();
            let picture = Figure::grid(vec![vec![chart.into()]], CHART).draw()?;
            figure(&mut html, &escaped(&title), "png", &picture.png()?);
            html += "</figure>\n";
        }
        html += "</div>\n";
    }
    let animation = folder.animation();
    if animation.is_file() {
        html += "<h2>Densities and D along training</h2>\n<div class=\"grid charts\">\n";
        let bytes = fs::read(&animation).map_err(io(&animation))?;
        figure(&mut html, "densities and D", "gif", &bytes);
        html += "</figure>\n</div>\n";
    }
    let config = escaped(config.trim_end());
    let _ = write!(
        html,
        "<h2>Configuration</h2>\n<details><summary>config.toml, which reproduces the run</summary><pre>{config}</pre></details>\n</body></html>\n"
    );
    Ok(html)
}

/// An opened figure with its image.
fn figure(html: &mut String, what: &str, format: &str, bytes: &[u8]) {
    let data = BASE64_STANDARD.encode(bytes);
    let _ = writeln!(
        html,
        "<figure><img alt=\"{what}\" src=\"data:image/{format};base64,{data}\">"
    );
}

/// Text as it may stand between tags and in quotes.
fn escaped(text: &str) -> String {
    let pairs = [
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
    ];
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match pairs.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => out.push_str(to),
            None => out.push(c),
        }
    }
    out
}

fn ending(summary: &Map<String, Value>) -> String {
    let steps = summary.get("steps").and_then(Value::as_u64).unwrap_or(0);
    match summary.get("outcome").and_then(Value::as_str) {
        Some("finished") => format!("finished after {steps} steps"),
        Some("time_limit") => format!("stopped by its time limit after {steps} steps"),
        Some("interrupted") => format!("interrupted after {steps} steps"),
        _ => format!("{steps} steps"),
    }
}

/// What the configuration says in a word each.
fn settings(config: &str) -> Vec<(String, String)> {
    let config: toml::Table = config.parse().unwrap_or_default();
    let lines = [
        ("data", ["data", "source"]),
        ("model", ["model", "name"]),
        ("objective", ["method", "objective"]),
        ("batch", ["method", "batch"]),
    ];
    let mut out = vec![];
    for (what, [table, key]) in lines {
        match config.get(table).and_then(|table| table.get(key)) {
            Some(toml::Value::String(text)) => out.push((what.to_string(), words(text))),
            Some(toml::Value::Integer(n)) => out.push((what.to_string(), n.to_string())),
            _ => {}
        }
    }
    out
}

/// What `summary.json` says that is worth a line: numbers and names, but not where files lie (the page may travel) nor what moved per
/// step.
fn figures(summary: &Map<String, Value>) -> Vec<(String, String)> {
    const LEFT_OUT: [&str; 12] = [
        "outcome",
        "steps",
        "run",
        "checkpoint",
        "samples",
        "curves",
        "report",
        "kernels",
        "host_to_device_bytes_per_step",
        "device_to_host_bytes_per_step",
        "constant_bytes_per_step",
        "device_to_host_bytes_for_output",
    ];
    let mut out = vec![];
    for (name, value) in summary {
        let what = match name.as_str() {
            "wall_s" => "seconds".to_string(),
            "peak_device_bytes" => "peak device memory".to_string(),
            "loss_d" => "last loss of D".to_string(),
            "loss_g" => "last loss of G".to_string(),
            "params_g" => "parameters of G".to_string(),
            "params_d" => "parameters of D".to_string(),
            name if LEFT_OUT.contains(&name) => continue,
            name => words(name),
        };
        let value = match (value, value.as_f64()) {
            (_, Some(bytes)) if name == "peak_device_bytes" => format!("{:.1} MB", bytes / 1e6),
            (Value::Number(n), Some(number)) if n.is_f64() => short(number),
            (Value::Number(n), _) => n.to_string(),
            (Value::String(text), _) => text.clone(),
            _ => continue,
        };
        out.push((what, value));
    }
    out
}

/// `high_quality_percent` as words.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Four significant digits.
fn short(value: f64) -> String {
    let magnitude = if value == 0.0 {
        0
    } else {
        value.abs().log10().floor() as i32
    };
    match magnitude {
        -4..=5 => format!("{value:.*}", (3 - magnitude).clamp(0, 7) as usize),
        _ => format!("{value:.3e}"),
    }
}

/// Pictures of samples with their captions: the first, the last, and evenly between.
fn pictures(folder: &RunFolder) -> Result<Vec<(String, PathBuf)>, RunError> {
    let all = folder.sample_files()?;
    let shown = spread(all.len(), PICTURES).into_iter();
    Ok(shown
        .map(|k| (format!("step {}", all[k].0), all[k].1.clone()))
        .collect())
}

/// At most `most` of `count` positions: the first, the last, and evenly between.
pub(crate) fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most).map(|k| k * (count - 1) / (most - 1)).collect()
}

/// The losses in one chart, what D makes of both kinds of samples in one, every other column in its own.
fn charts(rows: &[Map<String, Value>]) -> Vec<Chart> {
    let column = |name: &str| -> Vec<[f64; 2]> {
        let points = rows
            .iter()
            .filter_map(|row| Some([row.get("step")?.as_f64()?, row.get(name)?.as_f64()?]));
        let all: Vec<[f64; 2]> = points.collect();
        spread(all.len(), POINTS)
            .into_iter()
            .map(|k| all[k])
            .collect()
    };
    let mut names: Vec<&str> = vec![];
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !names.contains(&name.as_str()) && !UNDRAWN.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut charts = vec![];
    let chart =
        |title: &str| Chart::new(title, Axis::new("step"), Axis::new("")).legend(Legend::Below);
    let pairs = [
        (
            "Losses",
            ["loss_d", "loss_g"],
            ["D", "G"],
            [look::CRITIC, look::GENERATED],
        ),
        (
            "Mean output of D",
            ["d_real", "d_fake"],
            ["real", "generated"],
            [look::REAL, look::GENERATED],
        ),
    ];
    for (title, columns, of, colours) in pairs {
        let mut together = chart(title);
        for ((column_name, of), colour) in columns.iter().zip(of).zip(colours) {
            let points = column(column_name);
            names.retain(|name| name != column_name);
            if points.len() > 1 {
                together = together.line(of, colour, points);
            }
        }
        if !together.marks.is_empty() {
            charts.push(together);
        }
    }
    for (k, name) in names.iter().enumerate() {
        let points = column(name);
        if points.len() > 1 {
            charts.push(chart(&words(name)).line("", look::series(k), points));
        }
    }
    charts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::grid::Picture;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a <run> & \"more\"");
        let folder = RunFolder::create(Some(&path), dir.path(), "").unwrap();
        let config = "[data]\nsource = \"ring8\"\n[method]\nobjective = \"non_saturating\"\nbatch = 512 # </pre>\n";
        fs::write(folder.config(), config).unwrap();
        (dir, folder)
    }

    fn metrics(folder: &RunFolder) {
        let row = |step: u64| {
            format!(
                "{{\"step\":{step},\"images_seen\":{step},\"loss_d\":1.3,\"loss_g\":0.7,\"d_real\":0.5,\"d_fake\":0.5,\"r1\":0.{step}}}\n"
            )
        };
        fs::write(folder.metrics(), [10, 20, 30].map(row).concat()).unwrap();
    }

    #[test]
    fn a_page_shows_all_and_needs_no_other_file() {
        let (_dir, folder) = folder();
        metrics(&folder);
        let picture = Picture::filled(4, 4, 3, 9);
        for step in 0..20 {
            picture.write(&folder.sample(step * 10)).unwrap();
        }
        fs::write(folder.summary(), r#"{"outcome":"finished","steps":30,"wall_s":12.3456,"loss_d":null,"peak_device_bytes":4400000,"modes":8,"run":"/x/y"}"#).unwrap();
        let path = write(&folder, State::Ended).unwrap();
        let html = read(&path).unwrap();
        // Eight pictures; losses, D's outputs, r1.
        assert_eq!(html.matches("src=\"data:image/png;base64,").count(), 8 + 3);
        assert!(html.contains("step 0<") && html.contains("step 190<"));
        for text in [
            "<h1>a &lt;run&gt; &amp; &quot;more&quot;</h1>",
            "finished after 30 steps",
            "<td>seconds</td><td>12.35</td>",
            "<td>peak device memory</td><td>4.4 MB</td>",
            "<td>modes</td><td>8</td>",
            "<td>objective</td><td>non saturating</td>",
            "batch = 512 # &lt;/pre&gt;",
        ] {
            assert!(html.contains(text), "{text}");
        }
        for text in ["/x/y", "src=\"s", "http", "images seen"] {
            assert!(!html.contains(text), "{text}");
        }
        // Of what came before a run that goes on nothing is said.
        let html = page(&folder, State::Running).unwrap();
        assert!(html.contains("in training, at step 30") && !html.contains("12.35"));
    }

    #[test]
    fn a_failed_run_says_why_and_an_empty_one_is_a_page() {
        let (_dir, folder) = folder();
        let error = RunError::Diverged {
            step: 7,
            what: "loss_d".into(),
            value: f32::NAN,
            culprit: None,
            last_good: None,
            rates: [1e-3; 2],
            run: folder.path().into(),
            reported: false,
        };
        let html = page(&folder, State::Failed(&error)).unwrap();
        assert!(html.contains("training diverged: loss_d is NaN at step 7"));
        assert!(!html.contains("<img"));
    }

    #[test]
    fn a_damaged_row_is_named() {
        let (_dir, folder) = folder();
        metrics(&folder);
        let text = read(&folder.metrics()).unwrap() + "{\"step\":";
        fs::write(folder.metrics(), text).unwrap();
        let error = write(&folder, State::Running).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl line 4"), "{error}");
        assert!(!folder.report().exists());
    }

    #[test]
    fn positions_are_spread_and_numbers_short() {
        assert_eq!(spread(3, 8), [0, 1, 2]);
        assert_eq!(spread(9, 3), [0, 4, 8]);
        let all = [0.0, 12.3456, 0.00123456, 1234.56, 1.5e-9, 2.5e8, -0.5];
        let text = all.map(short);
        assert_eq!(
            text,
            [
                "0.000", "12.35", "0.001235", "1235", "1.500e-9", "2.500e8", "-0.5000"
            ]
        );
    }
}
