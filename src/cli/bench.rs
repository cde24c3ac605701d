//! `gan-gpu bench`: times parts of the program against known baselines.
use super::{CliError, parse, print_json, print_line};
use crate::run::bench::{
    BENCH_MODELS, BenchBudget, BenchModel, BenchRequest, BenchResult, measure,
};
use crate::run::config::Precision;
use crate::run::engine;
use crate::run::suggest::suggestion;
use std::process::ExitCode;
use std::time::Duration;

/// Time training iterations
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Step(StepArgs),
}

/// Time one training iteration (G once, D step, G step) of the PyTorch baseline's models
#[derive(Debug, clap::Args)]
struct StepArgs {
    /// Models, separated by commas, or `all`: mlp, dcgan28, dcgan64, wgangp28, ring8, gauss1d
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "mlp",
        value_name = "NAME[,NAME]"
    )]
    model: Vec<String>,
    /// Images per batch; the model's own default if left out
    #[arg(long, visible_alias = "batch-size", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
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
    #[arg(long, default_value = "auto", value_name = "ADAPTER")]
    adapter: String,
    /// How activations and their gradients are stored; f16 also scales losses, as training does
    #[arg(long, default_value = "f32", value_name = "f32|f16", value_enum)]
    precision: Precision,
    /// Print one JSON object per model
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let What::Step(args) = &args.what;
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
            precision: args.precision,
        };
        let mut bench = engine::open_bench(&request)?;
        let result = measure(&request, &budget, &mut *bench)?;
        match args.json {
            true => print_json(&result, false)?,
            false => print_line(&describe(&result))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn models(names: &[String]) -> Result<Vec<BenchModel>, CliError> {
    if names.iter().any(|name| name == "all") {
        return Ok(BENCH_MODELS.to_vec());
    }
    let known = || BENCH_MODELS.iter().map(|model| model.name);
    let find = |name: &String| {
        BENCH_MODELS
            .iter()
            .find(|model| model.name == name)
            .copied()
            .ok_or_else(|| {
                let all = known().collect::<Vec<_>>().join(", ");
                CliError::usage(format!(
                    "--model: no `{name}`{}; there are {all}, all",
                    suggestion(name, known())
                ))
            })
    };
    names.iter().map(find).collect()
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
                .map(|m| m.name)
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
