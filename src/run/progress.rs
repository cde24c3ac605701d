//! What a person sees of a run: a bar on a terminal, plain lines elsewhere, nothing with `--json`.
//!
//! All of it goes to standard error; standard output is for results.
use super::session::{EngineFacts, StepReport};
use super::summary::{Outcome, Summary};
use crate::gpu::faster_driver;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// Where a run starts from.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    pub facts: &'a EngineFacts,
    pub run: &'a Path,
    pub step: u64,
    /// `None` if only time limits the run.
    pub steps: Option<u64>,
    pub max_time: Option<Duration>,
}

/// Where a run stands after a block of steps.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    pub report: &'a StepReport,
    pub images_per_second: f64,
    pub elapsed: Duration,
    /// Until the budget or the time limit ends, whichever is first.
    pub left: Option<Duration>,
}

/// Watches a run.
pub trait Reporter {
    fn start(&mut self, _start: &Start) {}
    fn progress(&mut self, _progress: &Progress) {}
    /// A file was written.
    fn wrote(&mut self, _what: &str, _path: &Path) {}
    fn finish(&mut self, _summary: &Summary) {}
}

/// Says nothing.
pub struct Silent;

impl Reporter for Silent {}

/// The reporter for a person: a bar on a terminal, otherwise one line per `interval`.
pub fn for_person(interval: Duration) -> Box<dyn Reporter> {
    let stderr = std::io::stderr();
    if stderr.is_terminal() {
        Box::new(Bar::new())
    } else {
        Box::new(Lines::new(stderr, interval))
    }
}

/// `images/s`, losses and time left, in one line.
fn describe(progress: &Progress) -> String {
    let StepReport { loss_d, loss_g, .. } = progress.report;
    let left = progress
        .left
        .map(|left| format!(", {} left", short(left)))
        .unwrap_or_default();
    format!(
        "loss_d {loss_d:.3}, loss_g {loss_g:.3}, {:.0} images/s{left}",
        progress.images_per_second
    )
}

/// `1h02m`, `3m05s`, `12s`.
pub fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// What is said of a run whose budget is used up.
pub fn at_its_end(run: &Path, step: u64) -> String {
    format!(
        "{} is at its {step} steps already; --steps M with a larger M goes on",
        run.display()
    )
}

fn describe_start(start: &Start) -> String {
    let facts = start.facts;
    if start.steps == Some(start.step) {
        return at_its_end(start.run, start.step);
    }
    let from = if start.step > 0 {
        format!(" from step {}", start.step)
    } else {
        String::new()
    };
    let steps = start
        .steps
        .map(|steps| format!(" to step {steps}"))
        .unwrap_or_default();
    let time = start
        .max_time
        .map(|time| format!(" for at most {}", short(time)))
        .unwrap_or_default();
    let advice = faster_driver(&facts.origin.driver).map(|advice| format!("\n{advice}"));
    format!(
        "training{from}{steps}{time} on {}\n{} samples, {} parameters in G, {} in D; run folder {}{}",
        facts.origin.adapter,
        facts.sample_shape,
        facts.params_g,
        facts.params_d,
        start.run.display(),
        advice.unwrap_or_default()
    )
}

fn describe_end(summary: &Summary) -> String {
    let how = match summary.outcome {
        Outcome::Finished => "done",
        Outcome::TimeLimit => "time is up",
        Outcome::Interrupted => "interrupted",
    };
    let time = Duration::from_secs_f64(summary.wall_s.max(0.0));
    format!(
        "{how}: step {} after {}, checkpoint {}",
        summary.steps,
        short(time),
        summary.checkpoint.display()
    )
}

/// One line per interval; for logs and pipes.
pub struct Lines<W> {
    out: W,
    interval: Duration,
    next: Duration,
    steps: Option<u64>,
}

impl<W: Write> Lines<W> {
    pub fn new(out: W, interval: Duration) -> Self {
        Self {
            out,
            interval,
            next: Duration::ZERO,
            steps: None,
        }
    }

    fn line(&mut self, text: &str) {
        // Nobody may be listening any more; that is no reason to stop training.
        let _ = writeln!(self.out, "{text}");
    }
}

