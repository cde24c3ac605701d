//! The game on a line, as curves: the data's density, the generator's, and what D makes of every point, at each step of a picture;
//! and all of them as an animation.
use super::config::TrainConfig;
use super::distances::Measured;
use super::error::RunError;
use super::folder::RunFolder;
use super::grid::Picture;
use super::plot::{Axis, Chart, Figure, Legend, Panel, PlotError, animate, look};
use super::session::{Engine, EngineError};
use super::tensors::write_atomic;
use crate::data::Source;
use crate::data::toy::{Distribution, Mixture};
use crate::gan::Objective;
use crate::gan::objectives::Score;
use crate::metrics::density::{curve, density};
use std::path::{Path, PathBuf};

/// Places at which curves are evaluated.
const PLACES: usize = 401;
/// Width and height of each of the two panels.
const PANEL: [usize; 2] = [800, 320];
/// How far the view reaches beyond the outermost modes, in sigmas.
const REACH: f64 = 6.0;
/// An untrained generator sits around zero: that much around it is always in view.
const ORIGIN: f64 = 1.0;
/// The kernel of the generated density, in the data's sigmas.
const BANDWIDTH: f64 = 0.15;
/// D's optimum is a quotient of densities: not drawn where their sum is below this share of the data's peak.
const NEGLIGIBLE: f64 = 2e-3;
/// Frames of the animation at most; evenly chosen where there are more.
const MAX_FRAMES: usize = 60;
/// Time per frame, in hundredths of a second.
const FRAME_TIME: u16 = 25;

/// The state of a game on a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    pub x: Vec<f64>,
    /// Density of the data, exactly.
    pub data: Vec<f64>,
    /// Density of generated samples, by a kernel estimate.
    pub generated: Vec<f64>,
    /// D's output as the objective shows it: a probability, or a critic's value. `None` where D does not judge single samples.
    pub judged: Option<Vec<f64>>,
    /// What D would give at its optimum against this generator: p / (p + q) for the objectives that have it (Goodfellow et al., arXiv
    /// 1406.2661, proposition 1; Mao et al., arXiv 1611.04076, eq. 4 with a = 0, b = 1), NaN where neither density is there.
    pub optimum: Option<Vec<f64>>,
}

/// The mixture that a run learns, if it is one on a line.
pub fn target(config: &TrainConfig) -> Option<Mixture<1>> {
    match config.data.source() {
        Source::Toy(set) => match set.distribution() {
            Distribution::Mixture1(target) => Some(target),
            _ => None,
        },
        _ => None,
    }
}

/// The places: around all modes and the origin.
pub fn places(target: &Mixture<1>) -> Vec<f64> {
    let reach = REACH * f64::from(target.sigma);
    let centres = target.centres.iter().map(|c| f64::from(c[0]));
    let (low, high) = centres.fold((-ORIGIN, ORIGIN), |(low, high), c| {
        (low.min(c - reach), high.max(c + reach))
    });
    let step = (high - low) / (PLACES - 1) as f64;
    (0..PLACES).map(|i| low + i as f64 * step).collect()
}

