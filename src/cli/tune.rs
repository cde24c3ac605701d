//! `gan-gpu tune`: measures ahead which variant of each matrix product and convolution is the fastest here.
use super::bench::models;
use super::{CliError, print_json, print_line};
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::bench::BenchRequest;
use crate::run::config::{Precision, TrainConfig};
use crate::run::presets::preset;
use crate::run::tune::{Row, Subject, Tuner};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Measure which kernels are the fastest on this adapter, for training runs to come
///
/// The choices are kept in the user's cache folder. `train` and `bench step` use them unless told otherwise with --no-tune, and GPUs measure
/// what is missing at first use; on software adapters only this verb does.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Images per batch; the model's or preset's own if left out
    #[arg(long, visible_alias = "batch-size", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    batch: Option<u32>,
    /// Measure again what is known already
    #[arg(long)]
    force: bool,
    /// Milliseconds per operation, compiling not counted
    #[arg(long, default_value_t = 500, value_name = "MS", value_parser = clap::value_parser!(u64).range(20..))]
    each_ms: u64,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// How activations and their gradients are stored
    #[arg(long, default_value = "f32", value_name = "f32|f16", value_enum)]
    precision: Precision,
    /// Print one JSON object per operation
    #[arg(long)]
    json: bool,
}

/// Whose operations.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Models of `bench step`, separated by commas, or `all`
    #[arg(long, value_delimiter = ',', value_name = "NAME[,NAME]")]
    model: Vec<String>,
    /// A preset; `gan-gpu presets` lists them
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// A configuration, such as config.toml in a run folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let subjects = subjects(args)?;
    let tuner = Tuner {
        cache: CacheFolder::of_user(),
        force: args.force,
        each: Duration::from_millis(args.each_ms),
    };
    let mut written = Ok(());
    let mut tell = |row: &Row| {
        if written.is_ok() {
            written = match args.json {
                true => print_json(row, false),
                false => print_line(&describe(row)),
            };
        }
    };
    let kept = tuner.run(&args.adapter, &subjects, &mut tell)?;
    written?;
    if !kept {
        eprintln!(
            "warning: the choices are not kept: there is no cache folder that can be written; GAN_GPU_CACHE_DIR names one"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn subjects(args: &Args) -> Result<Vec<Subject>, CliError> {
    let batch = args.batch.map(|batch| batch as usize);
    let of_config = |mut config: TrainConfig| -> Result<Vec<Subject>, CliError> {
        if let Some(batch) = batch {
            config.method.batch = batch;
        }
        if args.precision != Precision::F32 {
            config.precision = args.precision;
        }
        Ok(vec![Subject::of_config(&config.resolve()?)?])
    };
    if let Some(name) = &args.what.preset {
        return of_config(preset(name)?.unresolved()?);
    }
    if let Some(file) = &args.what.config {
        return of_config(TrainConfig::read(file)?);
    }
    let all = models(&args.what.model)?;
    let made = all.into_iter().map(|model| {
        Subject::of_bench(&BenchRequest {
            batch: batch.unwrap_or(model.batch),
            model,
            adapter: args.adapter.clone(),
            tune: false,
            precision: args.precision,
        })
    });
    Ok(made.collect::<Result<_, _>>()?)
}

/// The operation, then its variants from fast to slow.
fn describe(row: &Row) -> String {
    let mut variants: Vec<_> = row.ms.iter().collect();
    variants.sort_by(|a, b| a.1.total_cmp(b.1));
    let mut lines = vec![format!(
        "{}: {}{}",
        row.operation,
        row.choice,
        match (row.choice == row.by_rule, row.ms.is_empty(), row.measured) {
            (_, true, _) => " (the only one)",
            (true, _, true) => " (by rule)",
            (true, _, false) => " (by rule, known)",
            (false, _, true) => "",
            (false, _, false) => " (known)",
        }
    )];
    for (name, ms) in variants {
        lines.push(format!("  {ms:10.4} ms  {name}"));
    }
    lines.join("\n")
}
