//! `gan-gpu bench`: times parts of the program against known baselines.
use super::{CliError, parse, print_json, print_line};
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::bench::{
    BENCH_MODELS, BenchBudget, BenchModel, BenchRequest, BenchResult, measure,
};
use crate::run::config::Precision;
use crate::run::engine;
use crate::run::fit::{self, Fit};
use crate::run::kernel_bench::{self, KernelResult};
use crate::run::suggest::suggestion;
use std::process::ExitCode;
use std::time::Duration;

/// Time training iterations, or single kernels
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Step(StepArgs),
    Kernels(KernelArgs),
}

/// Time every kernel at the shapes of the models, and check its result against f64
#[derive(Debug, clap::Args)]
struct KernelArgs {
    /// Only kernels whose name or variant contains this
    #[arg(long, default_value = "", value_name = "TEXT")]
    filter: String,
    /// Also the variants for other classes of adapters; slow
    #[arg(long)]
    all_variants: bool,
    /// Time for each kernel, after one execution and its check
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse::short_duration)]
    max_seconds: Duration,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// Print one JSON object per kernel
    #[arg(long)]
    json: bool,
}

/// Time one training iteration (G once, D step, G step) of the PyTorch baseline's models
#[derive(Debug, clap::Args)]
struct StepArgs {
    /// Models, separated by commas, or `all`: mlp, dcgan28, dcgan64, wgangp28, ring8, gauss1d, or a TOML file of layers
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "mlp",
        value_name = "NAME[,NAME]"
    )]
    model: Vec<String>,
    /// Images per batch; the model's own default if left out
    #[arg(long, visible_alias = "batch-size", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    batch: Option<u32>,
    /// Iterations to time; at least three samples are taken
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Iterations before timing starts
    #[arg(long, default_value_t = 5, value_name = "N")]
    warmup: u64,
    /// Stop timing a model after this long: 60s, 5m
    #[arg(long, alias = "max-time", default_value = "60s", value_name = "TIME", value_parser = parse::duration)]
    max_seconds: Duration,
    /// Iterations between two waits for the device; 0: 1 on software adapters, 10 on GPUs
    #[arg(long, default_value_t = 0, value_name = "N")]
    chunk: u64,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// Say what the step takes on the adapter instead of running it
    #[arg(long)]
    dry_run: bool,
    /// Choose variants of kernels by rule, whatever was measured on this adapter
    #[arg(long)]
    no_tune: bool,
    /// How activations and their gradients are stored; f16 also scales losses, as training does
    #[arg(long, default_value = "f32", value_name = "f32|f16", value_enum)]
    precision: Precision,
    /// Print one JSON object per model
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.what {
        What::Step(args) => steps(args),
        What::Kernels(args) => kernels(args),
    }
}

