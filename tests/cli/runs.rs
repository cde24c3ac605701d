//! Runs: what they keep, how they end and go on.
use super::{dry, gan_gpu, on_adapter, refused, run_folder, stdout};
use gan_gpu::run::checkpoint::Checkpoint;
use gan_gpu::run::config::TrainConfig;
use gan_gpu::run::presets::preset;
use std::path::Path;
use std::process::Command;

/// Runs with a cache folder of its own below `folder`.
fn cached(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gan-gpu"))
        .args(args)
        .current_dir(folder)
        .env("GAN_GPU_CACHE_DIR", "cache")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}{text}");
    text
}

#[test]
fn tuned_kernels_are_remembered_recorded_and_left_out_on_request() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into());
    let tune = [
        "tune",
        "--preset",
        "ring8",
        "--batch",
        "16",
        "--each-ms",
        "20",
        "--json",
        "--adapter",
        &adapter,
    ];
    let rows = |text: String| -> Vec<serde_json::Value> {
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let first = rows(cached(here.path(), &tune));
    assert!(first.iter().any(|row| row["measured"] == true), "{first:?}");
    let again = rows(cached(here.path(), &tune));
    assert_eq!(first.len(), again.len());
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(again["measured"], false, "{again}");
        assert_eq!(
            [&first["choice"], &first["ms"]],
            [&again["choice"], &again["ms"]]
        );
    }

    // Make one of them certain: the choice that is not the rule's.
    let cache = here.path().join("cache");
    let file = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "json"))
        .unwrap();
    let row = again
        .iter()
        .find(|row| row["ms"].as_object().unwrap().len() > 1)
        .unwrap();
    let operation = row["operation"].as_str().unwrap();
    let variants = row["ms"].as_object().unwrap().keys();
    let other = variants
        .into_iter()
        .find(|name| row["by_rule"] != name.as_str())
        .unwrap();
    let mut contents: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    contents["operations"][operation]["choice"] = other.as_str().into();
    std::fs::write(&file, contents.to_string()).unwrap();

    let train = |out: &str, more: &[&str]| {
        let args = [
            "train",
            "--preset",
            "ring8",
            "--batch",
            "16",
            "--steps",
            "2",
            "--json",
            "--adapter",
            &adapter,
            "--out",
            out,
        ];
        cached(here.path(), &[&args, more].concat());
        TrainConfig::read(&here.path().join(out).join("config.toml"))
            .unwrap()
            .choices
            .unwrap()
    };
    let tuned = train("tuned", &[]);
    assert_eq!(tuned.get(operation), Some(other));
    // Without measured choices the rules' are recorded.
    assert_ne!(train("plain", &["--no-tune"]).get(operation), Some(other));
    // The run goes on with what it recorded, whatever the cache says by now.
    std::fs::remove_dir_all(&cache).unwrap();
    cached(
        here.path(),
        &["train", "--resume", "tuned", "--steps", "3", "--json"],
    );
    let resumed = TrainConfig::read(&here.path().join("tuned/config.toml")).unwrap();
    assert_eq!(resumed.choices, Some(tuned));
    let error = refused(here.path(), &["train", "--resume", "tuned", "--no-tune"]);
    assert!(
        error.contains("--no-tune cannot be changed with --resume"),
        "{error}"
    );
    let error = refused(here.path(), &["tune"]);
    assert!(
        error.contains("--preset") && error.contains("--model"),
        "{error}"
    );
}

