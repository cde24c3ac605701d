//! How long a run goes on.
use super::{ConfigError, DataConfig, field};
use crate::data::Source;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long to train: at most one of steps, kimg and epochs, with or without a time limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Rounds: all discriminator updates and then all generator updates of one round are one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Thousands of real images shown to the discriminator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kimg: Option<u64>,
    /// Passes over the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Seconds that one invocation of `train` may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time_s: Option<u64>,
}

/// Refuses passes over a set that has no end.
fn endless(set: &str) -> ConfigError {
    field(
        "budget.epochs",
        format!("{set} is drawn without end; use --steps or --kimg"),
    )
}

impl Budget {
    pub(super) fn check(&self, data: &DataConfig) -> Result<(), ConfigError> {
        let counts = [
            ("steps", self.steps),
            ("kimg", self.kimg),
            ("epochs", self.epochs),
        ];
        let given: Vec<_> = counts
            .into_iter()
            .filter_map(|(name, n)| Some((name, n?)))
            .collect();
        match given[..] {
            [] if self.max_time_s.is_none() => Err(field(
                "budget",
                "nothing ends this run; give one of steps, kimg, epochs, max_time_s",
            )),
            [(first, _), (second, _), ..] => Err(field(
                "budget",
                format!("`{first}` and `{second}` exclude each other; give one of them"),
            )),
            [(name, 0)] => Err(field("budget", format!("`{name}` is 0; give at least 1"))),
            _ if self.max_time_s == Some(0) => {
                Err(field("budget.max_time_s", "is 0; give at least 1 second"))
            }
            _ if self.epochs.is_some() && !matches!(data.source(), Source::Path(_)) => {
                Err(endless(&format!("`{}`", data.source)))
            }
            _ => Ok(()),
        }
    }

    /// The step at which the run ends, rounded up to whole steps; `None` if only time limits it. `data_len`: samples of a set that has an
    /// end.
    ///
    /// # Errors
    /// If epochs are asked for of a set that has no end.
    pub fn steps(
        &self,
        images_per_step: u64,
        data_len: Option<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let per_step = images_per_step.max(1);
        let images = match (self.kimg, self.epochs, data_len) {
            (Some(kimg), ..) => kimg.saturating_mul(1000),
            (None, Some(epochs), Some(len)) => epochs.saturating_mul(len),
            (None, Some(_), None) => {
                return Err(endless("this data set"));
            }
            (None, None, _) => return Ok(self.steps),
        };
        Ok(Some(images.div_ceil(per_step)))
    }

    /// As [`Self::steps`], of data that nobody has looked at: `None` too where the budget counts passes over them.
    pub fn steps_of_any_data(&self, images_per_step: u64) -> Option<u64> {
        match self.epochs {
            Some(_) => None,
            None => self.steps(images_per_step, None).ok().flatten(),
        }
    }

    pub fn max_time(&self) -> Option<Duration> {
        self.max_time_s.map(Duration::from_secs)
    }
}
