//! The command line from outside: exit codes, messages, and what a dry run says would be trained.
mod classes;
mod runs;
mod samples;
mod settings;
mod speed;
mod theory;

use gan_gpu::run::checkpoint::{Checkpoint, CheckpointData, CheckpointStore};
use gan_gpu::run::config::TrainConfig;
use gan_gpu::run::folder::RunFolder;
use gan_gpu::run::presets::preset;
use std::path::Path;
use std::process::{Command, Output};

/// Calls on the adapter of `GAN_GPU_ADAPTER`.
fn on_adapter<'a>(line: &'a str, adapter: &'a str) -> Vec<&'a str> {
    line.split_whitespace()
        .chain(["--adapter", adapter])
        .collect()
}

fn gan_gpu(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gan-gpu"))
        .args(args)
        .current_dir(folder)
        .env("GAN_GPU_CACHE_DIR", "off")
        // That of the tests; calls that need it name it.
        .env_remove("GAN_GPU_ADAPTER")
        .output()
        .unwrap()
}

/// Standard output of a call that must succeed.
fn stdout(folder: &Path, args: &[&str]) -> String {
    let output = gan_gpu(folder, args);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}{text}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Standard error of a call that must be refused as bad usage or input.
#[track_caller]
fn refused(folder: &Path, args: &[&str]) -> String {
    let output = gan_gpu(folder, args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    assert!(
        output.stdout.is_empty(),
        "{args:?}: errors belong on standard error"
    );
    text
}

/// The configuration that `train <args>` would run.
fn dry(folder: &Path, args: &[&str]) -> TrainConfig {
    let text = stdout(folder, &[&["train", "--dry-run"], args].concat());
    TrainConfig::from_toml("dry run", &text).unwrap()
}

/// A run folder with a checkpoint, without training one.
fn run_folder(root: &Path) -> RunFolder {
    let folder = RunFolder::create(Some(&root.join("run")), Path::new("unused"), "x").unwrap();
    let config = preset("ring8")
        .unwrap()
        .config()
        .unwrap()
        .to_toml()
        .unwrap();
    std::fs::write(folder.config(), &config).unwrap();
    let data = CheckpointData {
        step: 7,
        images_seen: 70,
        ..Default::default()
    };
    CheckpointStore::new(folder.checkpoints(), 0)
        .save(Checkpoint {
            data,
            config,
            origin: None,
        })
        .unwrap();
    folder
}
