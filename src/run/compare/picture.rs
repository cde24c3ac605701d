//! The comparison seen: one row per variant and one column per seed; with one seed, a square of variants.
use super::results::{self, RunResult};
use super::{CompareError, Comparison};
use crate::data::Source;
use crate::run::grid::Picture;
use crate::run::pictures::reference;
use crate::run::plot::{Axis, Chart, Figure, Panel};
use crate::run::scatter::{histogram_chart, scatter_chart};
use std::path::Path;

/// Pixels of a panel, title included.
const PANEL: [usize; 2] = [260, 300];

/// Draws what there is; `None` if there is nothing to be seen.
///
/// # Errors
/// If a file of samples is damaged.
pub fn draw(plan: &Comparison, found: &[RunResult]) -> Result<Option<Picture>, CompareError> {
    let is_single = plan.seeds.len() == 1;
    let mut rows = vec![];
    let mut drawn = 0;
    for variant in &plan.variant {
        let mut row = vec![];
        for result in found.iter().filter(|r| r.planned.variant == variant.name) {
            let caption = caption(result);
            let title = match is_single {
                true => format!("{}\n{caption}", variant.name),
                false => caption,
            };
            let panel = panel(result, &title)?;
            drawn += usize::from(panel != Panel::Blank);
            row.push(panel);
        }
        rows.push(row);
    }
    if drawn == 0 {
        return Ok(None);
    }
    let figure = match is_single {
        true => {
            let all: Vec<Panel> = rows.into_iter().flatten().collect();
            let side = (all.len() as f64).sqrt().ceil().max(1.0) as usize;
            Figure::grid(all.chunks(side).map(<[Panel]>::to_vec).collect(), PANEL)
        }
        false => Figure::grid(rows, PANEL)
            .rows(plan.variant.iter().map(|v| v.name.clone()))
            .columns(plan.seeds.iter().map(|seed| format!("seed {seed}"))),
    };
    let picture = figure.draw().map_err(|error| CompareError::File {
        path: "picture.png".into(),
        problem: error.to_string(),
    })?;
    Ok(Some(picture))
}

/// What a run scored, in few words.
fn caption(result: &RunResult) -> String {
    let value = |name: &str| result.figures.as_ref().and_then(|f| f.value(name));
    match (value("modes"), value("high_quality_percent"), value("w1")) {
        (Some(modes), Some(quality), _) => format!("{modes:.0} modes, {quality:.0} %"),
        (_, _, Some(w1)) => format!("W1 {w1:.3}"),
        _ => String::new(),
    }
}

fn panel(result: &RunResult, title: &str) -> Result<Panel, CompareError> {
    let Source::Toy(_) = result.planned.config.data.source() else {
        return images(result, title);
    };
    let real = reference(&result.planned.config);
    let pairs = |values: &[f32]| -> Vec<[f32; 2]> {
        values.chunks_exact(2).map(|p| [p[0], p[1]]).collect()
    };
    let chart = match results::points(&result.planned.folder)? {
        Some((1, values)) => histogram_chart(title, &real, &values),
        Some((2, values)) => scatter_chart(title, &pairs(&real), &pairs(&values)),
        _ => return Ok(Panel::Blank),
    };
    Ok(bare(chart).into())
}

/// A run's last grid of samples.
fn images(result: &RunResult, title: &str) -> Result<Panel, CompareError> {
    let folder = result.planned.folder.join("samples");
    let names = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    // Steps have leading zeros.
    let last = names
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "png"))
        .max();
    let Some(path) = last else {
        return Ok(Panel::Blank);
    };
    let picture = Picture::read(&path).map_err(|error| CompareError::File {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    let title = title.to_string();
    Ok(Panel::Picture { title, picture })
}

/// Without ticks: the real points are the scale.
fn bare(mut chart: Chart) -> Chart {
    let without = |axis: &Axis| Axis {
        range: axis.range,
        ..Axis::bare()
    };
    (chart.x, chart.y) = (without(&chart.x), without(&chart.y));
    chart
}

/// Writes `picture.png`, if there is anything to be seen.
///
/// # Errors
/// As [`draw`]; if the file cannot be written.
pub fn write(
    plan: &Comparison,
    found: &[RunResult],
    out: &Path,
) -> Result<Option<std::path::PathBuf>, CompareError> {
    let Some(picture) = draw(plan, found)? else {
        return Ok(None);
    };
    let path = out.join("picture.png");
    picture.write(&path).map_err(|error| CompareError::File {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    Ok(Some(path))
}
