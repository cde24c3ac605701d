//! Draws of a finished run by the samplers that follow training: brings them the real samples that calibration and chains need.
use super::config::TrainConfig;
use super::engine::{engine_error, load_images};
use super::session::{EngineError, SampleShape, SampleValues, Sampler, Samples};
use crate::data::rng::{Stream, index};
use crate::data::{self, ImageSet, Source, glyphs, stacked};
use crate::gan::samplers;
pub use crate::gan::samplers::{Calibrate, Drawn, Method, Report, ddls, drs, mh};
use serde::Serialize;

/// The random streams of real samples for calibration and for the starts of chains; training never draws from them.
const HELD_OUT_STREAM: u32 = 0x6865_6c64;
const START_STREAM: u32 = 0x7374_6172;

/// How to draw from a run, whatever number of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub method: Method,
    pub calibrate: Calibrate,
    /// Real samples, and as many generated ones, that calibration sees.
    pub calibration_samples: usize,
    /// What the real samples are taken from; by default the run's own data, which D has been trained on where it is a file.
    pub real: Option<String>,
}

impl Settings {
    /// By `method`, with calibration on 5,000 samples.
    pub fn new(method: Method) -> Settings {
        Settings {
            method,
            calibrate: Calibrate::Auto,
            calibration_samples: 5000,
            real: None,
        }
    }
}

/// What to draw from a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub how: Settings,
    pub count: usize,
    pub seed: u64,
    pub use_ema: bool,
}

/// The report of a draw, and where its real samples came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    #[serde(flatten)]
    pub report: Report,
    /// None where no real samples were used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real_samples: Option<String>,
}

/// Refuses what cannot be drawn from a run with this configuration, before anything is opened.
///
/// # Errors
/// [`EngineError::Input`], with the reason.
pub fn check(how: &Settings, config: &TrainConfig) -> Result<(), EngineError> {
    samplers::check(&config.method, how.method).map_err(engine_error)
}

/// Draws from a restored `sampler` of a run with this configuration. The samples are f32, row by row.
///
/// # Errors
/// [`EngineError::Input`] where the run cannot be sampled so or its data is not there; those of the device.
pub fn draw(
    sampler: &mut dyn Sampler,
    config: &TrainConfig,
    request: &Request,
) -> Result<(Samples, RunReport), EngineError> {
    let shape = sampler.sample_shape();
    let how = &request.how;
    sampler.check_count("--calibration-samples", how.calibration_samples)?;
    if let Method::Drs(settings) = how.method {
        sampler.check_count("--drs-burn-in", settings.burn_in)?;
    }
    let starts_at_real = matches!(
        how.method,
        Method::Mh(mh::Settings {
            start: mh::Start::Real,
            ..
        })
    );
    let calibrates =
        samplers::calibrates(how.method, how.calibrate, &config.method, request.use_ema);
    let source = (starts_at_real || calibrates).then(|| {
        let own = &config.data.source;
        how.real.as_ref().unwrap_or(own).clone()
    });
    let (mut held_out, mut starts) = (vec![], vec![]);
    if let Some(source) = &source {
        let real = Real::of(config, source)?;
        if calibrates {
            let stream = Stream::new(request.seed, HELD_OUT_STREAM, 0);
            held_out = real.samples(&stream, how.calibration_samples, shape)?;
        }
        if starts_at_real {
            let stream = Stream::new(request.seed, START_STREAM, 0);
            starts = real.samples(&stream, request.count, shape)?;
        }
    }
    let drawn = sampler.draw(&samplers::Request {
        method: how.method,
        count: request.count,
        seed: request.seed,
        use_ema: request.use_ema,
        calibrate: how.calibrate,
        held_out: &held_out,
        starts: &starts,
    })?;
    let report = RunReport {
        real_samples: source,
        report: drawn.report,
    };
    let samples = Samples {
        count: request.count,
        shape,
        values: SampleValues::F32(drawn.samples),
    };
    Ok((samples, report))
}

/// Real samples on the host.
enum Real {
    Toy(data::toy::ToySet),
    Glyphs,
    Set(ImageSet),
    /// A grey set of which every sample has three, one per channel.
    Stacked(ImageSet),
}

