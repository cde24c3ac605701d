//! What the training loop asks of an engine: the whole of the interface between `run` and the trainer below it.
//!
//! The loop decides when to stop, what to write and when; the engine owns the device. Nothing here depends on how long a
//! block is: an engine that runs 10 rounds as one block or as ten must end in the same state.
use super::checkpoint::CheckpointData;
use super::origin::Origin;
use super::tune::NamedChoices;
use crate::gan::samplers;
use std::borrow::Cow;

/// One round: the discriminator's updates followed by the generator's. A "step" everywhere in the program is one round.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Rounds completed, this one included: the first report of a run has step 1.
    pub step: u64,
    /// Real images that the discriminator has been trained on, this round included.
    pub images_seen: u64,
    /// Loss of the round's last discriminator update, regularisers included.
    pub loss_d: f32,
    /// Loss of the round's last generator update.
    pub loss_g: f32,
    /// Mean discriminator output on real samples: a probability where the objective defines one, else the logit.
    pub d_real: f32,
    /// The same on generated samples.
    pub d_fake: f32,
    /// What the method adds, e.g. `gradient_penalty`; written to metrics.jsonl under these names.
    pub extra: Vec<(Cow<'static, str>, f32)>,
}

impl StepReport {
    /// The first value that is NaN or infinite, with its name.
    pub fn non_finite(&self) -> Option<(&str, f32)> {
        let named = [
            ("loss_d", self.loss_d),
            ("loss_g", self.loss_g),
            ("d_real", self.d_real),
            ("d_fake", self.d_fake),
        ];
        let extra = self
            .extra
            .iter()
            .map(|(name, value)| (name.as_ref(), *value));
        named
            .into_iter()
            .chain(extra)
            .find(|(_, value)| !value.is_finite())
    }
}

/// Where the latents of a sample come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Latents {
    /// `count` draws from the run's prior; latent i is a pure function of (seed, i), whatever `count` is.
    Seeded { count: usize, seed: u64 },
    /// `[count, latent_dim]`, row-major.
    Given(Vec<f32>),
}

/// One call of the generator in evaluation mode.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRequest {
    pub latents: Latents,
    /// A class per sample, for generators that take labels; every class in turn without any.
    pub labels: Option<Vec<u32>>,
    /// The exponential moving average of the weights, where the run keeps one; the weights themselves otherwise.
    pub use_ema: bool,
    /// Images as u8, packed on the device. Ignored for point sets, which always come as f32.
    pub packed: bool,
}

/// The shape of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleShape {
    Image {
        channels: usize,
        height: usize,
        width: usize,
    },
    Point {
        features: usize,
    },
}

impl SampleShape {
    /// Numbers in one sample.
    pub fn len(self) -> usize {
        match self {
            SampleShape::Image {
                channels,
                height,
                width,
            } => channels * height * width,
            SampleShape::Point { features } => features,
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for SampleShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SampleShape::Image {
                channels,
                height,
                width,
            } => write!(f, "{channels}x{height}x{width}"),
            SampleShape::Point { features } => write!(f, "{features}-D"),
        }
    }
}

/// Generated samples on the host, sample by sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    pub count: usize,
    pub shape: SampleShape,
    pub values: SampleValues,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SampleValues {
    /// `[count, channels, height, width]` in -1..1, or `[count, features]` in the data's own units.
    F32(Vec<f32>),
    /// `[count, height, width, channels]`, 0..=255.
    PackedNhwc(Vec<u8>),
}

/// What the engine has moved since it was opened, and what it holds. Counted where buffers are written and read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTraffic {
    /// Bytes written into device buffers.
    pub host_to_device_bytes: u64,
    /// Bytes read back.
    pub device_to_host_bytes: u64,
    /// Bytes of per-dispatch constants recorded into command buffers.
    pub constant_bytes: u64,
    /// The most that buffers held at once, those for reading back apart.
    pub peak_device_bytes: u64,
}

/// What does not change while an engine lives.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineFacts {
    /// What computes.
    pub origin: Origin,
    pub params_g: u64,
    pub params_d: u64,
    pub sample_shape: SampleShape,
    /// Classes that samples can be asked from; `None` where the generator takes no labels.
    pub classes: Option<usize>,
    /// Real images per round after any warm-up: batch times discriminator updates.
    pub images_per_step: u64,
    /// Images in the data set; `None` if it is drawn without end.
    pub data_len: Option<u64>,
    /// The variants chosen for this adapter, for the run's configuration.
    pub choices: Option<NamedChoices>,
}

/// The trainer, as the loop sees it. Everything is synchronous: when a call returns, its results are on the host.
pub trait Engine {
    fn facts(&self) -> &EngineFacts;

