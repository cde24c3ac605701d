//! The picture of a run's samples: a grid of images, a scatter plot of 2-D points, histograms of 1-D ones.
use super::config::TrainConfig;
use super::error::RunError;
use super::grid::{PackedImages, Picture, grid};
use super::plot::{Drawn, PlotError};
use super::scatter::{draw_histogram, draw_scatter, histogram, scatter};
use super::session::{
    Engine, EngineError, Latents, SampleRequest, SampleShape, SampleValues, Samples,
};
use crate::data::Source;
use crate::data::rng::Stream;
use std::path::Path;

/// Generated points in a plot; as many as the benchmarks of mixtures draw.
pub const POINTS: usize = 2500;

/// The random stream of the reference points.
const REFERENCE_STREAM: u32 = 0x7069_6374;

/// Draws the fixed samples of a run into `path`. `false` if there is no picture for samples of this shape.
pub fn draw(
    engine: &mut dyn Engine,
    config: &TrainConfig,
    reference: &[f32],
    path: &Path,
) -> Result<bool, RunError> {
    let [rows, cols] = config.report.grid;
    let count = match engine.facts().sample_shape {
        SampleShape::Image { .. } => rows * cols,
        SampleShape::Point { features: 1 | 2 } => POINTS,
        SampleShape::Point { .. } => return Ok(false),
    };
    let latents = Latents::Seeded {
        count,
        seed: config.seed,
    };
    // One class per row.
    let classes = engine.facts().classes;
    let labels = classes.map(|classes| (0..count).map(|n| (n / cols % classes) as u32).collect());
    let samples = engine.sample(&SampleRequest {
        latents,
        labels,
        use_ema: true,
        packed: true,
    })?;
    picture(&samples, [rows, cols], reference)?.write(path)?;
    Ok(true)
}

/// `reference`: real points `[n, features]`, drawn in grey.
pub fn picture(
    samples: &Samples,
    [rows, cols]: [usize; 2],
    reference: &[f32],
) -> Result<Picture, RunError> {
    match (&samples.values, samples.shape) {
        (
            SampleValues::PackedNhwc(nhwc),
            SampleShape::Image {
                channels,
                height,
                width,
            },
        ) => Ok(grid(
            PackedImages {
                height,
                width,
                channels,
                nhwc,
            },
            rows,
            cols,
        )?),
        (SampleValues::F32(values), SampleShape::Point { features: 2 }) => {
            Ok(scatter(&pairs(reference), &pairs(values))?)
        }
        (SampleValues::F32(values), SampleShape::Point { features: 1 }) => {
            Ok(histogram(reference, values)?)
        }
        (_, shape) => Err(EngineError::input(format!(
            "there is no picture for {shape} samples; use --raw"
        ))
        .into()),
    }
}

/// A picture of a run's real points alone, with the place of its axes: the same in all its pictures. `None` where there are no such
/// pictures.
///
/// # Errors
/// As [`Figure::draw`](super::plot::Figure::draw).
pub fn blank(config: &TrainConfig) -> Result<Option<Drawn>, PlotError> {
    let Source::Toy(set) = config.data.source() else {
        return Ok(None);
    };
    let real = reference(config);
    // A point without a place makes room for the legend that the others have.
    match set.dim() {
        1 => draw_histogram(&real, &[f32::NAN]).map(Some),
        2 => draw_scatter(&pairs(&real), &[[f32::NAN; 2]]).map(Some),
        _ => Ok(None),
    }
}

/// Real points to draw in grey behind generated ones, `[n, features]` row-major; empty unless the data is a built-in point
/// set.
pub fn reference(config: &TrainConfig) -> Vec<f32> {
    let Source::Toy(set) = config.data.source() else {
        return vec![];
    };
    // Step 0 of a stream of its own: training never draws from it.
    let stream = Stream::new(config.seed, REFERENCE_STREAM, 0);
    let features_first = set.sample_features_first(&stream, POINTS);
    (0..POINTS)
        .flat_map(|i| features_first.iter().skip(i).step_by(POINTS))
        .copied()
        .collect()
}

fn pairs(values: &[f32]) -> Vec<[f32; 2]> {
    values.chunks_exact(2).map(|p| [p[0], p[1]]).collect()
}
