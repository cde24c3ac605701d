//! Classifiers as files: training one, reading it back, and what it says of samples.
//!
//! A file is safetensors with the network's tensors by the names of PyTorch's `state_dict`; the network's description (TOML), the
//! number of steps and the accuracy on the test set stand in its metadata, so that the file stands alone. There is no time stamp and no
//! path in it.
use super::checkpoint::CheckpointError;
use super::engine::{engine_error, open_gpu};
use super::error::RunError;
use super::interrupt::Interrupt;
use super::session::EngineError;
use super::summary::{Outcome, lossy};
use super::tensors::{Tensor, TensorFile};
use crate::data::rng::Stream;
use crate::data::{self, DataError, ImageOptions, ImageSet, Source, Split, glyphs};
use crate::gan::classifier::{self, ClassifierTrainer, Judge, Labelled, Progress, Settings};
use crate::gan::trainer::StateTensor;
use crate::gpu::{CacheFolder, Gpu, hex};
use crate::metrics::stacked::{self, Coverage};
use crate::nn::{Extent, Network, NetworkSpec};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of this layout, in the metadata under this key.
const VERSION: &str = "1";
const VERSION_KEY: &str = "gan_gpu_classifier";
const NETWORK_KEY: &str = "network";

/// Steps between two calls of the watcher.
const BLOCK: u64 = 20;
/// Built-in digits that a classifier of them is tested on, and the random stream they come from: training draws from another.
const GLYPH_TESTS: usize = 2000;
const GLYPH_STREAM: u32 = 0x7e57;

/// What `classify train` is asked to do.
#[derive(Clone, Debug)]
pub struct Request {
    /// A path, or `glyphs`.
    pub data: String,
    /// A file of layers; the built-in network of 28x28 digits otherwise.
    pub model: Option<PathBuf>,
    pub batch: usize,
    pub lr: f64,
    pub label_smoothing: f64,
    /// Passes over the training set; for the built-in digits, of 60,000 of them.
    pub epochs: u64,
    /// In place of epochs.
    pub steps: Option<u64>,
    /// Use this many images at most.
    pub limit: Option<usize>,
    pub seed: u64,
    pub adapter: String,
    pub out: PathBuf,
}

/// Share of images that were classified as labelled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    pub images: usize,
    pub right: usize,
    pub accuracy_percent: f64,
    /// The same among the images of each class; none where there are none.
    pub by_class_percent: Vec<Option<f64>>,
}

/// What a training came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    pub adapter: String,
    pub params: u64,
    pub outcome: Outcome,
    pub steps: u64,
    /// Means over the last twentieth of the steps, with dropout on.
    pub loss: f64,
    pub train_percent: f64,
    /// On the test set; none where the data has no other part than the one trained on.
    pub test: Option<Accuracy>,
}

fn input(error: impl ToString) -> RunError {
    EngineError::input(error.to_string()).into()
}

fn images_of(path: &Path, network: &Network, split: Split) -> Result<ImageSet, DataError> {
    let mut options = ImageOptions {
        split,
        ..ImageOptions::default()
    };
    if let Extent::Image {
        channels,
        height,
        width,
    } = network.input()
    {
        options.size = Some((height, width));
        options.channels = Some(channels);
    }
    data::load(path, &options)
}

fn glyph_tests(network: &Network) -> ImageSet {
    let (height, width) = match network.input() {
        Extent::Image { height, width, .. } => (height, width),
        Extent::Features { .. } => (28, 28),
    };
    glyphs::image_set(&Stream::new(0, GLYPH_STREAM, 0), GLYPH_TESTS, height, width)
}

/// The images that a classifier is tested on: the test part of the data, all of it where there are no parts, or built-in digits that
/// training does not draw.
fn tests(source: &Source, network: &Network) -> Result<ImageSet, RunError> {
    match source {
        Source::Glyphs => Ok(glyph_tests(network)),
        Source::Path(path) => images_of(path, network, Split::Test).map_err(input),
        other => Err(no_classes(other)),
    }
}

/// Whether the data keeps images apart that training does not see.
fn keeps_tests(source: &Source) -> Result<bool, RunError> {
    match source {
        Source::Path(path) => data::has_parts(path).map_err(input),
        _ => Ok(true),
    }
}

fn no_classes(source: &Source) -> RunError {
    input(format!(
        "--data: `{source}` has no labelled images; give MNIST's folder, another set with labels, or `glyphs`"
    ))
}

