//! What is trained: presets, flags, model files, the help.
use super::{dry, refused, stdout};
use gan_gpu::run::config::TrainConfig;
use gan_gpu::run::presets::{PRESETS, preset};
use std::process::Command;

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
    // A dry run names it, and counts the steps of budgets in other units where the data are there.
    let text = |args: &str| {
        let args = args.split_whitespace();
        stdout(
            here.path(),
            &["train", "--dry-run"]
                .into_iter()
                .chain(args)
                .collect::<Vec<_>>(),
        )
    };
    let lines = "\n# preset: images-dcgan64\n# steps: 3\n";
    let pictures = text("--data pictures --fit resize --epochs 300 --batch 128");
    assert!(pictures.contains(lines), "{pictures}");
    let plain = text("--steps 9");
    assert!(
        plain.contains("\n# preset: glyphs\n") && !plain.contains("# steps:"),
        "{plain}"
    );
    let absent = text("--preset mnist-dcgan --epochs 2");
    assert!(!absent.contains("# steps:"), "{absent}");
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
        (
            "train --preset images-dcgan64",
            "; the preset images-dcgan64 looks there, and --data PATH says",
        ),
        (
            "train --preset stacked-mnist",
            "looks there, and --data stacked:PATH says",
        ),
        (
            "train --preset images-dcgan64 --size 28x28 --channels 1",
            "brought to it), or a --model for 1x28x28 images (built in: mlp, dcgan28, ",
        ),
        (
            "train --preset images-dcgan64 --size 32x32",
            "a --model for 3x32x32 images (none is built in; a TOML file of layers",
        ),
        (
            "train --preset mnist-dcgan --channels 3",
            "give --channels 1, or a --model for 3x28x28 images (built in: ",
        ),
        (
            "train --data ring8 --objective energy",
            "--model ebgan2d for points",
        ),
        (
            "train --preset mnist-dcgan --model ebgan28",
            "gives its own input back, which --objective energy is for",
        ),
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

#[test]
fn the_environment_picks_the_adapter_unless_a_flag_does() {
    let here = tempfile::tempdir().unwrap();
    let adapter = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gan-gpu"))
            .args(["train", "--dry-run"])
            .args(args)
            .current_dir(here.path())
            .env("GAN_GPU_ADAPTER", "0")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        TrainConfig::from_toml("dry run", &text).unwrap().adapter
    };
    assert_eq!(adapter(&[]), "0");
    assert_eq!(adapter(&["--adapter", "auto"]), "auto");
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
