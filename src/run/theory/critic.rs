//! What the losses say about the samples: a WGAN critic's estimate of the Wasserstein distance falls as they improve, the loss of the
//! minimax game does not (Arjovsky, Chintala, Bottou, arXiv 1701.07875, figures 3 and 4).
//!
//! The estimate is d_real - d_fake, the mean of the critic on real samples minus that on generated ones, which is K W1 at most for a
//! critic that is K-Lipschitz. K is unknown with clipped weights and with a weak penalty. On a line it can be measured: the largest slope
//! of D over the hull of data and samples. The normalised estimate is divided by it.
//!
//! The penalty is weak because on a line a slope can only change its sign through 0, where the penalty is lambda: with lambda = 10 the critic
//! kept the slope that it began with (mixture1d: the estimate -1.8 at W1 = 2.1 for 1,800 steps, rank correlation -0.05).
use super::{Outcome, Settings, bare_game, on_a_line, rank_correlation};
use crate::data::toy::{Mixture, ToySet};
use crate::gan::config::{Adam, Optimiser, Optimisers, Penalty};
use crate::gan::{Objective, Regulariser};
use crate::metrics::w1_1d;
use crate::run::RunError;
use crate::run::distances::draw;
use crate::run::engine;
use crate::run::plot::{Axis, Chart, Figure, Legend, look};
use crate::run::session::{Engine, EngineError};
use serde::Serialize;

/// Samples behind each exact W1: its own noise is about sigma / 100.
const SAMPLES: usize = 10_000;
/// Places at which the critic's slope is measured.
const PLACES: usize = 2001;
const PANEL: [usize; 2] = [760, 560];
/// Weight of the gradient penalty.
const PENALTY: f64 = 0.1;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub set: ToySet,
    /// Rounds of each game.
    pub steps: u64,
    /// Rounds between measurements; what is read from the losses is averaged over as many.
    pub every: u64,
    /// Clipped weights (WGAN) in place of the gradient penalty.
    pub clip: Option<f64>,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    pub step: u64,
    /// Exact, between generated samples and the data's distribution.
    pub w1: f64,
    pub loss_d: f64,
    pub loss_g: f64,
    /// d_real - d_fake.
    pub estimate: f64,
    /// The largest slope of D between the outermost points of data and samples.
    pub lipschitz: f64,
    /// estimate / lipschitz.
    pub normalised: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Numbers {
    pub data: &'static str,
    /// What keeps the critic Lipschitz.
    pub critic: String,
    pub wgan: Vec<Point>,
    pub minimax: Vec<Point>,
    /// Spearman's correlation along training of the exact W1 with the critic's estimate, raw and normalised, and with the
    /// minimax game's losses.
    pub rank_correlation_estimate: f64,
    pub rank_correlation_normalised: f64,
    pub rank_correlation_minimax_loss_d: f64,
    pub rank_correlation_minimax_loss_g: f64,
}

/// Trains one game and measures along the way.
fn play(
    objective: Objective,
    plan: &Plan,
    settings: &Settings,
    change: impl FnOnce(&mut crate::gan::GanConfig),
) -> Result<Vec<Point>, RunError> {
    let target = on_a_line(plan.set)?;
    let mut config = bare_game(plan.set, settings)?;
    config.method.objective = objective;
    config.method.batch = 256;
    change(&mut config.method);
    config.budget.steps = Some(plan.steps);
    let config = config.resolve()?;
    let mut engine = engine::open(&config, &settings.cache)?;
    let mut points = vec![];
    while engine.step() < plan.steps {
        let rounds = plan.every.min(plan.steps - engine.step()).max(1);
        let reports = engine.step_block(rounds)?;
        if let Some((what, value)) = reports.iter().find_map(|r| r.non_finite()) {
            return Err(EngineError::NonFinite {
                step: engine.step(),
                tensor: what.into(),
                value,
            }
            .into());
        }
        let mean = |f: &dyn Fn(&crate::run::session::StepReport) -> f32| {
            reports.iter().map(|r| f64::from(f(r))).sum::<f64>() / reports.len() as f64
        };
        let (loss_d, loss_g) = (mean(&|r| r.loss_d), mean(&|r| r.loss_g));
        let estimate = mean(&|r| r.d_real - r.d_fake);
        let samples = draw(&mut *engine, SAMPLES, settings.seed ^ 0x6372_6974, false)?;
        let w1 = w1_1d(&samples, &target).map_err(EngineError::device)?;
        let lipschitz = largest_slope(&mut *engine, &target, &samples)?;
        points.push(Point {
            step: engine.step(),
            w1,
            loss_d,
            loss_g,
            estimate,
            lipschitz,
            normalised: estimate / lipschitz.max(f64::MIN_POSITIVE),
        });
    }
    Ok(points)
}

