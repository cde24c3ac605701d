//! The training loop against an engine that only counts.
mod bench;

use super::RunError;
use super::checkpoint::Checkpoint;
use super::config::{Budget, TrainConfig};
use super::folder::RunFolder;
use super::interrupt::Interrupt;
use super::presets::preset;
use super::progress::{Progress, Reporter, Silent};
use super::session::{EngineError, SampleShape};
use super::summary::{Outcome, Summary};
use super::train::{Job, Place, Surroundings, run};
use bench::Bench;
use std::path::Path;
use std::time::Duration;

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// The engine's choices are part of the run: they stand in its configuration and its checkpoints, and it is resumed with them.
#[test]
fn chosen_variants_are_recorded() {
    let mut bench = Bench::new(50);
    bench.train("by-rule").unwrap();
    let read = |bench: &Bench, run: &str| {
        let checkpoints = bench.path(&format!("{run}/checkpoints"));
        let newest = checkpoints.join("step-00000050.safetensors");
        let checkpoint = Checkpoint::read(&newest).unwrap();
        let config = TrainConfig::read(&bench.path(&format!("{run}/config.toml"))).unwrap();
        assert_eq!(
            TrainConfig::from_toml("checkpoint", &checkpoint.config).unwrap(),
            config
        );
        config.choices
    };
    assert_eq!(read(&bench, "by-rule"), None);
    let chosen = [("an operation".to_string(), "a variant".to_string())];
    bench.choices = Some(chosen.clone().into());
    bench.train("chosen").unwrap();
    assert_eq!(read(&bench, "chosen"), Some(chosen.into()));
    // That there is nothing but rules is a choice too.
    bench.choices = Some([].into());
    bench.train("nothing").unwrap();
    assert_eq!(read(&bench, "nothing"), Some([].into()));
}

#[test]
fn a_whole_run_leaves_the_contract_s_files_and_figures() {
    let bench = Bench::new(130);
    let summary = bench.train("a").unwrap();
    assert_eq!(
        bench.logged_steps("a"),
        (1..=13).map(|i| i * 10).collect::<Vec<_>>()
    );
    assert_eq!(
        bench.checkpoints("a"),
        [120, 130],
        "the last two of 40, 80, 120, 130"
    );
    assert_eq!(
        bench.pictures("a"),
        [
            "step-00000000.png",
            "step-00000050.png",
            "step-00000100.png",
            "step-00000130.png"
        ]
    );
    assert_eq!(
        (summary.outcome, summary.steps, summary.images_seen),
        (Outcome::Finished, 130, 3900)
    );
    assert_eq!(
        (summary.loss_d, summary.loss_g),
        (Some(1.0 / 130.0), Some(0.5))
    );
    // Only what the steps move counts per step: neither the set-up before them nor the pictures between them.
    assert_eq!(summary.host_to_device_bytes_per_step, 0.0);
    assert_eq!(summary.device_to_host_bytes_per_step, 16.0);
    assert_eq!(summary.constant_bytes_per_step, 12.0);
    assert_eq!(summary.device_to_host_bytes_for_output, 4_000_000);
    assert!(
        (summary.images_per_second - 3000.0).abs() < 1e-6 && (summary.wall_s - 1.3).abs() < 1e-6
    );
    let json: serde_json::Value =
        serde_json::from_slice(&bytes(&bench.path("a/summary.json"))).unwrap();
    for key in [
        "steps",
        "images_seen",
        "wall_s",
        "images_per_second",
        "loss_d",
        "loss_g",
        "host_to_device_bytes_per_step",
        "device_to_host_bytes_per_step",
        "peak_device_bytes",
        "adapter",
    ] {
        assert!(json.get(key).is_some_and(|v| !v.is_null()), "{key}");
    }
    assert_eq!(
        TrainConfig::read(&bench.path("a/config.toml")).unwrap(),
        bench.config
    );
    let checkpoint = Checkpoint::read(&summary.checkpoint).unwrap();
    assert_eq!(
        TrainConfig::from_toml("checkpoint", &checkpoint.config).unwrap(),
        bench.config
    );
}