/// Trains a classifier, tests it and writes its file; `watch` is told of every block's last step and of how many there are. An interrupt
/// ends the training early: what was learnt by then is tested and written all the same.
///
/// # Errors
/// [`EngineError::NonFinite`] if the loss is no longer finite; whatever data, network, adapter and disk refuse. Nothing is written then.
pub fn train(
    request: &Request,
    cache: &CacheFolder,
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(Progress, u64),
) -> Result<Summary, RunError> {
    let spec = read_spec(request.model.as_deref())?;
    let network = Network::new(&spec).map_err(input)?;
    let source = Source::parse(&request.data);
    let set = match &source {
        Source::Glyphs => None,
        Source::Path(path) => {
            let mut set = images_of(path, &network, Split::Train).map_err(input)?;
            limit(&mut set, request.limit);
            Some(set)
        }
        other => return Err(no_classes(other)),
    };
    // Without parts all images are learnt: they test nothing. Loaded before training, so that what is wrong with them is said before.
    let tests = match keeps_tests(&source)? {
        true => Some(tests(&source, &network)?),
        false => None,
    };
    let data = set.as_ref().map_or(Labelled::Glyphs, Labelled::Set);
    let per_epoch = set.as_ref().map_or(60_000, |set| set.count as u64);
    let by_epochs = (request.epochs * per_epoch).div_ceil(request.batch.max(1) as u64);
    let settings = Settings {
        batch: request.batch,
        lr: request.lr,
        label_smoothing: request.label_smoothing,
        steps: request.steps.unwrap_or(by_epochs),
        seed: request.seed,
    };
    let gpu = open_gpu(&request.adapter, cache)?;
    let steps = settings.steps;
    let mut trainer =
        ClassifierTrainer::new(&gpu, network, &data, settings).map_err(engine_error)?;
    gpu.save_pipelines();
    let ahead = gpu.compile_ahead(trainer.kernels().iter().cloned());
    let mut last = vec![];
    interrupt.hold();
    while trainer.step() < steps && !interrupt.requested() {
        let block = BLOCK.min(steps - trainer.step());
        for progress in trainer.step_block(block).map_err(engine_error)? {
            if !progress.loss.is_finite() {
                return Err(EngineError::NonFinite {
                    step: progress.step,
                    tensor: "loss".into(),
                    value: progress.loss,
                }
                .into());
            }
            last.push(progress);
        }
        if let Some(&progress) = last.last() {
            watch(progress, steps);
        }
        let window = (steps / 20).max(1) as usize;
        last.drain(..last.len().saturating_sub(window));
    }
    drop(ahead);
    let tensors = trainer.tensors().map_err(engine_error)?;
    let network = trainer.network().clone();
    let judge = Judge::new(&gpu, network, tensors.clone()).map_err(engine_error)?;
    let test = tests.map(|set| accuracy(&judge, &set)).transpose()?;
    let mean = |of: fn(&Progress) -> f32| {
        last.iter().map(|p| f64::from(of(p))).sum::<f64>() / last.len().max(1) as f64
    };
    let summary = Summary {
        file: request.out.clone(),
        adapter: gpu.report().name.clone(),
        params: trainer.network().param_count() as u64,
        outcome: match trainer.step() < steps {
            true => Outcome::Interrupted,
            false => Outcome::Finished,
        },
        steps: trainer.step(),
        loss: mean(|p| p.loss),
        train_percent: 100.0 * mean(|p| p.right),
        test,
    };
    write(&request.out, &spec, tensors, &summary)?;
    Ok(summary)
}

/// Keeps the first images.
fn limit(set: &mut ImageSet, limit: Option<usize>) {
    let count = limit.map_or(set.count, |limit| limit.min(set.count));
    set.pixels.truncate(count * set.image_len());
    if let Some(labels) = &mut set.labels {
        labels.truncate(count);
    }
    set.count = count;
}

fn read_spec(model: Option<&Path>) -> Result<NetworkSpec, RunError> {
    let Some(path) = model else {
        return classifier::spec_from_toml("classifier28", classifier::CLASSIFIER28).map_err(input);
    };
    let text = std::fs::read_to_string(path).map_err(|source| RunError::Io {
        path: path.into(),
        source,
    })?;
    classifier::spec_from_toml(&path.display().to_string(), &text).map_err(input)
}

