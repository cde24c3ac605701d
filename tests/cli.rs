//! The command line from outside: exit codes, messages, and what a dry run says would be trained.
use gan_gpu::run::checkpoint::{Checkpoint, CheckpointData, CheckpointStore};
use gan_gpu::run::config::TrainConfig;
use gan_gpu::run::folder::RunFolder;
use gan_gpu::run::presets::{PRESETS, preset};
use std::path::Path;
use std::process::{Command, Output};

fn gan_gpu(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gan-gpu"))
        .args(args)
        .current_dir(folder)
        .env("GAN_GPU_CACHE_DIR", "off")
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

#[test]
fn every_preset_can_be_printed_and_dry_run() {
    let here = tempfile::tempdir().unwrap();
    let list = stdout(here.path(), &["presets"]);
    for preset in PRESETS {
        assert!(list.lines().any(|line| line.starts_with(preset.name)));
        assert!(stdout(here.path(), &["presets", preset.name]).contains("# Settings:"));
        assert_eq!(
            dry(here.path(), &["--preset", preset.name]),
            preset.config().unwrap()
        );
    }
    let json = stdout(
        here.path(),
        &["train", "--preset", "mnist-dcgan", "--dry-run", "--json"],
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["sizes"]["params_g"], &json["sizes"]["params_d"]),
        (&759_681.into(), &138_689.into())
    );
    assert!(
        std::fs::read_dir(here.path()).unwrap().next().is_none(),
        "a dry run writes nothing"
    );
}

