//! The flags of `train`, and how they change a preset's configuration.
use super::parse;
use crate::data::{Source, stacked};
use crate::gpu::ADAPTER_VARIABLE;
use crate::nn::Extent;
use crate::run::config::{
    Budget, ConfigError, Fit, MinibatchFeatures, ModelConfig, Precision, Split, TrainConfig,
};
use std::path::PathBuf;
use std::time::Duration;

/// Data.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataFlags {
    #[arg(long, value_name = "PATH|NAME", value_parser = source, help = data_help())]
    pub data: Option<String>,
    /// Bring images to this size; the model's if left out
    #[arg(long, value_name = "HxW", value_parser = parse::size)]
    pub size: Option<[usize; 2]>,
    /// How images of another size are brought to the right one
    #[arg(long, value_enum)]
    pub fit: Option<Fit>,
    /// 1 for grey, 3 for RGB; the model's if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub channels: Option<u8>,
    /// What shows through transparent pixels: black, white or RRGGBB
    #[arg(long, value_name = "COLOUR", value_parser = parse::colour)]
    pub background: Option<[u8; 3]>,
    /// Use this many images at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Which part of a data set that has two
    #[arg(long, value_enum)]
    pub split: Option<Split>,
}

/// How long to train. Whatever is given here replaces the preset's budget.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "How long")]
pub struct BudgetFlags {
    /// Rounds of discriminator and generator updates
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Thousands of real images shown to the discriminator
    #[arg(long, value_name = "N", conflicts_with = "steps", value_parser = clap::value_parser!(u64).range(1..))]
    pub kimg: Option<u64>,
    /// Passes over the data set
    #[arg(long, value_name = "N", conflicts_with_all = ["steps", "kimg"], value_parser = clap::value_parser!(u64).range(1..))]
    pub epochs: Option<u64>,
    /// Stop after this long, with a checkpoint: 90s, 10m, 1h30m; alone, it is the whole budget
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    pub max_time: Option<Duration>,
}

/// What is written along the way.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Reports")]
pub struct ReportFlags {
    /// Steps between rows of metrics.jsonl
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub log_every: Option<u64>,
    /// Steps between pictures of samples; 0 for none
    #[arg(long, value_name = "N")]
    pub sample_every: Option<u64>,
    /// Steps between checkpoints; 0 for only the last
    #[arg(long, value_name = "N")]
    pub checkpoint_every: Option<u64>,
    /// Checkpoints to keep; 0 for all
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Rows and columns of the pictures of samples
    #[arg(long, value_name = "ROWSxCOLS", value_parser = parse::grid)]
    pub grid: Option<[usize; 2]>,
}

/// Model, seed and device.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Model and device")]
pub struct ModelFlags {
    /// mlp, dcgan, resnet, another built-in model, or a TOML file of layers
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// Everything random is a function of this number
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name (`gan-gpu adapters` lists them)
    #[arg(long, value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    pub adapter: Option<String>,
    /// How activations and their gradients are stored; f16 keeps weights in f32 and scales losses
    #[arg(long, value_name = "f32|f16", value_enum)]
    pub precision: Option<Precision>,
    /// Spectral normalisation of D's layers
    #[arg(long)]
    pub spectral_norm: bool,
    /// Minibatch discrimination before D's last layer: features it adds, and numbers that samples are compared by
    #[arg(long, value_name = "KERNELSxDIMS", num_args = 0..=1, default_missing_value = "16x5", value_parser = minibatch_features)]
    pub minibatch_discrimination: Option<MinibatchFeatures>,
}

fn data_help() -> String {
    format!(
        "A file or folder of images (IDX, CIFAR-10, PNG/JPEG); {}PATH: three images of such a grey set as the channels of one; or a \
         built-in set: {}",
        stacked::PREFIX,
        Source::built_in_names().join(", ")
    )
}

/// Only what is stacked must be there: a dry run of other sets does without them.
fn source(text: &str) -> Result<String, String> {
    match Source::parse(text).check_stacked() {
        Ok(()) => Ok(text.into()),
        Err(error) => Err(error.to_string()),
    }
}

