//! An engine that only counts, and a bench to train it on.
use crate::run::RunError;
use crate::run::checkpoint::{CheckpointData, CheckpointStore};
use crate::run::config::{Budget, Report, TrainConfig};
use crate::run::folder::RunFolder;
use crate::run::interrupt::Interrupt;
use crate::run::origin::Origin;
use crate::run::presets::preset;
use crate::run::progress::{Reporter, Silent};
use crate::run::session::*;
use crate::run::summary::Summary;
use crate::run::train::{Clock, Job, Place, Surroundings, run};
use crate::run::tune::NamedChoices;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Time that passes only when the fake engine works.
#[derive(Clone, Default)]
pub struct FakeClock(Rc<Cell<Duration>>);

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        self.0.get()
    }
}

/// What happened to a fake engine, seen from outside.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn push(&self, event: String) {
        self.0.borrow_mut().push(event);
    }

    pub fn count(&self, prefix: &str) -> usize {
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
    /// Samples are infinite from this step on while losses and weights stay finite.
    infinite_samples_at: Option<u64>,
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
        assert!(request.use_ema);
        if let SampleShape::Point { features } = self.facts.sample_shape {
            // Every point lies on the ring's mode at (1, 0); on a line, at 1.
            let one = match self.infinite_samples_at.is_some_and(|at| self.step >= at) {
                true => f32::INFINITY,
                false => 1.0,
            };
            let values = (0..count * features).map(|i| if i % features == 0 { one } else { 0.0 });
            return Ok(Samples {
                count,
                shape: self.facts.sample_shape,
                values: SampleValues::F32(values.collect()),
            });
        }
        assert!(request.packed);
        self.log.push(format!("sample at {}", self.step));
        self.traffic.device_to_host_bytes += 1_000_000;
        let byte = (self.weight.to_bits() as u64 ^ seed) as u8;
        Ok(Samples {
            count,
            shape: self.facts.sample_shape,
            values: SampleValues::PackedNhwc(vec![byte; count * 4]),
        })
    }

    fn judge(&mut self, samples: &[f32]) -> Result<Vec<f32>, EngineError> {
        Ok(samples.to_vec())
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
}

pub struct Bench {
    pub root: tempfile::TempDir,
    pub config: TrainConfig,
    pub clock: FakeClock,
    pub log: Log,
    pub interrupt: Interrupt,
    pub nan_at: Option<u64>,
    pub infinite_weight_at: Option<u64>,
    pub infinite_samples_at: Option<u64>,
    pub interrupt_at: Option<u64>,
    pub sample_shape: SampleShape,
    pub spent: Duration,
    /// What the engine has chosen.
    pub choices: Option<NamedChoices>,
}

impl Bench {
    pub fn new(steps: u64) -> Self {
        let mut config = preset("ring8").unwrap().config().unwrap();
        config.budget = Budget {
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
            infinite_samples_at: None,
            interrupt_at: None,
            choices: None,
            spent: Duration::ZERO,
            sample_shape: SampleShape::Image {
                channels: 1,
                height: 2,
                width: 2,
            },
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn engine(&self) -> Box<dyn Engine> {
        Box::new(Fake {
            facts: EngineFacts {
                origin: Origin::of_this_program("fake", "none", "00".into()),
                params_g: 1,
                params_d: 0,
                sample_shape: self.sample_shape,
                classes: None,
                images_per_step: 30,
                data_len: Some(600),
                choices: self.choices.clone(),
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
            infinite_samples_at: self.infinite_samples_at,
            interrupt_at: self.interrupt_at.map(|at| (at, self.interrupt.clone())),
        })
    }

    pub fn go(&self, place: Place, reporter: &mut dyn Reporter) -> Result<Summary, RunError> {
        let job = Job {
            config: self.config.clone(),
            place,
            reference: vec![],
            spent: self.spent,
        };
        let around = Surroundings {
            reporter,
            interrupt: &self.interrupt,
            clock: &self.clock,
        };
        run(&job, |_| Ok(self.engine()), around)
    }

    pub fn train(&self, name: &str) -> Result<Summary, RunError> {
        let place = Place::New {
            out: Some(self.path(name)),
            runs: self.path("runs"),
            label: "x".into(),
        };
        self.go(place, &mut Silent)
    }

    pub fn resume(&self, name: &str) -> Result<Summary, RunError> {
        let folder = RunFolder::open(&self.path(name)).unwrap();
        let checkpoint = CheckpointStore::new(folder.checkpoints(), 0)
            .latest()
            .unwrap();
        let checkpoint = Some(checkpoint);
        self.go(Place::Resume { folder, checkpoint }, &mut Silent)
    }

    pub fn checkpoints(&self, name: &str) -> Vec<u64> {
        CheckpointStore::new(self.path(name).join("checkpoints"), 0)
            .steps()
            .unwrap()
    }

    pub fn logged_steps(&self, name: &str) -> Vec<u64> {
        let text = std::fs::read_to_string(self.path(name).join("metrics.jsonl")).unwrap();
        let row = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["step"]
                .as_u64()
                .unwrap()
        };
        text.lines().map(row).collect()
    }

    pub fn pictures(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(name).join("samples")).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