#[test]
fn lists_are_aligned_and_come_as_json() {
    let here = tempfile::tempdir().unwrap();
    for (list, keys) in [
        ("presets", &["name", "title"][..]),
        ("compare --list", &["name", "title"]),
        ("eval --list", &["name", "aliases", "domain", "what"]),
    ] {
        let args: Vec<&str> = list.split(' ').collect();
        let text = stdout(here.path(), &args);
        // Behind the widest name are two spaces, behind the others more.
        let column = |line: &str| {
            let gap = line.find("  ").unwrap();
            gap + line[gap..].find(|c: char| c != ' ').unwrap()
        };
        let columns: Vec<usize> = text.lines().map(column).collect();
        assert!(columns.iter().all(|c| *c == columns[0]), "{text}");
        let json = stdout(here.path(), &[&args[..], &["--json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let rows = json.as_array().unwrap();
        assert_eq!(rows.len(), columns.len());
        for row in rows {
            let row: Vec<&str> = row
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(row, keys, "{list}");
        }
    }
}

#[test]
fn the_help_names_every_data_set() {
    let here = tempfile::tempdir().unwrap();
    let help = stdout(here.path(), &["train", "--help"]);
    for name in [
        "stacked:PATH",
        "glyphs",
        "banana",
        "twomoons",
        "semicircle",
        "doublewell",
    ] {
        assert!(help.contains(name), "{name}: {help}");
    }
}

#[test]
fn a_preset_is_also_a_configuration_that_reproduces_itself() {
    let here = tempfile::tempdir().unwrap();
    let printed = stdout(here.path(), &["presets", "ring8"]);
    assert_eq!(
        TrainConfig::from_toml("printed", &printed)
            .unwrap()
            .resolve()
            .unwrap(),
        preset("ring8").unwrap().config().unwrap()
    );
}

#[test]
fn the_data_choose_the_preset() {
    let here = tempfile::tempdir().unwrap();
    let model = |args: &[&str]| dry(here.path(), args).model.name;
    assert_eq!(model(&[]), "glyphs");
    for (data, expected) in [
        ("ring8", "ring8"),
        ("grid25", "ring8"),
        ("swissroll", "ring8"),
        ("mixture1d", "gauss1d"),
    ] {
        assert_eq!(model(&["--data", data]), expected, "{data}");
        assert_eq!(dry(here.path(), &["--data", data]).data.source, data);
    }
    // Sixteen bytes of header and one 28x28 image: an IDX file.
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28];
    idx.extend([0; 784]);
    std::fs::write(here.path().join("train-images-idx3-ubyte"), idx).unwrap();
    assert_eq!(model(&["--data", "train-images-idx3-ubyte"]), "dcgan28");
    std::fs::create_dir(here.path().join("pictures")).unwrap();
    image::GrayImage::new(4, 4)
        .save(here.path().join("pictures/a.png"))
        .unwrap();
    assert_eq!(model(&["--data", "pictures"]), "dcgan64");
}

#[test]
fn flags_override_the_preset() {
    let here = tempfile::tempdir().unwrap();
    let flags = "--preset mnist-dcgan --data ring8 --model mlp --batch-size 32 --lr 1e-3 --g-lr 5e-4 --b1 0 --nz 7 \
                 --objective hinge --regulariser r1=0.5 --d-steps 2 --kimg 3 --max-time 1h30m --seed 5 --grid 2x3 --keep 0";
    let config = dry(here.path(), &flags.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        (config.data.source.as_str(), config.model.name.as_str()),
        ("ring8", "ring8")
    );
    assert_eq!(
        (config.method.batch, config.method.latent_dim, config.seed),
        (32, Some(7), 5)
    );
    assert_eq!(
        (
            config.method.optimiser.d.lr(),
            config.method.optimiser.g.lr()
        ),
        (1e-3, 5e-4)
    );
    assert_eq!(
        (
            config.budget.kimg,
            config.budget.epochs,
            config.budget.max_time_s
        ),
        (Some(3), None, Some(5400))
    );
    assert_eq!((config.report.grid, config.report.keep), ([2, 3], 0));
}

#[test]
fn a_model_file_trains_and_its_errors_name_the_layer() {
    let here = tempfile::tempdir().unwrap();
    let model = |out: u32| {
        format!(
            "[generator]\ninput = {{ features = 3 }}\n[[generator.layer]]\ntype = \"linear\"\nout = {out}\n\
             [discriminator]\ninput = {{ features = 2 }}\n[[discriminator.layer]]\ntype = \"linear\"\nout = 1\n"
        )
    };
    std::fs::write(here.path().join("good.toml"), model(2)).unwrap();
    let config = dry(here.path(), &["--data", "ring8", "--model", "good.toml"]);
    assert_eq!(
        (config.model.name.as_str(), config.method.latent_dim),
        ("good.toml", Some(3))
    );
    assert_eq!(config.model.generator.unwrap().layers.len(), 1);
    std::fs::write(here.path().join("bad.toml"), model(5)).unwrap();
    let message = refused(
        here.path(),
        &[
            "train",
            "--data",
            "ring8",
            "--model",
            "bad.toml",
            "--dry-run",
        ],
    );
    assert!(
        message.contains("5 features") && message.contains("2 features"),
        "{message}"
    );
    std::fs::write(here.path().join("torn.toml"), "[generator\n").unwrap();
    let message = refused(here.path(), &["train", "--model", "torn.toml", "--dry-run"]);
    assert!(
        message.contains("torn.toml") && message.contains("line 1"),
        "{message}"
    );
}

#[test]
fn bad_usage_is_refused_with_what_was_meant() {
    let here = tempfile::tempdir().unwrap();
    for (args, expected) in [
        ("train --preset mnist-dcgna", "did you mean `mnist-dcgan`?"),
        ("train --data rnig8", "did you mean `ring8`?"),
        ("train --data no/such/folder", "no/such/folder"),
        ("train --objective hing", "did you mean `hinge`?"),
        ("train --regulariser r1=x", "`x` is no number above 0"),
        ("train --model nothing", "nothing"),
        ("train --precision f64", "[possible values: f32, f16]"),
        ("train --steps 5 --kimg 5", "cannot be used with"),
        ("train --steps 0", "0"),
        ("train --max-time soon", "like 90s, 10m, 1h30m"),
        ("train --batch 0", "0"),
        ("train --lr nan", "above 0"),
        ("train --lr -1", "'--lr <F>': `-1` is no number above 0"),
        ("train --steps -1", "'--steps <N>'"),
        ("train --seed -1", "'--seed <N>'"),
        ("theory dirac --steps -1", "'--steps <N>'"),
        ("train --max-time -5", "too short"),
        ("train --max-time 99999999999999999999h", "too long"),
        ("train --minibatch-discrimination 0x5", "KERNELSxDIMS"),
        (
            "train --regulariser none --regulariser r1=1",
            "none stands alone",
        ),
        ("train --data ring8 --epochs 1 --dry-run", "budget.epochs"),
        ("train --data stacked:nope --dry-run", "stacked:PATH"),
        ("train --data stacked:ring8 --dry-run", "stacked:PATH"),
        ("train --data stacked: --dry-run", "stacked:PATH"),
        (
            "train --data ring8 --conditional concat=20 --dry-run",
            "concat=8",
        ),
        (
            "train --data ring8 --conditional projection=9 --dry-run",
            "projection=8",
        ),
        (
            "train --data ring8 --conditional auxiliary=3 --dry-run",
            "auxiliary=8",
        ),
        (
            "train --data swissroll --conditional concat=2 --dry-run",
            "no labels",
        ),
        ("tune --preset ring8 --each-ms 0", "20"),
        ("train --objective wgan", "wgan"),
        ("train --seed 9223372036854775808", "seed"),
        ("train --grid 8", "ROWSxCOLUMNS"),
        ("train --data ring8 --model dcgan28", "2 numbers per sample"),
        ("train --unroll-first-order", "nothing is unrolled"),
        ("train --unroll 0 --unroll-first-order", "--unroll K"),
        ("train --resume", "there is no run under runs"),
        ("train --resume nowhere", "no config.toml"),
        ("train --resume x --preset ring8", "cannot be used with"),
        ("sample nowhere", "no config.toml"),
        ("sample", "required"),
        ("eval", "required"),
        ("eval nowhere", "no config.toml"),
        ("eval nowhere --drs-burn-in 5", "belongs to --sampler drs"),
        ("bench step --model dcgan82", "did you mean `dcgan28`?"),
        ("presets ring9", "did you mean `ring8`?"),
        ("trian", "similar"),
    ] {
        let message = refused(here.path(), &args.split_whitespace().collect::<Vec<_>>());
        assert!(message.contains(expected), "{args}: {message}");
    }
    assert!(
        std::fs::read_dir(here.path()).unwrap().next().is_none(),
        "refused calls leave nothing behind"
    );
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

#[test]
fn help_and_version_succeed() {
    let here = tempfile::tempdir().unwrap();
    for args in [
        "--help",
        "--version",
        "train --help",
        "sample --help",
        "eval --help",
        "compare --help",
        "bench step --help",
        "adapters --help",
    ] {
        assert!(!stdout(here.path(), &args.split_whitespace().collect::<Vec<_>>()).is_empty());
    }
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

#[test]
fn a_profile_accounts_for_every_dispatch() {
    let here = tempfile::tempdir().unwrap();
    let args = "profile --model gauss1d --batch 16 --steps 1 --warmup 0 --json";
    let text = stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = |table: &str| json[table].as_array().unwrap().clone();
    let sum = |table: &str, column: &str| -> f64 {
        let rows = rows(table);
        rows.iter().map(|row| row[column].as_f64().unwrap()).sum()
    };
    for table in ["by_kind", "by_layer", "by_dispatch"] {
        let device_ms = json["device_ms"].as_f64().unwrap();
        assert!(
            (sum(table, "ms") - device_ms).abs() < 1e-6 * device_ms,
            "{table}"
        );
        assert_eq!(sum(table, "dispatches"), rows("by_dispatch").len() as f64);
    }
    let named = |table: &str, name: &str| rows(table).iter().any(|row| row["name"] == name);
    assert!(named("by_kind", "matmul") && named("by_kind", "adam"));
    assert!(named("by_layer", "g.0 linear, forward"));
    assert!(named("by_layer", "d.4 linear, backward"));
    assert!(named("by_layer", "d, optimiser") && named("by_layer", "latents, data"));
    assert!(json["ceilings"]["copy_gb_s"].as_f64().unwrap() > 0.0);
    assert!(json["ceilings"]["gemm_gflop_s"].as_f64().unwrap() > 0.0);
    let host = json["host_percent"].as_f64().unwrap();
    assert!(host > 0.0 && host <= 100.0, "{host}");
}

#[test]
fn a_model_file_can_be_timed() {
    let here = tempfile::tempdir().unwrap();
    let linear = |features: u32, out: u32| {
        format!(
            "input = {{ features = {features} }}\n[[{{}}.layer]]\ntype = \"linear\"\nout = {out}\n"
        )
    };
    let network = |name: &str, text: String| format!("[{name}]\n{}", text.replace("{}", name));
    let text = network("generator", linear(4, 3)) + &network("discriminator", linear(3, 1));
    std::fs::write(here.path().join("tiny.toml"), text).unwrap();
    let args = "bench step --model tiny.toml --batch 8 --steps 3 --warmup 1 --json";
    let line = stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&json["model"], &json["batch"]),
        (&"tiny.toml".into(), &8.into())
    );
    assert!(json["ms_per_iter"].as_f64().unwrap() > 0.0);
}

#[test]
fn kernels_are_timed_with_their_check_beside() {
    let here = tempfile::tempdir().unwrap();
    let args = "bench kernels --filter pack_u8 --max-seconds 1s --json";
    let line = stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&json["ok"], &json["wrong"]), (&true.into(), &0.into()));
    assert_eq!(json["compared"], 16 * 3 * 64 * 64);
    assert!(json["ms_median"].as_f64().unwrap() >= json["ms_min"].as_f64().unwrap());
    let refusal = refused(here.path(), &["bench", "kernels", "--filter", "no such"]);
    assert!(
        refusal.contains("no kernel's name contains `no such`"),
        "{refusal}"
    );
}

