//! `gan-gpu eval`: how good a run's generator is, beside what exact samples score.
use super::sampler_flags::{self, SamplerFlags};
use super::{CliError, prepare_for, print_json, print_line};
use crate::data::Source;
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::metrics::{METRICS, Metric};
use crate::run::RunError;
use crate::run::classifier::Classifier;
use crate::run::engine;
use crate::run::eval::{self, Evaluation, Weights};
use crate::run::finished::Finished;
use crate::run::samplers;
use crate::run::tensors::write_atomic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measure a run's generator by the published protocols
///
/// Beside every value stands what as many exact samples of the data score: the floor, or the ceiling, of the metric.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, `latest`, or a checkpoint file
    #[arg(required_unless_present = "list")]
    run: Option<PathBuf>,
    /// Metrics by name, with commas between; all that apply to the run's data if left out
    #[arg(short, long, value_name = "NAME,...", value_delimiter = ',')]
    metrics: Vec<String>,
    /// How many samples to draw; by default the protocol's number, the only one that published rows hold for
    #[arg(long, visible_alias = "count", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Of the samples; by default the run's own, as in its summary. The latents are others than those of `sample` and of pictures with this seed
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// A step that has a checkpoint, or a checkpoint file; the newest if left out
    #[arg(long, value_name = "STEP|FILE")]
    checkpoint: Option<String>,
    /// Judge images by this classifier, as `gan-gpu classify train` writes it
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// Use the weights themselves, not their moving average
    #[arg(long)]
    no_ema: bool,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name; by default the run's
    #[arg(long, value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: Option<String>,
    #[command(flatten)]
    sampler: SamplerFlags,
    /// Also write the JSON object into this file
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print a JSON object instead of the table, and with --list a list
    #[arg(long)]
    json: bool,
    /// List the metrics and what each is for, and stop
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let Some(run) = args.run.as_ref().filter(|_| !args.list) else {
        list(args.json)?;
        return Ok(ExitCode::SUCCESS);
    };
    let how = args.sampler.settings()?;
    if let Some(out) = &args.out {
        prepare_for(out)?;
    }
    let run = Finished::open(eval::find_checkpoint(run, args.checkpoint.as_deref())?)?;
    let config = &run.config;
    if let Some(how) = &how {
        samplers::check(how, config)?;
    }
    let (adapter, cache) = (args.adapter.as_ref(), CacheFolder::of_user());
    let adapter = adapter.unwrap_or(&config.adapter);
    let judge = match &args.classifier {
        Some(file) => Some(Classifier::open(adapter, file, &cache)?),
        None => {
            // Before a device is opened: what cannot be measured is refused at once.
            eval::select(&args.metrics, &eval::target(config, None)?)?;
            None
        }
    };
    let mut sampler = engine::open_sampler(config, adapter, &cache)?;
    run.restore(&mut *sampler)?;
    let request = eval::Request {
        metrics: args.metrics.clone(),
        samples: args.samples.map(|n| n as usize),
        seed: args.seed,
        use_ema: !args.no_ema,
        how,
    };
    let (evaluation, _) = eval::evaluate(&request, &run, &mut *sampler, judge.as_ref())?;
    if args.json {
        print_json(&evaluation, false)?;
    } else {
        print_line(&describe(&evaluation))?;
    }
    if let Some(out) = &args.out {
        write(out, &evaluation)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(out: &Path, evaluation: &Evaluation) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(evaluation);
    let text = text.map_err(|error| CliError::Output(error.into()))?;
    write_atomic(out, (text + "\n").as_bytes()).map_err(|source| {
        RunError::Io {
            path: out.into(),
            source,
        }
        .into()
    })
}

fn list(json: bool) -> Result<(), CliError> {
    if json {
        let row = |metric: &Metric| {
            serde_json::json!({
                "name": metric.name,
                "aliases": metric.aliases,
                "domain": metric.domain.describe(),
                "what": metric.what,
            })
        };
        return print_json(&METRICS.iter().map(row).collect::<Vec<_>>(), true);
    }
    let names = |metric: &Metric| [&[metric.name], metric.aliases].concat().join(", ");
    let width = METRICS.iter().map(|metric| names(metric).len()).max();
    for metric in METRICS {
        print_line(&format!(
            "{:w$}  {}: {}",
            names(metric),
            metric.domain.describe(),
            metric.what,
            w = width.unwrap_or(0)
        ))?;
    }
    Ok(())
}

/// The table for a person.
fn describe(e: &Evaluation) -> String {
    let weights = match e.weights {
        Weights::Ema => "moving average of the weights",
        Weights::Raw => "the weights themselves",
    };
    let drawn = match &e.draw {
        Some(report) => sampler_flags::describe(report),
        None => format!("{}: {} samples", e.sampler, e.samples),
    };
    let mut lines = vec![
        format!(
            "{}: step {}, {} images; {weights}; seed {}; {drawn}",
            e.checkpoint.display(),
            e.step,
            e.images_seen,
            e.seed
        ),
        String::new(),
    ];
    let exact = match Source::parse(&e.data) {
        Source::Toy(_) => format!("{} exact samples score", e.samples),
        _ => "ideal samples score".into(),
    };
    let head = ["metric".to_string(), e.data.clone(), exact];
    lines.extend(columns(
        [head].into_iter().chain(eval::table(&e.metrics)).collect(),
    ));
    let notes = [&e.exact_note, &e.note].into_iter().flatten();
    let notes: Vec<String> = notes.map(|note| format!("note: {note}")).collect();
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes);
    }
    lines.join("\n")
}

/// Rows with their columns under one another.
fn columns(rows: Vec<[String; 3]>) -> Vec<String> {
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max();
    let widths = [0, 1].map(|c| width(c).unwrap_or(0));
    rows.iter()
        .map(|[a, b, c]| {
            let line = format!("{a:w$}  {b:v$}  {c}", w = widths[0], v = widths[1]);
            line.trim_end().to_string()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let row = |a: &str, b: &str, c: &str| [a.into(), b.into(), c.into()];
        let lines = columns(vec![row("metric", "ring8", "exact"), row("w1", "0.5", "")]);
        assert_eq!(lines, ["metric  ring8  exact", "w1      0.5"]);
    }
}
