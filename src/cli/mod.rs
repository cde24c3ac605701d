//! The command line: one file per verb, and one place where outcomes become exit codes.
mod adapters;
mod bench;
mod classify;
mod compare;
mod data;
mod error;
mod eval;
mod method_flags;
mod method_names;
mod parse;
mod presets;
mod profile;
mod sample;
mod sampler_flags;
mod theory;
mod train;
mod train_flags;
mod tune;

pub use error::CliError;

use crate::run::interrupt::Interrupt;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;
use std::time::Duration;

/// Between lines of progress where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Train generative adversarial networks on any GPU
#[derive(Debug, Parser)]
#[command(
    name = "gan-gpu",
    version,
    after_help = "Exit codes: 0 done, 1 internal error, 2 bad usage or input, 3 no usable adapter, 4 training diverged, \
                  130 interrupted (after a checkpoint)."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List every adapter with the limits and features that matter here
    Adapters {
        /// Print a JSON list instead
        #[arg(long)]
        json: bool,
    },
    Train(Box<train::Args>),
    Presets(presets::Args),
    Sample(Box<sample::Args>),
    Eval(Box<eval::Args>),
    Compare(Box<compare::Args>),
    Data(data::Args),
    Bench(bench::Args),
    Profile(profile::Args),
    Tune(tune::Args),
    Classify(classify::Args),
    Theory(theory::Args),
}

fn command() -> clap::Command {
    with_negative_numbers(Cli::command())
}

/// `--steps -1` is a bad value of --steps and no flag `-1`: what a flag takes is for its own parser to say.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| match arg.get_action().takes_values() {
            true => arg.allow_negative_numbers(true),
            false => arg,
        })
        .mut_subcommands(with_negative_numbers)
}

/// Runs the verb on the command line and gives its exit code.
pub fn main() -> ExitCode {
    let told = env_logger::Env::default().default_filter_or("error,gan_gpu=warn");
    env_logger::Builder::from_env(told).init();
    // Wrong usage and --help end here, with clap's exit codes: 2 and 0.
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match cli.verb {
        Verb::Adapters { json } => adapters::run(json)
            .map(|()| ExitCode::SUCCESS)
            .map_err(CliError::from),
        Verb::Train(args) => {
            // Which flags stand on the command line decides what --resume may change.
            let given = matches
                .subcommand()
                .map(|(_, matches)| train::given_flags(matches))
                .unwrap_or_default();
            train::run(&args, &given)
        }
        Verb::Presets(args) => presets::run(&args),
        Verb::Sample(args) => sample::run(&args),
        Verb::Eval(args) => eval::run(&args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Data(args) => data::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Profile(args) => profile::run(&args),
        Verb::Tune(args) => tune::run(&args),
        Verb::Classify(args) => classify::run(&args),
        Verb::Theory(args) => theory::run(&args),
    };
    match outcome {
        Ok(code) => code,
        // `gan-gpu presets | head`: nobody is reading any more.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Makes the folder of an output and tries whether a file can be written there, before any work.
fn prepare_for(out: &std::path::Path) -> Result<(), CliError> {
    crate::run::tensors::prepare_for(out).map_err(|source| {
        crate::run::RunError::Io {
            path: out.into(),
            source,
        }
        .into()
    })
}

/// Hears Ctrl-C from here on.
fn listen() -> Result<Interrupt, CliError> {
    Interrupt::install()
        .map_err(|error| CliError::usage(format!("Ctrl-C cannot be handled here: {error}")))
}

/// Writes one line of results to standard output.
fn print_line(line: &str) -> Result<(), CliError> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{line}").map_err(CliError::Output)
}

/// Writes `value` as JSON to standard output: on one line, or indented for reading.
fn print_json(value: &impl serde::Serialize, pretty: bool) -> Result<(), CliError> {
    let text = if pretty {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    print_line(&text.map_err(|error| CliError::Output(error.into()))?)
}

/// Some flags of a verb by themselves, for tests of what they come to.
#[cfg(test)]
fn parsed<'a, A: clap::Args>(words: impl IntoIterator<Item = &'a str>) -> clap::error::Result<A> {
    let words = ["gan-gpu"].into_iter().chain(words);
    let command = A::augment_args(clap::Command::new("gan-gpu"));
    A::from_arg_matches(&command.try_get_matches_from(words)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_has_help() {
        for verb in command().get_subcommands() {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            for arg in verb
                .get_arguments()
                .chain(verb.get_subcommands().flat_map(|v| v.get_arguments()))
            {
                assert!(
                    arg.get_help().is_some(),
                    "{} {}",
                    verb.get_name(),
                    arg.get_id()
                );
            }
        }
    }
}