#[test]
fn a_bench_that_does_not_fit_is_refused_with_advice() {
    let here = tempfile::tempdir().unwrap();
    let args = "bench step --model dcgan64 --dry-run --json --batch";
    let call = |batch: &str| {
        let args: Vec<&str> = args.split(' ').chain([batch]).collect();
        let output = gan_gpu(here.path(), &args);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json)
    };
    let (code, small) = call("2");
    assert_eq!((code, &small["fits"]), (Some(0), &true.into()));
    let (code, large) = call("4000");
    let largest = large["largest_binding"]["bytes"].as_u64().unwrap();
    if largest > large["binding_limit_bytes"].as_u64().unwrap() {
        let batch = large["largest_batch"].as_u64().unwrap();
        assert_eq!(code, Some(2));
        assert!(batch > 2 && batch < 4000, "{batch}");
        assert_eq!(call(&batch.to_string()).0, Some(0));
    } else {
        assert_eq!(code, Some(0));
    }
}

/// Calls on the adapter of `GAN_GPU_ADAPTER`.
fn on_adapter<'a>(line: &'a str, adapter: &'a str) -> Vec<&'a str> {
    line.split_whitespace()
        .chain(["--adapter", adapter])
        .collect()
}

#[test]
fn densities_are_drawn_and_shown() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into());
    let json = |line: &str| -> serde_json::Value {
        serde_json::from_str(&stdout(here.path(), &on_adapter(line, &adapter))).unwrap()
    };
    let first = json("data sample semicircle -n 3000 --json -o semicircle.png");
    assert_eq!(first["method"], "rejection");
    assert_eq!(first["exhausted"], 0);
    let off = first["kolmogorov_smirnov"].as_f64().unwrap();
    assert!(
        off < first["kolmogorov_smirnov_bound"].as_f64().unwrap(),
        "{first}"
    );
    assert!(image::open(here.path().join("semicircle.png")).is_ok());
    json("data sample twomoons -n 500 --json -o moons.csv --seed 3");
    let text = std::fs::read_to_string(here.path().join("moons.csv")).unwrap();
    assert_eq!(
        (text.lines().count(), text.lines().next()),
        (501, Some("x,y"))
    );
    let fewer = "data sample twomoons -n 20 --json -o few.csv --seed 3";
    json(fewer);
    let few = std::fs::read_to_string(here.path().join("few.csv")).unwrap();
    assert!(text.starts_with(&few));
    let set = json("data sample ring8 -n 2500 --json");
    assert_eq!(set["modes"], 8);
    for (line, expected) in [
        (
            "data sample cauchy --method rejection",
            "cauchy cannot be drawn by rejection; it can by inverse",
        ),
        ("data sample ring8 --method inverse", "leave --method out"),
        ("data sample moons", "twomoons"),
        ("data sample banana -o banana.txt", ".csv"),
        ("data sample banana -n 0", "0"),
    ] {
        let message = refused(here.path(), &on_adapter(line, &adapter));
        assert!(message.contains(expected), "{line}: {message}");
    }
}