impl<W: Write> Reporter for Lines<W> {
    fn start(&mut self, start: &Start) {
        self.steps = start.steps;
        self.line(&describe_start(start));
    }

    fn progress(&mut self, progress: &Progress) {
        let step = progress.report.step;
        if progress.elapsed < self.next && self.steps != Some(step) {
            return;
        }
        self.next = progress.elapsed + self.interval;
        let of = self
            .steps
            .map(|steps| format!("/{steps}"))
            .unwrap_or_default();
        self.line(&format!("step {step}{of}: {}", describe(progress)));
    }

    fn finish(&mut self, summary: &Summary) {
        self.line(&describe_end(summary));
    }
}

/// A progress bar; for a terminal.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        Self {
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
        }
    }
}

impl Reporter for Bar {
    fn start(&mut self, start: &Start) {
        self.bar.println(describe_start(start));
        let template = match start.steps {
            Some(steps) => {
                self.bar.set_length(steps);
                "{bar:24} {pos}/{len} steps  {msg}"
            }
            None => "{spinner} {pos} steps  {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_position(start.step);
    }

    fn progress(&mut self, progress: &Progress) {
        self.bar.set_position(progress.report.step);
        self.bar.set_message(describe(progress));
    }

    fn finish(&mut self, summary: &Summary) {
        self.bar.finish_and_clear();
        eprintln!("{}", describe_end(summary));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::origin::Origin;
    use crate::run::session::SampleShape;

    #[test]
    fn times_are_short() {
        let at = |s: f64| short(Duration::from_secs_f64(s));
        assert_eq!(
            [at(0.2), at(59.4), at(59.6), at(185.0), at(3720.0)],
            ["0s", "59s", "1m00s", "3m05s", "1h02m"]
        );
    }

    #[test]
    fn lines_come_once_per_interval_and_at_the_end() {
        let mut out = Vec::new();
        let facts = EngineFacts {
            origin: Origin::of_this_program("llvmpipe", "Mesa 25.0.7", "00".into()),
            params_g: 5,
            params_d: 3,
            sample_shape: SampleShape::Image {
                channels: 1,
                height: 28,
                width: 28,
            },
            classes: None,
            images_per_step: 64,
            data_len: None,
            choices: None,
        };
        let mut lines = Lines::new(&mut out, Duration::from_secs(10));
        lines.start(&Start {
            facts: &facts,
            run: Path::new("runs/0001"),
            step: 0,
            steps: Some(40),
            max_time: None,
        });
        for (step, seconds) in [(1, 1), (2, 5), (3, 12), (39, 13), (40, 14)] {
            let report = StepReport {
                step,
                images_seen: 0,
                loss_d: 1.25,
                loss_g: 0.5,
                d_real: 0.5,
                d_fake: 0.5,
                extra: vec![],
            };
            let left = Some(Duration::from_secs(90));
            let elapsed = Duration::from_secs(seconds);
            lines.progress(&Progress {
                report: &report,
                images_per_second: 640.0,
                elapsed,
                left,
            });
        }
        let mut over = Vec::new();
        Lines::new(&mut over, Duration::ZERO).start(&Start {
            facts: &facts,
            run: Path::new("runs/0001"),
            step: 40,
            steps: Some(40),
            max_time: None,
        });
        assert!(over.starts_with(b"runs/0001 is at its 40 steps already"));
        let text = String::from_utf8(out).unwrap();
        let steps: Vec<&str> = text.lines().skip(2).collect();
        assert!(
            text.starts_with(
                "training to step 40 on llvmpipe\n1x28x28 samples, 5 parameters in G, 3 in D"
            ),
            "{text}"
        );
        assert_eq!(steps.len(), 3, "{text}");
        assert_eq!(
            steps[0],
            "step 1/40: loss_d 1.250, loss_g 0.500, 640 images/s, 1m30s left"
        );
        assert!(
            steps[1].starts_with("step 3/40") && steps[2].starts_with("step 40/40"),
            "{text}"
        );
    }
}
