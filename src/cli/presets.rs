//! `gan-gpu presets`: the configurations that come with the program.
use super::{CliError, print_json, print_line};
use crate::run::presets::{PRESETS, preset};
use std::process::ExitCode;

/// List the presets, or print one as TOML
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The preset to print, with the comments that say where its settings come from
    name: Option<String>,
    /// Print JSON: a list of names and titles, or the preset's complete configuration
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.name {
        Some(name) if args.json => print_json(&preset(name)?.config()?, true)?,
        Some(name) => print_line(preset(name)?.text.trim_end())?,
        None if args.json => {
            let row = |p: &crate::run::presets::Preset| serde_json::json!({ "name": p.name, "title": p.title() });
            print_json(&PRESETS.iter().map(row).collect::<Vec<_>>(), true)?;
        }
        None => {
            let width = PRESETS.iter().map(|preset| preset.name.len()).max();
            let width = width.unwrap_or(0);
            for preset in PRESETS {
                print_line(&format!("{:width$}  {}", preset.name, preset.title()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