#[test]
fn an_interrupted_and_resumed_run_ends_like_an_uninterrupted_one() {
    let mut bench = Bench::new(100);
    let whole = bench.train("whole").unwrap();
    bench.interrupt_at = Some(53);
    let part = bench.train("part").unwrap();
    assert_eq!(part.outcome, Outcome::Interrupted);
    assert!(part.steps >= 53 && part.steps < 100, "{}", part.steps);
    assert_eq!(bench.checkpoints("part").last(), Some(&part.steps));

    bench.interrupt = Interrupt::default();
    bench.interrupt_at = None;
    let resumed = bench.resume("part").unwrap();
    assert_eq!((resumed.outcome, resumed.steps), (Outcome::Finished, 100));
    assert_eq!(bytes(&resumed.checkpoint), bytes(&whole.checkpoint));
    assert_eq!(bench.logged_steps("part"), bench.logged_steps("whole"));
}

#[test]
fn resuming_forgets_what_lies_after_the_checkpoint() {
    let mut bench = Bench::new(100);
    bench.config.report.keep = 0;
    let whole = bench.train("a").unwrap();
    let folder = RunFolder::open(&bench.path("a")).unwrap();
    let checkpoint = bench.path("a/checkpoints/step-00000040.safetensors");
    bench.interrupt_at = Some(41);
    let checkpoint = Some(checkpoint);
    let place = Place::Resume { folder, checkpoint };
    let stopped = bench.go(place, &mut Silent).unwrap();
    assert!(stopped.steps < 50);
    assert_eq!(bench.checkpoints("a"), [40, stopped.steps]);
    assert_eq!(bench.logged_steps("a"), [10, 20, 30, 40]);
    assert_eq!(whole.steps, 100);
}

#[test]
fn a_run_with_other_settings_is_not_gone_on_with() {
    let mut bench = Bench::new(60);
    bench.train("a").unwrap();
    bench.config.budget.steps = Some(90);
    bench.config.method.batch += 1;
    let blocks = bench.log.count("block");
    let error = bench.resume("a").unwrap_err();
    assert!(matches!(error, RunError::OtherRun { .. }), "{error}");
    assert_eq!(bench.log.count("block"), blocks);
}

#[test]
fn a_longer_budget_extends_a_finished_run() {
    let mut bench = Bench::new(60);
    bench.train("a").unwrap();
    bench.config.budget.steps = Some(90);
    assert_eq!(bench.resume("a").unwrap().steps, 90);
    // Nothing is left to do now: no step, no new checkpoint, and the file keeps the summary of the steps.
    let blocks = bench.log.count("block");
    let before = std::fs::read(bench.path("a/summary.json")).unwrap();
    let again = bench.resume("a").unwrap();
    assert_eq!(std::fs::read(bench.path("a/summary.json")).unwrap(), before);
    assert_eq!(
        (again.outcome, again.steps, again.loss_d),
        (Outcome::Finished, 90, None)
    );
    // Nor does it end before where it stands: one pass is 20 steps.
    bench.config.budget = Budget {
        epochs: Some(1),
        ..Default::default()
    };
    let error = bench.resume("a").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is of step 90, and the budget ends at step 20"),
        "{error}"
    );
    assert_eq!(bench.log.count("block"), blocks);
}

