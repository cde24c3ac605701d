//! `gan-gpu compare` from outside: two methods that finish and one that diverges, two seeds each; gone on with, interrupted, reported anew.
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const FILE: &str = r#"
title = "Three ways"
preset = "ring8"
seeds = 2
budget = "6steps"
metrics = ["modes", "hq", "reverse_kl", "sliced_w1"]
samples = 200
[config]
method.batch = 8
report.checkpoint_every = 3
report.sample_every = 3
[[variant]]
name = "plain"
config.method.regularisers = []
published = { modes = 6.3 }
[[variant]]
name = "R1 + R2"
[[variant]]
name = "diverging"
config.method.optimiser.g.lr = 1e30
"#;

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gan-gpu"));
    command
        .args(args)
        .current_dir(folder)
        .env("GAN_GPU_CACHE_DIR", "off");
    if let Ok(adapter) = std::env::var("GAN_GPU_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    command
}

#[track_caller]
fn table(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `folder` with its bytes.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn methods_are_trained_measured_and_put_side_by_side() {
    let here = tempfile::tempdir().unwrap();
    let (at, out) = (here.path(), here.path().join("out"));
    std::fs::write(at.join("three.toml"), FILE).unwrap();
    let run = |args: &[&str]| {
        let all = [&["compare", "three.toml", "--out", "out", "--json"], args].concat();
        command(at, &all).output().unwrap()
    };

    // A part first; the table says what is missing.
    let part = table(&run(&["--only", "plain"]));
    let part_picture = image::open(out.join("picture.png")).unwrap();
    let row = |table: &Value, i: usize| table["rows"][i].clone();
    let counts = |row: Value| ["finished", "missing"].map(|name| row[name].as_u64().unwrap());
    assert_eq!(counts(row(&part, 0)), [2, 0]);
    assert_eq!(counts(row(&part, 1)), [0, 2]);
    let runs_of = |table: &Value, i: usize| -> Vec<std::path::PathBuf> {
        let runs = table["rows"][i]["runs"].as_array().unwrap().clone();
        let folders = runs
            .iter()
            .map(|run| at.join(run["folder"].as_str().unwrap()));
        folders.collect()
    };
    let first = runs_of(&part, 0);
    let before: Vec<_> = first.iter().map(|folder| contents(folder)).collect();

    // The rest, two processes at once. What was there is not trained again.
    let whole = table(&run(&["--jobs", "2"]));
    let after: Vec<_> = first.iter().map(|folder| contents(folder)).collect();
    assert!(before == after, "finished runs are left alone");
    assert_eq!(row(&whole, 0), row(&part, 0));
    assert_eq!(counts(row(&whole, 1)), [2, 0]);
    for i in 0..2 {
        let row = row(&whole, i);
        assert_eq!(row["steps"]["mean"], 6.0);
        assert_eq!(row["images_seen"]["mean"], 48.0);
        assert!(row["seconds"]["mean"].as_f64().unwrap() > 0.0);
        // Means and deviations are those of the runs' own evaluations.
        for metric in ["modes", "high_quality_percent", "sliced_w1"] {
            let values: Vec<f64> = runs_of(&whole, i)
                .iter()
                .map(|folder| {
                    let eval: Value =
                        serde_json::from_str(&read(&folder.join("eval.json"))).unwrap();
                    assert_eq!(eval["samples"], 200);
                    eval["metrics"][metric]["value"].as_f64().unwrap()
                })
                .collect();
            let mean = (values[0] + values[1]) / 2.0;
            let deviation = (values[0] - values[1]).abs() / 2f64.sqrt();
            let spread = &row["metrics"][metric];
            assert!(
                (spread["mean"].as_f64().unwrap() - mean).abs() < 1e-9,
                "{spread}"
            );
            assert!(
                (spread["deviation"].as_f64().unwrap() - deviation).abs() < 1e-9,
                "{spread}"
            );
        }
    }
    assert_ne!(
        row(&whole, 0)["metrics"]["sliced_w1"],
        row(&whole, 1)["metrics"]["sliced_w1"]
    );

    // The diverging one is a row that says so.
    let bad = row(&whole, 2);
    assert_eq!(counts(bad.clone()), [0, 0]);
    assert_eq!(bad["diverged"].as_array().unwrap().len(), 2);
    assert!(
        bad["runs"][0]["status"]["message"]
            .as_str()
            .unwrap()
            .contains("diverged")
    );

    // Files: the same figures in each; nothing of them needs a device to be made again.
    assert_eq!(
        serde_json::from_str::<Value>(&read(&out.join("table.json"))).unwrap(),
        whole
    );
    let markdown = read(&out.join("table.md"));
    for part in [
        "Three ways",
        "| plain ",
        "[6.300]",
        "seed 0 diverged at step",
        "exact samples",
    ] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
    assert_eq!(read(&out.join("table.csv")).lines().count(), 4);
    let picture = image::open(out.join("picture.png")).unwrap();
    assert!(
        picture.height() > picture.width(),
        "three rows, two columns"
    );
    assert!(
        part_picture.height() < picture.height() / 2,
        "what was not begun took no room"
    );
    let training = image::open(out.join("training.png")).unwrap();
    assert!(
        training.width() > 3 * 220,
        "before the first step, after three and after six"
    );
    for name in [
        "table.md",
        "table.json",
        "table.csv",
        "picture.png",
        "training.png",
    ] {
        std::fs::remove_file(out.join(name)).unwrap();
    }
    assert_eq!(table(&run(&["--report-only"])), whole);
    assert_eq!(read(&out.join("table.md")), markdown);
    assert_eq!(image::open(out.join("training.png")).unwrap(), training);
    assert!(out.join("picture.png").is_file());

    // The folder alone is enough to go on, too; another setting means other runs.
    let again = command(at, &["compare", "--out", "out", "--json"])
        .output()
        .unwrap();
    assert_eq!(table(&again), whole);
    let longer = run(&["--report-only", "--budget", "7steps"]);
    assert_eq!(
        longer.status.code(),
        Some(2),
        "no run of another budget is there"
    );
}

/// Several processes share the work on one folder: each leaves the others' runs to them and goes on.
#[test]
fn a_run_of_another_process_is_left_to_it() {
    let here = tempfile::tempdir().unwrap();
    let at = here.path();
    let args = "compare --presets ring8 --budget 2steps --seeds 2 --out out --samples 50 --set method.batch=8 \
                --set report.sample_every=0 --jobs";
    let compare = |jobs| {
        let args = args.split_whitespace().chain([jobs]);
        let output = command(at, &args.collect::<Vec<_>>()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    compare("1");
    let run = std::fs::read_dir(at.join("out/runs")).unwrap();
    let mut runs: Vec<_> = run.map(|run| run.unwrap().path()).collect();
    runs.sort();
    let [first, second] = &runs[..] else {
        panic!("{runs:?}");
    };
    let lock = at.join("out/locks").join(first.file_name().unwrap());
    for jobs in ["1", "2"] {
        for run in &runs {
            std::fs::remove_dir_all(run).unwrap();
        }
        let held = std::fs::File::create(&lock).unwrap();
        held.lock().unwrap();
        let said = compare(jobs);
        assert_eq!(
            said.matches("another process is at work on it").count(),
            1,
            "{said}"
        );
        assert!(
            !first.exists() && second.join("eval.json").is_file(),
            "{said}"
        );
        drop(held);
        compare(jobs);
        assert!(first.join("eval.json").is_file());
    }
}

/// Ctrl-C in the middle of a run: exit code 130, and the second call goes on from the checkpoint, in this process or in a child.
#[cfg(unix)]
#[test]
fn an_interrupted_comparison_goes_on_where_it_stopped() {
    for jobs in ["1", "2"] {
        let here = tempfile::tempdir().unwrap();
        let at = here.path();
        let args = "compare --presets ring8 --budget 1000steps --seeds 1 --out out --samples 50 \
                    --set method.batch=8 --set report.log_every=1 --set report.sample_every=0 --json --jobs";
        let args: Vec<&str> = args.split_whitespace().chain([jobs]).collect();
        let child = command(at, &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let record = || -> Option<(std::path::PathBuf, Value)> {
            let run = std::fs::read_dir(at.join("out/runs"))
                .ok()?
                .next()?
                .ok()?
                .path();
            let text = std::fs::read_to_string(run.join("compare.json")).ok()?;
            Some((run, serde_json::from_str(&text).ok()?))
        };
        let started = || {
            let metrics = |(run, _): (std::path::PathBuf, Value)| run.join("metrics.jsonl");
            record().is_some_and(|r| std::fs::metadata(metrics(r)).map_or(0, |m| m.len()) > 0)
        };
        while !started() {
            assert!(begun.elapsed().as_secs() < 120, "no step in two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Only the parent hears of it, as when a supervisor stops it.
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "jobs {jobs}: {stderr}");
        let part: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(part["rows"][0]["missing"], 1);
        let (_, stopped) = record().unwrap();
        assert_eq!(stopped["status"], "interrupted", "{stopped}");
        let spent = |record: &Value| record["seconds"].as_f64().unwrap();
        let steps = |record: &Value| record["steps"].as_u64().unwrap();
        assert!(spent(&stopped) > 0.0 && steps(&stopped) < 1000, "{stopped}");

        let whole = table(&command(at, &args).output().unwrap());
        assert_eq!(whole["rows"][0]["finished"], 1);
        let (run, finished) = record().unwrap();
        assert_eq!(finished["status"], "finished");
        assert_eq!(steps(&finished), 1000);
        assert!(spent(&finished) > spent(&stopped), "{stopped} {finished}");
        // One row for every step: none was made twice.
        let rows = read(&run.join("metrics.jsonl")).lines().count();
        assert_eq!(rows, 1000);
    }
}

#[test]
fn comparisons_are_listed_shown_and_planned_without_training() {
    let here = tempfile::tempdir().unwrap();
    let text = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gan-gpu"))
            .args(args)
            .current_dir(here.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let list = text(&["compare", "--list"]);
    for line in list.lines() {
        let name = line.split(' ').next().unwrap();
        assert!(
            text(&["compare", name, "--show"]).starts_with("# "),
            "{name}"
        );
        let plan = text(&["compare", name, "--dry-run"]);
        assert!(
            plan.contains("[[variant]]") && plan.contains("budget"),
            "{plan}"
        );
    }
    assert!(list.lines().count() >= 1);
    assert!(std::fs::read_dir(here.path()).unwrap().next().is_none());
}
