//! `sample` and `eval`: what a finished run makes, and how it is measured.
use super::{on_adapter, refused, stdout};

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
    // The run's own seed is the default.
    assert_eq!(all["seed"], 3);
    assert_eq!(eval("--seed 3")["metrics"], all["metrics"]);
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
    // The same samples as those that `sample` draws: from the same latents, the same way of coming about.
    assert_eq!(raw["seed"], 9);
    let seed = gan_gpu::run::eval::latent_seed(9);
    let line = format!("sample run -n 400 --seed {seed} {drs} --raw drs.safetensors --json");
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
    // D's help is for runs without classes; no adapter is looked for before that is said.
    for verb in ["sample", "eval"] {
        let line = format!("{verb} run --sampler drs");
        let message = refused(here.path(), &on_adapter(&line, "no such adapter"));
        assert!(
            message.contains("drs cannot sample this run: it is conditional"),
            "{verb}: {message}"
        );
    }
}
