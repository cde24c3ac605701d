//! One seed, one adapter, one result. Runs with the same seed end in checkpoint files of the same SHA-256, however their rounds are
//! grouped into blocks, whether or not samples are drawn on the way, and with a stop and a resume in the middle; another seed does
//! not. And residency: after set-up nothing goes to the device, nothing is created there, and only the rows of scalars come back.
use gan_gpu::data::toy::ToySet;
use gan_gpu::gan::config::GanConfig;
use gan_gpu::gan::trainer::{Data, Trainer};
use gan_gpu::gpu::CacheFolder;
use gan_gpu::gpu::testing::gpu;
use gan_gpu::nn::model_by_name_or_file;
use gan_gpu::run::checkpoint::Checkpoint;
use gan_gpu::run::config::TrainConfig;
use gan_gpu::run::engine;
use gan_gpu::run::session::{Engine, EngineError, Latents, SampleRequest};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Points: one program for both updates, R1, an average of G's weights.
const RING: &str = r#"
[data]
source = "ring8"
[budget]
steps = 6
[model]
name = "ring8"
[method]
objective = "non_saturating"
batch = 48
optimiser.d = { name = "adam", lr = 1e-3, beta1 = 0.5 }
optimiser.g = { name = "rmsprop", lr = 5e-4 }
ema = { decay = 0.9 }
regularisers = [{ name = "r1", weight = 1.0 }]
"#;

/// Images from a file: programs of their own for D and G, a warm-up, the gradient penalty, batch norm's running statistics.
/// A batch of 16 does not divide the 42 images, so a stop falls inside a pass over them.
const IMAGES: &str = r#"
[data]
source = "SOURCE"
[budget]
steps = 6
[method]
objective = "wgan"
batch = 16
d_steps = 2
warmup_d_steps = 1
optimiser.d = { name = "adam", lr = 1e-3, beta1 = 0.0, beta2 = 0.9 }
optimiser.g = { name = "sgd", lr = 1e-2, momentum = 0.5 }
ema = { half_life_images = 64 }
regularisers = [{ name = "gradient_penalty", weight = 10.0 }]
[model]
name = "a small convolutional pair"
[model.generator]
input = { features = 6 }
[[model.generator.layer]]
type = "linear"
out = 36
bias = false
[[model.generator.layer]]
type = "unflatten"
channels = 4
height = 3
width = 3
[[model.generator.layer]]
type = "batch_norm"
[[model.generator.layer]]
type = "relu"
[[model.generator.layer]]
type = "conv_transpose2d"
out = 1
kernel = 4
stride = 2
pad = 1
[[model.generator.layer]]
type = "tanh"
[model.discriminator]
input = { channels = 1, height = 6, width = 6 }
[[model.discriminator.layer]]
type = "conv2d"
out = 5
kernel = 4
stride = 2
pad = 1
[[model.discriminator.layer]]
type = "leaky_relu"
slope = 0.2
[[model.discriminator.layer]]
type = "flatten"
[[model.discriminator.layer]]
type = "linear"
out = 1
"#;