fn minibatch_features(text: &str) -> Result<MinibatchFeatures, String> {
    let [kernels, dims] = parse::kernels(text)?;
    Ok(MinibatchFeatures { kernels, dims })
}

/// Replaces `field` if the flag was given.
fn set<T, U: From<T>>(field: &mut U, flag: Option<T>) {
    if let Some(value) = flag {
        *field = value.into();
    }
}

impl ModelFlags {
    /// To be applied after the data's flags: `mlp` for points is another network than `mlp` for images. A model comes with
    /// its own latent width; the flag for that is applied later.
    pub fn apply(&self, config: &mut TrainConfig) -> Result<(), ConfigError> {
        set(&mut config.seed, self.seed);
        set(&mut config.adapter, self.adapter.clone());
        set(&mut config.precision, self.precision);
        if let Some(name) = &self.model {
            let sample = match config.data.source() {
                Source::Toy(set) => Extent::Features {
                    features: set.dim(),
                },
                Source::Glyphs | Source::Stacked(_) | Source::Path(_) => {
                    config.model.spec()?.sample_extent()?
                }
            };
            config.model = ModelConfig::named(specific(name, sample));
            config.method.latent_dim = None;
        }
        if self.spectral_norm {
            config.model.spectral_norm = true;
        }
        if let Some(size) = self.minibatch_discrimination {
            config.model.minibatch_discrimination = Some(size);
        }
        Ok(())
    }
}

/// The built-in model that a family's name means for samples of this size.
fn specific(name: &str, sample: Extent) -> &str {
    match (name, sample) {
        ("mlp", Extent::Features { features: 1 }) => "gauss1d",
        ("mlp", Extent::Features { .. }) => "ring8",
        ("dcgan", Extent::Image { height, .. }) if height > 32 => "dcgan64",
        ("dcgan", _) => "dcgan28",
        ("resnet", _) => "resnet28",
        _ => name,
    }
}

impl DataFlags {
    pub fn apply(&self, config: &mut TrainConfig) {
        let data = &mut config.data;
        set(&mut data.source, self.data.clone());
        set(&mut data.size, self.size);
        set(&mut data.fit, self.fit);
        set(&mut data.channels, self.channels.map(usize::from));
        set(&mut data.background, self.background);
        set(&mut data.limit, self.limit.map(|limit| limit as usize));
        set(&mut data.split, self.split);
    }
}

impl BudgetFlags {
    pub fn apply(&self, config: &mut TrainConfig) {
        let Self {
            steps,
            kimg,
            epochs,
            max_time,
        } = *self;
        if steps.or(kimg).or(epochs).is_some() || max_time.is_some() {
            config.budget = Budget {
                steps,
                kimg,
                epochs,
                max_time_s: max_time.map(|time| time.as_secs()),
            };
        }
    }
}

impl ReportFlags {
    pub fn apply(&self, config: &mut TrainConfig) {
        let report = &mut config.report;
        set(&mut report.log_every, self.log_every);
        set(&mut report.sample_every, self.sample_every);
        set(&mut report.checkpoint_every, self.checkpoint_every);
        set(&mut report.keep, self.keep);
        set(&mut report.grid, self.grid);
    }
}

/// Where the run goes.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Run")]
pub struct RunFlags {
    /// The run folder, new or empty [default: runs/NNNN-preset-data]
    #[arg(short, long, visible_alias = "outdir", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on from a run's newest checkpoint: a run folder, a checkpoint file in one, or `latest`
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = crate::run::folder::LATEST, conflicts_with = "preset")]
    pub resume: Option<PathBuf>,
    /// Choose variants of kernels by rule, whatever was measured on this adapter
    #[arg(long)]
    pub no_tune: bool,
    /// Print the complete configuration and sizes, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Print a JSON object at the end, and no progress
    #[arg(long)]
    pub json: bool,
}