#[test]
fn a_non_finite_loss_names_step_and_tensor_and_keeps_the_last_good_checkpoint() {
    let mut bench = Bench::new(200);
    bench.nan_at = Some(95);
    match bench.train("a").unwrap_err() {
        error @ RunError::Diverged { step: 95, .. } => {
            let message = error.to_string();
            assert!(
                message.starts_with("training diverged: loss_d is NaN at step 95"),
                "{message}"
            );
            assert!(
                message.contains("`g.0.weight`") && message.contains("step-00000080"),
                "{message}"
            );
            let page = bench.path("a/report.html").display().to_string();
            assert!(
                message.contains("; lower --lr or add") && message.ends_with(&page),
                "{message}"
            );
        }
        other => panic!("{other}"),
    }
    assert_eq!(bench.checkpoints("a"), [40, 80]);
    assert_eq!(
        bench.logged_steps("a").last(),
        Some(&90),
        "rows before the divergence are kept"
    );
    let kept = Checkpoint::read(&bench.path("a/checkpoints/step-00000080.safetensors")).unwrap();
    assert_eq!(kept.data.non_finite(), None);
    let page = std::fs::read_to_string(bench.path("a/report.html")).unwrap();
    assert!(page.contains("training diverged: loss_d is NaN at step 95"));
    let summary = std::fs::read(bench.path("a/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(
        (&summary["outcome"], &summary["steps"]),
        (&"diverged".into(), &95.into())
    );
    assert!(
        summary["checkpoint"]
            .as_str()
            .unwrap()
            .contains("step-00000080")
    );
}

#[test]
fn samples_that_are_not_finite_are_a_divergence() {
    let mut bench = Bench::new(200);
    bench.sample_shape = SampleShape::Point { features: 2 };
    // One at a picture, one at the end of the run.
    for (at, ends, step, last) in [(50, 200, 50, 40), (51, 60, 60, 60)] {
        bench.infinite_samples_at = Some(at);
        bench.config.budget.steps = Some(ends);
        bench.config.report.sample_every = if at == 50 { 50 } else { 0 };
        let name = format!("to{ends}");
        let error = bench.train(&name).unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(error, RunError::Diverged { step: s, .. } if s == step),
            "{message}"
        );
        assert!(
            message.starts_with(&format!(
                "training diverged: generated sample 0 is inf at step {step}"
            )),
            "{message}"
        );
        assert_eq!(bench.checkpoints(&name).last(), Some(&last));
        assert_eq!(bench.logged_steps(&name).last(), Some(&(step / 10 * 10)));
    }
}

#[test]
fn a_non_finite_weight_is_never_written() {
    let mut bench = Bench::new(200);
    bench.infinite_weight_at = Some(80);
    *bench.config.method.optimiser.d.lr_mut() = 4e-4;
    *bench.config.method.optimiser.g.lr_mut() = 1e-4;
    let error = bench.train("two-rates").unwrap_err().to_string();
    assert!(
        error.contains("lower --d-lr or --g-lr (now 0.0004 and 0.0001)"),
        "{error}"
    );
    match bench.train("a").unwrap_err() {
        RunError::Diverged {
            step: 80,
            what,
            value,
            ..
        } => {
            assert_eq!(
                (what.as_str(), value),
                ("tensor `g.0.weight`", f32::INFINITY)
            );
        }
        other => panic!("{other}"),
    }
    assert_eq!(bench.checkpoints("a"), [40]);
}

#[test]
fn time_ends_a_run_with_a_checkpoint() {
    let mut bench = Bench::new(1_000_000);
    bench.config.budget.max_time_s = Some(3);
    let summary = bench.train("a").unwrap();
    assert_eq!(summary.outcome, Outcome::TimeLimit);
    // 300 rounds of 10 ms; blocks shrink towards the end so that it is met.
    assert!((300..=302).contains(&summary.steps), "{}", summary.steps);
    assert_eq!(bench.checkpoints("a").last(), Some(&summary.steps));
    bench.config.budget.steps = None;
    assert_eq!(bench.train("b").unwrap().outcome, Outcome::TimeLimit);
    // Two seconds of the three were spent by another invocation; config.toml keeps the whole.
    bench.spent = Duration::from_secs(2);
    let summary = bench.train("c").unwrap();
    assert!((100..=102).contains(&summary.steps), "{}", summary.steps);
    let config = TrainConfig::read(&bench.path("c/config.toml")).unwrap();
    assert_eq!(config.budget.max_time_s, Some(3));
}

