//! `gan-gpu classify`: a classifier of labelled images, the judge of generated ones.
use super::{CliError, LINE_INTERVAL, prepare_for, print_json, print_line};
use crate::gan::classifier::{Progress, Settings};
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::classifier::{Accuracy, Request, Summary, evaluate, has_test_part, train};
use crate::run::interrupt::EXIT_CODE;
use crate::run::summary::Outcome;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Train a classifier of labelled images, or test one
///
/// It judges generated samples: which digits a Stacked-MNIST sample shows, which class a conditional sample is of.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Train(TrainArgs),
    Eval(EvalArgs),
}

/// Train on the training part, test on the test part, and write the classifier to a file
#[derive(Debug, clap::Args)]
struct TrainArgs {
    /// The labelled images: MNIST's folder, another set with labels, or glyphs
    #[arg(long, value_name = "PATH|glyphs")]
    data: String,
    /// A TOML file of layers; by default a small convolutional network for 28x28 digits
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Passes over the training images (of the endless glyphs: of 60,000)
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    epochs: u64,
    /// Steps in place of epochs
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Images per step
    #[arg(long, visible_alias = "batch-size", default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Adam's rate at the start; it falls to .3 of it after 60 % of the steps, to .1 after 85 %
    #[arg(long, default_value_t = Settings::default().lr, value_name = "F")]
    lr: f64,
    /// Probability that targets give away, evenly to all classes
    #[arg(long, default_value_t = 0.0, value_name = "F")]
    label_smoothing: f64,
    /// Use this many training images at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Everything random is a function of this number
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// Where the classifier goes
    #[arg(short, long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// Print a JSON object at the end, and no progress
    #[arg(long)]
    json: bool,
}

/// Test a classifier on the test part of a data set, on all of one that has no parts
#[derive(Debug, clap::Args)]
struct EvalArgs {
    /// The classifier, as `classify train` writes it
    file: PathBuf,
    /// The labelled images: MNIST's folder, another set with labels, or glyphs
    #[arg(long, value_name = "PATH|glyphs")]
    data: String,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// Print a JSON object, with the accuracy of every class
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let cache = CacheFolder::of_user();
    match &args.what {
        What::Train(args) => {
            let summary = run_train(args, &cache)?;
            match args.json {
                true => print_json(&summary, false)?,
                false => print_line(&describe(&summary))?,
            }
            if summary.outcome == Outcome::Interrupted {
                return Ok(ExitCode::from(EXIT_CODE));
            }
        }
        What::Eval(args) => {
            let found = evaluate(&args.file, &args.data, &args.adapter, &cache)?;
            match args.json {
                true => print_json(&found, false)?,
                false => {
                    let part = if has_test_part(&args.data)? {
                        "test "
                    } else {
                        ""
                    };
                    print_line(&describe_accuracy(&found, part))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_train(args: &TrainArgs, cache: &CacheFolder) -> Result<Summary, CliError> {
    prepare_for(&args.out)?;
    let request = Request {
        data: args.data.clone(),
        model: args.model.clone(),
        batch: args.batch as usize,
        lr: args.lr,
        label_smoothing: args.label_smoothing,
        epochs: args.epochs,
        steps: args.steps,
        limit: args.limit.map(|limit| limit as usize),
        seed: args.seed,
        adapter: args.adapter.clone(),
        out: args.out.clone(),
    };
    let bar = match args.json {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(0),
    };
    // The template is part of the program; without it indicatif's own does.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} steps, {msg}, {eta} left")
    {
        bar.set_style(style);
    }
    // In a log or a pipe, where no bar is drawn, a line now and then.
    let lines = !args.json && bar.is_hidden();
    let mut last = Instant::now();
    let mut watch = |progress: Progress, steps: u64| {
        let right = 100.0 * progress.right;
        let words = format!("loss {:.3}, {right:.0} % right", progress.loss);
        if lines && last.elapsed() >= LINE_INTERVAL {
            last = Instant::now();
            eprintln!("step {}/{steps}: {words}", progress.step);
        }
        bar.set_length(steps);
        bar.set_position(progress.step);
        bar.set_message(words);
    };
    let summary = train(&request, cache, &super::listen()?, &mut watch)?;
    bar.finish_and_clear();
    Ok(summary)
}

fn describe(summary: &Summary) -> String {
    let test = match &summary.test {
        Some(found) => describe_accuracy(found, "test "),
        None => "the data has no test part".into(),
    };
    let how = match summary.outcome {
        Outcome::Interrupted => "interrupted after ",
        _ => "",
    };
    format!(
        "{}: {} parameters, {how}{} steps, loss {:.4}, {:.2} % of the training images right under dropout; {test}",
        summary.file.display(),
        summary.params,
        summary.steps,
        summary.loss,
        summary.train_percent
    )
}

/// `part`: which images they are, with a space behind it; empty where that is not known.
fn describe_accuracy(found: &Accuracy, part: &str) -> String {
    format!(
        "{:.2} % of {} {part}images right",
        found.accuracy_percent, found.images
    )
}
