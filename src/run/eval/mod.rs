//! A run's generator, measured: which checkpoint, how many samples, which metrics, and what exact samples score beside them.
mod select;
mod words;

use super::checkpoint::{CheckpointError, CheckpointStore};
use super::classifier::Classifier;
use super::config::TrainConfig;
use super::error::RunError;
use super::finished::Finished;
use super::folder::{RUNS, RunFolder};
use super::samplers::{self, RunReport};
use super::session::{
    EngineError, Latents, SampleRequest, SampleShape, SampleValues, Sampler, Samples as Drawn,
};
use super::summary::lossy;
use super::traverse;
use crate::data::toy::ToySet;
use crate::data::{self, Source, toy};
use crate::gan::methods::Info;
use crate::metrics::{
    Asked, Better, ClassLaw, Exact, Metric, MetricError, Samples, Target, Value, stacked,
};
use crate::nn::Extent;
pub use select::{EvalError, select};
use serde::Serialize;
use std::path::{Path, PathBuf};
use words::exact_note;
pub use words::{describe, note, number, table};

/// Latents of the metrics are not those of the pictures: they use the seed with these bits flipped.
const SEED_FLIP: u64 = 0x746f_795f;

/// A metric's value for a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    #[serde(skip)]
    pub name: &'static str,
    pub value: Value,
    /// What as many exact samples score; `None` where that is not known or no single number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<Exact>,
    pub better: Better,
}

/// Values of the metrics, without what exact samples score.
///
/// # Errors
/// Those of the metrics.
pub fn measure(
    metrics: &[&'static Metric],
    target: &Target,
    samples: &Samples,
) -> Result<Vec<Measured>, MetricError> {
    metrics
        .iter()
        .map(|metric| {
            Ok(Measured {
                name: metric.name,
                value: (metric.measure)(target, samples)?,
                exact: None,
                better: metric.better,
            })
        })
        .collect()
}

/// As [`measure`], with what as many exact samples score.
///
/// # Errors
/// Those of the metrics.
pub fn measure_beside_exact(
    metrics: &[&'static Metric],
    target: &Target,
    samples: &Samples,
) -> Result<Vec<Measured>, MetricError> {
    let mut measured = measure(metrics, target, samples)?;
    let sets = target.exact_sets(samples.len());
    for (row, metric) in measured.iter_mut().zip(metrics) {
        row.exact = metric.exact(target, &sets)?;
    }
    Ok(measured)
}

/// The seed of the latents that a run is measured with where `seed` is asked for, the run's own by default.
pub fn latent_seed(seed: u64) -> u64 {
    seed ^ SEED_FLIP
}

/// The request that draws what metrics take: floats, of `count` latents.
pub fn sample_request(count: usize, seed: u64, use_ema: bool) -> SampleRequest {
    SampleRequest {
        latents: Latents::Seeded { count, seed },
        labels: None,
        use_ema,
        packed: false,
    }
}

/// Points drawn from a generator, as metrics take them.
///
/// # Errors
/// If the engine packed them, or their number is not whole.
pub fn points(set: ToySet, drawn: Drawn) -> Result<Samples, RunError> {
    Ok(Samples::of_points(set, &floats(drawn)?)?)
}

/// The samples as numbers, row by row.
fn floats(drawn: Drawn) -> Result<Vec<f32>, EngineError> {
    match drawn.values {
        SampleValues::F32(values) => Ok(values),
        SampleValues::PackedNhwc(_) => Err(EngineError::device(
            "the engine packed samples that were asked for as f32",
        )),
    }
}

/// What a run's data are to metrics: the law of a point set; of images how often classes occur, where a classifier with so many
/// (`judged`) tells them apart.
///
/// # Errors
/// If there is a classifier and the images, whose labels are counted, cannot be read.
pub fn target(config: &TrainConfig, judged: Option<usize>) -> Result<Target, RunError> {
    let source = config.data.source();
    let Some(classes) = judged else {
        return Ok(match source {
            Source::Toy(set) => Target::points(set),
            _ => Target::Images,
        });
    };
    let even = vec![1; classes];
    let law = |per_sample, counts: Vec<u32>, known| {
        let asked = match (per_sample, config.method.conditional, config.method.info) {
            (1, Some(c), _) if c.classes == counts.len() => Some(Asked::Class),
            (1, None, Some(info)) if info.categorical > 0 => Some(Asked::Code(info.categorical)),
            _ => None,
        };
        Target::Classes(ClassLaw {
            per_sample,
            counts,
            known,
            asked,
        })
    };
    Ok(match source {
        Source::Toy(set) => Target::points(set),
        Source::Stacked(_) => law(3, stacked::MNIST_COUNTS.to_vec(), true),
        Source::Glyphs => law(1, even, true),
        Source::Path(path) => {
            let set = data::load(&path, &config.data.image_options());
            let set = set.map_err(|error| EngineError::input(error.to_string()))?;
            let mut counts = vec![0; classes];
            for label in set.labels.iter().flatten() {
                if let Some(count) = counts.get_mut(*label as usize) {
                    *count += 1;
                }
            }
            let labelled = set.labels.is_some();
            law(1, if labelled { counts } else { even }, labelled)
        }
    })
}

/// Everything that `gan-gpu eval` says about a run; also `eval.json` of a comparison's runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    #[serde(serialize_with = "lossy")]
    pub checkpoint: PathBuf,
    pub step: u64,
    pub images_seen: u64,
    /// What was learnt.
    pub data: String,
    /// SHA-256 of the classifier's file, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    pub samples: usize,
    pub protocol_samples: usize,
    /// Present if the number of samples is not the protocol's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Present if `exact` of the metrics is of classes, which nothing judged: what it is then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact_note: Option<String>,
    /// That the latents are made from ([`latent_seed`]): the run's own, or the one asked for.
    pub seed: u64,
    pub weights: Weights,
    /// How samples are drawn from the generator.
    pub sampler: &'static str,
    /// How they came about, where D had a say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<RunReport>,
    #[serde(serialize_with = "by_name")]
    pub metrics: Vec<Measured>,
}

/// What to measure, and of how many samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// All that apply if empty.
    pub metrics: Vec<String>,
    /// The protocol's number by default.
    pub samples: Option<usize>,
    /// That the latents are made from ([`latent_seed`]); the run's own by default.
    pub seed: Option<u64>,
    pub use_ema: bool,
    /// Draws with D's help; the generator alone by default.
    pub how: Option<samplers::Settings>,
}

