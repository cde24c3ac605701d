//! The comparison seen: one row per variant, one column per seed.
use super::results::{self, RunResult};
use super::{CompareError, Comparison};
use crate::data::Source;
use crate::run::grid::Picture;
use crate::run::pictures::reference;
use crate::run::scatter::{histogram, scatter};
use std::path::Path;

/// Pixels of a panel's side, and between panels.
const SIDE: usize = 256;
const GAP: usize = 4;

/// Draws what there is; `None` if there is nothing to be seen.
///
/// # Errors
/// If a file of samples is damaged.
pub fn draw(plan: &Comparison, found: &[RunResult]) -> Result<Option<Picture>, CompareError> {
    let at = |count: usize| count * (SIDE + GAP) + GAP;
    let (width, height) = (at(plan.seeds.len()), at(plan.variant.len()));
    let mut picture = Picture::filled(width, height, 3, 230);
    let mut drawn = 0;
    for (row, variant) in plan.variant.iter().enumerate() {
        let own = found.iter().filter(|r| r.planned.variant == variant.name);
        for (column, result) in own.enumerate() {
            if let Some(panel) = panel(result)? {
                paste(&mut picture, &panel, [at(column), at(row)]);
                drawn += 1;
            }
        }
    }
    Ok((drawn > 0).then_some(picture))
}

fn panel(result: &RunResult) -> Result<Option<Picture>, CompareError> {
    let Source::Toy(_) = result.planned.config.data.source() else {
        return Ok(None);
    };
    let real = reference(&result.planned.config);
    let pairs = |values: &[f32]| -> Vec<[f32; 2]> {
        values.chunks_exact(2).map(|p| [p[0], p[1]]).collect()
    };
    Ok(match results::points(&result.planned.folder)? {
        Some((1, values)) => Some(histogram(&real, &values)),
        Some((2, values)) => Some(scatter(&pairs(&real), &pairs(&values))),
        _ => None,
    })
}

/// Lays `panel`, brought to the side of a panel by averaging, into the picture.
fn paste(picture: &mut Picture, panel: &Picture, [left, top]: [usize; 2]) {
    let scale = (panel.width / SIDE).max(1);
    for y in 0..SIDE.min(panel.height / scale) {
        for x in 0..SIDE.min(panel.width / scale) {
            for channel in 0..3 {
                let mut sum = 0usize;
                for (sy, sx) in (0..scale).flat_map(|sy| (0..scale).map(move |sx| (sy, sx))) {
                    let at = (y * scale + sy) * panel.width + x * scale + sx;
                    sum += usize::from(panel.pixels[at * 3 + channel]);
                }
                let at = ((top + y) * picture.width + left + x) * 3 + channel;
                picture.pixels[at] = (sum / (scale * scale)) as u8;
            }
        }
    }
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
