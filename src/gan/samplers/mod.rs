//! Samplers that follow training: they draw from a trained pair what its generator alone does not give, by what its discriminator
//! knows of the density ratio. One file each.
//!
//! All of them take D(x) for the logit of data against generated samples, log p_data(x) / p_G(x). Where the objective makes D learn
//! something else, a logistic regression makes a logit of it first ([`calibration`]).
pub mod calibration;
pub mod ddls;
pub mod drs;
pub mod mh;
mod stand;

use super::trainer::Pair;
use super::{GanConfig, GanError, Objective, Result};
use calibration::Platt;
use serde::Serialize;
use stand::Stand;

/// How to draw, with the sampler's own settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Whatever the generator makes of the prior.
    Raw,
    Drs(drs::Settings),
    Mh(mh::Settings),
    Ddls(ddls::Settings),
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::Raw => "raw",
            Method::Drs(_) => "drs",
            Method::Mh(_) => "mh",
            Method::Ddls(_) => "ddls",
        }
    }
}

/// Whether D's output is made a logit by logistic regression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calibrate {
    /// For MH always, as its paper does; for the others where the objective's D has no logit.
    #[default]
    Auto,
    Always,
    /// D's output is taken as it is.
    Never,
}

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: Method,
    pub count: usize,
    /// The same seed, the same samples.
    pub seed: u64,
    /// The moving average of G's weights, where the run keeps one.
    pub use_ema: bool,
    pub calibrate: Calibrate,
    /// Real samples, row by row, that calibration sees beside as many generated ones. Best such that D has not been trained on.
    pub held_out: &'a [f32],
    /// Real samples, row by row, at which chains of MH start: chain i at sample i, from the first again behind the last.
    pub starts: &'a [f32],
}

/// Samples and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// Row by row: `[count, channels, height, width]` in -1..1, or `[count, features]`.
    pub samples: Vec<f32>,
    pub report: Report,
}

/// How samples came about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub sampler: &'static str,
    pub count: usize,
    /// Samples that the generator made for it, those of burn-in, chains and calibration included.
    pub generated: u64,
    /// Share of the proposals that were accepted; none where nothing is proposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptance_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Platt>,
    #[serde(flatten)]
    pub details: Details,
}

/// What only one sampler reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Details {
    Drs {
        /// The largest logit seen.
        max_logit: f64,
    },
    Mh {
        /// Chains that had accepted nothing and began again at a generated sample.
        restarted_chains: usize,
    },
    Ddls {
        /// Mean logit of the samples before and behind the chains.
        mean_logit_before: f64,
        mean_logit: f64,
    },
    None {},
}

/// Calibration's generated samples are not those that are drawn.
const CALIBRATION_SEED: u64 = 0x6361_6c69_6272;

impl Pair {
    /// Draws by `request.method`. Compiles its program at each call.
    ///
    /// # Errors
    /// [`GanError::Input`] where this pair cannot be sampled so, with the reason; those of the device.
    pub fn draw(&self, request: &Request) -> Result<Drawn> {
        if request.count == 0 {
            return Err(GanError::Input("no samples to draw: count is 0".into()));
        }
        if request.method == Method::Raw {
            return self.draw_raw(request);
        }
        check(self.config(), request.method)?;
        let stand = Stand::new(self, request.use_ema)?;
        let mut generated = 0;
        let (method, calibrate) = (request.method, request.calibrate);
        let calibration = match calibrates(method, calibrate, self.config(), request.use_ema) {
            true => {
                let platt = self.calibrate(&stand, request)?;
                generated += platt.generated as u64;
                Some(platt)
            }
            false => None,
        };
        let line = calibration.map_or([1.0, 0.0], |p| [p.slope, p.offset]);
        let mut drawn = match request.method {
            Method::Drs(settings) => drs::draw(&stand, request, &settings, line),
            Method::Mh(settings) => mh::draw(&stand, request, &settings, line),
            Method::Ddls(settings) => ddls::draw(&stand, request, &settings, line),
            Method::Raw => self.draw_raw(request),
        }?;
        drawn.report.generated += generated;
        drawn.report.calibration = calibration;
        Ok(drawn)
    }

    fn draw_raw(&self, request: &Request) -> Result<Drawn> {
        let generator = self.generator();
        let latents = generator.latents(request.count, request.seed);
        let samples = generator.sample_f32(&latents, None, request.use_ema)?;
        let report = Report {
            sampler: Method::Raw.name(),
            count: request.count,
            generated: request.count as u64,
            acceptance_rate: None,
            calibration: None,
            details: Details::None {},
        };
        Ok(Drawn { samples, report })
    }

    fn calibrate(&self, stand: &Stand, request: &Request) -> Result<Platt> {
        let width = self.model().sample.numel();
        let count = request.held_out.len() / width;
        if count < 2 {
            return Err(GanError::Input(
                "calibration needs real samples and got none; give some, or take D as it is (--calibrate never)".into(),
            ));
        }
        let real = stand.scores(&request.held_out[..count * width])?;
        let latents = self
            .generator()
            .latents(count, request.seed ^ CALIBRATION_SEED);
        let fake = stand.proposer()?.propose(&latents)?.scores;
        calibration::fit(&real, &fake)
    }
}

/// Whether D's output is calibrated on real samples before this method takes it for a logit. One that is a logit is that of data against
/// samples of the generator that D was trained with: against those of the average of its weights (`use_ema`) it has to be fitted too.
pub fn calibrates(method: Method, calibrate: Calibrate, config: &GanConfig, use_ema: bool) -> bool {
    let averaged = use_ema && config.ema.is_some();
    match (calibrate, method) {
        (Calibrate::Never, _) | (_, Method::Raw) => false,
        (Calibrate::Always, _) | (_, Method::Mh(_)) => true,
        // The paper takes the critic of WGAN for the logit of an energy-based model.
        (_, Method::Ddls(_)) if config.objective == Objective::Wgan => false,
        _ => {
            let logit = [Objective::Minimax, Objective::NonSaturating];
            averaged || !logit.contains(&config.objective)
        }
    }
}

/// Refuses what this method cannot sample, by the configuration alone.
///
/// # Errors
/// [`GanError::Input`] where D's output cannot be taken for a logit, whatever is done to it, D would have to be asked about one class at a
/// time, or the latents are no plain draws of the prior.
pub fn check(config: &GanConfig, method: Method) -> Result<()> {
    if method == Method::Raw {
        return Ok(());
    }
    let reason = if config.conditional.is_some() {
        "it is conditional, and D would have to be asked about one class at a time, which the samplers do not do; --sampler raw draws from it"
    } else if config.objective == Objective::Energy {
        "the objective energy trains an auto-encoder, whose reconstruction error is no logit of data against generated samples"
    } else if config.info.is_some() && !matches!(method, Method::Drs(_)) {
        "its latents hold codes beside the prior's draws, which its chains do not propose; --sampler drs takes them as they come"
    } else if config.generators > 1 && !matches!(method, Method::Drs(_)) {
        "a chain stays with one of its generators, and how much each of them makes would never be put right; --sampler drs takes them as they come"
    } else {
        return Ok(());
    };
    Err(GanError::Input(format!(
        "{} cannot sample this run: {reason}",
        method.name()
    )))
}

#[cfg(test)]
mod tests;