/// Measures what `sampler`, restored from `run`, draws; the samples themselves besides.
///
/// # Errors
/// [`EvalError`] for metrics that do not apply; those of the metrics, of the sampler and of the engine.
pub fn evaluate(
    request: &Request,
    run: &Finished,
    sampler: &mut dyn Sampler,
    judge: Option<&Classifier>,
) -> Result<(Evaluation, Samples), RunError> {
    let config = &run.config;
    let mut target = target(config, judge.map(Classifier::classes))?;
    if let (Target::Classes(law), Some(_)) = (&mut target, &request.how) {
        // The latents that a sampler chose are not known here.
        law.asked = None;
    }
    let metrics = select(&request.metrics, &target)?;
    let count = request.samples.unwrap_or(target.protocol_samples());
    sampler.check_count("--samples", count)?;
    let seed = request.seed.unwrap_or(config.seed);
    let latent_seed = latent_seed(seed);
    let use_ema = request.use_ema;
    let (helped, draw) = match &request.how {
        Some(how) => {
            let request = samplers::Request {
                how: how.clone(),
                count,
                seed: latent_seed,
                use_ema,
            };
            let (drawn, report) = samplers::draw(sampler, config, &request)?;
            (Some(drawn), Some(report))
        }
        None => (None, None),
    };
    let samples = match (&target, judge, helped) {
        (Target::Classes(law), Some(judge), helped) => {
            let (labels, asked) = match helped {
                Some(drawn) => (labels(judge, drawn, law.per_sample)?, vec![]),
                None => {
                    let latents = sampler.latents(count, latent_seed);
                    let labels = judged(sampler, (judge, law.per_sample), &latents, use_ema)?;
                    let info = config.method.info.as_ref();
                    (labels, asked(law.asked, info, sampler, &latents))
                }
            };
            Samples::Labels {
                per_sample: law.per_sample,
                labels,
                asked,
            }
        }
        (Target::Points(law), _, Some(drawn)) => points(law.set, drawn)?,
        (Target::Points(law), _, None) => {
            let draw = sample_request(count, latent_seed, use_ema);
            points(law.set, sampler.sample(&draw)?)?
        }
        _ => {
            return Err(EvalError::Nothing {
                target: target.describe(),
            }
            .into());
        }
    };
    let evaluation = Evaluation {
        checkpoint: run.path.clone(),
        step: run.checkpoint.data.step,
        images_seen: run.checkpoint.data.images_seen,
        data: config.data.source.clone(),
        classifier: judge.map(|judge| judge.digest().into()),
        samples: count,
        protocol_samples: target.protocol_samples(),
        note: note(count, &target),
        exact_note: exact_note(&config.data.source(), &target),
        seed,
        weights: Weights::of(config, use_ema),
        sampler: draw.as_ref().map_or("raw", |run| run.report.sampler),
        draw,
        metrics: measure_beside_exact(&metrics, &target, &samples)?,
    };
    Ok((evaluation, samples))
}

/// Images that are held at once.
const CHUNK: usize = 1000;

/// The class that sample `i` is asked to show.
fn class_of(i: usize, classes: usize) -> u32 {
    (i % classes.max(1)) as u32
}

