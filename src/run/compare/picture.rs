//! The comparison seen: one row per variant and one column per seed; with one seed, a square of variants. And along training: one row
//! per variant, one column per step.
use super::results::{self, RunResult};
use super::{CompareError, Comparison};
use crate::data::Source;
use crate::run::folder;
use crate::run::grid::Picture;
use crate::run::pictures::reference;
use crate::run::plot::{Axis, Chart, Figure, Panel};
use crate::run::report::spread;
use crate::run::scatter::{histogram_chart, scatter_chart};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pixels of a panel, title included.
const PANEL: [usize; 2] = [260, 300];
const PICTURE: &str = "picture.png";
const TRAINING: &str = "training.png";

/// Draws what there is; `None` if there is nothing to be seen.
///
/// # Errors
/// If a file of samples is damaged.
fn draw(plan: &Comparison, found: &[RunResult]) -> Result<Option<Picture>, CompareError> {
    let is_single = plan.seeds.len() == 1;
    let (mut rows, mut names) = (vec![], vec![]);
    let mut drawn = 0;
    for variant in &plan.variant {
        let of_variant = |r: &&RunResult| r.planned.variant == variant.name;
        // What is not begun takes no room; what came to a bad end does.
        if found.iter().filter(of_variant).all(|r| r.record.is_none()) {
            continue;
        }
        let mut row = vec![];
        for result in found.iter().filter(of_variant) {
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
        names.push(variant.name.clone());
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
            .rows(names)
            .columns(plan.seeds.iter().map(|seed| format!("seed {seed}"))),
    };
    rendered(&figure, PICTURE).map(Some)
}

fn rendered(figure: &Figure, name: &str) -> Result<Picture, CompareError> {
    figure.draw().map_err(CompareError::at(Path::new(name)))
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
    let samples = sample_files(result)?;
    let Some((_, path)) = samples.last() else {
        return Ok(Panel::Blank);
    };
    let picture = read(path)?;
    let title = title.to_string();
    Ok(Panel::Picture { title, picture })
}

/// A run's pictures of samples, by step; none before it is begun.
fn sample_files(result: &RunResult) -> Result<Vec<(u64, PathBuf)>, CompareError> {
    let folder = &result.planned.folder;
    folder::samples_of(folder).map_err(CompareError::at(folder))
}

fn read(path: &Path) -> Result<Picture, CompareError> {
    Picture::read(path).map_err(CompareError::at(path))
}

/// The same along training: one row per variant under its first seed, one column per step that has samples, `STEPS` at most.
/// `None` if there are no two steps to be seen.
///
/// # Errors
/// If a picture of samples is damaged.
fn along_training(plan: &Comparison, found: &[RunResult]) -> Result<Option<Picture>, CompareError> {
    const STEPS: usize = 6;
    const CELL: [usize; 2] = [220, 220];
    let first = |name: &str| found.iter().find(|r| r.planned.variant == name);
    let rows = plan.variant.iter().filter_map(|v| first(&v.name));
    let rows: Vec<(&RunResult, Vec<(u64, PathBuf)>)> = rows
        .map(|run| Ok((run, sample_files(run)?)))
        .collect::<Result<_, CompareError>>()?;
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(_, files)| !files.is_empty())
        .collect();
    // Steps that most of the runs have: an interrupted one has others besides, one that stopped early has fewer.
    let mut having: BTreeMap<u64, usize> = BTreeMap::new();
    for (step, _) in rows.iter().flat_map(|(_, files)| files) {
        *having.entry(*step).or_default() += 1;
    }
    let common = having.into_iter().filter(|(_, runs)| 2 * runs > rows.len());
    let common: Vec<u64> = common.map(|(step, _)| step).collect();
    let shown = spread(common.len(), STEPS).into_iter();
    let steps: Vec<u64> = shown.map(|k| common[k]).collect();
    if steps.len() < 2 {
        return Ok(None);
    }
    let cell = |files: &[(u64, PathBuf)], step: u64| -> Result<Panel, CompareError> {
        let Some((_, path)) = files.iter().find(|(s, _)| *s == step) else {
            return Ok(Panel::Blank);
        };
        Ok(Panel::Picture {
            title: String::new(),
            picture: read(path)?,
        })
    };
    let panels = rows.iter();
    let panels = panels.map(|(_, files)| steps.iter().map(|&step| cell(files, step)).collect());
    let panels = panels.collect::<Result<Vec<Vec<Panel>>, CompareError>>()?;
    let figure = Figure::grid(panels, CELL)
        .rows(rows.iter().map(|(run, _)| run.planned.variant.clone()))
        .columns(steps.iter().map(|step| format!("step {step}")));
    rendered(&figure, TRAINING).map(Some)
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

/// Writes `picture.png` and `training.png`, where there is anything to be seen.
///
/// # Errors
/// If a file of samples is damaged, or a picture cannot be written.
pub fn write(
    plan: &Comparison,
    found: &[RunResult],
    out: &Path,
) -> Result<Vec<PathBuf>, CompareError> {
    let mut written = vec![];
    let mut write = |name: &str, picture: Option<Picture>| -> Result<(), CompareError> {
        let Some(picture) = picture else {
            return Ok(());
        };
        let path = out.join(name);
        picture.write(&path).map_err(CompareError::at(&path))?;
        written.push(path);
        Ok(())
    };
    write(PICTURE, draw(plan, found)?)?;
    write(TRAINING, along_training(plan, found)?)?;
    Ok(written)
}
