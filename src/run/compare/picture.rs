//! The comparison seen: one row per variant and one column per seed; with one seed, a square of variants. And along training: one row
//! per variant, one column per step.
use super::record::Status;
use super::results::{self, RunResult};
use super::{CompareError, Comparison};
use crate::data::Source;
use crate::run::folder;
use crate::run::grid::Picture;
use crate::run::pictures::{blank, reference};
use crate::run::plot::{Axis, Chart, Drawn, Figure, Legend, Mark, Panel, Rect};
use crate::run::report::spread;
use crate::run::scatter::{histogram_chart, scatter_chart};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pixels of a panel, title included.
const PANEL: [usize; 2] = [260, 300];
/// The same of a panel along training.
const CELL: [usize; 2] = [220, 220];
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
            // Of several seeds the name stands beside the row.
            let name = if is_single { variant.name.as_str() } else { "" };
            let panel = panel(result, name)?;
            drawn += usize::from(!matches!(panel, Panel::Note { .. }));
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
    rendered(&figure.legend(names_of_marks(found)), PICTURE).map(Some)
}

/// What is grey and what is red, where the samples are points: once for all panels.
fn names_of_marks(found: &[RunResult]) -> Vec<(String, Mark)> {
    let dims = found.iter().map(|r| match r.planned.config.data.source() {
        Source::Toy(set) => set.dim(),
        _ => 0,
    });
    match dims.max() {
        Some(1) => histogram_chart("", &[], &[]).marks,
        Some(2) => scatter_chart("", &[], &[]).marks,
        _ => vec![],
    }
}

fn rendered(figure: &Figure, name: &str) -> Result<Picture, CompareError> {
    figure.draw().map_err(CompareError::at(Path::new(name)))
}

/// Why a run has no result, in two lines; `None` of one that has come to its end.
fn state(result: &RunResult) -> Option<String> {
    let Some(record) = &result.record else {
        return Some("not begun".into());
    };
    match &record.status {
        Status::Finished => None,
        Status::Diverged { at_step, .. } => Some(format!("diverged\nat step {at_step}")),
        Status::Started | Status::Interrupted => {
            Some(format!("unfinished\nat step {}", record.steps))
        }
    }
}

fn has_diverged(result: &RunResult) -> bool {
    let status = result.record.as_ref().map(|record| &record.status);
    matches!(status, Some(Status::Diverged { .. }))
}

/// What a run scored, in few words, or why it has no score.
fn caption(result: &RunResult) -> String {
    if let Some(state) = state(result) {
        return state.replace('\n', " ");
    }
    let value = |name: &str| result.figures.as_ref().and_then(|f| f.value(name));
    match (value("modes"), value("high_quality_percent"), value("w1")) {
        (Some(modes), Some(quality), _) => {
            // So that a few good samples are not none.
            let decimals = usize::from(quality < 9.95);
            format!("{modes:.0} modes, {quality:.decimals$} % good")
        }
        (_, _, Some(w1)) => format!("W1 {w1:.3}"),
        _ => String::new(),
    }
}

/// A run's samples under its name (empty: none) and its score, or words that say why there are none.
fn panel(result: &RunResult, name: &str) -> Result<Panel, CompareError> {
    let caption = caption(result);
    let lines = [name, caption.as_str()]
        .into_iter()
        .filter(|l| !l.is_empty());
    let title = lines.collect::<Vec<_>>().join("\n");
    Ok(samples(result, &title)?.unwrap_or_else(|| Panel::Note {
        title: name.into(),
        note: state(result).unwrap_or_else(|| "no samples".into()),
    }))
}

fn samples(result: &RunResult, title: &str) -> Result<Option<Panel>, CompareError> {
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
        _ => return Ok(None),
    };
    Ok(Some(bare(chart).into()))
}

/// A run's last grid of samples.
fn images(result: &RunResult, title: &str) -> Result<Option<Panel>, CompareError> {
    let files = sample_files(result)?;
    let Some((_, path)) = files.last() else {
        return Ok(None);
    };
    let picture = read(path)?;
    let title = title.to_string();
    Ok(Some(Panel::Picture { title, picture }))
}

/// A run's pictures of samples, by step; none before it is begun.
fn sample_files(result: &RunResult) -> Result<Vec<(u64, PathBuf)>, CompareError> {
    let folder = &result.planned.folder;
    folder::samples_of(folder).map_err(CompareError::at(folder))
}

fn read(path: &Path) -> Result<Picture, CompareError> {
    Picture::read(path).map_err(CompareError::at(path))
}

