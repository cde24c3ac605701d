//! A classifier learns on the device what its labels say, and nothing where they say nothing; its file gives the same judge back.
use gan_gpu::data::permutation::Shuffle;
use gan_gpu::data::rng::Stream;
use gan_gpu::data::{ImageOptions, ImageSet, Split, glyphs, load};
use gan_gpu::gan::classifier::{
    ClassifierTrainer, Judge, Labelled, Progress, Settings, spec_from_toml,
};
use gan_gpu::gpu::CacheFolder;
use gan_gpu::gpu::testing::gpu;
use gan_gpu::metrics::stacked;
use gan_gpu::nn::Network;
use gan_gpu::run::classifier::{Classifier, Request, evaluate, train};
use gan_gpu::run::interrupt::Interrupt;
use gan_gpu::run::summary::Outcome;
use std::path::{Path, PathBuf};

/// Small enough for a test, with every kind of layer that the built-in network has.
fn layers(side: usize) -> String {
    format!(
        "input = {{ channels = 1, height = {side}, width = {side} }}
        layer = [
            {{ type = \"conv2d\", out = 16, kernel = 5, stride = 2, pad = 2 }},
            {{ type = \"relu\" }},
            {{ type = \"max_pool\", kernel = 2 }},
            {{ type = \"flatten\" }},
            {{ type = \"dropout\", p = 0.1 }},
            {{ type = \"linear\", out = 10 }},
        ]"
    )
}

fn network(side: usize) -> Network {
    Network::new(&spec_from_toml("test", &layers(side)).unwrap()).unwrap()
}

fn settings(steps: u64) -> Settings {
    Settings {
        batch: 64,
        lr: 3e-3,
        steps,
        ..Settings::default()
    }
}

/// Images in -1..1.
fn images(set: &ImageSet) -> Vec<f32> {
    let bytes = set.pixels.iter();
    bytes.map(|&b| f32::from(b) / 127.5 - 1.0).collect()
}

/// Share of the tests that are classified as labelled after some steps on `data`.
fn learn(data: &Labelled, side: usize, steps: u64, tests: &ImageSet) -> f64 {
    let gpu = gpu();
    let mut trainer = ClassifierTrainer::new(&gpu, network(side), data, settings(steps)).unwrap();
    let progress = trainer.step_block(steps).unwrap();
    assert_eq!(progress.len() as u64, steps);
    assert!(progress.iter().all(|p| p.loss.is_finite()));
    let judge = Judge::new(&gpu, network(side), trainer.tensors().unwrap()).unwrap();
    let seen = judge.labels(&images(tests)).unwrap();
    let labels = tests.labels.as_ref().unwrap();
    let pairs = seen.into_iter().zip(labels);
    let right = pairs.filter(|(seen, label)| u32::from(*seen) == **label);
    right.count() as f64 / tests.count as f64
}

/// The same images with their labels in another order.
fn shuffled(set: &ImageSet) -> ImageSet {
    let labels = set.labels.as_ref().unwrap();
    let count = set.count as u32;
    let order = Shuffle {
        seed: 9,
        stream: 1,
        count,
    };
    let other = |i: u32| labels[order.index(i, 1, 0) as usize];
    ImageSet {
        labels: Some((0..count).map(other).collect()),
        ..set.clone()
    }
}

#[test]
fn built_in_digits_are_learnt_and_shuffled_labels_are_not() {
    let side = 20;
    let tests = glyphs::image_set(&Stream::new(5, 5, 0), 500, side, side);
    let drawn = learn(&Labelled::Glyphs, side, 150, &tests);
    let set = glyphs::image_set(&Stream::new(6, 6, 0), 3000, side, side);
    let from_set = learn(&Labelled::Set(&set), side, 150, &tests);
    let nothing = learn(&Labelled::Set(&shuffled(&set)), side, 150, &tests);
    println!("drawn {drawn}, from a set {from_set}, shuffled {nothing}");
    assert!(drawn > 0.7 && from_set > 0.7, "{drawn} {from_set}");
    assert!(nothing < 0.25, "{nothing}");
}

#[test]
fn mnist_is_learnt_and_shuffled_labels_are_not() {
    let root = std::env::var_os("GAN_GPU_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        PathBuf::from,
    );
    let path = root.join("mnist");
    if !path.exists() {
        eprintln!(
            "skipped: no MNIST at {} (set GAN_GPU_SHARED_DATA to the folder that holds it)",
            path.display()
        );
        return;
    }
    let part = |split, limit| {
        let options = ImageOptions {
            split,
            limit: Some(limit),
            ..ImageOptions::default()
        };
        load(&path, &options).unwrap()
    };
    let (set, tests) = (part(Split::Train, 6000), part(Split::Test, 1000));
    let learnt = learn(&Labelled::Set(&set), 28, 100, &tests);
    let nothing = learn(&Labelled::Set(&shuffled(&set)), 28, 100, &tests);
    println!("MNIST {learnt}, shuffled {nothing}");
    assert!(learnt > 0.75, "{learnt}");
    assert!(nothing < 0.25, "{nothing}");
}

/// Runs repeat bit for bit, whatever the blocks; and the loss with smoothing s is (1 - s) L(0) + s L(1): linear in s.
#[test]
fn runs_repeat_and_the_loss_is_linear_in_the_smoothing() {
    let gpu = gpu();
    let losses = |smoothing: f64, blocks: &[u64]| -> Vec<f32> {
        let settings = Settings {
            label_smoothing: smoothing,
            batch: 15,
            ..settings(6)
        };
        let data = Labelled::Glyphs;
        let mut trainer = ClassifierTrainer::new(&gpu, network(12), &data, settings).unwrap();
        let blocks = blocks.iter().flat_map(|&b| trainer.step_block(b).unwrap());
        blocks.map(|p| p.loss).collect()
    };
    let plain = losses(0.0, &[6]);
    assert_eq!(plain, losses(0.0, &[1, 3, 2]));
    // Before the first update, so on the same weights.
    let at = |smoothing: f64| f64::from(losses(smoothing, &[1])[0]);
    let (none, some, more) = (f64::from(plain[0]), at(0.2), at(0.4));
    let bend = more - some - (some - none);
    assert!(bend.abs() < 1e-5, "{none} {some} {more}");
    assert!((some - none).abs() > 1e-4, "{none} {some}");
}

fn request(folder: &Path, steps: u64) -> Request {
    let model = folder.join("small.toml");
    std::fs::write(&model, layers(16)).unwrap();
    Request {
        data: "glyphs".into(),
        model: Some(model),
        batch: 64,
        lr: 3e-3,
        label_smoothing: 0.1,
        epochs: 1,
        steps: Some(steps),
        limit: None,
        seed: 3,
        adapter: std::env::var("GAN_GPU_ADAPTER").unwrap_or("auto".into()),
        out: folder.join("judge.safetensors"),
    }
}

/// What the file says is what was trained: the same accuracy, the same labels one by one and all at once, and the modes of triples.
#[test]
fn a_file_gives_the_judge_back() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CacheFolder::default();
    let request = request(folder.path(), 80);
    let mut told = vec![];
    let summary = {
        let mut watch = |p: Progress, of| told.push((p.step, of));
        train(&request, &cache, &Interrupt::default(), &mut watch).unwrap()
    };
    assert_eq!(summary.outcome, Outcome::Finished);
    assert_eq!(told, [(20, 80), (40, 80), (60, 80), (80, 80)]);
    let found = evaluate(&request.out, "glyphs", &request.adapter, &cache).unwrap();
    assert_eq!(summary.test.as_ref(), Some(&found));
    assert!(found.accuracy_percent > 30.0, "{found:?}");

    let judge = Classifier::open(&request.adapter, &request.out, &cache).unwrap();
    // More than one execution's worth, and not a multiple of it.
    let set = glyphs::image_set(&Stream::new(7, 7, 0), 603, 16, 16);
    let images = images(&set);
    let labels = judge.labels(&images).unwrap();
    assert_eq!(labels.len(), 603);
    for (i, &label) in labels.iter().enumerate().step_by(67) {
        let one = judge.labels(&images[i * 256..(i + 1) * 256]).unwrap();
        assert_eq!(one, [label], "{i}");
    }
    let rows = judge.probabilities(&images).unwrap();
    for (row, &label) in rows.chunks(10).zip(&labels) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(row.iter().all(|&p| p <= row[usize::from(label)]));
    }
    // 603 grey images are 201 stacked ones.
    let covered = judge.stacked(&images).unwrap();
    assert_eq!(covered, stacked::stacked(&labels).unwrap());
    let mut triples: Vec<_> = labels.chunks(3).collect();
    triples.sort_unstable();
    triples.dedup();
    assert_eq!((covered.samples, covered.modes), (201, triples.len()));
    let classes = judge.coverage(&images, &[1; 10]).unwrap();
    assert_eq!((classes.samples, classes.of), (603, 10));

    let broken = [&images[..256], &[f32::NAN; 256]].concat();
    let error = judge.labels(&broken).unwrap_err().to_string();
    assert!(error.contains("image 1"), "{error}");
    assert!(judge.labels(&images[..255]).is_err());
}

/// Ctrl-C ends the training after its block, and what was learnt by then is kept.
#[test]
fn an_interrupted_training_leaves_what_it_has_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CacheFolder::default();
    let request = request(folder.path(), 1000);
    let interrupt = Interrupt::default();
    let mut watch = |p: Progress, _| {
        if p.step == 40 {
            interrupt.request();
        }
    };
    let summary = train(&request, &cache, &interrupt, &mut watch).unwrap();
    assert_eq!((summary.outcome, summary.steps), (Outcome::Interrupted, 40));
    let found = evaluate(&request.out, "glyphs", &request.adapter, &cache).unwrap();
    assert_eq!(summary.test, Some(found));
}

#[test]
fn what_cannot_be_learnt_or_read_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let cache = CacheFolder::default();
    let good = request(folder.path(), 2);
    let refused = |change: fn(&mut Request), words: &str| {
        let mut request = good.clone();
        change(&mut request);
        let error = train(&request, &cache, &Interrupt::default(), &mut |_, _| ()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(|r| r.data = "ring8".into(), "no labelled images");
    refused(|r| r.data = "no/such".into(), "no/such");
    refused(|r| r.model = Some("no.toml".into()), "no.toml");
    refused(|r| r.lr = -1.0, "lr");
    refused(|r| r.label_smoothing = 1.5, "label_smoothing");
    refused(|r| r.batch = 0, "batch");
    assert!(!good.out.exists());
    let error = Classifier::open(&good.adapter, &good.out, &cache).err();
    let error = error.unwrap().to_string();
    assert!(error.contains("judge.safetensors"), "{error}");
    // Pictures without labels, of another size, and of more classes than the network has.
    let set = glyphs::image_set(&Stream::new(1, 1, 0), 40, 16, 16);
    let unlabelled = ImageSet {
        labels: None,
        ..set.clone()
    };
    let gpu = gpu();
    let refused = |set: &ImageSet, layers: String, words: &str| {
        let network = Network::new(&spec_from_toml("test", &layers).unwrap()).unwrap();
        let made = ClassifierTrainer::new(&gpu, network, &Labelled::Set(set), settings(1));
        let error = made.err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(&unlabelled, layers(16), "has no labels");
    let three = layers(16).replace("out = 10", "out = 3");
    refused(&set, three, "has label");
    refused(&set, layers(20), "16x16");
}