impl Real {
    fn of(config: &TrainConfig, source: &str) -> Result<Real, EngineError> {
        Ok(match Source::parse(source) {
            Source::Toy(set) => Real::Toy(set),
            Source::Glyphs => Real::Glyphs,
            Source::Stacked(path) => Real::Stacked(load_images(config, &path)?),
            Source::Path(path) => Real::Set(load_images(config, &path)?),
        })
    }
    /// Row by row; those of a set are drawn with replacement.
    fn samples(
        &self,
        stream: &Stream,
        count: usize,
        shape: SampleShape,
    ) -> Result<Vec<f32>, EngineError> {
        let unlike = |found: String| {
            Err(EngineError::input(format!(
                "the real samples are {found}, those of the run {shape}: name data of the run's kind with --real"
            )))
        };
        match (self, shape) {
            (Real::Toy(set), SampleShape::Point { features }) if set.dim() == features => {
                let first = set.sample_features_first(stream, count);
                let row = |i: usize| first.iter().skip(i).step_by(count).copied();
                Ok((0..count).flat_map(row).collect())
            }
            (Real::Toy(set), _) => unlike(format!("points of {} numbers", set.dim())),
            (
                Real::Glyphs,
                SampleShape::Image {
                    channels: 1,
                    height,
                    width,
                },
            ) => {
                let set = glyphs::image_set(stream, count, height, width);
                Ok(set.pixels.iter().map(|&p| value(p)).collect())
            }
            (Real::Glyphs, _) => unlike("grey images".into()),
            (Real::Stacked(set), _) => {
                let found = SampleShape::Image {
                    channels: stacked::CHANNELS,
                    height: set.height,
                    width: set.width,
                };
                if found != shape {
                    return unlike(found.to_string());
                }
                let picked =
                    (0..count as u32).flat_map(|i| stacked::elements(stream, i, set.count as u32));
                let images = picked.flat_map(|i| set.image(i as usize));
                Ok(images.map(|&p| value(p)).collect())
            }
            (Real::Set(set), _) => {
                let found = SampleShape::Image {
                    channels: set.channels,
                    height: set.height,
                    width: set.width,
                };
                if found != shape {
                    return unlike(found.to_string());
                }
                let pick = |i: u32| index(stream.block(i, 0)[0], set.count as u32) as usize;
                let images = (0..count as u32).flat_map(|i| set.image(pick(i)));
                Ok(images.map(|&p| value(p)).collect())
            }
        }
    }
}

/// A byte of an image as the networks see it, -1..1.
fn value(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// As [`Samples`] packed on the device are, for pictures: rounded to bytes, pixel by pixel. Points stay as they are.
pub fn packed(samples: Samples) -> Samples {
    let (
        SampleShape::Image {
            channels,
            height,
            width,
        },
        SampleValues::F32(values),
    ) = (samples.shape, &samples.values)
    else {
        return samples;
    };
    let pixels = height * width;
    let byte = |v: f32| ((v + 1.0) * 127.5).clamp(0.0, 255.0).round() as u8;
    let images = values.chunks(channels * pixels);
    let bytes = images.flat_map(|image| {
        let at = (0..pixels).flat_map(move |p| (0..channels).map(move |c| c * pixels + p));
        at.map(move |at| byte(image[at]))
    });
    Samples {
        values: SampleValues::PackedNhwc(bytes.collect()),
        ..samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::toy::ToySet;

    const GREY: SampleShape = SampleShape::Image {
        channels: 1,
        height: 2,
        width: 2,
    };

    #[test]
    fn real_samples_are_rows_of_the_data() {
        let stream = Stream::new(1, 2, 3);
        let ring = Real::Toy(ToySet::Ring8);
        let points = ring
            .samples(&stream, 50, SampleShape::Point { features: 2 })
            .unwrap();
        assert!(
            points
                .chunks(2)
                .all(|p| (p[0].hypot(p[1]) - 1.0).abs() < 0.1)
        );
        let set = Real::Set(ImageSet {
            name: "three".into(),
            count: 3,
            channels: 1,
            height: 2,
            width: 2,
            pixels: (0..12).collect(),
            labels: None,
            class_names: None,
            source: "".into(),
        });
        let images = set.samples(&stream, 60, GREY).unwrap();
        let firsts: Vec<f32> = images.chunks(4).map(|i| i[0]).collect();
        for k in [0, 4, 8] {
            assert!(firsts.iter().filter(|&&v| v == value(k)).count() > 8);
        }
        for image in images.chunks(4) {
            assert!((image[3] - image[0] - 3.0 / 127.5).abs() < 1e-6);
        }
        // Every image as often as any other, of sets of any size.
        let large = Real::Set(ImageSet {
            name: "three thirds".into(),
            count: 49_152,
            channels: 1,
            height: 1,
            width: 1,
            pixels: (0..49_152).map(|i| (i / 16_384) as u8).collect(),
            labels: None,
            class_names: None,
            source: "".into(),
        });
        let pixel = SampleShape::Image {
            channels: 1,
            height: 1,
            width: 1,
        };
        let drawn = large.samples(&stream, 30_000, pixel).unwrap();
        for third in 0..3 {
            let share = drawn.iter().filter(|&&v| v == value(third)).count();
            assert!((9_700..10_300).contains(&share), "{third}: {share}");
        }
        let error = ring.samples(&stream, 5, GREY).unwrap_err().to_string();
        assert!(error.contains("--real"), "{error}");
        assert!(Real::Glyphs.samples(&stream, 5, GREY).is_ok());
    }

    #[test]
    fn images_are_packed_pixel_by_pixel() {
        let shape = SampleShape::Image {
            channels: 2,
            height: 1,
            width: 2,
        };
        let values = SampleValues::F32(vec![-1.0, 1.0, 0.0, 2.0]);
        let made = packed(Samples {
            count: 1,
            shape,
            values,
        });
        assert_eq!(
            made.values,
            SampleValues::PackedNhwc(vec![0, 128, 255, 255])
        );
    }
}