#[test]
fn a_run_is_sampled_with_its_discriminator() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into());
    let train =
        "train --data doublewell --prior logistic --batch 64 --steps 40 --out run --no-tune --json";
    stdout(here.path(), &on_adapter(train, &adapter));
    let sample = |flags: &str| -> serde_json::Value {
        let line = format!("sample run -n 600 --json {flags}");
        serde_json::from_str(&stdout(here.path(), &on_adapter(&line, &adapter))).unwrap()
    };
    let raw = sample("--sampler raw --raw raw.safetensors");
    assert!(raw.get("sampler").is_none());
    let mh = sample(
        "--sampler mh --mh-steps 20 --calibration-samples 500 --raw mh.safetensors -o mh.png",
    );
    assert_eq!(mh["sampler"]["sampler"], "mh");
    assert_eq!(mh["sampler"]["real_samples"], "doublewell");
    assert_eq!(mh["sampler"]["calibration"]["real"], 500);
    let rate = mh["sampler"]["acceptance_rate"].as_f64().unwrap();
    assert!(rate > 0.0 && rate <= 1.0, "{mh}");
    let drs =
        sample("--sampler drs --drs-burn-in 600 --drs-gamma-percentile 80 --raw drs.safetensors");
    assert!(
        drs["sampler"]["generated"].as_u64().unwrap() >= 1200,
        "{drs}"
    );
    let ddls = sample("--sampler ddls --ddls-steps 20 --raw ddls.safetensors");
    let logit = |key: &str| ddls["sampler"][key].as_f64().unwrap();
    assert!(logit("mean_logit").is_finite() && logit("mean_logit_before").is_finite());
    let bytes = |name: &str| std::fs::read(here.path().join(name)).unwrap();
    let all = ["raw", "mh", "drs", "ddls"].map(|name| bytes(&format!("{name}.safetensors")));
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b));
        assert_eq!(a.len(), all[0].len());
    }
    // The same seed, the same samples.
    sample("--sampler mh --mh-steps 20 --calibration-samples 500 --raw again.safetensors");
    assert_eq!(bytes("again.safetensors"), all[1]);
    for (flags, expected) in [
        ("--mh-steps 5", "--mh-steps belongs to --sampler mh"),
        (
            "--sampler drs --real ring8 --calibrate always",
            "name data of the run's kind",
        ),
        ("--sampler drs --drs-gamma-percentile 200", "from 0 to 100"),
    ] {
        let line = format!("sample run {flags}");
        let message = refused(here.path(), &on_adapter(&line, &adapter));
        assert!(message.contains(expected), "{flags}: {message}");
    }
}