/// Exit code 1 if a result is wrong.
fn kernels(args: &KernelArgs) -> Result<ExitCode, CliError> {
    let gpu = kernel_bench::open(&args.adapter)?;
    let cases = kernel_bench::select(&gpu, &args.filter, args.all_variants)?;
    if !args.json {
        print_line(&gpu.report().name)?;
        print_line(&format!(
            "{:44} {:6} {:>9} {:>9} {:>8} {:>7} {:>7} {:>9}",
            "kernel", "form", "ms", "min", "GFLOP/s", "GB/s", "first s", "max error"
        ))?;
    }
    let mut wrong = 0;
    for case in &cases {
        let result = kernel_bench::run(&gpu, case, args.max_seconds)?;
        wrong += usize::from(!result.ok);
        match args.json {
            true => print_json(&result, false)?,
            false => print_line(&kernel_line(&result))?,
        }
    }
    if wrong > 0 {
        eprintln!(
            "error: {wrong} of {} kernels gave wrong results",
            cases.len()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn kernel_line(r: &KernelResult) -> String {
    let arithmetic = match r.gflop_s > 0.0 {
        true => format!("{:8.1}", r.gflop_s),
        false => format!("{:>8}", "-"),
    };
    let verdict = if r.ok { "ok" } else { "FAIL" };
    format!(
        "{:44} {:6} {:9.3} {:9.3} {arithmetic} {:7.2} {:7.2} {:9.1e} {verdict}",
        r.name, r.variant, r.ms_median, r.ms_min, r.gb_s, r.first_s, r.max_error
    )
}

fn steps(args: &StepArgs) -> Result<ExitCode, CliError> {
    let budget = BenchBudget {
        warmup: args.warmup,
        steps: args.steps,
        max_time: args.max_seconds,
        chunk: args.chunk,
    };
    for model in models(&args.model)? {
        let batch = args.batch.map_or(model.batch, |batch| batch as usize);
        let request = BenchRequest {
            model,
            batch,
            adapter: args.adapter.clone(),
            tune: !args.no_tune,
            precision: args.precision,
        };
        if args.dry_run {
            let found = fit::dry_bench(&request)?;
            match args.json {
                true => print_json(&found, false)?,
                false => print_line(&describe_fit(&request, &found))?,
            }
            if let Some(refusal) = found.refusal(batch) {
                return Err(CliError::usage(refusal));
            }
            continue;
        }
        let mut bench = engine::open_bench(&request, &CacheFolder::of_user())?;
        let result = measure(&request, &budget, &mut *bench)?;
        match args.json {
            true => print_json(&result, false)?,
            false => print_line(&describe(&result))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn models(names: &[String]) -> Result<Vec<BenchModel>, CliError> {
    if names.iter().any(|name| name == "all") {
        return Ok(BENCH_MODELS.to_vec());
    }
    names.iter().map(|name| model(name)).collect()
}

/// The baseline's model of this name, or that of a TOML file.
pub fn model(name: &str) -> Result<BenchModel, CliError> {
    if name.ends_with(".toml") {
        return Ok(BenchModel::of_file(name));
    }
    let known = || BENCH_MODELS.iter().map(|model| &*model.name);
    let found = BENCH_MODELS.iter().find(|model| model.name == name);
    found.cloned().ok_or_else(|| {
        let all = known().collect::<Vec<_>>().join(", ");
        CliError::usage(format!(
            "--model: no `{name}`{}; there are {all}, all, or a TOML file",
            suggestion(name, known())
        ))
    })
}

fn describe_fit(request: &BenchRequest, found: &Fit) -> String {
    let largest = &found.largest_binding;
    format!(
        "{:9} batch {:4}: {:.2} GFLOP per iteration, {:.1} MB on the device ({:.1} MB temporary), largest binding {:.1} MB: {}",
        request.model.name,
        request.batch,
        found.gflop_per_step,
        found.peak_device_bytes as f64 / 1e6,
        found.temporaries_bytes as f64 / 1e6,
        largest.bytes as f64 / 1e6,
        largest.what
    )
}

fn describe(result: &BenchResult) -> String {
    let BenchResult {
        model,
        batch,
        ms_per_iter,
        ms_min,
        ms_p90,
        n,
        img_per_s,
        gflops,
        adapter,
        ..
    } = result;
    format!(
        "{model:9} batch {batch:4}: {ms_per_iter:9.2} ms per iteration (min {ms_min:.2}, p90 {ms_p90:.2}, n {n}), \
         {img_per_s:.0} images/s, {gflops:.1} GFLOP/s on {adapter}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_found_by_name() {
        let names =
            |list: &[&str]| models(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            names(&["ring8", "mlp"])
                .unwrap()
                .iter()
                .map(|m| m.name.as_ref())
                .collect::<Vec<_>>(),
            ["ring8", "mlp"]
        );
        assert_eq!(names(&["all"]).unwrap().len(), 6);
        let error = names(&["dcgan82"]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("--model: no `dcgan82` (did you mean `dcgan28`?)"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 2);
    }
}
