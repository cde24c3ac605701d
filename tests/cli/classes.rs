//! Classifiers, and what is measured by their word.
use super::{dry, refused, run_folder, stdout};
use std::path::Path;

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