fn write(
    path: &Path,
    spec: &NetworkSpec,
    tensors: Vec<StateTensor>,
    summary: &Summary,
) -> Result<(), RunError> {
    let network = toml::to_string(spec).map_err(|e| EngineError::device(e.to_string()))?;
    let mut metadata = BTreeMap::from([
        (VERSION_KEY.to_string(), VERSION.to_string()),
        (NETWORK_KEY.into(), network),
        ("steps".into(), summary.steps.to_string()),
    ]);
    if let Some(test) = &summary.test {
        metadata.insert(
            "test_accuracy_percent".into(),
            test.accuracy_percent.to_string(),
        );
    }
    let tensors = tensors
        .into_iter()
        .map(|t| (t.name, Tensor::new(t.shape, t.values)));
    let file = TensorFile {
        tensors: tensors.collect(),
        metadata,
    };
    Ok(file.write(path)?)
}

/// A trained classifier, ready to judge samples.
pub struct Classifier {
    judge: Judge,
    /// SHA-256 of its file, in hexadecimal digits.
    digest: String,
}

/// SHA-256 of a classifier's file, in hexadecimal digits: which one judged.
///
/// # Errors
/// Where the file cannot be read.
pub fn digest(path: &Path) -> std::io::Result<String> {
    Ok(hex(Sha256::digest(std::fs::read(path)?)))
}

impl Classifier {
    /// The classifier in file `path` on the adapter that `--adapter` means; `cache` is where compiled pipelines are kept.
    ///
    /// # Errors
    /// [`RunError::Tensors`], [`RunError::Checkpoint`] for a file that is no whole classifier; [`RunError::Engine`].
    pub fn open(adapter: &str, path: &Path, cache: &CacheFolder) -> Result<Classifier, RunError> {
        let (network, tensors) = read(path)?;
        let gpu = open_gpu(adapter, cache)?;
        Classifier::on(&gpu, path, network, tensors)
    }

    /// As [`Classifier::open`], on a device that is open already.
    ///
    /// # Errors
    /// As [`Classifier::open`].
    pub fn open_on(gpu: &Gpu, path: &Path) -> Result<Classifier, RunError> {
        let (network, tensors) = read(path)?;
        Classifier::on(gpu, path, network, tensors)
    }

    fn on(
        gpu: &Gpu,
        path: &Path,
        network: Network,
        tensors: Vec<StateTensor>,
    ) -> Result<Classifier, RunError> {
        let judge = Judge::new(gpu, network, tensors).map_err(|e| RunError::Restore {
            path: path.into(),
            source: engine_error(e),
        })?;
        let digest = digest(path).map_err(|source| RunError::Io {
            path: path.into(),
            source,
        })?;
        Ok(Classifier { judge, digest })
    }

    /// SHA-256 of its file, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Size of the images it takes.
    pub fn input(&self) -> Extent {
        self.judge.input()
    }
    /// Classes it tells apart.
    pub fn classes(&self) -> usize {
        self.judge.classes()
    }
    /// Probabilities `[n, classes]`, row by row, of images `[n, C, H, W]` in -1..1.
    ///
    /// # Errors
    /// [`EngineError::Input`] where the numbers are no whole images.
    pub fn probabilities(&self, images: &[f32]) -> Result<Vec<f32>, RunError> {
        Ok(self.judge.probabilities(images).map_err(engine_error)?)
    }
    /// The most probable class of each image `[n, C, H, W]` in -1..1.
    ///
    /// # Errors
    /// As [`Classifier::probabilities`]; for an image that is not finite.
    pub fn labels(&self, images: &[f32]) -> Result<Vec<u8>, RunError> {
        Ok(self.judge.labels(images).map_err(engine_error)?)
    }

    /// How many images of a set it classifies as labelled.
    ///
    /// # Errors
    /// [`EngineError::Input`] where images or labels are not what it takes.
    pub fn accuracy(&self, set: &ImageSet) -> Result<Accuracy, RunError> {
        accuracy(&self.judge, set)
    }

    /// Modes and KL of Stacked-MNIST samples `[n, 3, H, W]` in -1..1; published rows are for [`stacked::PROTOCOL_SAMPLES`].
    ///
    /// # Errors
    /// [`EngineError::Input`] where the numbers are no whole samples, or this is no classifier of ten grey digits.
    pub fn stacked(&self, samples: &[f32]) -> Result<Coverage, RunError> {
        self.of_digits()?;
        // A sample's channels follow each other: they are three grey images.
        stacked::stacked(&self.labels(samples)?).map_err(input)
    }

