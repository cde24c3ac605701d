//! `gan-gpu theory`: experiments that show the game as its theory describes it.
use super::{CliError, parse, print_json, print_line};
use crate::data::toy::ToySet;
use crate::gpu::{ADAPTER_VARIABLE, CacheFolder};
use crate::run::theory::{Outcome, Settings, critic, dirac, mle, strength};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Steps of a game at most: with more, an experiment would not end.
const MOST: u64 = 1_000_000;

/// Experiments that show the game as its theory describes it; each writes a figure and its numbers
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Debug, clap::Subcommand)]
enum Experiment {
    /// A WGAN critic's estimate against the exact Wasserstein distance, beside the losses of a minimax game
    Critic {
        /// gauss1d, mixture1d or bimodal1d
        #[arg(long, default_value = "mixture1d", value_name = "NAME")]
        data: ToySet,
        /// Steps of each game
        #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
        steps: u64,
        /// Steps between measurements
        #[arg(long, default_value_t = 25, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
        every: u64,
        /// Clip the critic's weights to +-C in place of the gradient penalty
        #[arg(long, value_name = "C", value_parser = parse::positive)]
        clip: Option<f64>,
        #[command(flatten)]
        common: Common,
    },
    /// The norm of G's gradient with 1, 5 and 50 updates of D per round, under the minimax and the non-saturating loss
    Strength {
        /// gauss1d, mixture1d or bimodal1d
        #[arg(long, default_value = "gauss1d", value_name = "NAME")]
        data: ToySet,
        /// Updates of G in each game
        #[arg(long, default_value_t = 150, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
        steps: u64,
        #[command(flatten)]
        common: Common,
    },
    /// The Dirac-GAN: eigenvalues of a training round, measured and in closed form, and trajectories
    Dirac {
        /// Rounds of each trajectory
        #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
        steps: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Density models fitted by maximum likelihood, beside a small GAN
    Mle {
        /// gauss1d, mixture1d or bimodal1d
        #[arg(long, default_value = "bimodal1d", value_name = "NAME")]
        data: ToySet,
        /// Gaussians of the larger density model
        #[arg(long, default_value_t = 2, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=64))]
        components: u32,
        /// Steps of gradient ascent
        #[arg(long, default_value_t = 600, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
        steps: u64,
        /// Steps of the GAN; 0 for none
        #[arg(long, default_value_t = 3000, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MOST))]
        gan_steps: u64,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Folder for the figure and the numbers
    #[arg(short, long, default_value = "theory", value_name = "DIR")]
    out: PathBuf,
    /// Everything random is a function of this number
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// vulkan, metal, dx12, gl, cpu, an index, or a part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "ADAPTER", env = ADAPTER_VARIABLE)]
    adapter: String,
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,
}

impl Common {
    fn settings(&self) -> Settings {
        Settings {
            adapter: self.adapter.clone(),
            seed: self.seed,
            cache: CacheFolder::of_user(),
        }
    }

    fn finish<T: Serialize>(&self, outcome: &Outcome<T>) -> Result<ExitCode, CliError> {
        let written = outcome.write(&self.out)?;
        if self.json {
            print_json(&outcome.numbers, false)?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(table) = &outcome.table {
            print_line(table)?;
        }
        for path in written {
            print_line(&path.display().to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.experiment {
        Experiment::Critic {
            data,
            steps,
            every,
            clip,
            common,
        } => {
            let plan = critic::Plan {
                set: *data,
                steps: *steps,
                every: *every,
                clip: *clip,
            };
            common.finish(&critic::run(&plan, &common.settings())?)
        }
        Experiment::Strength {
            data,
            steps,
            common,
        } => {
            let plan = strength::Plan {
                set: *data,
                steps: *steps,
            };
            common.finish(&strength::run(&plan, &common.settings())?)
        }
        Experiment::Dirac { steps, common } => {
            common.finish(&dirac::run(*steps as usize, &common.settings())?)
        }
        Experiment::Mle {
            data,
            components,
            steps,
            gan_steps,
            common,
        } => {
            let plan = mle::Plan {
                set: *data,
                components: *components as usize,
                steps: *steps,
                gan_steps: *gan_steps,
            };
            common.finish(&mle::run(&plan, &common.settings())?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parsed;

    #[test]
    fn experiments_that_would_not_end_are_refused() {
        let refusal = |flags: &str| {
            let args = parsed::<Args>(flags.split(' '));
            args.err().map(|error| error.to_string())
        };
        for name in ["critic", "strength", "dirac", "mle"] {
            assert_eq!(refusal(&format!("{name} --steps 1000000")), None);
            for steps in ["0", "1000001", "4000000000", "10000000000000000000"] {
                let said = refusal(&format!("{name} --steps {steps}")).unwrap_or_default();
                assert!(said.contains("1..=1000000"), "{name} {steps}: {said}");
            }
        }
        assert_eq!(refusal("mle --gan-steps 0"), None);
        for flags in ["critic --every 1000001", "mle --gan-steps 1000001"] {
            let said = refusal(flags).unwrap_or_default();
            assert!(said.contains("..=1000000"), "{flags}: {said}");
        }
    }
}