/// The largest slope of D over the hull of the samples and of the data within four sigma.
fn largest_slope(
    engine: &mut dyn Engine,
    target: &Mixture<1>,
    samples: &[f32],
) -> Result<f64, EngineError> {
    let reach = 4.0 * f64::from(target.sigma);
    let mut hull = [f64::INFINITY, f64::NEG_INFINITY];
    let centres = target.centres.iter().map(|c| f64::from(c[0]));
    let ends = centres.flat_map(|c| [c - reach, c + reach]);
    for x in ends.chain(samples.iter().copied().map(f64::from)) {
        hull = [hull[0].min(x), hull[1].max(x)];
    }
    let step = (hull[1] - hull[0]) / (PLACES - 1) as f64;
    let places: Vec<f32> = (0..PLACES)
        .map(|i| (hull[0] + i as f64 * step) as f32)
        .collect();
    let judged = engine.judge(&places)?;
    let slope = |pair: (&[f32], &[f32])| {
        let (x, d) = pair;
        (f64::from(d[1] - d[0]) / f64::from(x[1] - x[0])).abs()
    };
    Ok(places
        .windows(2)
        .zip(judged.windows(2))
        .filter(|(x, _)| x[1] > x[0])
        .map(slope)
        .fold(0.0, f64::max))
}

/// The whole experiment.
///
/// # Errors
/// Those of the engine; of the drawing.
pub fn run(plan: &Plan, settings: &Settings) -> Result<Outcome<Numbers>, RunError> {
    let adam = |lr, beta1| {
        let adam = Optimiser::Adam(Adam {
            lr,
            beta1,
            beta2: 0.9,
            eps: 1e-8,
        });
        Optimisers { d: adam, g: adam }
    };
    let wgan = play(Objective::Wgan, plan, settings, |method| {
        method.d_steps = 5;
        method.optimiser = adam(5e-4, 0.5);
        match plan.clip {
            Some(clip) => method.clip = Some(clip),
            None => {
                method.regularisers = vec![Penalty {
                    name: Regulariser::GradientPenalty,
                    weight: PENALTY,
                }]
            }
        }
    })?;
    let minimax = play(Objective::Minimax, plan, settings, |method| {
        method.optimiser = adam(5e-4, 0.5);
    })?;
    let column = |points: &[Point], f: fn(&Point) -> f64| points.iter().map(f).collect::<Vec<_>>();
    let with_w1 = |points: &[Point], f: fn(&Point) -> f64| {
        rank_correlation(&column(points, |p| p.w1), &column(points, f))
    };
    let critic = match plan.clip {
        Some(clip) => format!("weights clipped to ±{clip}"),
        None => format!("gradient penalty, λ = {PENALTY}"),
    };
    let along = |points: &[Point], f: fn(&Point) -> f64| -> Vec<[f64; 2]> {
        points.iter().map(|p| [p.step as f64, f(p)]).collect()
    };
    let raw = match plan.clip {
        // Its scale is that of the clipped weights: another axis altogether.
        Some(_) => None,
        None => Some(along(&wgan, |p| p.estimate)),
    };
    let title = match plan.clip {
        Some(_) => "WGAN",
        None => "WGAN-GP",
    };
    let (x, y) = (Axis::new("step"), Axis::log("distance"));
    let mut left = Chart::new(title, x, y).legend(Legend::Below);
    if let Some(raw) = raw {
        left = left.line("critic: D(real) − D(generated)", look::CRITIC, raw);
    }
    left = left
        .line(
            "critic / its largest slope",
            look::SKY,
            along(&wgan, |p| p.normalised),
        )
        .dashed("exact W1", look::INK, along(&wgan, |p| p.w1));
    let right = Chart::new(
        "Minimax GAN",
        Axis::new("step"),
        Axis::new("loss, distance"),
    )
    .legend(Legend::Below)
    .line("loss of D", look::VERMILLION, along(&minimax, |p| p.loss_d))
    .line("loss of G", look::ORANGE, along(&minimax, |p| p.loss_g))
    .dashed("exact W1", look::INK, along(&minimax, |p| p.w1));
    let figure = Figure::grid(vec![vec![left.into(), right.into()]], PANEL)
        .titled(format!(
            "What the losses say about the samples ({})",
            plan.set
        ))
        .draw()?;
    Ok(Outcome {
        name: "critic",
        figure,
        table: None,
        numbers: Numbers {
            data: plan.set.name(),
            critic,
            rank_correlation_estimate: with_w1(&wgan, |p| p.estimate),
            rank_correlation_normalised: with_w1(&wgan, |p| p.normalised),
            rank_correlation_minimax_loss_d: with_w1(&minimax, |p| p.loss_d),
            rank_correlation_minimax_loss_g: with_w1(&minimax, |p| p.loss_g),
            wgan,
            minimax,
        },
    })
}