/// An IDX file of 42 images of 6x6.
fn images(folder: &Path) -> PathBuf {
    let (count, size) = (42u32, 6u32);
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend([count, size, size].iter().flat_map(|n| n.to_be_bytes()));
    bytes.extend((0..count * size * size).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
    let path = folder.join("images-idx3-ubyte");
    std::fs::write(&path, bytes).unwrap();
    path
}

struct Story {
    folder: TempDir,
    /// With the word SOURCE for the images' file.
    config: String,
    source: PathBuf,
}

impl Story {
    fn new(config: &str) -> Story {
        let folder = tempfile::tempdir().unwrap();
        let source = images(folder.path());
        Story {
            folder,
            config: config.into(),
            source,
        }
    }
    fn open(&self, seed: u64) -> Box<dyn Engine> {
        self.try_open(seed).unwrap()
    }
    fn try_open(&self, seed: u64) -> Result<Box<dyn Engine>, EngineError> {
        let text = self.config.replace("SOURCE", self.source.to_str().unwrap());
        let mut config: TrainConfig = toml::from_str(&text).unwrap();
        config.seed = seed;
        config.adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into());
        engine::open(&config, &CacheFolder::default())
    }
    /// The engine's checkpoint as a file; what names the temporary folder is left out, so that processes can be compared too.
    fn save(&self, engine: &mut dyn Engine, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let data = engine.checkpoint().unwrap();
        let config = self.config.clone();
        let origin = Some(engine.facts().origin.clone());
        let checkpoint = Checkpoint {
            data,
            config,
            origin,
        };
        checkpoint.write(&path).unwrap();
        path
    }
    fn digest(&self, engine: &mut dyn Engine) -> String {
        let path = self.save(engine, "digest.safetensors");
        let digest = Sha256::digest(std::fs::read(path).unwrap());
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn tell(&self) {
        let mut whole = self.open(7);
        let reports = whole.step_block(6).unwrap();
        let expected = self.digest(&mut *whole);
        println!("{expected}");

        // One round at a time, with samples and a checkpoint on the way.
        let mut pieces = self.open(7);
        let mut got = vec![];
        let mut middle = PathBuf::new();
        for round in 1..=6 {
            got.extend(pieces.step_block(1).unwrap());
            if round % 2 == 0 {
                let latents = Latents::Seeded { count: 9, seed: 3 };
                let request = SampleRequest {
                    labels: None,
                    latents,
                    use_ema: round == 2,
                    packed: true,
                };
                pieces.sample(&request).unwrap();
            }
            if round == 3 {
                middle = self.save(&mut *pieces, "middle.safetensors");
            }
        }
        assert_eq!(got, reports);
        assert_eq!(self.digest(&mut *pieces), expected, "blocks of one round");
        drop(pieces);

        // From the file in the middle, by an engine that is already further.
        let mut resumed = whole;
        let checkpoint = Checkpoint::read(&middle).unwrap();
        resumed.restore(&checkpoint.data).unwrap();
        assert_eq!(resumed.step(), 3);
        assert_eq!(resumed.step_block(3).unwrap(), reports[3..]);
        assert_eq!(self.digest(&mut *resumed), expected, "resumed");
        // One more round is another state.
        resumed.step_block(1).unwrap();
        assert_ne!(self.digest(&mut *resumed), expected, "a round more");
        drop(resumed);

        let mut other = self.open(8);
        assert_ne!(other.step_block(6).unwrap(), reports);
        // The numbers of the run are the same, so it is the tensors that differ.
        assert_ne!(self.digest(&mut *other), expected, "another seed");
    }
}

#[test]
fn points() {
    Story::new(RING).tell();
}
/// With loss scaling, whose state is part of the checkpoint. Without f16 the run is refused before it starts.
#[test]
fn points_in_f16() {
    let story = Story::new(&format!("precision = \"f16\"\n{RING}"));
    match gpu().caps().f16 {
        true => story.tell(),
        false => match story.try_open(7) {
            Err(EngineError::Adapter(e)) => assert!(e.to_string().contains("--precision"), "{e}"),
            other => panic!("{:?}", other.map(|_| "opened")),
        },
    }
}
#[test]
fn images_and_second_order() {
    Story::new(IMAGES).tell();
}

/// A warm-up of more updates than the ring of scalars has rows is one round like any other.
#[test]
fn a_round_may_have_more_updates_than_the_ring_has_rows() {
    let mut config: GanConfig = toml::from_str::<TrainConfig>(RING).unwrap().method;
    config.batch = 2;
    config.regularisers.clear();
    config.warmup_d_steps = 4100;
    let model = model_by_name_or_file("gauss1d").unwrap().build().unwrap();
    let data = Data::Toy(ToySet::Gauss1d);
    let mut trainer = Trainer::new(&gpu(), model, config, data, 1).unwrap();
    let rounds = trainer.step_block(2).unwrap();
    let seen: Vec<_> = rounds.iter().map(|r| (r.step, r.images_seen)).collect();
    assert_eq!(seen, [(1, 2 * 4101), (2, 2 * 4102)]);
    assert!(rounds.iter().all(|r| r.is_finite() && r.loss_d > 0.0));
}

/// 20 rounds, in one block and one by one, move nothing to the device and create nothing on it.
#[test]
fn training_stays_on_the_device() {
    let config: TrainConfig = toml::from_str(RING).unwrap();
    let config: GanConfig = config.method;
    let scalars = 4 + config.regularisers.len() as u64;
    let model = model_by_name_or_file("ring8").unwrap().build().unwrap();
    let data = Data::Toy(ToySet::Ring8);
    let mut trainer = Trainer::new(&gpu(), model, config, data, 1).unwrap();
    // The first block of its length also makes the staging buffer that results come back through.
    trainer.step_block(20).unwrap();
    for blocks in [vec![20], vec![1; 20], vec![7, 13]] {
        let before = trainer.traffic();
        for rounds in blocks {
            trainer.step_block(rounds).unwrap();
        }
        let after = trainer.traffic();
        assert_eq!(after.host_to_device_bytes, before.host_to_device_bytes);
        // A row per program execution, one execution per round; each scalar has a vector of four to itself.
        let rows = 20 * scalars * 16;
        assert_eq!(
            after.device_to_host_bytes - before.device_to_host_bytes,
            rows
        );
        assert_eq!(after.buffers_created, before.buffers_created);
        assert_eq!(after.bind_groups_created, before.bind_groups_created);
        assert_eq!(after.pipelines_created, before.pipelines_created);
        assert_eq!(after.current_bytes, before.current_bytes);
        let dispatches = after.dispatches - before.dispatches;
        assert!(dispatches >= 20);
        let constants = after.immediate_bytes - before.immediate_bytes;
        assert!(
            constants <= 128 * dispatches,
            "{constants} bytes of constants"
        );
    }
    // The counters do count: latents go there, samples come back.
    let before = trainer.traffic();
    let latents = trainer.generator().latents(5, 0);
    trainer
        .generator()
        .sample(&latents, None, true, false)
        .unwrap();
    let after = trainer.traffic();
    assert!(after.host_to_device_bytes >= before.host_to_device_bytes + 4 * latents.len() as u64);
    assert!(after.device_to_host_bytes >= before.device_to_host_bytes + 4 * 5 * 2);
}
