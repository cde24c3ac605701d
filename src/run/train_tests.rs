//! The training loop against an engine that only counts.
use super::checkpoint::{Checkpoint, CheckpointData, CheckpointStore};
use super::config::{Report, TrainConfig};
use super::folder::RunFolder;
use super::interrupt::Interrupt;
use super::progress::{Progress, Reporter, Silent};
use super::session::*;
use super::summary::{Outcome, Summary};
use super::train::{Clock, Job, Place, Surroundings, run};
use super::{RunError, config};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Time that passes only when the fake engine works.
#[derive(Clone, Default)]
struct FakeClock(Rc<Cell<Duration>>);

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        self.0.get()
    }
}

/// What happened to a fake engine, seen from outside.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn push(&self, event: String) {
        self.0.borrow_mut().push(event);
    }

    fn count(&self, prefix: &str) -> usize {
        self.0
            .borrow()
            .iter()
            .filter(|event| event.starts_with(prefix))
            .count()
    }
}

/// State: one weight, a pure function of the step. A round takes 10 ms.
struct Fake {
    facts: EngineFacts,
    step: u64,
    weight: f32,
    traffic: EngineTraffic,
    clock: FakeClock,
    log: Log,
    /// The loss of this step is NaN, and the weight from then on.
    nan_at: Option<u64>,
    /// The weight becomes infinite at this step while losses stay finite.
    infinite_weight_at: Option<u64>,
    interrupt_at: Option<(u64, Interrupt)>,
}

fn advance(weight: f32, step: u64) -> f32 {
    (weight * 1.1 + step as f32).sin()
}

impl Engine for Fake {
    fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    fn step(&self) -> u64 {
        self.step
    }

    fn images_seen(&self) -> u64 {
        self.step * self.facts.images_per_step
    }

    fn step_block(&mut self, rounds: u64) -> Result<Vec<StepReport>, EngineError> {
        assert!(rounds > 0);
        self.log.push(format!("block {rounds}"));
        let mut reports = Vec::new();
        for _ in 0..rounds {
            self.step += 1;
            self.weight = advance(self.weight, self.step);
            let diverged = self.nan_at.is_some_and(|at| self.step >= at);
            if diverged {
                self.weight = f32::NAN;
            }
            if self.infinite_weight_at == Some(self.step) {
                self.weight = f32::INFINITY;
            }
            if let Some((at, interrupt)) = &self.interrupt_at
                && *at == self.step
            {
                interrupt.request();
            }
            self.clock
                .0
                .set(self.clock.now() + Duration::from_millis(10));
            self.traffic.device_to_host_bytes += 16;
            self.traffic.constant_bytes += 12;
            let (step, images_seen) = (self.step, self.images_seen());
            let loss_d = if diverged {
                f32::NAN
            } else {
                1.0 / step as f32
            };
            reports.push(StepReport {
                step,
                images_seen,
                loss_d,
                loss_g: 0.5,
                d_real: 0.6,
                d_fake: 0.4,
                extra: vec![],
            });
        }
        Ok(reports)
    }

    fn sample(&mut self, request: &SampleRequest) -> Result<Samples, EngineError> {
        let Latents::Seeded { count, seed } = request.latents else {
            panic!("the loop draws from its seed")
        };
        assert!(request.use_ema && request.packed);
        self.log.push(format!("sample at {}", self.step));
        self.traffic.device_to_host_bytes += 1_000_000;
        let byte = (self.weight.to_bits() as u64 ^ seed) as u8;
        Ok(Samples {
            count,
            shape: self.facts.sample_shape,
            values: SampleValues::PackedNhwc(vec![byte; count * 4]),
        })
    }

    fn checkpoint(&mut self) -> Result<CheckpointData, EngineError> {
        let mut data = CheckpointData {
            step: self.step,
            images_seen: self.images_seen(),
            ..Default::default()
        };
        data.insert("g.0.weight", [1], vec![self.weight]);
        data.counters.insert("updates_g".into(), self.step);
        Ok(data)
    }

    fn restore(&mut self, data: &CheckpointData) -> Result<(), EngineError> {
        self.weight = data.tensor("g.0.weight", &[1])?[0];
        self.step = data.counter("updates_g")?;
        Ok(())
    }

    fn traffic(&self) -> EngineTraffic {
        self.traffic
    }

    fn toy_metrics(&mut self) -> Result<Option<ToyMetrics>, EngineError> {
        Ok(Some(ToyMetrics::Mixture {
            modes: 8,
            high_quality_percent: 97.5,
            reverse_kl: Some(0.01),
        }))
    }
}