    /// Rounds completed, those before a restored checkpoint included.
    fn step(&self) -> u64;

    /// Real images that the discriminator has been trained on.
    fn images_seen(&self) -> u64;

    /// Runs `rounds` rounds (at least 1) and returns one report for each, in order.
    ///
    /// # Errors
    /// [`EngineError::NonFinite`] if the engine itself saw the divergence; the loop looks at the reports too.
    fn step_block(&mut self, rounds: u64) -> Result<Vec<StepReport>, EngineError>;

    /// Does not change the state of training.
    fn sample(&mut self, request: &SampleRequest) -> Result<Samples, EngineError>;

    /// The discriminator's raw outputs in evaluation mode, `[count, outputs]`, on samples `[count, numbers per sample]`, both row by
    /// row (images as `[channels, height, width]` in -1..1): logits where the objective has any, else the critic's values. Does not
    /// change the state of training.
    ///
    /// # Errors
    /// [`EngineError::Input`] where the discriminator has no output for one sample alone, or the samples are not whole ones.
    fn judge(&mut self, samples: &[f32]) -> Result<Vec<f32>, EngineError>;

    /// The complete state: everything that the next round depends on.
    fn checkpoint(&mut self) -> Result<CheckpointData, EngineError>;

    /// Takes the state over, as if this engine had trained to it.
    ///
    /// # Errors
    /// [`EngineError::Checkpoint`] if a tensor is missing or has another shape.
    fn restore(&mut self, data: &CheckpointData) -> Result<(), EngineError>;

    fn traffic(&self) -> EngineTraffic;
}

/// Numbers of samples or latents that are held at once: 1 GiB of f32.
const MOST_NUMBERS: usize = 1 << 28;

/// The trained networks alone, without data or what trains them.
pub trait Sampler {
    fn sample_shape(&self) -> SampleShape;

    /// Classes that samples can be asked from; `None` where the generator takes no labels.
    fn classes(&self) -> Option<usize>;

    /// Width of a latent vector.
    fn latent_dim(&self) -> usize;

    /// Refuses so many samples where they, or their latents, are more numbers than are held at once. `what` asks for them, by its flag.
    ///
    /// # Errors
    /// [`EngineError::Input`], with the largest count.
    fn check_count(&self, what: &str, count: usize) -> Result<(), EngineError> {
        let most = MOST_NUMBERS / self.latent_dim().max(self.sample_shape().len()).max(1);
        if count <= most {
            return Ok(());
        }
        Err(EngineError::input(format!(
            "{what}: {count} samples are more than are held at once; at most {most}"
        )))
    }

    /// `[count, latent_dim]` draws of the run's latents, as [`Latents::Seeded`] means them.
    fn latents(&self, count: usize, seed: u64) -> Vec<f32>;

    /// Takes the generator's weights, their average where there is one, and the discriminator's from a checkpoint.
    fn restore(&mut self, data: &CheckpointData) -> Result<(), EngineError>;

    /// As [`Engine::sample`]: the same latents give the same samples.
    fn sample(&mut self, request: &SampleRequest) -> Result<Samples, EngineError>;

    /// Draws by one of the samplers that follow training, D's judgement in hand.
    ///
    /// # Errors
    /// [`EngineError::Input`] where this pair cannot be sampled so, with the reason.
    fn draw(&mut self, request: &samplers::Request) -> Result<samplers::Drawn, EngineError>;

    /// As [`Engine::judge`].
    ///
    /// # Errors
    /// As for [`Engine::judge`]; [`EngineError::Input`] where the checkpoint had no discriminator.
    fn judge(&mut self, samples: &[f32]) -> Result<Vec<f32>, EngineError>;
}

/// What an engine can fail with, by who can do something about it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No adapter can be used: exit code 3.
    #[error("{0}")]
    Adapter(Box<dyn std::error::Error + Send + Sync>),
    /// What was asked for cannot be built: a data file, a model, a setting, an adapter's limit. Exit code 2.
    #[error("{0}")]
    Input(Box<dyn std::error::Error + Send + Sync>),
    /// Training has diverged: exit code 4.
    #[error("{tensor} is {value} at step {step}")]
    NonFinite {
        step: u64,
        tensor: String,
        value: f32,
    },
    #[error(transparent)]
    Checkpoint(#[from] super::checkpoint::ContentError),
    /// The device or this program failed on the way: exit code 1.
    #[error("{0}")]
    Device(Box<dyn std::error::Error + Send + Sync>),
}

impl EngineError {
    pub fn adapter(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Adapter(error.into())
    }

    pub fn input(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Input(error.into())
    }

    pub fn device(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Device(error.into())
    }
}
