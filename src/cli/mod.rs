//! The command line: one file per verb.
pub mod adapters;

pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