#[test]
fn a_resumed_run_may_only_get_longer_reports_and_another_adapter() {
    let here = tempfile::tempdir().unwrap();
    let folder = run_folder(here.path());
    let config = dry(
        here.path(),
        &[
            "--resume",
            "run",
            "--steps",
            "9",
            "--keep",
            "1",
            "--adapter",
            "cpu",
        ],
    );
    assert_eq!(
        (
            config.budget.steps,
            config.report.keep,
            config.adapter.as_str()
        ),
        (Some(9), 1, "cpu")
    );
    assert_eq!(
        config.method,
        preset("ring8").unwrap().config().unwrap().method
    );
    dry(here.path(), &["--out", "run", "--resume"]);
    dry(
        here.path(),
        &["--resume", "run/checkpoints/step-00000007.safetensors"],
    );
    for flag in [
        "--lr=1e-3",
        "--seed=2",
        "--batch=3",
        "--data=grid25",
        "--model=mlp",
        "--b1=0.1",
    ] {
        let message = refused(here.path(), &["train", "--resume", "run", flag]);
        assert!(
            message.contains("cannot be changed with --resume"),
            "{flag}: {message}"
        );
    }
    // Neither may a budget end before the checkpoint, nor config.toml be another run's; a dry run says the same.
    let own = std::fs::read_to_string(folder.config()).unwrap();
    let other = own.replace("batch = 512", "batch = 511");
    assert_ne!(own, other);
    for (config, flags, expected) in [
        (
            &own,
            "--steps 6",
            "of step 7, and the budget ends at step 6",
        ),
        (&own, "--kimg 1", "of step 7, and the budget ends at step 2"),
        (&other, "--steps 9", "has other settings than"),
    ] {
        std::fs::write(folder.config(), config).unwrap();
        let line = format!("train --resume run {flags}");
        let args: Vec<&str> = line.split(' ').collect();
        let message = refused(here.path(), &args);
        assert!(message.contains(expected), "{flags}: {message}");
        let dry = refused(here.path(), &[&args[..], &["--dry-run"]].concat());
        assert_eq!(dry, message);
    }
    std::fs::write(folder.config(), "seed = 1\nsede = 2\n").unwrap();
    let message = refused(here.path(), &["train", "--resume", "run"]);
    assert!(
        message.contains("config.toml") && message.contains("line 2"),
        "{message}"
    );
}

#[test]
fn broken_checkpoints_are_named() {
    let here = tempfile::tempdir().unwrap();
    let folder = run_folder(here.path());
    let checkpoint = folder.checkpoints().join("step-00000007.safetensors");
    let whole = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &whole[..whole.len() - 3]).unwrap();
    let message = refused(here.path(), &["sample", "run"]);
    assert!(
        message.contains("step-00000007.safetensors is truncated"),
        "{message}"
    );
    std::fs::write(&checkpoint, "not at all a checkpoint").unwrap();
    let message = refused(here.path(), &["sample", "run"]);
    assert!(message.contains("is not a safetensors file"), "{message}");
    std::fs::remove_file(&checkpoint).unwrap();
    let message = refused(here.path(), &["sample", "run"]);
    assert!(message.contains("has no checkpoints"), "{message}");
}

/// A whole process on whatever adapter `GAN_GPU_ADAPTER` names (`auto` without it).
#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_a_checkpoint_that_training_goes_on_from() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or("auto".into());
    let flags = format!(
        "train --data ring8 --batch 16 --out run --log-every 1 --sample-every 0 --adapter {adapter} --json"
    );
    let mut args: Vec<&str> = flags.split_whitespace().collect();
    args.extend(["--steps", "100000000"]);
    let run = Command::new(env!("CARGO_BIN_EXE_gan-gpu"))
        .args(&args)
        .current_dir(here.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = here.path().join("run/metrics.jsonl");
    let begun = std::time::Instant::now();
    while std::fs::metadata(&metrics).map_or(0, |m| m.len()) == 0 {
        assert!(begun.elapsed().as_secs() < 120, "no step in two minutes");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let killed = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["outcome"], "interrupted");
    let steps = summary["steps"].as_u64().unwrap();
    let checkpoint = here.path().join(summary["checkpoint"].as_str().unwrap());
    assert_eq!(Checkpoint::read(&checkpoint).unwrap().data.step, steps);

    let (goal, last) = ((steps + 3).to_string(), steps + 3);
    let json = stdout(
        here.path(),
        &["train", "--resume", "run", "--steps", &goal, "--json"],
    );
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (summary["outcome"].as_str(), summary["steps"].as_u64()),
        (Some("finished"), Some(last))
    );
    let rows = std::fs::read_to_string(&metrics).unwrap();
    assert_eq!(
        rows.lines().count() as u64,
        last,
        "one row for every step, none twice"
    );
}

/// Nothing is opened or written for a run that is at its end, whatever unit its budget has, and it can still be made longer.
#[test]
fn a_finished_run_is_left_alone() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into());
    let train = "train --data ring8 --batch 500 --sample-every 0 --kimg 1 --out run --no-tune";
    let output = gan_gpu(here.path(), &on_adapter(train, &adapter));
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("preset ring8, chosen for the data\n"),
        "{told}"
    );
    let files = ["config.toml", "summary.json", "report.html"];
    let read = || files.map(|name| std::fs::read(here.path().join("run").join(name)).unwrap());
    let before = read();
    for flags in ["", "--steps 2"] {
        let line = format!("train --resume run {flags}");
        let output = gan_gpu(here.path(), &on_adapter(&line, "no such adapter"));
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{output:?}"
        );
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            told,
            "run is at its 2 steps already; --steps M with a larger M goes on\n"
        );
    }
    let json = stdout(
        here.path(),
        &on_adapter("train --resume run --json", "no such adapter"),
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json,
        serde_json::from_slice::<serde_json::Value>(&before[1]).unwrap()
    );
    assert_eq!(read(), before);
    let longer = on_adapter("train --resume run --steps 3 --json", &adapter);
    let json: serde_json::Value = serde_json::from_str(&stdout(here.path(), &longer)).unwrap();
    assert_eq!(json["steps"], 3);
}