/// The axes of a picture of points and what lies between them, without words, which are not legible in a small panel; `blank` says where
/// that is. A picture of another size, of another version, stays whole.
fn between_axes(picture: Picture, blank: &Drawn) -> Picture {
    let is_alike = (picture.width, picture.height) == (blank.picture.width, blank.picture.height);
    let Some(frame) = blank.frames.first().filter(|_| is_alike) else {
        return picture;
    };
    let Rect {
        left,
        top,
        width,
        height,
    } = frame.rect;
    // The axes' lines reach a pixel beyond.
    let (left, width, height) = (left - 1, width + 1, height + 1);
    let row = |y: usize| {
        let start = (y * picture.width + left) * picture.channels;
        &picture.pixels[start..][..width * picture.channels]
    };
    Picture {
        width,
        height,
        channels: picture.channels,
        pixels: (top..top + height).flat_map(row).copied().collect(),
    }
}

/// The same along training: one row per variant under its first seed, one column per step that has samples, `STEPS` at most.
/// `None` if there are no two steps to be seen.
///
/// # Errors
/// If a picture of samples is damaged.
fn along_training(plan: &Comparison, found: &[RunResult]) -> Result<Option<Picture>, CompareError> {
    const STEPS: usize = 6;
    let first = |name: &str| found.iter().find(|r| r.planned.variant == name);
    let rows = plan.variant.iter().filter_map(|v| first(&v.name));
    let rows: Vec<(&RunResult, Vec<(u64, PathBuf)>)> = rows
        .map(|run| Ok((run, sample_files(run)?)))
        .collect::<Result<_, CompareError>>()?;
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(run, files)| !files.is_empty() || has_diverged(run))
        .collect();
    // Steps that most of the runs have: an interrupted one has others besides, one that stopped early has fewer. What has diverged has
    // no say, unless all have.
    let all_diverged = rows.iter().all(|(run, _)| has_diverged(run));
    let counted = rows
        .iter()
        .filter(|(run, _)| all_diverged || !has_diverged(run));
    let mut having: BTreeMap<u64, usize> = BTreeMap::new();
    for (step, _) in counted.clone().flat_map(|(_, files)| files) {
        *having.entry(*step).or_default() += 1;
    }
    let all = counted.count();
    let common = having.into_iter().filter(|(_, runs)| 2 * runs > all);
    let common: Vec<u64> = common.map(|(step, _)| step).collect();
    let shown = spread(common.len(), STEPS).into_iter();
    let steps: Vec<u64> = shown.map(|k| common[k]).collect();
    if steps.len() < 2 {
        return Ok(None);
    }
    let panels = rows.iter();
    let panels = panels.map(|(run, files)| strip(run, files, &steps));
    let panels = panels.collect::<Result<Vec<Vec<Panel>>, CompareError>>()?;
    let figure = Figure::grid(panels, CELL)
        .legend(names_of_marks(found))
        .rows(rows.iter().map(|(run, _)| run.planned.variant.clone()))
        .columns(steps.iter().map(|step| format!("step {step}")));
    rendered(&figure, TRAINING).map(Some)
}

/// A run's pictures at these steps; where there is none, why.
fn strip(
    run: &RunResult,
    files: &[(u64, PathBuf)],
    steps: &[u64],
) -> Result<Vec<Panel>, CompareError> {
    let blank = blank(&run.planned.config).map_err(CompareError::at(Path::new(TRAINING)))?;
    let cell = |step: &u64| -> Result<Panel, CompareError> {
        let title = String::new();
        let Some((_, path)) = files.iter().find(|(at, _)| at == step) else {
            return Ok(state(run).map_or(Panel::Blank, |note| Panel::Note { title, note }));
        };
        let picture = read(path)?;
        let picture = match &blank {
            Some(blank) => between_axes(picture, blank),
            None => picture,
        };
        Ok(Panel::Picture { title, picture })
    };
    steps.iter().map(cell).collect()
}