/// What the samples of these latents are asked to show.
fn asked(
    asked: Option<Asked>,
    info: Option<&Info>,
    sampler: &dyn Sampler,
    latents: &[f32],
) -> Vec<u32> {
    let width = sampler.latent_dim().max(1);
    match (asked, info, sampler.classes()) {
        (Some(Asked::Class), _, Some(classes)) => {
            let count = latents.len() / width;
            (0..count).map(|i| class_of(i, classes)).collect()
        }
        (Some(Asked::Code(_)), Some(info), _) => {
            let rows = latents.chunks_exact(width);
            rows.map(|z| traverse::category(z, info) as u32).collect()
        }
        _ => vec![],
    }
}

/// What the classifier takes the samples of these latents for.
fn judged(
    sampler: &mut dyn Sampler,
    (judge, per_sample): (&Classifier, usize),
    latents: &[f32],
    use_ema: bool,
) -> Result<Vec<u8>, RunError> {
    let (width, classes) = (sampler.latent_dim(), sampler.classes());
    let mut found = vec![];
    for (chunk, latents) in latents.chunks(CHUNK * width.max(1)).enumerate() {
        let count = latents.len() / width.max(1);
        let class = |i: usize, classes: usize| class_of(chunk * CHUNK + i, classes);
        let request = SampleRequest {
            latents: Latents::Given(latents.to_vec()),
            labels: classes.map(|n| (0..count).map(|i| class(i, n)).collect()),
            use_ema,
            packed: false,
        };
        found.extend(labels(judge, sampler.sample(&request)?, per_sample)?);
    }
    Ok(found)
}

/// What the classifier takes each of the `per_sample` images in a sample's channels for.
///
/// # Errors
/// Where the classifier takes other images.
fn labels(judge: &Classifier, drawn: Drawn, per_sample: usize) -> Result<Vec<u8>, RunError> {
    if let SampleShape::Image {
        channels,
        height,
        width,
    } = drawn.shape
    {
        let found = Extent::Image {
            channels: channels / per_sample.max(1),
            height,
            width,
        };
        if found != judge.input() {
            return Err(EngineError::input(format!(
                "--classifier: it takes {}, the run makes {found}",
                judge.input()
            ))
            .into());
        }
    }
    judge.labels(&floats(drawn)?)
}

/// Which weights of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Their moving average.
    Ema,
    /// Those that training goes on with.
    Raw,
}

impl Weights {
    /// What `use_ema` means for this run.
    pub fn of(config: &TrainConfig, use_ema: bool) -> Self {
        if use_ema && config.method.ema.is_some() {
            Weights::Ema
        } else {
            Weights::Raw
        }
    }
}

/// A map from metric to value.
pub(super) fn by_name<S: serde::Serializer>(
    metrics: &[Measured],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(metrics.iter().map(|m| (m.name, m)))
}

/// The checkpoint of `run` (a run folder, `latest`, or a checkpoint file) that `which` means: a step, a file, or the newest.
///
/// # Errors
/// If there is no such run or no such checkpoint; the error lists those that there are.
pub fn find_checkpoint(run: &Path, which: Option<&str>) -> Result<PathBuf, RunError> {
    if run.is_file() {
        return match which {
            None => Ok(run.into()),
            Some(_) => Err(EngineError::input(format!(
                "--checkpoint picks one of a run's checkpoints, but {} is a checkpoint already; name the run folder",
                run.display()
            ))
            .into()),
        };
    }
    let store = || -> Result<CheckpointStore, RunError> {
        let folder = RunFolder::find(run, Path::new(RUNS))?;
        Ok(CheckpointStore::new(folder.checkpoints(), 0))
    };
    let Some(which) = which else {
        return Ok(store()?.latest()?);
    };
    let Ok(step) = which.parse::<u64>() else {
        return Ok(which.into());
    };
    let store = store()?;
    let path = store.path(step);
    if path.is_file() {
        return Ok(path);
    }
    Err(CheckpointError::NoStep {
        run: run.into(),
        step,
        there: store.steps()?,
    }
    .into())
}

/// Modes of the data; `None` but for 2-D mixtures.
pub fn modes_of(source: &Source) -> Option<usize> {
    match source {
        Source::Toy(set) => match set.distribution() {
            toy::Distribution::Mixture2(mixture) => Some(mixture.centres.len()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_step_lists_those_that_there_are() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        let folder = RunFolder::create(Some(&run), Path::new("unused"), "x").unwrap();
        std::fs::write(folder.config(), "").unwrap();
        let store = CheckpointStore::new(folder.checkpoints(), 0);
        for step in [10, 20] {
            std::fs::write(store.path(step), "").unwrap();
        }
        assert_eq!(find_checkpoint(&run, None).unwrap(), store.path(20));
        assert_eq!(find_checkpoint(&run, Some("10")).unwrap(), store.path(10));
        let file = store.path(10);
        assert_eq!(find_checkpoint(&file, None).unwrap(), file);
        let error = find_checkpoint(&run, Some("15")).unwrap_err().to_string();
        assert!(error.contains("15") && error.contains("10, 20"), "{error}");
        assert!(find_checkpoint(&file, Some("10")).is_err());
        assert_eq!(
            find_checkpoint(&run, Some("other.safetensors")).unwrap(),
            Path::new("other.safetensors")
        );
    }
}
