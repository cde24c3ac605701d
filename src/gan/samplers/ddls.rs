//! Discriminator driven latent sampling (Che et al., arXiv 2003.06060, algorithm 1): Langevin steps in latent space on the energy
//! E(z) = -log p(z) - s(G(z)), s the logit of D,
//!
//!   z <- z - (eps / 2) grad E(z) + sqrt(eps) N(0, I),
//!
//! from a draw of the prior; the sample is G of where the chain ends. At the optimal D that is a draw of the data, up to what finite
//! steps leave (there is no Metropolis correction, as in the paper's experiments).
use super::stand::{Stand, compile, finite, leaf};
use super::{Details, Drawn, Method, Report, Request};
use crate::gan::config::Prior;
use crate::gan::trainer::layout::{from_batch, to_batch};
use crate::gan::{GanError, Result};
use crate::graph::{Distribution, Expr, Graph};

/// The random stream of the steps' noise.
const NOISE_STREAM: u32 = 0x6464;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub steps: u32,
    /// eps.
    pub step_size: f64,
    /// Standard deviation of a step's noise; sqrt(eps) where it is not given.
    pub noise: Option<f64>,
}

impl Default for Settings {
    /// The step of the paper's experiments (eps = 0.01, noise 0.1), 1000 of them.
    fn default() -> Settings {
        Settings {
            steps: 1000,
            step_size: 0.01,
            noise: None,
        }
    }
}

/// log p(z), up to a constant and element by element.
///
/// # Errors
/// [`GanError::Input`] for priors that end somewhere: a gradient does not keep a chain inside.
fn log_prior(g: &mut Graph, prior: Prior, z: Expr) -> Result<Expr> {
    let square = g.square(z)?;
    Ok(match prior {
        Prior::Normal => g.scale(square, -0.5)?,
        Prior::Logistic => {
            // -z - 2 softplus(-z).
            let away = g.neg(z);
            let tail = g.softplus(away);
            let twice = g.scale(tail, -2.0)?;
            g.add(away, twice)?
        }
        Prior::Laplace => {
            let magnitude = g.abs(z);
            g.neg(magnitude)
        }
        Prior::Cauchy => {
            let inside = g.shift(square, 1.0)?;
            let log = g.log(inside);
            g.neg(log)
        }
        Prior::DoubleWell => {
            let height = g.shift(square, -1.0)?;
            let square = g.square(height)?;
            g.scale(square, -4.0)?
        }
        Prior::Uniform
        | Prior::Exponential
        | Prior::Triangular
        | Prior::Kumaraswamy
        | Prior::TruncatedNormal
        | Prior::Semicircle => {
            return Err(GanError::Input(format!(
                "DDLS follows the gradient of log p(z), and the prior {prior:?} ends at its bounds, which no gradient tells; use \
                 --sampler drs or mh, or train with --prior normal"
            )));
        }
    })
}

/// # Errors
/// [`GanError::Input`] for priors without a gradient everywhere, and where a chain runs away; [`GanError::Setting`]; those of the
/// device.
pub fn draw(stand: &Stand, request: &Request, s: &Settings, line: [f64; 2]) -> Result<Drawn> {
    let noise = s.noise.unwrap_or(s.step_size.sqrt());
    for (field, value, least) in [
        ("ddls step size", s.step_size, f64::MIN_POSITIVE),
        ("ddls noise", noise, 0.0),
    ] {
        if !(value.is_finite() && value >= least) {
            return Err(GanError::Setting {
                field: field.into(),
                expected: "a finite number above 0".into(),
                got: value.to_string(),
            });
        }
    }
    let (latent, extent) = (
        stand.model().generator.input(),
        stand.model().generator.output(),
    );
    let batch = stand.batch;
    let mut beside = stand.beside()?;
    let chains = beside.push("chains", stand.latent_shape().numel())?;
    // In f32: step on the prior's gradient, step on the logit's, noise.
    let names = ["half step", "half step of the logit", "noise"];
    let sizes = names.map(|name| beside.push(name, 1));
    let [half, half_logit, sigma] = sizes;
    let [half, half_logit, sigma] = [half?, half_logit?, sigma?];
    let mut env = beside.environment(request.seed);
    let mut g = Graph::new();
    let z = leaf(&mut g, &mut env, "latents", stand.latent_shape(), chains);
    let [half_of, half_logit_of, sigma_of] = [(half, 0), (half_logit, 1), (sigma, 2)]
        .map(|(buffer, k): (usize, usize)| leaf(&mut g, &mut env, names[k], [], buffer));
    let log_prior = log_prior(&mut g, stand.config().prior, z)?;
    let log_prior = g.sum_all(log_prior)?;
    let x = stand.generate(&mut g, &mut env, z)?;
    let score = stand.score(&mut g, &mut env, x)?;
    let score = g.sum_all(score)?;
    let towards_prior = g.gradients(log_prior, &[z])?[0];
    let towards_data = g.gradients(score, &[z])?[0];
    let step = g.mul(towards_prior, half_of)?;
    let uphill = g.mul(towards_data, half_logit_of)?;
    let step = g.add(step, uphill)?;
    let normal = g.random_stream(Distribution::Normal, stand.latent_shape(), NOISE_STREAM);
    let kick = g.mul(normal, sigma_of)?;
    let moved = g.add(z, step)?;
    let next = g.add(moved, kick)?;
    let advance = beside.advance();
    let program = compile(&beside, &g, vec![(next, chains)], vec![advance], &env)?;
    let half_step = 0.5 * s.step_size;
    beside.write(half, &[half_step as f32])?;
    beside.write(half_logit, &[(half_step * line[0]) as f32])?;
    beside.write(sigma, &[noise as f32])?;

    let proposer = stand.proposer()?;
    let all = stand.pair.generator().latents(request.count, request.seed);
    let mean = |scores: &[f32]| -> Result<f64> {
        finite(scores)?;
        let sum: f64 = scores
            .iter()
            .map(|&v| line[0] * f64::from(v) + line[1])
            .sum();
        Ok(sum / scores.len() as f64)
    };
    let before = mean(&proposer.propose(&all)?.scores)?;
    let mut ends = vec![];
    for (k, rows) in all.chunks(batch * latent.numel()).enumerate() {
        let count = rows.len() / latent.numel();
        beside.set_execution((k as u32).wrapping_mul(1 << 20))?;
        beside.write(chains, &to_batch(latent, rows, batch))?;
        for _ in 0..s.steps {
            beside.gpu().submit(&program)?;
        }
        let end = beside.read(chains, batch * latent.numel())?;
        ends.extend(from_batch(latent, &end, batch, count));
    }
    if ends.iter().any(|v| !v.is_finite()) {
        return Err(GanError::Input(format!(
            "a chain of DDLS ran away: with steps of {} the gradient of D's logit throws it out; take a smaller --ddls-step-size",
            s.step_size
        )));
    }
    let made = proposer.propose(&ends)?;
    debug_assert_eq!(made.samples.len(), request.count * extent.numel());
    let report = Report {
        sampler: Method::Ddls(*s).name(),
        count: request.count,
        generated: request.count as u64 * (u64::from(s.steps) + 2),
        acceptance_rate: None,
        calibration: None,
        details: Details::Ddls {
            mean_logit_before: before,
            mean_logit: mean(&made.scores)?,
        },
    };
    Ok(Drawn {
        samples: made.samples,
        report,
    })
}
