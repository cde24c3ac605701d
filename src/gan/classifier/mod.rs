//! A classifier trained on the device: the judge of samples that come in classes (Stacked-MNIST, conditional methods).
//!
//! The small sibling of the adversarial trainer: one network, one loss (softmax cross-entropy), one program per rate of its schedule.
//! Batches and their labels are drawn on the device, a step gives back its loss and its share of right answers, nothing else.
mod batches;
mod judge;
mod program;
mod trainer;

pub use batches::Labelled;
pub use judge::Judge;
pub use trainer::{ClassifierTrainer, Progress, kernels};

use super::{GanError, Result};
use crate::nn::{Extent, Network, NetworkSpec, NnError};

/// The network that comes with the program, for 28x28 grey images in ten classes: `assets/models/classifier28.toml`.
pub const CLASSIFIER28: &str = include_str!("../../../assets/models/classifier28.toml");

/// A classifier's network from its description, as a file of layers has it; `file` is its name in errors.
///
/// # Errors
/// [`NnError::Toml`] with line and column.
pub fn spec_from_toml(file: &str, text: &str) -> Result<NetworkSpec> {
    let spec = toml::from_str(text).map_err(|e| NnError::Toml {
        file: file.into(),
        message: e.to_string().trim_end().into(),
    });
    Ok(spec?)
}

/// How a classifier is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub batch: usize,
    /// Adam's, at the start; see [`SCHEDULE`].
    pub lr: f64,
    /// Probability that the target gives away, evenly to all classes: 0 for plain cross-entropy (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// In all: the schedule is a share of these.
    pub steps: u64,
    pub seed: u64,
}

impl Default for Settings {
    /// Four passes over MNIST at Adam's default rate.
    fn default() -> Settings {
        Settings {
            batch: 128,
            lr: 1e-3,
            label_smoothing: 0.0,
            steps: 4 * 60_000 / 128,
            seed: 0,
        }
    }
}

/// From which share of the steps on the rate is multiplied by what.
pub const SCHEDULE: [(f64, f64); 3] = [(0.0, 1.0), (0.6, 0.3), (0.85, 0.1)];

impl Settings {
    /// # Errors
    /// [`GanError::Setting`] names the first that cannot be used.
    pub fn validate(&self) -> Result<()> {
        let bad = |field: &str, expected: &str, got: String| {
            Err(GanError::Setting {
                field: field.into(),
                expected: expected.into(),
                got,
            })
        };
        match self {
            Settings { batch: 0, .. } => bad("batch", "at least 1", "0".into()),
            Settings { steps: 0, .. } => bad("steps", "at least 1", "0".into()),
            _ if !(self.lr > 0.0 && self.lr.is_finite()) => {
                bad("lr", "a positive number", self.lr.to_string())
            }
            _ if !(0.0..1.0).contains(&self.label_smoothing) => bad(
                "label_smoothing",
                "at least 0 and below 1",
                self.label_smoothing.to_string(),
            ),
            _ => Ok(()),
        }
    }

    /// Which entry of [`SCHEDULE`] holds at `step` (from 0).
    fn phase(&self, step: u64) -> usize {
        let share = step as f64 / self.steps as f64;
        let begun = SCHEDULE.iter().filter(|(from, _)| *from <= share).count();
        begun.saturating_sub(1)
    }
}

/// The number of classes that a network tells apart.
///
/// # Errors
/// [`GanError::Input`] for a network that takes no images or gives fewer than 2 or more than 256 logits, or needs labels itself.
pub fn classes(network: &Network) -> Result<usize> {
    let refuse = |what: String| Err(GanError::Input(format!("a classifier {what}")));
    match (network.input(), network.output()) {
        (Extent::Features { .. }, _) => refuse(format!(
            "takes images, this network takes {}",
            network.input()
        )),
        _ if network.classes().is_some() => {
            refuse("finds the labels, this network has a layer that is given them".into())
        }
        (_, Extent::Features { features }) if (2..=256).contains(&features) => Ok(features),
        (_, output) => refuse(format!(
            "gives one logit per class, 2 to 256; this network gives {output}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_by_the_schedule() {
        let settings = Settings {
            steps: 100,
            ..Settings::default()
        };
        for (step, phase) in [(0, 0), (59, 0), (60, 1), (84, 1), (85, 2), (99, 2)] {
            assert_eq!(settings.phase(step), phase, "{step}");
        }
    }

    #[test]
    fn senseless_settings_and_networks_are_refused() {
        let default = Settings::default;
        for (settings, field) in [
            (
                Settings {
                    batch: 0,
                    ..default()
                },
                "batch",
            ),
            (
                Settings {
                    steps: 0,
                    ..default()
                },
                "steps",
            ),
            (
                Settings {
                    lr: f64::NAN,
                    ..default()
                },
                "lr",
            ),
            (
                Settings {
                    label_smoothing: 1.0,
                    ..default()
                },
                "label_smoothing",
            ),
        ] {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        default().validate().unwrap();
        let network = |text: &str| Network::new(&spec_from_toml("test", text).unwrap()).unwrap();
        assert_eq!(classes(&network(CLASSIFIER28)).unwrap(), 10);
        let vector = "input = { features = 9 }\n[[layer]]\ntype = \"linear\"\nout = 10\n";
        let error = classes(&network(vector)).unwrap_err().to_string();
        assert!(error.contains("takes images"), "{error}");
        let one = CLASSIFIER28.replace("out = 10", "out = 1");
        let error = classes(&network(&one)).unwrap_err().to_string();
        assert!(error.contains("one logit per class"), "{error}");
        assert!(spec_from_toml("x.toml", "input = 3").is_err());
    }
}
