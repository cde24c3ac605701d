//! `gan-gpu data`: what training learns from, to look at.
use super::{CliError, prepare_for, print_json, print_line};
use crate::data::density::Method;
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::RunError;
use crate::run::density_sample::{Report, Samples, What, draw};
use crate::run::pictures::picture;
use crate::run::session::{self, SampleShape, SampleValues};
use crate::run::tensors::write_atomic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Look at the built-in data
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Draw from a built-in density or point set by its device sampler, and show the samples over what they should be
    Sample(SampleArgs),
}

#[derive(Debug, clap::Args)]
struct SampleArgs {
    /// A density (exponential, logistic, laplace, cauchy, triangular, kumaraswamy, truncated_normal, semicircle, doublewell, banana,
    /// twomoons) or a point set (ring8, ..)
    name: String,
    /// How many samples
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    count: u32,
    /// inverse: inverse transform; rejection; metropolis: Metropolis-Hastings, a chain per sample. By default the density's usual one
    #[arg(long, value_enum)]
    method: Option<MethodName>,
    #[arg(
        long,
        value_name = "SEED",
        default_value_t = 0,
        help = "Sample i is the same for every N"
    )]
    seed: u64,
    /// A .png of the samples over the exact density, or a .csv of their coordinates
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// Print how the samples fit as a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MethodName {
    Inverse,
    Rejection,
    Metropolis,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let Verb::Sample(args) = &args.what;
    let method = args.method.map(|name| match name {
        MethodName::Inverse => Method::Inverse,
        MethodName::Rejection => Method::Rejection,
        MethodName::Metropolis => Method::Metropolis,
    });
    let what = What::parse(&args.name, method)?;
    let format = args.out.as_deref().map(format_of).transpose()?;
    if let Some(out) = &args.out {
        prepare_for(out)?;
    }
    let cache = CacheFolder::of_user();
    let samples = draw(what, args.count, args.seed, &args.adapter, &cache)?;
    if let (Some(out), Some(format)) = (&args.out, format) {
        write(what, &samples, out, format)?;
    }
    if args.json {
        print_json(&samples.report, false)?;
    } else {
        print_line(&describe(&samples.report))?;
        if let Some(out) = &args.out {
            print_line(&out.display().to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy)]
enum Format {
    Png,
    Csv,
}

fn format_of(out: &Path) -> Result<Format, CliError> {
    let extension = out.extension().unwrap_or_default().to_string_lossy();
    match extension.to_lowercase().as_str() {
        "png" => Ok(Format::Png),
        "csv" => Ok(Format::Csv),
        _ => Err(CliError::usage(format!(
            "{}: give -o a .png for a picture or a .csv for the coordinates",
            out.display()
        ))),
    }
}

fn write(what: What, samples: &Samples, out: &Path, format: Format) -> Result<(), CliError> {
    match format {
        Format::Csv => {
            let mut text = String::from(if what.dim() == 1 { "x\n" } else { "x,y\n" });
            for row in samples.values.chunks(what.dim()) {
                let row: Vec<String> = row.iter().map(f32::to_string).collect();
                text += &row.join(",");
                text.push('\n');
            }
            let written = write_atomic(out, text.as_bytes());
            written.map_err(|source| RunError::Io {
                path: out.into(),
                source,
            })?;
        }
        Format::Png => {
            let values = in_view(what, &samples.values);
            let points = session::Samples {
                count: values.len() / what.dim(),
                shape: SampleShape::Point {
                    features: what.dim(),
                },
                values: SampleValues::F32(values),
            };
            let reference = in_view(what, &samples.reference);
            picture(&points, [1, 1], &reference)?.write(out)?;
        }
    }
    Ok(())
}

/// Of long tails what is worth looking at: one sample in a million would stretch the picture to nothing.
fn in_view(what: What, values: &[f32]) -> Vec<f32> {
    let What::Density(density, _) = what else {
        return values.to_vec();
    };
    if density.dim() > 1 {
        return values.to_vec();
    }
    let [low, high] = density.view()[0].map(|v| v as f32);
    let inside = values.iter().filter(|v| (low..=high).contains(*v));
    inside.copied().collect()
}

/// How the samples fit, for a person.
fn describe(report: &Report) -> String {
    let mut text = format!("{}: {} samples", report.name, report.count);
    if let Some(method) = report.method {
        text += &format!(" by {method}");
    }
    text += &format!(" in {:.3} s on {}", report.seconds, report.adapter);
    if let (Some(share), Some(tries)) = (report.acceptance, report.most_tries) {
        text += &format!(
            "\n{:.1} % of proposals accepted, at most {tries} per sample, {} exhausted",
            100.0 * share,
            report.exhausted
        );
    }
    if let Some(steps) = report.steps {
        text += &format!("\na chain of {steps} steps for each");
    }
    if let (Some(off), Some(bound)) = (report.kolmogorov_smirnov, report.kolmogorov_smirnov_bound) {
        let verdict = if off < bound { "below" } else { "ABOVE" };
        text += &format!(
            "\nKolmogorov-Smirnov distance {off:.5}, {verdict} {bound:.5} (the bound in 999 of 1000 cases)"
        );
    }
    text
}
