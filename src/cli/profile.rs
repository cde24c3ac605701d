//! `gan-gpu profile`: where the time of a training step goes.
use super::{CliError, bench, print_json, print_line};
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::bench::BenchRequest;
use crate::run::config::{Precision, TrainConfig};
use crate::run::presets;
use crate::run::profile::{Profile, Row, Subject, profile};
use std::process::ExitCode;

/// Time every dispatch of some training steps, by kind and by layer
///
/// Percentages are of what the adapter reached in the same call with a matrix product, and with a copy (or a sum, if that is faster)
/// that moves about as many bytes as the dispatch: what fits a cache is compared with a copy that fits it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model of `bench step` (mlp, dcgan28, dcgan64, wgangp28, ring8, gauss1d) or a TOML file of layers
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "preset")]
    model: Option<String>,
    /// The settings of a preset or of a file like a run's config.toml, with its data
    #[arg(long, value_name = "NAME|FILE")]
    preset: Option<String>,
    /// Data in place of the preset's
    #[arg(long, value_name = "PATH|NAME", requires = "preset")]
    data: Option<String>,
    /// Images per batch; the model's or preset's own if left out
    #[arg(long, visible_alias = "batch-size", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    batch: Option<u32>,
    /// Steps to time
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Steps before timing starts
    #[arg(long, default_value_t = 2, value_name = "N")]
    warmup: u32,
    /// Only this table
    #[arg(long, value_enum)]
    by: Option<By>,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// How activations and their gradients are stored
    #[arg(long, default_value = "f32", value_name = "f32|f16", value_enum)]
    precision: Precision,
    /// Print a JSON object with all tables
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Kind,
    Layer,
    Dispatch,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let subject = subject(args)?;
    let found = profile(
        &subject,
        &CacheFolder::of_user(),
        args.warmup as usize,
        args.steps as usize,
    )?;
    if args.json {
        print_json(&found, true)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in report(&found, args.by) {
        print_line(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn subject(args: &Args) -> Result<Subject, CliError> {
    if let Some(name) = &args.preset {
        let text = presets::text_of(name).map_err(CliError::preset)?;
        let mut config = TrainConfig::from_toml(name, &text)?;
        config.adapter = args.adapter.clone();
        if let Some(batch) = args.batch {
            config.method.batch = batch as usize;
        }
        if args.precision != Precision::F32 {
            config.precision = args.precision;
        }
        if let Some(data) = &args.data {
            config.data.source = data.clone();
        }
        return Ok(Subject::Train(Box::new(config.resolve()?)));
    }
    let name = args.model.clone().unwrap_or_else(|| "mlp".into());
    let model = bench::model(&name)?;
    Ok(Subject::Bench(BenchRequest {
        batch: args.batch.map_or(model.batch, |batch| batch as usize),
        model,
        adapter: args.adapter.clone(),
        tune: true,
        precision: args.precision,
    }))
}

/// The tables, within 120 columns.
fn report(found: &Profile, by: Option<By>) -> Vec<String> {
    let c = &found.ceilings;
    let cached = c.copies.iter().map(|m| m.gb_s).fold(0.0, f64::max);
    let mut lines = vec![
        format!(
            "{} batch {} on {}: {:.2} ms per step, {:.2} ms of it in dispatches (medians of {})",
            found.subject, found.batch, found.adapter, found.step_ms, found.device_ms, found.steps
        ),
        format!(
            "host: {:.3} ms recording and submitting, {:.2} % of the step",
            found.submitting_ms, found.host_percent
        ),
        format!(
            "ceilings: copy {:.2} GB/s (in caches up to {:.2}), matrix product {}^3 {:.1} GFLOP/s",
            c.copy_gb_s, cached, c.gemm_size, c.gemm_gflop_s
        ),
    ];
    let tables = [
        (By::Kind, "kind", &found.by_kind),
        (By::Layer, "layer", &found.by_layer),
        (By::Dispatch, "dispatch", &found.by_dispatch),
    ];
    for (which, title, rows) in tables {
        let shown = match by {
            Some(only) => only == which,
            None => which != By::Dispatch,
        };
        if shown {
            lines.push(String::new());
            lines.extend(table(title, rows));
        }
    }
    lines
}

/// Width of the first column.
const NAME: usize = 56;

fn table(title: &str, rows: &[Row]) -> Vec<String> {
    let mut lines = vec![format!(
        "{title:NAME$} {:>5} {:>9} {:>6} {:>8} {:>6} {:>7} {:>6}",
        "n", "ms", "%", "GFLOP/s", "% mm", "GB/s", "% copy"
    )];
    lines.extend(rows.iter().map(|row| {
        let name: String = row.name.chars().take(NAME).collect();
        let arithmetic = match row.gflop > 0.0 {
            true => format!("{:8.1} {:6.1}", row.gflop_s, row.percent_of_gemm),
            false => format!("{:>8} {:>6}", "-", "-"),
        };
        format!(
            "{name:NAME$} {:5} {:9.3} {:6.1} {arithmetic} {:7.2} {:6.1}",
            row.dispatches, row.ms, row.share_percent, row.gb_s, row.percent_of_copy
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_120_columns() {
        let row = Row {
            name: "x".repeat(200),
            dispatches: 12,
            ms: 12345.678,
            share_percent: 100.0,
            gflop: 1.0,
            gflop_s: 12345.6,
            gb_s: 1234.56,
            percent_of_gemm: 100.0,
            percent_of_copy: 100.0,
        };
        for line in table("layer", &[row]) {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }
}
