//! The toy presets, run whole by the real binary, reach their published protocols' marks: `ring8` covers all eight modes with at least
//! 80 % of samples of high quality (2,500 samples, within 3 sigma), `gauss1d` ends within 0.1 sigma of its target in W1 with D at 1/2
//! on both sides. About three minutes on two processor cores.
use serde_json::Value;
use std::process::Command;

/// The summary that `train --preset NAME --json` prints.
fn train(preset: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gan-gpu"));
    command.args([
        "train", "--preset", preset, "--json", "--seed", "0", "--out",
    ]);
    command.arg(folder.path().join("run"));
    if let Ok(adapter) = std::env::var("GAN_GPU_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{preset}: {}\n{stderr}",
        output.status
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{summary}");
    summary
}

#[test]
fn ring8_covers_its_modes() {
    let summary = train("ring8");
    assert_eq!(summary["modes"], 8, "{summary}");
    assert!(
        summary["high_quality_percent"].as_f64().unwrap() >= 80.0,
        "{summary}"
    );
    assert!(summary["reverse_kl"].as_f64().unwrap() <= 0.05, "{summary}");
    assert_eq!(summary["host_to_device_bytes_per_step"], 0.0, "{summary}");
}

#[test]
fn gauss1d_meets_its_target() {
    let summary = train("gauss1d");
    assert!(summary["w1_sigmas"].as_f64().unwrap() < 0.1, "{summary}");
    for side in ["d_real_mean", "d_fake_mean"] {
        let d = summary[side].as_f64().unwrap();
        assert!((0.45..=0.55).contains(&d), "{side}: {summary}");
    }
}