/// Evaluates the curves; `samples` are the generator's.
///
/// # Errors
/// Those of the engine; that D does not judge single samples is none.
pub fn evaluate(
    engine: &mut dyn Engine,
    config: &TrainConfig,
    target: &Mixture<1>,
    samples: &[f32],
) -> Result<Curves, RunError> {
    let x = places(target);
    let data: Vec<f64> = x.iter().map(|&x| density(target, x)).collect();
    let width = BANDWIDTH * f64::from(target.sigma);
    let generated = curve(samples, x[0], x[1] - x[0], x.len(), width);
    let points: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let raw = match engine.judge(&points) {
        Ok(outputs) if outputs.len() == x.len() => Some(outputs),
        // More outputs than one: classes or codes stand behind the first.
        Ok(_) | Err(EngineError::Input(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let objective = config.method.objective;
    let shown = |s: f32| match objective.score() {
        Score::Probability => 1.0 / (1.0 + (-f64::from(s)).exp()),
        Score::Value => f64::from(s),
    };
    let judged = raw.map(|raw| raw.into_iter().map(shown).collect::<Vec<f64>>());
    let has_quotient = matches!(
        objective,
        Objective::Minimax | Objective::NonSaturating | Objective::LeastSquares
    );
    let optimum = (has_quotient && judged.is_some()).then(|| {
        let peak = data.iter().fold(0f64, |a, &b| a.max(b));
        let quotient = |(&p, &q): (&f64, &f64)| {
            if p + q < NEGLIGIBLE * peak {
                f64::NAN
            } else {
                (1.0 - config.method.label_smoothing) * p / (p + q)
            }
        };
        data.iter().zip(&generated).map(quotient).collect()
    });
    Ok(Curves {
        x,
        data,
        generated,
        judged,
        optimum,
    })
}

impl Curves {
    fn along(&self, values: &[f64]) -> Vec<[f64; 2]> {
        self.x.iter().zip(values).map(|(&x, &y)| [x, y]).collect()
    }

    fn axis(&self, label: &str) -> Axis {
        Axis::new(label).within(self.x[0], self.x[self.x.len() - 1])
    }

    /// Both densities.
    pub fn densities(&self, title: &str) -> Chart {
        let peak = self.data.iter().fold(0f64, |a, &b| a.max(b)).max(1e-6);
        // A generator that has collapsed to a needle is cut off rather than flattening the rest.
        let density = Axis::new("density").within(0.0, 2.0 * peak);
        Chart::new(title, self.axis(""), density)
            .area("data", look::REAL, &self.along(&self.data))
            .line("generated", look::GENERATED, self.along(&self.generated))
    }

    /// D's output over the line, and its optimum.
    pub fn discriminator(&self, objective: Objective) -> Option<Chart> {
        let judged = self.judged.as_ref()?;
        let y = match objective.score() {
            Score::Probability => Axis::new("D(x)").within(0.0, 1.0),
            Score::Value => Axis::new("critic"),
        };
        let y = match objective {
            Objective::LeastSquares => y.within(-0.5, 1.5),
            _ => y,
        };
        let mut chart = Chart::new("", self.axis("x"), y).legend(Legend::LowerRight);
        if let Some(optimum) = &self.optimum {
            chart = chart.dashed("optimum p/(p+q)", look::INK, self.along(optimum));
        }
        Some(chart.line("D", look::CRITIC, self.along(judged)))
    }

    /// The figure of one step: densities above, D below.
    ///
    /// # Errors
    /// As [`Figure::draw`].
    pub fn draw(&self, title: &str, objective: Objective) -> Result<Picture, PlotError> {
        let above = self.densities(title);
        let below = match self.discriminator(objective) {
            Some(chart) => Panel::from(chart),
            None => Panel::Blank,
        };
        Figure::grid(vec![vec![above.into()], vec![below]], PANEL).draw()
    }
}

/// Draws the curves of this step into the run folder, and gives the file; `None` where the data is no mixture on a line.
///
/// # Errors
/// Those of the engine, the drawing and the disk.
pub fn draw(
    engine: &mut dyn Engine,
    config: &TrainConfig,
    measured: &Measured,
    folder: &RunFolder,
) -> Result<Option<PathBuf>, RunError> {
    let Some(target) = target(config) else {
        return Ok(None);
    };
    let curves = evaluate(engine, config, &target, &measured.samples)?;
    let mut title = format!("step {}", engine.step());
    for (name, short) in [("js", "JS"), ("kl_data_model", "KL"), ("w1", "W1")] {
        if let Some(value) = measured.distances.get(name) {
            title += &format!("    {short} {value:.3}");
        }
    }
    let path = folder.curve(engine.step());
    make_folder(&path)?;
    curves.draw(&title, config.method.objective)?.write(&path)?;
    Ok(Some(path))
}

fn make_folder(path: &Path) -> Result<(), RunError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|source| RunError::Io {
        path: folder.into(),
        source,
    })
}

/// All steps up to `step` as an animation, those before a resume included; `None` where there are none.
///
/// # Errors
/// A picture that cannot be read; the disk.
pub fn animation(folder: &RunFolder, step: u64) -> Result<Option<PathBuf>, RunError> {
    let frames = folder.curve_files(step)?;
    if frames.is_empty() {
        return Ok(None);
    }
    let chosen = frames.len().min(MAX_FRAMES);
    let pictures = (0..chosen)
        .map(|i| {
            &frames[if chosen > 1 {
                i * (frames.len() - 1) / (chosen - 1)
            } else {
                0
            }]
        })
        .map(|path| Picture::read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let path = folder.animation();
    let bytes = animate(&pictures, FRAME_TIME)?;
    write_atomic(&path, &bytes).map_err(|source| RunError::Io {
        path: path.clone(),
        source,
    })?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_hold_all_modes_and_the_origin() {
        for (centres, low, high) in [(vec![[3.0]], -1.0, 6.0), (vec![[-3.0], [3.0]], -6.0, 6.0)] {
            let x = places(&Mixture::equal(centres, 0.5));
            assert_eq!(x.len(), PLACES);
            assert!((x[0] - low).abs() < 1e-9 && (x[PLACES - 1] - high).abs() < 1e-9);
        }
    }

    #[test]
    fn curves_without_a_judge_are_drawn_too() {
        let x = places(&Mixture::equal(vec![[0.0]], 1.0));
        let data: Vec<f64> = x.iter().map(|x| (-0.5 * x * x).exp()).collect();
        let curves = Curves {
            generated: data.clone(),
            data,
            x,
            judged: None,
            optimum: None,
        };
        let picture = curves.draw("t", Objective::Wgan).unwrap();
        assert_eq!([picture.width, picture.height], [PANEL[0], 2 * PANEL[1]]);
    }
}
