//! `density`, runs on a line and `theory`.
use super::{on_adapter, refused, stdout};

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