    /// Classes and KL of samples `[n, C, H, W]` in -1..1 of a set with these counts of each class, e.g. [`stacked::MNIST_COUNTS`].
    ///
    /// # Errors
    /// As [`Classifier::stacked`].
    pub fn coverage(&self, samples: &[f32], counts: &[u32]) -> Result<Coverage, RunError> {
        stacked::classes(&self.labels(samples)?, counts).map_err(input)
    }

    fn of_digits(&self) -> Result<(), RunError> {
        match (self.input(), self.classes()) {
            (Extent::Image { channels: 1, .. }, stacked::DIGITS) => Ok(()),
            (extent, classes) => Err(input(format!(
                "Stacked-MNIST is judged channel by channel by a classifier of grey images in 10 classes; this one takes {extent} in \
                 {classes} classes"
            ))),
        }
    }
}

fn accuracy(judge: &Judge, set: &ImageSet) -> Result<Accuracy, RunError> {
    let found = Extent::Image {
        channels: set.channels,
        height: set.height,
        width: set.width,
    };
    if found != judge.input() {
        return Err(input(format!(
            "`{}` has images of {found}, the classifier takes {}",
            set.name,
            judge.input()
        )));
    }
    let Some(labels) = &set.labels else {
        return Err(input(format!(
            "`{}` has no labels to compare with",
            set.name
        )));
    };
    let (mut right, mut of) = (vec![0; judge.classes()], vec![0; judge.classes()]);
    // Not the whole set as f32 at once.
    let len = set.image_len();
    for (bytes, labels) in set.pixels.chunks(1000 * len).zip(labels.chunks(1000)) {
        let images: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 127.5 - 1.0).collect();
        for (&label, seen) in labels
            .iter()
            .zip(judge.labels(&images).map_err(engine_error)?)
        {
            let label = label as usize;
            if label >= judge.classes() {
                return Err(input(format!(
                    "`{}` has a label {label}, the classifier knows {} classes",
                    set.name,
                    judge.classes()
                )));
            }
            of[label] += 1;
            right[label] += usize::from(usize::from(seen) == label);
        }
    }
    let percent = |right: usize, of: usize| 100.0 * right as f64 / of as f64;
    let (all, sum) = (set.count, right.iter().sum());
    let by_class = right.iter().zip(&of);
    Ok(Accuracy {
        images: all,
        right: sum,
        accuracy_percent: percent(sum, all.max(1)),
        by_class_percent: by_class
            .map(|(&right, &of)| (of > 0).then(|| percent(right, of)))
            .collect(),
    })
}

/// Whether the images of `data` (a path, or `glyphs`) that [`evaluate`] takes are a test part.
///
/// # Errors
/// Where the data cannot be looked at.
pub fn has_test_part(data: &str) -> Result<bool, RunError> {
    keeps_tests(&Source::parse(data))
}

/// The accuracy of the classifier in file `path` on the test part of `data` (a path, or `glyphs`), on all of it where it has no parts.
///
/// # Errors
/// Those of [`Classifier::open`]; whatever the data refuses.
pub fn evaluate(
    path: &Path,
    data: &str,
    adapter: &str,
    cache: &CacheFolder,
) -> Result<Accuracy, RunError> {
    let (network, tensors) = read(path)?;
    let set = tests(&Source::parse(data), &network)?;
    let gpu = open_gpu(adapter, cache)?;
    Classifier::on(&gpu, path, network, tensors)?.accuracy(&set)
}

/// Network and tensors of a classifier's file.
fn read(path: &Path) -> Result<(Network, Vec<StateTensor>), RunError> {
    let TensorFile { tensors, metadata } = TensorFile::read(path)?;
    let get = |key: &str| {
        let found = metadata.get(key);
        found.ok_or_else(|| CheckpointError::NoClassifier {
            path: path.into(),
            key: key.into(),
        })
    };
    let version = get(VERSION_KEY)?;
    if version != VERSION {
        return Err(CheckpointError::Metadata {
            path: path.into(),
            key: VERSION_KEY.into(),
            got: version.clone(),
            expected: "1; it was made by another version of gan-gpu".into(),
        }
        .into());
    }
    let name = format!("{}, metadata `{NETWORK_KEY}`", path.display());
    let spec = classifier::spec_from_toml(&name, get(NETWORK_KEY)?).map_err(input)?;
    let tensors = tensors.into_iter().map(|(name, t)| StateTensor {
        name,
        shape: t.shape,
        values: t.values,
    });
    Ok((Network::new(&spec).map_err(input)?, tensors.collect()))
}