/// Without ticks: the real points are the scale. And without names: the figure has them.
fn bare(mut chart: Chart) -> Chart {
    let without = |axis: &Axis| Axis {
        range: axis.range,
        ..Axis::bare()
    };
    (chart.x, chart.y) = (without(&chart.x), without(&chart.y));
    chart.legend(Legend::None)
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

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::super::results::{Figures, points_path};
    use super::super::{Planned, Variant};
    use super::*;
    use crate::run::plot::look;
    use crate::run::presets::preset;
    use crate::run::scatter::scatter;
    use crate::run::tensors::{Tensor, TensorFile};

    fn run(name: &str, folder: &Path, status: Status) -> RunResult {
        let planned = Planned {
            variant: name.into(),
            seed: 0,
            config: preset("ring8").unwrap().config().unwrap(),
            hash: String::new(),
            folder: folder.join(name),
        };
        let record = Record {
            status,
            steps: 9,
            ..Record::new(&planned)
        };
        RunResult {
            planned,
            record: Some(record),
            figures: None,
        }
    }

    fn diverged() -> Status {
        Status::Diverged {
            at_step: 7,
            message: String::new(),
        }
    }

    fn plan(found: &[RunResult]) -> Comparison {
        let variant = found.iter().map(|r| Variant {
            name: r.planned.variant.clone(),
            published: BTreeMap::new(),
            config: r.planned.config.clone(),
        });
        Comparison {
            title: String::new(),
            seeds: vec![0],
            budget: String::new(),
            metrics: vec![],
            samples: None,
            classifier: None,
            variant: variant.collect(),
        }
    }

    /// Whether anything is drawn in the middle of a cell.
    fn is_inked(picture: &Picture, [left, top]: [usize; 2], size: [usize; 2]) -> bool {
        let rows = top + size[1] / 3..top + size[1] * 2 / 3;
        let mut all = rows.flat_map(|y| (left + 30..left + size[0] - 30).map(move |x| (x, y)));
        all.any(|(x, y)| picture.pixels[(y * picture.width + x) * 3] < 100)
    }

    #[test]
    fn captions_say_what_their_numbers_are() {
        let mut result = run("a", Path::new("nowhere"), Status::Finished);
        let mut with = |quality: f64| {
            let metrics = serde_json::json!({
                "modes": { "value": 4 }, "high_quality_percent": { "value": quality }
            });
            result.figures = Some(Figures {
                classifier: None,
                samples: 9,
                protocol_samples: 9,
                metrics: metrics.as_object().unwrap().clone(),
            });
            caption(&result)
        };
        assert_eq!(with(0.4), "4 modes, 0.4 % good");
        assert_eq!(with(9.97), "4 modes, 10 % good");
        assert_eq!(with(98.6), "4 modes, 99 % good");
        let at = Path::new("nowhere");
        assert_eq!(caption(&run("a", at, diverged())), "diverged at step 7");
        let open = run("a", at, Status::Interrupted);
        assert_eq!(caption(&open), "unfinished at step 9");
    }

    #[test]
    fn what_has_diverged_says_so_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let good = run("good", folder.path(), Status::Finished);
        let bad = run("bad", folder.path(), diverged());
        let found = [good, bad];
        let plan = plan(&found);
        assert_eq!(draw(&plan, &found).unwrap(), None);
        let mut file = TensorFile::default();
        file.tensors
            .insert("points".into(), Tensor::new([1, 2], vec![0.0, 1.0]));
        std::fs::create_dir_all(&found[0].planned.folder).unwrap();
        file.write(&points_path(&found[0].planned.folder)).unwrap();
        let picture = draw(&plan, &found).unwrap().unwrap();
        assert_eq!(picture.width, 2 * PANEL[0]);
        assert!(picture.height > PANEL[1], "the legend has room of its own");
        assert!(is_inked(&picture, [PANEL[0], 0], PANEL));

        // Along training: in the columns that the other run has.
        let sample = |of: &RunResult, step: u64| {
            let folder = of.planned.folder.join("samples");
            std::fs::create_dir_all(&folder).unwrap();
            let picture = Picture::filled(8, 8, 3, 200);
            picture
                .write(&folder.join(format!("step-{step:08}.png")))
                .unwrap();
        };
        for step in [0, 10, 20] {
            sample(&found[0], step);
        }
        sample(&found[1], 0);
        let training = along_training(&plan, &found).unwrap().unwrap();
        let left = training.width - 3 * CELL[0];
        let legend = look::TICK + look::GAP;
        let top = training.height - 2 * CELL[1] - legend;
        for (column, is_note) in [(0, false), (1, true), (2, true)] {
            let at = [left + column * CELL[0], top + CELL[1]];
            assert_eq!(is_inked(&training, at, CELL), is_note, "column {column}");
        }
    }

    #[test]
    fn small_panels_show_what_lies_between_the_axes() {
        let config = preset("ring8").unwrap().config().unwrap();
        let blank = blank(&config).unwrap().unwrap();
        let real: Vec<[f32; 2]> = reference(&config)
            .chunks_exact(2)
            .map(|p| [p[0], p[1]])
            .collect();
        let picture = scatter(&real, &[[0.0, 0.0]]).unwrap();
        let cut = between_axes(picture.clone(), &blank);
        let frame = blank.frames[0];
        let size = [frame.rect.width + 1, frame.rect.height + 1];
        assert_eq!([cut.width, cut.height], size);
        // The sample at the origin is where it was.
        let [x, y] = frame.pixel([0.0, 0.0]).map(|v| v as usize);
        let at = ((y - frame.rect.top) * cut.width + x + 1 - frame.rect.left) * 3;
        assert!(cut.pixels[at] > cut.pixels[at + 2].saturating_add(40));
        let other = Picture::filled(8, 8, 3, 0);
        assert_eq!(between_axes(other.clone(), &blank), other);
    }
}