#[test]
fn a_classifier_is_trained_tested_and_refused() {
    let here = tempfile::tempdir().unwrap();
    let model = "input = { channels = 1, height = 16, width = 16 }\n\
                 layer = [{ type = \"flatten\" }, { type = \"linear\", out = 10 }]\n";
    std::fs::write(here.path().join("small.toml"), model).unwrap();
    let json = |args: &str| -> serde_json::Value {
        let args: Vec<&str> = args.split_whitespace().collect();
        serde_json::from_str(&stdout(here.path(), &args)).unwrap()
    };
    let train = "classify train --data glyphs --model small.toml --out c.safetensors";
    let made = json(&format!("{train} --steps 60 --batch 32 --lr 3e-3 --json"));
    assert_eq!(
        (&made["steps"], &made["params"]),
        (&60.into(), &2570.into())
    );
    let found = json("classify eval c.safetensors --data glyphs --json");
    assert_eq!(found, made["test"]);
    assert_eq!(found["images"], 2000);
    let percent = found["accuracy_percent"].as_f64().unwrap();
    assert!(percent > 25.0, "{percent}");
    let line = stdout(
        here.path(),
        &["classify", "eval", "c.safetensors", "--data", "glyphs"],
    );
    assert_eq!(line, format!("{percent:.2} % of 2000 test images right\n"));
    // The file stands alone: PyTorch's names, and the network's description.
    let bytes = std::fs::read(here.path().join("c.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.info("1.weight").unwrap().shape, [10, 256]);
    let metadata = header.metadata().as_ref().unwrap();
    assert!(metadata["network"].contains("linear"), "{metadata:?}");

    std::fs::write(here.path().join("torn.safetensors"), &bytes[..900]).unwrap();
    run_folder(here.path());
    let checkpoint = "run/checkpoints/step-00000007.safetensors";
    for (args, expected) in [
        (
            "eval nothing.safetensors --data glyphs",
            "nothing.safetensors",
        ),
        ("eval torn.safetensors --data glyphs", "truncated"),
        (
            &format!("eval {checkpoint} --data glyphs"),
            "is no classifier",
        ),
        (
            "eval c.safetensors --data ring8",
            "`ring8` has no labelled images",
        ),
        (
            "train --data ring8 --out d.safetensors",
            "`ring8` has no labelled images",
        ),
        ("train --data no/such --out d.safetensors", "no/such"),
        ("train --data glyphs", "--out"),
        ("train --data glyphs --out d.safetensors --lr 0", "lr"),
        (
            "train --data glyphs --model c.safetensors --out d.safetensors",
            "c.safetensors",
        ),
    ] {
        let args: Vec<&str> = ["classify"]
            .into_iter()
            .chain(args.split_whitespace())
            .collect();
        let message = refused(here.path(), &args);
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    assert!(!here.path().join("d.safetensors").exists());

    // Class folders without parts: all images, of which nothing is known.
    let classes = here.path().join("classes");
    for class in ["a", "b"] {
        std::fs::create_dir_all(classes.join(class)).unwrap();
        let picture = image::GrayImage::new(16, 16);
        picture.save(classes.join(class).join("0.png")).unwrap();
    }
    let eval = ["classify", "eval", "c.safetensors", "--data", "classes"];
    let line = stdout(here.path(), &eval);
    assert!(line.ends_with(" % of 2 images right\n"), "{line}");
    let train = "classify train --data classes --model small.toml --out e.safetensors --steps 2 --batch 2 --json";
    assert!(json(train)["test"].is_null());
    // Nothing of them can be trained on as a test part.
    let train = "train --preset images-dcgan64 --data classes --size 64 --fit resize --split test --dry-run";
    let message = refused(here.path(), &train.split(' ').collect::<Vec<_>>());
    assert!(message.contains("leave --split out"), "{message}");
    // Nor do two classes stand for ten.
    let train = "train --preset cgan-mnist --data classes --fit resize --dry-run";
    let message = refused(here.path(), &train.split(' ').collect::<Vec<_>>());
    assert!(message.contains("concat=2"), "{message}");
}

/// IDX files of `count` grey images of this side.
fn idx_folder(folder: &Path, count: u8, side: u8) {
    std::fs::create_dir_all(folder).unwrap();
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, side, 0, 0, 0, side];
    let pixels = usize::from(count) * usize::from(side) * usize::from(side);
    images.extend((0..pixels).map(|i| (i * 7) as u8));
    std::fs::write(folder.join("train-images-idx3-ubyte"), images).unwrap();
}

#[test]
fn stacked_digits_are_trained_on_and_refused_where_they_do_not_fit() {
    let here = tempfile::tempdir().unwrap();
    idx_folder(&here.path().join("digits"), 9, 28);
    let config = dry(here.path(), &["--data", "stacked:digits"]);
    assert_eq!(config.model.name, "stacked-tiny");
    assert_eq!(config.data.source, "stacked:digits");
    // Networks that compile in no time.
    let tiny = "[generator]
        input = { features = 4 }
        layer = [{ type = \"linear\", out = 2352 }, { type = \"unflatten\", channels = 3, height = 28, width = 28 }]
        [discriminator]
        input = { channels = 3, height = 28, width = 28 }
        layer = [{ type = \"flatten\" }, { type = \"linear\", out = 1 }]";
    std::fs::write(here.path().join("tiny.toml"), tiny).unwrap();
    let train = "train --data stacked:digits --model tiny.toml --batch 8 --steps 2 --grid 1x2 --out run --json";
    let text = stdout(here.path(), &train.split(' ').collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&json["steps"], &json["images_seen"]),
        (&2.into(), &16.into())
    );
    let sample = "sample run -n 2 --raw s.safetensors";
    stdout(here.path(), &sample.split(' ').collect::<Vec<_>>());
    let bytes = std::fs::read(here.path().join("s.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("images").unwrap().shape(), [2, 3, 28, 28]);

    idx_folder(&here.path().join("small"), 3, 20);
    for (args, expected) in [
        ("--data stacked:digits --model dcgan28", "3 channels"),
        ("--data stacked:digits --model ring8", "is images"),
        ("--data stacked:nowhere --steps 1", "nowhere"),
        ("--data stacked:small --steps 1", "20x20"),
        ("--data stacked:digits --epochs 1", "without end"),
    ] {
        let args: Vec<&str> = ["train"]
            .into_iter()
            .chain(args.split_whitespace())
            .collect();
        let message = refused(here.path(), &args);
        assert!(message.contains(expected), "{args:?}: {message}");
    }
}

/// A tiny trained run, measured end to end: the figures of its own summary again, and every way to ask for others.
#[test]
fn a_run_is_measured_by_the_protocol() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or("auto".into());
    let train = format!(
        "train --preset ring8 --batch 16 --steps 4 --checkpoint-every 2 --sample-every 0 --seed 3 --out run --json --adapter {adapter}"
    );
    let text = stdout(here.path(), &train.split(' ').collect::<Vec<_>>());
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    let eval = |args: &str| -> serde_json::Value {
        let args: Vec<&str> = args.split(' ').collect();
        let text = stdout(
            here.path(),
            &[&["eval", "run", "--json"], &args[..]].concat(),
        );
        serde_json::from_str(&text).unwrap()
    };

    let all = eval("-o eval.json");
    assert_eq!((&all["step"], &all["samples"]), (&4.into(), &2500.into()));
    assert_eq!(
        (&all["weights"], &all["sampler"]),
        (&"ema".into(), &"raw".into())
    );
    assert!(all.get("note").is_none(), "{all}");
    let metrics = all["metrics"].as_object().unwrap();
    for (name, metric) in metrics {
        assert_eq!(
            metric["value"], summary[name],
            "{name}: as at the end of the run"
        );
    }
    let exact = |name: &str| metrics[name]["exact"]["mean"].as_f64().unwrap();
    assert_eq!(exact("modes"), 8.0);
    assert!((exact("high_quality_percent") - 98.89).abs() < 0.3);
    assert!((exact("reverse_kl") - 0.0014).abs() < 0.0008);
    assert!(
        metrics["sliced_w1"]["value"].as_f64() > metrics["sliced_w1"]["exact"]["mean"].as_f64()
    );
    let file = std::fs::read_to_string(here.path().join("eval.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&file).unwrap(),
        all
    );

    // Another checkpoint, other weights, another seed, fewer samples: each shows.
    let early = eval("--checkpoint 2 --metrics sliced_w");
    assert_eq!(early["step"], 2);
    assert_eq!(early["metrics"].as_object().unwrap().len(), 1);
    assert_eq!(eval("--no-ema --metrics modes")["weights"], "raw");
    let value = |json: &serde_json::Value| json["metrics"]["sliced_w1"]["value"].as_f64().unwrap();
    assert_ne!(value(&eval("--seed 5 --metrics sliced_w1")), value(&all));
    let few = eval("--samples 100 --metrics hq");
    assert!(
        few["note"].as_str().unwrap().contains("100 samples"),
        "{few}"
    );

    let args = ["eval", "run", "--samples", "100", "--metrics", "rkl,modes"];
    let table = stdout(here.path(), &args);
    for part in ["reverse_kl", "100 exact samples score", "note: 100 samples"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    for (metrics, expected) in [
        ("reverse_lk", "did you mean `reverse_kl`?"),
        ("modes,w1", "`w1` is a metric of 1-D point sets"),
    ] {
        let message = refused(here.path(), &["eval", "run", "--metrics", metrics]);
        assert!(message.contains(expected), "{message}");
    }
    let message = refused(here.path(), &["eval", "run", "--checkpoint", "3"]);
    assert!(message.contains("there are those of 2, 4"), "{message}");
    assert!(stdout(here.path(), &["eval", "--list"]).contains("1-D point sets"));
}

/// The metrics are those of the samples that the sampler draws, and the report says how it drew them.
#[test]
fn a_run_is_measured_with_its_discriminator_s_help() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into());
    let train =
        "train --preset ring8 --batch 32 --steps 30 --sample-every 0 --out run --no-tune --json";
    stdout(here.path(), &on_adapter(train, &adapter));
    let eval = |flags: &str| -> String {
        let line = format!("eval run --samples 400 --seed 9 {flags}");
        stdout(here.path(), &on_adapter(&line, &adapter))
    };
    let json = |flags: &str| -> serde_json::Value {
        serde_json::from_str(&eval(&format!("--json {flags}"))).unwrap()
    };
    let value = |json: &serde_json::Value| json["metrics"]["sliced_w1"]["value"].as_f64().unwrap();

    let raw = json("--sampler raw");
    assert_eq!(raw, json(""));
    assert_eq!(raw["sampler"], "raw");
    assert!(raw.get("draw").is_none(), "{raw}");
    let drs = "--sampler drs --drs-burn-in 500 --drs-gamma-percentile 80";
    let found = [
        ("drs", drs),
        ("mh", "--sampler mh --mh-steps 20 --calibration-samples 500"),
        ("ddls", "--sampler ddls --ddls-steps 10"),
    ]
    .map(|(name, flags)| {
        let found = json(flags);
        assert_eq!(found["sampler"], name);
        assert_eq!(found["draw"]["sampler"], name);
        assert_eq!(found["draw"]["count"], 400);
        let names = |json: &serde_json::Value| -> Vec<String> {
            json["metrics"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        };
        assert_eq!(names(&found), names(&raw));
        assert_ne!(value(&found), value(&raw), "{name}");
        if name != "ddls" {
            let rate = found["draw"]["acceptance_rate"].as_f64().unwrap();
            assert!(rate > 0.0 && rate <= 1.0, "{found}");
        }
        found
    });
    // The same samples as those that `sample` draws: by the same seed, the same way of coming about.
    let line = format!("sample run -n 400 --seed 9 {drs} --raw drs.safetensors --json");
    let sampled: serde_json::Value =
        serde_json::from_str(&stdout(here.path(), &on_adapter(&line, &adapter))).unwrap();
    assert_eq!(sampled["sampler"], found[0]["draw"]);

    let table = eval(drs);
    let head = table.lines().next().unwrap();
    let rate = found[0]["draw"]["acceptance_rate"].as_f64().unwrap();
    let accepted = format!("{:.1} % of proposals accepted", 100.0 * rate);
    for part in ["drs: 400 samples", &accepted] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(
        eval("")
            .lines()
            .next()
            .unwrap()
            .contains("raw: 400 samples")
    );
    let line = "eval run --mh-steps 5";
    let message = refused(here.path(), &on_adapter(line, &adapter));
    assert!(
        message.contains("--mh-steps belongs to --sampler mh"),
        "{message}"
    );
}

/// Every class asked for is another picture, and rows of the picture have a class each without being asked.
#[test]
fn a_class_can_be_asked_for() {
    let here = tempfile::tempdir().unwrap();
    let adapter = std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into());
    let train = "train --preset ring8 --conditional concat=8 --batch 16 --steps 2 --sample-every 0 --out run --no-tune --json";
    stdout(here.path(), &on_adapter(train, &adapter));
    let points = |flags: &str| -> Vec<[f32; 2]> {
        let line = format!("sample run -n 9 --raw s.safetensors {flags}");
        stdout(here.path(), &on_adapter(&line, &adapter));
        let bytes = std::fs::read(here.path().join("s.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(file.tensor("images").unwrap().data());
        values.chunks(2).map(|p| [p[0], p[1]]).collect()
    };
    let classes = [0, 1, 2].map(|class| points(&format!("--class {class}")));
    let rows = points("");
    for n in 0..9 {
        for (k, class) in classes.iter().enumerate() {
            assert_eq!(rows[n] == class[n], k == n / 3, "sample {n}, class {k}");
        }
    }
    let line = "sample run -n 9 --class 8";
    let message = refused(here.path(), &on_adapter(line, &adapter));
    assert!(message.contains("0 to 7"), "{message}");
}

/// Digits of a hardly trained generator, by a hardly trained classifier: what it says is counted by the metrics that apply.
#[test]
fn images_are_measured_by_a_classifier_s_word() {
    let here = tempfile::tempdir().unwrap();
    let model = "input = { channels = 1, height = 28, width = 28 }\n\
                 layer = [{ type = \"flatten\" }, { type = \"linear\", out = 10 }]\n";
    std::fs::write(here.path().join("linear.toml"), model).unwrap();
    idx_folder(&here.path().join("digits"), 9, 28);
    let json = |args: &str| -> serde_json::Value {
        let args: Vec<&str> = args.split_whitespace().collect();
        serde_json::from_str(&stdout(here.path(), &args)).unwrap()
    };
    json(
        "classify train --data glyphs --model linear.toml --out c.safetensors --steps 20 --batch 32 --json",
    );
    json("train --data stacked:digits --batch 8 --steps 1 --sample-every 0 --out run --json");
    let message = refused(here.path(), &["eval", "run"]);
    assert!(message.contains("--classifier FILE"), "{message}");
    let message = refused(here.path(), &["eval", "run", "--metrics", "stacked_kl"]);
    assert!(message.contains("stacked digits"), "{message}");

    let found = json("eval run --classifier c.safetensors --samples 40 --json");
    let metrics = found["metrics"].as_object().unwrap();
    let names: Vec<_> = metrics.keys().map(String::as_str).collect();
    assert_eq!(names, ["stacked_modes", "stacked_kl"]);
    let value = |name: &str| metrics[name]["value"].as_f64().unwrap();
    let modes = value("stacked_modes");
    assert!((1.0..=40.0).contains(&modes), "{found}");
    // At most ln 1000, of one mode; at least what 40 samples can spread over.
    let kl = value("stacked_kl");
    assert!(
        kl <= 1000f64.ln() + 1e-9 && kl >= (1000f64 / 40.0).ln() - 1e-9,
        "{found}"
    );
    assert!(found["note"].as_str().unwrap().contains("26000"), "{found}");
    let ideal = found["exact_note"].as_str().unwrap();
    assert!(ideal.contains("judged without error"), "{found}");
    let args = "eval run --classifier c.safetensors --samples 40";
    let table = stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    assert!(table.contains("ideal samples score"), "{table}");
    assert!(table.contains(ideal), "{table}");
    let args = "eval run --classifier run/checkpoints/step-00000001.safetensors";
    let message = refused(here.path(), &args.split(' ').collect::<Vec<_>>());
    assert!(message.contains("is no classifier"), "{message}");
    let exact = &metrics["stacked_modes"]["exact"]["mean"];
    assert!((38.0..=40.0).contains(&exact.as_f64().unwrap()), "{found}");
    let helped = json(
        "eval run --classifier c.safetensors --samples 40 --sampler mh --mh-steps 3 --calibration-samples 20 --json",
    );
    assert_eq!(helped["draw"]["sampler"], "mh");
    assert!(helped["metrics"]["stacked_kl"]["value"].is_number());
    let args = "eval run --classifier c.safetensors --metrics class_kl";
    let message = refused(here.path(), &args.split(' ').collect::<Vec<_>>());
    assert!(message.contains("stacked_modes, stacked_kl"), "{message}");
}

/// Whether samples show the class they were asked to, or that of their code, by a classifier; of runs that are asked for nothing neither
/// is measured.
#[test]
fn what_samples_were_asked_to_show_is_measured() {
    let here = tempfile::tempdir().unwrap();
    let model = "input = { channels = 1, height = 28, width = 28 }\n\
                 layer = [{ type = \"flatten\" }, { type = \"linear\", out = 10 }]\n";
    std::fs::write(here.path().join("small.toml"), model).unwrap();
    let run = |args: &str| stdout(here.path(), &args.split(' ').collect::<Vec<_>>());
    run("classify train --data glyphs --model small.toml --out c.safetensors --steps 2 --json");
    for (flags, measured, other) in [
        (
            "--conditional concat",
            "class_right_percent",
            "code_right_percent",
        ),
        ("--info 10+1", "code_right_percent", "class_right_percent"),
    ] {
        let out = measured.replace("_right_percent", "");
        run(&format!(
            "train --preset glyphs --batch 8 --steps 1 --sample-every 0 --json --out {out} {flags}"
        ));
        let found = run(&format!(
            "eval {out} --classifier c.safetensors --samples 64 --json"
        ));
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let metric = &found["metrics"][measured];
        let share = metric["value"].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&share), "{found}");
        assert_eq!(metric["exact"]["mean"], 100.0);
        assert!(found["metrics"][other].is_null(), "{found}");
        let args = format!("eval {out} --classifier c.safetensors --metrics {other}");
        let message = refused(here.path(), &args.split(' ').collect::<Vec<_>>());
        assert!(message.contains(measured), "{message}");
    }
}

#[test]
fn a_run_on_a_line_leaves_curves_and_distances_and_a_resumed_one_goes_on() {
    let here = tempfile::tempdir().unwrap();
    let args = "train --preset gauss1d --batch 16 --steps 6 --log-every 4 --sample-every 3 --checkpoint-every 3 --json --out run";
    let args: Vec<&str> = args.split(' ').collect();
    let summary: serde_json::Value = serde_json::from_str(&stdout(here.path(), &args)).unwrap();
    for name in ["js", "kl_data_model", "kl_model_data", "w1"] {
        assert!(summary[name].as_f64().unwrap() >= 0.0, "{name}: {summary}");
    }
    assert_eq!(summary["curves"], "run/curves.gif");
    let frames = || {
        let gif = std::fs::read(here.path().join("run/curves.gif")).unwrap();
        let mut frames = gif::DecodeOptions::new().read_info(&gif[..]).unwrap();
        let mut count = 0;
        while frames.read_next_frame().unwrap().is_some() {
            count += 1;
        }
        count
    };
    assert_eq!(frames(), 3);
    let resumed = "train --resume run --steps 9 --json";
    stdout(here.path(), &resumed.split(' ').collect::<Vec<_>>());
    assert_eq!(frames(), 4);
    for step in [0, 3, 6, 9] {
        let path = here.path().join(format!("run/curves/step-{step:08}.png"));
        assert!(image::open(path).unwrap().width() > 400);
    }
    // Rows at the steps of pictures have the distances, the others have not.
    let text = std::fs::read_to_string(here.path().join("run/metrics.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let with: Vec<(u64, bool)> = rows
        .iter()
        .map(|row| (row["step"].as_u64().unwrap(), row["js"].is_number()))
        .collect();
    assert_eq!(
        with,
        [(3, true), (4, false), (6, true), (8, false), (9, true)]
    );
    // The page has what the whole run left, the pictures of both parts included.
    assert_eq!(summary["report"], "run/report.html");
    let page = std::fs::read_to_string(here.path().join("run/report.html")).unwrap();
    for text in [
        "finished after 9 steps",
        "<figcaption>step 0<",
        "<figcaption>step 9<",
        "data:image/gif;base64,",
        "alt=\"kl data model\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn experiments_write_a_figure_and_their_numbers() {
    let here = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("dirac", "dirac --steps 3"),
        ("mle", "mle --steps 20 --gan-steps 3"),
        ("critic", "critic --data gauss1d --steps 4 --every 2"),
        ("strength", "strength --steps 2"),
    ] {
        let line = format!("theory {args} --json --out out");
        let text = stdout(here.path(), &line.split(' ').collect::<Vec<_>>());
        let numbers: serde_json::Value = serde_json::from_str(&text).unwrap();
        let file = std::fs::read(here.path().join(format!("out/{name}.json"))).unwrap();
        assert_eq!(
            numbers,
            serde_json::from_slice::<serde_json::Value>(&file).unwrap()
        );
        assert!(image::open(here.path().join(format!("out/{name}.png"))).is_ok());
    }
    let table = std::fs::read_to_string(here.path().join("out/dirac.md")).unwrap();
    assert_eq!(table.lines().count(), 2 + 14, "{table}");
    let refusal = refused(here.path(), &["theory", "critic", "--data", "ring8"]);
    assert!(refusal.contains("ring8 is not on a line"), "{refusal}");
}