/// What computed a run stands in its checkpoints, and a run that goes on with something else says so.
#[test]
fn a_run_that_goes_on_with_other_kernels_says_that_its_bits_will_differ() {
    let here = tempfile::tempdir().unwrap();
    let train = |args: &[&str]| {
        let output = gan_gpu(here.path(), &[&["train", "--json"], args].concat());
        assert!(output.status.success(), "{output:?}");
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checkpoint = here.path().join(summary["checkpoint"].as_str().unwrap());
        let told = String::from_utf8(output.stderr).unwrap();
        (summary, checkpoint, told.contains("not bit for bit"))
    };
    let begin = ["--preset", "ring8", "--steps", "1", "--out", "run"];
    let (summary, checkpoint, told) = train(&begin);
    let mut changed = Checkpoint::read(&checkpoint).unwrap();
    let origin = changed.origin.as_mut().unwrap();
    assert_eq!(summary["adapter"], origin.adapter.as_str());
    assert_eq!(summary["kernels"], origin.kernels.as_str());
    assert!(!told);
    let (_, same, told) = train(&["--resume", "run", "--steps", "2"]);
    let same = Checkpoint::read(&same).unwrap();
    assert_eq!(same.origin.as_ref(), Some(&*origin));
    assert!(!told);
    origin.kernels = "00".into();
    changed.write(&checkpoint).unwrap();
    let from = checkpoint.to_str().unwrap();
    let (_, _, told) = train(&["--resume", from, "--steps", "2"]);
    assert!(told);
}

#[test]
fn a_dry_run_says_what_it_takes_and_whether_it_fits() {
    let here = tempfile::tempdir().unwrap();
    let sizes = |args: &[&str]| {
        let output = gan_gpu(
            here.path(),
            &[&["train", "--dry-run", "--json"], args].concat(),
        );
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json)
    };
    let (code, small) = sizes(&["--preset", "ring8"]);
    let sizes_of = |json: &serde_json::Value, name: &str| json["sizes"][name].as_u64().unwrap();
    assert_eq!((code, &small["sizes"]["fits"]), (Some(0), &true.into()));
    let parts = [
        "weights_bytes",
        "optimiser_bytes",
        "data_bytes",
        "temporaries_bytes",
        "results_bytes",
    ];
    assert_eq!(
        parts.map(|part| sizes_of(&small, part)).iter().sum::<u64>(),
        sizes_of(&small, "peak_device_bytes")
    );
    assert!(small["sizes"]["gflop_per_step"].as_f64().unwrap() > 0.0);
    let run = "train --preset ring8 --steps 2 --json";
    let elsewhere = tempfile::tempdir().unwrap();
    let run = stdout(elsewhere.path(), &run.split(' ').collect::<Vec<_>>());
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    assert_eq!(
        run["peak_device_bytes"],
        small["sizes"]["peak_device_bytes"]
    );

    // The largest tensor grows with the batch until the adapter refuses it.
    let largest =
        |json: &serde_json::Value| json["sizes"]["largest_binding"]["bytes"].as_u64().unwrap();
    let (code, huge) = sizes(&["--preset", "glyphs", "--batch", "40000"]);
    let limit = sizes_of(&huge, "binding_limit_bytes");
    assert_eq!(code, Some(if largest(&huge) > limit { 2 } else { 0 }));
    assert_eq!(huge["sizes"]["fits"], (largest(&huge) <= limit));
    if largest(&huge) > limit {
        let advice = sizes_of(&huge, "largest_batch");
        assert!(advice > 1 && advice < 40_000, "{advice}");
        let refusal = refused(
            here.path(),
            &["train", "--preset", "glyphs", "--batch", "40000"],
        );
        assert!(
            refusal.contains(&format!(
                "the largest batch that fits is --batch {advice} (now 40000)"
            )),
            "{refusal}"
        );
        let (code, _) = sizes(&["--preset", "glyphs", "--batch", &advice.to_string()]);
        assert_eq!(code, Some(0));
    }
    assert!(
        std::fs::read_dir(here.path()).unwrap().next().is_none(),
        "neither a dry run nor a refused run writes anything"
    );
}