struct Bench {
    root: tempfile::TempDir,
    config: TrainConfig,
    clock: FakeClock,
    log: Log,
    interrupt: Interrupt,
    nan_at: Option<u64>,
    infinite_weight_at: Option<u64>,
    interrupt_at: Option<u64>,
}

impl Bench {
    fn new(steps: u64) -> Self {
        let mut config = super::presets::preset("ring8").unwrap().config().unwrap();
        config.budget = config::Budget {
            steps: Some(steps),
            ..Default::default()
        };
        config.report = Report {
            log_every: 10,
            sample_every: 50,
            checkpoint_every: 40,
            keep: 2,
            grid: [2, 2],
        };
        Self {
            root: tempfile::tempdir().unwrap(),
            config,
            clock: FakeClock::default(),
            log: Log::default(),
            interrupt: Interrupt::default(),
            nan_at: None,
            infinite_weight_at: None,
            interrupt_at: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn engine(&self) -> Box<dyn Engine> {
        Box::new(Fake {
            facts: EngineFacts {
                adapter: "fake".into(),
                params_g: 1,
                params_d: 0,
                sample_shape: SampleShape::Image {
                    channels: 1,
                    height: 2,
                    width: 2,
                },
                images_per_step: 30,
                data_len: Some(600),
            },
            step: 0,
            weight: 0.5,
            traffic: EngineTraffic {
                host_to_device_bytes: 5_000_000,
                ..Default::default()
            },
            clock: self.clock.clone(),
            log: self.log.clone(),
            nan_at: self.nan_at,
            infinite_weight_at: self.infinite_weight_at,
            interrupt_at: self.interrupt_at.map(|at| (at, self.interrupt.clone())),
        })
    }

    fn go(&self, place: Place, reporter: &mut dyn Reporter) -> Result<Summary, RunError> {
        let job = Job {
            config: self.config.clone(),
            place,
            reference: vec![],
        };
        let around = Surroundings {
            reporter,
            interrupt: &self.interrupt,
            clock: &self.clock,
        };
        run(&job, |_| Ok(self.engine()), around)
    }

    fn train(&self, name: &str) -> Result<Summary, RunError> {
        let place = Place::New {
            out: Some(self.path(name)),
            runs: self.path("runs"),
            label: "x".into(),
        };
        self.go(place, &mut Silent)
    }

    fn resume(&self, name: &str) -> Result<Summary, RunError> {
        let folder = RunFolder::open(&self.path(name)).unwrap();
        let checkpoint = CheckpointStore::new(folder.checkpoints(), 0)
            .latest()
            .unwrap();
        self.go(Place::Resume { folder, checkpoint }, &mut Silent)
    }

    fn checkpoints(&self, name: &str) -> Vec<u64> {
        CheckpointStore::new(self.path(name).join("checkpoints"), 0)
            .steps()
            .unwrap()
    }

    fn logged_steps(&self, name: &str) -> Vec<u64> {
        let text = std::fs::read_to_string(self.path(name).join("metrics.jsonl")).unwrap();
        let row = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["step"]
                .as_u64()
                .unwrap()
        };
        text.lines().map(row).collect()
    }

    fn pictures(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(name).join("samples")).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
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
        "modes",
        "high_quality_percent",
        "reverse_kl",
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
    let place = Place::Resume { folder, checkpoint };
    let stopped = bench.go(place, &mut Silent).unwrap();
    assert!(stopped.steps < 50);
    assert_eq!(bench.checkpoints("a"), [40, stopped.steps]);
    assert_eq!(bench.logged_steps("a"), [10, 20, 30, 40]);
    assert_eq!(whole.steps, 100);
}

#[test]
fn a_longer_budget_extends_a_finished_run() {
    let mut bench = Bench::new(60);
    bench.train("a").unwrap();
    bench.config.budget.steps = Some(90);
    assert_eq!(bench.resume("a").unwrap().steps, 90);
    // Nothing is left to do now: no step, no new checkpoint, but a summary.
    let blocks = bench.log.count("block");
    let again = bench.resume("a").unwrap();
    assert_eq!(
        (again.outcome, again.steps, again.loss_d),
        (Outcome::Finished, 90, None)
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
}

#[test]
fn a_non_finite_weight_is_never_written() {
    let mut bench = Bench::new(200);
    bench.infinite_weight_at = Some(80);
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
}

#[test]
fn epochs_and_kimg_round_up_to_steps() {
    let mut bench = Bench::new(1);
    // 600 images at 30 per step.
    bench.config.budget = config::Budget {
        epochs: Some(2),
        ..Default::default()
    };
    assert_eq!(bench.train("epochs").unwrap().steps, 40);
    bench.config.budget = config::Budget {
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
