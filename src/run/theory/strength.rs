//! How strong may D be? The norm of G's gradient along training with 1, 5 and 50 updates of D per round, under the minimax loss, whose
//! gradient vanishes as D wins, and under the non-saturating one, whose does not (Goodfellow et al., arXiv 1406.2661, section 3;
//! Arjovsky and Bottou, arXiv 1701.04862, theorem 2.4 and figure 2).
use super::{Outcome, Settings, bare_game, on_a_line};
use crate::data::toy::ToySet;
use crate::gan::Objective;
use crate::metrics::w1_1d;
use crate::run::RunError;
use crate::run::distances::draw;
use crate::run::engine;
use crate::run::plot::{Axis, Chart, Figure, Legend, look};
use crate::run::session::EngineError;
use serde::Serialize;

/// Updates of D per update of G.
pub const STRENGTHS: [usize; 3] = [1, 5, 50];
const SAMPLES: usize = 10_000;
const PANEL: [usize; 2] = [760, 560];
/// The name under which trainers report the norm.
const NORM: &str = "grad_norm_g";

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub set: ToySet,
    /// Updates of G.
    pub steps: u64,
}

/// One game.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    pub objective: Objective,
    pub d_steps: usize,
    /// Norm of G's whole gradient at every step.
    pub grad_norm_g: Vec<f64>,
    /// Median of the second half.
    pub late_median: f64,
    /// Wasserstein-1 distance to the data at the end.
    pub w1: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Numbers {
    pub data: &'static str,
    pub series: Vec<Series>,
}

/// Plays one game and keeps the norms.
///
/// # Errors
/// Those of the engine.
pub fn play(
    objective: Objective,
    d_steps: usize,
    plan: &Plan,
    settings: &Settings,
) -> Result<Series, RunError> {
    let target = on_a_line(plan.set)?;
    let mut config = bare_game(plan.set, settings)?;
    config.method.objective = objective;
    config.method.d_steps = d_steps;
    config.method.batch = 256;
    config.method.gradient_norms = true;
    config.budget.steps = Some(plan.steps);
    let config = config.resolve()?;
    let mut engine = engine::open(&config, &settings.cache)?;
    let reports = engine.step_block(plan.steps)?;
    let grad_norm_g: Vec<f64> = reports
        .iter()
        .filter_map(|r| r.extra.iter().find(|(name, _)| name == NORM))
        .map(|(_, value)| f64::from(*value))
        .collect();
    if grad_norm_g.len() != reports.len() {
        return Err(EngineError::device(format!("a step did not report {NORM}")).into());
    }
    let mut late = grad_norm_g[grad_norm_g.len() / 2..].to_vec();
    late.sort_unstable_by(f64::total_cmp);
    let samples = draw(&mut *engine, SAMPLES, settings.seed ^ 0x7374_7265, false)?;
    Ok(Series {
        objective,
        d_steps,
        late_median: late.get(late.len() / 2).copied().unwrap_or(f64::NAN),
        grad_norm_g,
        w1: w1_1d(&samples, &target).map_err(EngineError::device)?,
    })
}

/// The whole experiment.
///
/// # Errors
/// Those of the engine; of the drawing.
pub fn run(plan: &Plan, settings: &Settings) -> Result<Outcome<Numbers>, RunError> {
    let mut series = vec![];
    for objective in [Objective::Minimax, Objective::NonSaturating] {
        for d_steps in STRENGTHS {
            series.push(play(objective, d_steps, plan, settings)?);
        }
    }
    // One range for both panels: they are to be compared.
    let norms = series.iter().flat_map(|s| &s.grad_norm_g).copied();
    let (low, high) = norms
        .filter(|&v| v > 0.0)
        .fold((f64::INFINITY, 0f64), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if low > high {
        return Err(EngineError::input(
            "no norm of G's gradient is above zero: there is nothing to draw",
        )
        .into());
    }
    let panel = |objective: Objective, title: &str| {
        let y = Axis::log("norm of G's gradient").within(low.max(1e-12) / 2.0, high * 2.0);
        let mut chart = Chart::new(title, Axis::new("step of G"), y).legend(Legend::Below);
        let shown = series.iter().filter(|s| s.objective == objective);
        for (k, s) in shown.enumerate() {
            let points = (1..)
                .map(f64::from)
                .zip(&s.grad_norm_g)
                .map(|(x, &y)| [x, y]);
            let plural = if s.d_steps == 1 { "" } else { "s" };
            let name = format!("{} step{plural} of D (W1 {:.2})", s.d_steps, s.w1);
            chart = chart.line(name, look::series(k), points.collect());
        }
        chart
    };
    let left = panel(Objective::Minimax, "minimax: log(1 − D(G(z)))");
    let right = panel(Objective::NonSaturating, "non-saturating: −log D(G(z))");
    let figure = Figure::grid(vec![vec![left.into(), right.into()]], PANEL)
        .titled(format!(
            "A strong D and the gradient it leaves to G ({})",
            plan.set
        ))
        .draw()?;
    Ok(Outcome {
        name: "strength",
        figure,
        table: None,
        numbers: Numbers {
            data: plan.set.name(),
            series,
        },
    })
}