#[test]
fn epochs_and_kimg_round_up_to_steps() {
    let mut bench = Bench::new(1);
    // 600 images at 30 per step.
    bench.config.budget = Budget {
        epochs: Some(2),
        ..Default::default()
    };
    assert_eq!(bench.train("epochs").unwrap().steps, 40);
    bench.config.budget = Budget {
        kimg: Some(1),
        ..Default::default()
    };
    assert_eq!(bench.train("kimg").unwrap().steps, 34);
}

#[test]
fn blocks_neither_straddle_what_is_due_nor_change_the_result() {
    let mut bench = Bench::new(100);
    bench.config.report.sample_every = 7;
    let with = bench.train("with").unwrap();
    assert_eq!(bench.pictures("with").len(), 16, "0, 7, .. 98, 100");
    bench.config.report.sample_every = 0;
    let without = bench.train("without").unwrap();
    assert!(bench.pictures("without").is_empty() && without.samples.is_none());
    let weight = |summary: &Summary| Checkpoint::read(&summary.checkpoint).unwrap().data;
    assert_eq!(weight(&with), weight(&without));
}

#[test]
fn bad_input_leaves_no_folder() {
    let bench = Bench::new(10);
    let place = Place::New {
        out: Some(bench.path("a")),
        runs: bench.path("runs"),
        label: "x".into(),
    };
    let job = Job {
        config: bench.config.clone(),
        place,
        reference: vec![],
        spent: Duration::ZERO,
    };
    let around = Surroundings {
        reporter: &mut Silent,
        interrupt: &bench.interrupt,
        clock: &bench.clock,
    };
    let result = run(&job, |_| Err(EngineError::input("no such file")), around);
    assert!(matches!(
        result,
        Err(RunError::Engine(EngineError::Input(_)))
    ));
    assert!(!bench.path("a").exists());
}

#[test]
fn progress_tells_the_time_that_is_left() {
    struct Watch(Vec<Option<Duration>>);
    impl Reporter for Watch {
        fn progress(&mut self, progress: &Progress) {
            self.0.push(progress.left);
        }
    }
    let bench = Bench::new(100);
    let mut watch = Watch(vec![]);
    let place = Place::New {
        out: None,
        runs: bench.path("runs"),
        label: "ring8-ring8".into(),
    };
    let summary = bench.go(place, &mut watch).unwrap();
    assert!(summary.run.ends_with("0001-ring8-ring8"));
    assert_eq!(watch.0.first(), Some(&Some(Duration::from_millis(990))));
    assert_eq!(watch.0.last(), Some(&Some(Duration::ZERO)));
}

#[test]
fn point_sets_are_measured_at_the_end() {
    let mut bench = Bench::new(20);
    bench.sample_shape = SampleShape::Point { features: 2 };
    let summary = bench.train("ring").unwrap();
    let json = serde_json::to_value(&summary).unwrap();
    // All samples in one of eight modes: ln 8.
    assert_eq!(
        (
            json["modes"].as_u64(),
            json["high_quality_percent"].as_f64()
        ),
        (Some(1), Some(100.0))
    );
    assert!((json["reverse_kl"].as_f64().unwrap() - 8f64.ln()).abs() < 1e-6);
    assert!(json.get("d_real_mean").is_none());

    bench.config = preset("gauss1d").unwrap().config().unwrap();
    bench.config.budget.steps = Some(20);
    bench.sample_shape = SampleShape::Point { features: 1 };
    let summary = bench.train("line").unwrap();
    let json = serde_json::to_value(&summary).unwrap();
    // A needle at 1 against N(3, 0.5^2): every bit of mass moves towards it, 2 on average.
    assert!((json["w1"].as_f64().unwrap() - 2.0).abs() < 0.01, "{json}");
    let mean = |key: &str| json[key].as_f64().unwrap();
    assert!((mean("d_real_mean") - 0.6).abs() < 1e-6 && (mean("d_fake_mean") - 0.4).abs() < 1e-6);
    assert!(bench.path("line/samples/step-00000020.png").is_file());
}
