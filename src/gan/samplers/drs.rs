//! Discriminator rejection sampling (Azadi et al., arXiv 1810.06758): generated samples are accepted with probability sigmoid(F),
//!
//!   F = D - M - log(1 - exp(D - M - eps)) - gamma,
//!
//! where D is the logit and M the largest one seen: at gamma = 0 that is p_data / (p_G max p_data / p_G), plain rejection. A gamma
//! above 0 accepts less and keeps only what D is sure of, one below 0 accepts more; neither is exact.
use super::stand::{Stand, finite};
use super::{Details, Drawn, Method, Report, Request};
use crate::data::rng::{Stream, uniform01};
use crate::gan::{GanError, Result};

/// Draws among which gamma is a percentile.
const BATCH: usize = 512;
/// The random stream of what is accepted.
const ACCEPT_STREAM: u32 = 0x6472_7300;
/// Burn-in draws other latents than sampling.
const BURN_IN_SEED: u64 = 0x6275_726e;
/// Draws per sample after which it is given up.
const MOST_DRAWS: usize = 2000;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Generated samples from which M is estimated before the first is accepted; it grows afterwards where a larger logit is met.
    pub burn_in: usize,
    /// gamma is this percentile of F over each 512 draws; None for gamma = 0.
    pub gamma_percentile: Option<f64>,
    pub epsilon: f64,
}

impl Default for Settings {
    /// Those of the paper's mixture of 25 Gaussians, with 10,000 samples of burn-in.
    fn default() -> Settings {
        Settings {
            burn_in: 10_000,
            gamma_percentile: Some(95.0),
            epsilon: 1e-6,
        }
    }
}

impl Settings {
    fn validate(&self) -> Result<()> {
        let percentile = self.gamma_percentile.unwrap_or(0.0);
        let setting = |field: &str, expected: &str, got: f64| {
            Err(GanError::Setting {
                field: field.into(),
                expected: expected.into(),
                got: got.to_string(),
            })
        };
        if self.burn_in == 0 {
            return setting("drs burn-in", "at least 1 sample", 0.0);
        }
        if !(0.0..=100.0).contains(&percentile) {
            return setting("drs gamma percentile", "a number from 0 to 100", percentile);
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return setting("drs epsilon", "a number between 0 and 1", self.epsilon);
        }
        Ok(())
    }
}

/// F without gamma: the logit of being accepted. `below` is D - M, at most 0.
fn acceptance(below: f64, epsilon: f64) -> f64 {
    below - (-(below - epsilon).exp()).ln_1p()
}

/// # Errors
/// [`GanError::Setting`]; [`GanError::Input`] where next to nothing is accepted; those of the device.
pub fn draw(stand: &Stand, request: &Request, s: &Settings, line: [f64; 2]) -> Result<Drawn> {
    s.validate()?;
    let pair = stand.pair;
    let proposer = stand.proposer()?;
    let width = stand.model().sample.numel();
    let logits = |scores: &[f32]| -> Vec<f64> {
        let one = |&v: &f32| line[0] * f64::from(v) + line[1];
        scores.iter().map(one).collect()
    };
    let burnt = pair
        .generator()
        .latents(s.burn_in, request.seed ^ BURN_IN_SEED);
    let burnt = proposer.propose(&burnt)?.scores;
    finite(&burnt)?;
    let mut most = logits(&burnt).into_iter().fold(f64::MIN, f64::max);
    let stream = Stream::new(request.seed, ACCEPT_STREAM, 0);
    let latent = stand.model().generator.input().numel();
    let (mut samples, mut accepted, mut drawn) = (vec![], 0, 0usize);
    while accepted < request.count {
        if drawn > MOST_DRAWS.saturating_mul(request.count) {
            return Err(GanError::Input(format!(
                "discriminator rejection sampling accepted {accepted} of {drawn} samples; the discriminator tells nearly all generated \
                 samples from data: a lower --drs-gamma-percentile accepts more, and --calibrate always may help"
            )));
        }
        // Latent i is a function of the seed and i alone: those drawn before are drawn again and left out.
        let latents = pair.generator().latents_from(drawn, BATCH, request.seed);
        let made = proposer.propose(&latents)?;
        debug_assert_eq!(latents.len(), BATCH * latent);
        finite(&made.scores)?;
        let mut f = vec![];
        for logit in logits(&made.scores) {
            most = most.max(logit);
            f.push(acceptance(logit - most, s.epsilon));
        }
        let gamma = s.gamma_percentile.map_or(0.0, |p| percentile(&f, p));
        for (n, &f) in f.iter().enumerate() {
            let u = f64::from(uniform01(stream.block((drawn + n) as u32, 0)[0]));
            if accepted < request.count && u < 1.0 / (1.0 + (gamma - f).exp()) {
                samples.extend_from_slice(&made.samples[n * width..(n + 1) * width]);
                accepted += 1;
                if accepted == request.count {
                    drawn += n + 1;
                    break;
                }
            }
        }
        if accepted < request.count {
            drawn += BATCH;
        }
    }
    let report = Report {
        sampler: Method::Drs(*s).name(),
        count: request.count,
        generated: (drawn + s.burn_in) as u64,
        acceptance_rate: Some(accepted as f64 / drawn as f64),
        calibration: None,
        details: Details::Drs { max_logit: most },
    };
    Ok(Drawn { samples, report })
}

/// The p-th percentile, linearly between the order statistics.
fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = p / 100.0 * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_gamma_the_probability_is_the_density_ratio() {
        for below in [-8.0, -1.0, -0.01] {
            let p = 1.0 / (1.0 + (-acceptance(below, 1e-12)).exp());
            assert!((p / f64::exp(below) - 1.0).abs() < 1e-6, "{below}: {p}");
        }
        assert!(acceptance(0.0, 1e-6) > 13.0);
    }

    #[test]
    fn percentiles_lie_between_order_statistics() {
        let values = [4.0, 1.0, 3.0, 2.0, 0.0];
        assert_eq!(percentile(&values, 0.0), 0.0);
        assert_eq!(percentile(&values, 50.0), 2.0);
        assert_eq!(percentile(&values, 90.0), 3.6);
        assert_eq!(percentile(&values, 100.0), 4.0);
    }
}
