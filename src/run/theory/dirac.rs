//! The Dirac-GAN: data at 0, G(z) = theta, D(x) = psi x (Mescheder, Geiger, Nowozin, arXiv 1801.04406, section 2). With gradient
//! descent of rate h, a penalty gamma/2 psi^2 (R1) and f' = f'(0) (1/2 for the logistic losses, 1 for WGAN), the gradient field at
//! the equilibrium theta = psi = 0 is
//!
//!   theta' = f' psi,   psi' = -f' theta - gamma psi,   eigenvalues mu = -gamma/2 +- sqrt(gamma^2/4 - f'^2)   (lemmas 2.3, 4.1)
//!
//! | updates | eigenvalues of one round |
//! |---|---|
//! | simultaneous | 1 + h mu: outside the unit circle for gamma = 0 |
//! | alternating, D first | (t +- sqrt(t^2 - 4 d)) / 2, t = 2 - h gamma - (h f')^2, d = 1 - h gamma: on it for gamma = 0 (lemma 2.5) |
//!
//! The measured ones are those of the training program itself: one round on the device from eight places around the equilibrium,
//! central differences of where it leads. WGAN-GP's penalty has a kink there, (|psi| - 1)^2 lambda, and no Jacobian: what is measured is
//! the jump of psi' across it, 4 lambda h, and that the iterates do not converge (section 3.2).
//!
//! Either side of the kink is a linear game of its own, around theta = -2 lambda for psi < 0 and 2 lambda for psi > 0, with eigenvalues
//! mu = -lambda +- sqrt(lambda^2 - 1). For lambda below 1 a path spirals around these points, crosses to the other side and so circles the
//! equilibrium for ever, which is what the paper shows and lambda = 0.3 does. From lambda = 1 on (with alternating updates from
//! 1 - h/2 on) it is overdamped: it never crosses and comes to rest at |theta| = 2 lambda, psi = 0, a generator that is wrong and a
//! critic that does not say so.
use super::{Outcome, Settings};
use crate::gan::config::{GanConfig, Optimiser, Penalty, Sgd, Updates};
use crate::gan::trainer::{Data, Kind, State, Trainer};
use crate::gan::{Objective, Regulariser};
use crate::graph::plan::Target;
use crate::nn::ModelSpec;
use crate::run::RunError;
use crate::run::engine::{engine_error, open_gpu};
use crate::run::plot::{Axis, Chart, Figure, Legend, PlotError, look};
use crate::run::session::EngineError;
use serde::Serialize;

/// G has no use for its latent, which is 0: what it gives is its bias.
const MODEL: &str = r#"
[generator]
input = { features = 1 }
[[generator.layer]]
type = "linear"
out = 1

[discriminator]
input = { features = 1 }
[[discriminator.layer]]
type = "linear"
out = 1
bias = false
"#;
const THETA: &str = "g.0.bias";
const PSI: &str = "d.0.weight";
/// Samples per batch: all the same.
const BATCH: usize = 2;
/// Learning rate of both networks.
pub const RATE: f64 = 0.3;
/// Where trajectories begin: (theta, psi).
const START: [f64; 2] = [1.0, 0.0];
/// A trajectory that goes beyond is not followed any longer.
const FAR: f64 = 8.0;
/// One that is this many times as far from the equilibrium as it began, and still on its way, diverges. The widest orbit that a game here
/// settles on, WGAN-GP's, is 2.8 times as wide; fewer rounds than it takes say nothing.
const AWAY: f64 = 3.0;
/// Step of the central differences. The program is smooth there, and its f32 results are good to 1e-7 / 1e-2.
const DELTA: f64 = 1e-2;

/// One way of playing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Game {
    pub name: &'static str,
    pub objective: Objective,
    /// Weight of R1.
    pub gamma: f64,
    /// Weight of WGAN-GP's penalty.
    pub lambda: f64,
}

const fn game(name: &'static str, objective: Objective, gamma: f64, lambda: f64) -> Game {
    Game {
        name,
        objective,
        gamma,
        lambda,
    }
}

/// Every game of the experiment.
pub const GAMES: [Game; 7] = [
    game("GAN (minimax)", Objective::Minimax, 0.0, 0.0),
    game("GAN (non-saturating)", Objective::NonSaturating, 0.0, 0.0),
    game("WGAN", Objective::Wgan, 0.0, 0.0),
    game("WGAN-GP, λ = 0.3", Objective::Wgan, 0.0, 0.3),
    game("R1, γ = 0.3", Objective::NonSaturating, 0.3, 0.0),
    game("R1, γ = 1", Objective::NonSaturating, 1.0, 0.0),
    game("R1, γ = 3", Objective::NonSaturating, 3.0, 0.0),
];

/// Real and imaginary part.
pub type Complex = [f64; 2];

/// Of the matrix `[[a, b], [c, d]]`; the one with the larger imaginary (else real) part first.
pub fn eigenvalues([[a, b], [c, d]]: [[f64; 2]; 2]) -> [Complex; 2] {
    roots(a + d, a * d - b * c)
}

/// Of x^2 - trace x + determinant.
fn roots(trace: f64, determinant: f64) -> [Complex; 2] {
    let square = 0.25 * trace * trace - determinant;
    let root = square.abs().sqrt();
    if square < 0.0 {
        [[0.5 * trace, root], [0.5 * trace, -root]]
    } else {
        [[0.5 * trace + root, 0.0], [0.5 * trace - root, 0.0]]
    }
}

/// The table above. `None` where the penalty has a kink at the equilibrium.
pub fn closed_form(game: &Game, rate: f64, updates: Updates) -> Option<[Complex; 2]> {
    if game.lambda != 0.0 {
        return None;
    }
    let slope = match game.objective {
        Objective::Minimax | Objective::NonSaturating => 0.5,
        _ => 1.0,
    };
    let gamma = game.gamma;
    Some(match updates {
        Updates::Simultaneous => {
            let field = roots(-gamma, slope * slope);
            field.map(|[re, im]| [1.0 + rate * re, rate * im])
        }
        Updates::Alternating => roots(
            2.0 - rate * gamma - (rate * slope).powi(2),
            1.0 - rate * gamma,
        ),
    })
}

/// Largest distance between eigenvalues of two pairs, in the order in which they fit best.
pub fn distance(a: [Complex; 2], b: [Complex; 2]) -> f64 {
    let apart = |x: Complex, y: Complex| (x[0] - y[0]).hypot(x[1] - y[1]);
    let straight = apart(a[0], b[0]).max(apart(a[1], b[1]));
    let crossed = apart(a[0], b[1]).max(apart(a[1], b[0]));
    straight.min(crossed)
}

/// The training program of one game.
pub struct Player {
    trainer: Trainer,
    state: State,
}

impl Player {
    /// # Errors
    /// [`EngineError::Adapter`], [`EngineError::Device`].
    pub fn new(
        game: &Game,
        rate: f64,
        updates: Updates,
        settings: &Settings,
    ) -> Result<Self, EngineError> {
        let spec = ModelSpec::from_toml("dirac", MODEL);
        let model = spec
            .and_then(|spec| spec.build())
            .map_err(EngineError::device)?;
        let sgd = Optimiser::Sgd(Sgd {
            lr: rate,
            momentum: 0.0,
        });
        let mut method = GanConfig::plain(game.objective, BATCH, sgd);
        method.updates = updates;
        let penalties = [
            (Regulariser::R1, game.gamma),
            (Regulariser::GradientPenalty, game.lambda),
        ];
        let used = penalties.into_iter().filter(|(_, weight)| *weight != 0.0);
        method.regularisers = used
            .map(|(name, weight)| Penalty { name, weight })
            .collect();
        if game.objective == Objective::Wgan && game.lambda == 0.0 {
            // The lemmas are about plain WGAN; a trainer asks for a bound, so here is one that no path comes near.
            method.clip = Some(10.0 * FAR);
        }
        let gpu = open_gpu(&settings.adapter, &settings.cache)?;
        let target = Target::of(gpu.caps());
        let trainer = Trainer::with_target(&gpu, &target, model, method, Data::Host, settings.seed)
            .map_err(engine_error)?;
        let zeros = [0.0; BATCH];
        trainer
            .feed(&zeros, &zeros, &[0.5; BATCH])
            .map_err(engine_error)?;
        let state = trainer.state().map_err(engine_error)?;
        Ok(Self { trainer, state })
    }

    /// One round from (theta, psi): where it leads.
    ///
    /// # Errors
    /// Those of the device.
    pub fn round(&mut self, [theta, psi]: [f64; 2]) -> Result<[f64; 2], EngineError> {
        for tensor in &mut self.state.tensors {
            match tensor.name.as_str() {
                THETA => tensor.values = vec![theta as f32],
                PSI => tensor.values = vec![psi as f32],
                _ => {}
            }
        }
        self.trainer.restore(&self.state).map_err(engine_error)?;
        self.trainer.run_once(Kind::Both).map_err(engine_error)?;
        let after = self.trainer.state().map_err(engine_error)?;
        let value = |name: &str| {
            let found = after.tensors.iter().find(|t| t.name == name);
            found
                .and_then(|t| t.values.first().copied().map(f64::from))
                .ok_or_else(|| EngineError::device(format!("the model has no tensor {name}")))
        };
        Ok([value(THETA)?, value(PSI)?])
    }

    /// The Jacobian of a round at the equilibrium, by central differences.
    ///
    /// # Errors
    /// Those of the device.
    pub fn jacobian(&mut self) -> Result<[[f64; 2]; 2], EngineError> {
        let mut difference = |along: [f64; 2]| -> Result<[f64; 2], EngineError> {
            let ahead = self.round(along.map(|v| v * DELTA))?;
            let behind = self.round(along.map(|v| -v * DELTA))?;
            Ok([0, 1].map(|k: usize| (ahead[k] - behind[k]) / (2.0 * DELTA)))
        };
        let (by_theta, by_psi) = (difference([1.0, 0.0])?, difference([0.0, 1.0])?);
        Ok([[by_theta[0], by_psi[0]], [by_theta[1], by_psi[1]]])
    }

    /// (theta, psi) from [`START`] on, at most `rounds` rounds and not beyond [`FAR`].
    ///
    /// # Errors
    /// Those of the device.
    pub fn trajectory(&mut self, rounds: usize) -> Result<Vec<[f64; 2]>, EngineError> {
        let mut points = vec![START];
        let mut at = START;
        for _ in 0..rounds {
            at = self.round(at)?;
            points.push(at);
            if at[0].hypot(at[1]) > FAR {
                break;
            }
        }
        Ok(points)
    }
}

/// What is seen of a trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Converges,
    /// Neither one nor the other: it circles, or is slow.
    NotAtRest,
    /// Goes ever farther.
    Diverges,
}

/// By the largest radius of its last tenth: against that of its start, and against the largest of its first half, which a path that has
/// settled on an orbit, however wide, does not outgrow. Short trajectories do neither: a few rounds outwards are what many games begin with.
pub fn fate(points: &[[f64; 2]]) -> Fate {
    let largest = |part: &[[f64; 2]]| {
        let radii = part.iter().map(|p| p[0].hypot(p[1]));
        radii.fold(0.0, f64::max)
    };
    let n = points.len();
    let last = largest(&points[n - (n / 10).max(1).min(n)..]);
    let first = largest(&points[..1.min(n)]);
    if last < 0.02 * first {
        Fate::Converges
    } else if last > AWAY * first && last > 1.05 * largest(&points[..n.div_ceil(2)]) {
        Fate::Diverges
    } else {
        Fate::NotAtRest
    }
}

/// A row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub game: &'static str,
    pub updates: Updates,
    pub rate: f64,
    /// Pairs of real and imaginary parts.
    pub closed_form: Option<[Complex; 2]>,
    pub measured: Option<[Complex; 2]>,
    /// Largest distance between the two.
    pub error: Option<f64>,
    /// With a kink: the measured jump of psi across it, and 4 lambda h.
    pub jump: Option<[f64; 2]>,
    pub fate: Fate,
    /// Radius at the end of the trajectory.
    pub last_radius: f64,
    /// (theta, psi) after every round.
    pub trajectory: Vec<[f64; 2]>,
}

/// Measures one game.
///
/// # Errors
/// Those of the device.
pub fn measure(
    game: &Game,
    updates: Updates,
    rounds: usize,
    settings: &Settings,
) -> Result<Row, EngineError> {
    let mut player = Player::new(game, RATE, updates, settings)?;
    let closed = closed_form(game, RATE, updates);
    let (measured, jump) = match closed {
        Some(_) => (Some(eigenvalues(player.jacobian()?)), None),
        None => {
            let tiny = 1e-4;
            let above = player.round([0.0, tiny])?[1];
            let below = player.round([0.0, -tiny])?[1];
            // What the identity itself moves, 2 tiny, is no jump.
            let jump = above - below - 2.0 * tiny;
            (None, Some([jump, 4.0 * game.lambda * RATE * (1.0 - tiny)]))
        }
    };
    let trajectory = player.trajectory(rounds)?;
    let last = trajectory.last().copied().unwrap_or(START);
    Ok(Row {
        game: game.name,
        updates,
        rate: RATE,
        closed_form: closed,
        measured,
        error: closed.zip(measured).map(|(a, b)| distance(a, b)),
        jump,
        fate: fate(&trajectory),
        last_radius: last[0].hypot(last[1]),
        trajectory,
    })
}

/// The whole experiment; `rounds` per trajectory.
///
/// # Errors
/// Those of the device; of the drawing.
pub fn run(rounds: usize, settings: &Settings) -> Result<Outcome<Vec<Row>>, RunError> {
    let mut rows = vec![];
    for updates in [Updates::Simultaneous, Updates::Alternating] {
        for game in &GAMES {
            rows.push(measure(game, updates, rounds, settings)?);
        }
    }
    Ok(Outcome {
        name: "dirac",
        figure: figure(&rows)?,
        table: Some(table(&rows)),
        numbers: rows,
    })
}

fn word(updates: Updates) -> &'static str {
    match updates {
        Updates::Simultaneous => "simultaneous",
        Updates::Alternating => "alternating",
    }
}

/// Two panels per kind of updates: trajectories, and eigenvalues in the complex plane.
fn figure(rows: &[Row]) -> Result<crate::run::grid::Picture, PlotError> {
    // One of the two logistic losses stands for both: they are the same at the equilibrium, and close to each other around it.
    let shown = [
        ("GAN (minimax)", look::VERMILLION),
        ("WGAN", look::PURPLE),
        ("WGAN-GP, λ = 0.3", look::ORANGE),
        ("R1, γ = 0.3", look::SKY),
        ("R1, γ = 1", look::BLUE),
        ("R1, γ = 3", look::GREEN),
    ];
    let (mut panels, mut legend) = (vec![], vec![]);
    for updates in [Updates::Simultaneous, Updates::Alternating] {
        // Simultaneous updates push everything that has no penalty outwards.
        let reach = match updates {
            Updates::Simultaneous => 3.0,
            Updates::Alternating => 1.5,
        };
        let mut paths = Chart::new(
            format!("{}: paths", word(updates)),
            Axis::new("θ").within(-reach, reach),
            Axis::new("ψ").within(-reach, reach),
        )
        .legend(Legend::None)
        .equal_scale();
        let circle: Vec<[f64; 2]> = (0..=720)
            .map(|i| f64::from(i) * std::f64::consts::PI / 360.0)
            .map(|a| [a.cos(), a.sin()])
            .collect();
        let mut plane = Chart::new(
            format!("{}: eigenvalues", word(updates)),
            // The whole circle: of an arc nobody sees that it is one.
            Axis::new("Re").within(-1.15, 1.15),
            Axis::new("Im").within(-1.15, 1.15),
        )
        .legend(Legend::None)
        .equal_scale()
        .dashed("unit circle", look::INK, circle);
        for (name, colour) in shown {
            let found = rows.iter().find(|r| r.game == name && r.updates == updates);
            let Some(row) = found else { continue };
            paths = paths.mark(
                "",
                crate::run::plot::Mark::Line {
                    points: row.trajectory.clone(),
                    colour,
                    dashed: false,
                    width: 2.0,
                },
            );
            let opaque = |points: Vec<[f64; 2]>, radius: f64| crate::run::plot::Mark::Dots {
                points,
                colour,
                radius,
                opacity: 0.9,
            };
            let end: Vec<_> = row.trajectory.last().copied().into_iter().collect();
            paths = paths.mark("", opaque(end, 7.0));
            let points = row.measured.map(Vec::from).unwrap_or_default();
            let label = match row.measured {
                Some(_) => name.to_string(),
                None => format!("{name} (a kink)"),
            };
            plane = plane.mark(label, opaque(points, 6.0));
        }
        legend = plane.marks.clone();
        panels.push(vec![paths.into(), plane.into()]);
    }
    Figure::grid(panels, [620, 620])
        .titled("Dirac-GAN: one training round, as measured on the device")
        .legend(legend)
        .draw()
}

fn table(rows: &[Row]) -> String {
    let complex = |[re, im]: Complex| {
        if im == 0.0 {
            format!("{re:.4}")
        } else {
            format!(
                "{re:.4} {} {:.4}i",
                if im > 0.0 { "+" } else { "-" },
                im.abs()
            )
        }
    };
    let pair = |pair: Option<[Complex; 2]>| match pair {
        // A conjugate pair is one expression.
        Some([[re, im], _]) if im != 0.0 => format!("{re:.4} ± {:.4}i", im.abs()),
        Some([a, b]) => format!("{}, {}", complex(a), complex(b)),
        None => "none: a kink".into(),
    };
    let mut text = String::from(
        "| game | updates | closed form | measured | largest modulus | error | trajectory |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let modulus = row
            .measured
            .map(|pair| pair.map(|[re, im]| re.hypot(im)))
            .map_or("".into(), |[a, b]| format!("{:.4}", a.max(b)));
        let error = match (row.error, row.jump) {
            (Some(error), _) => format!("{error:.1e}"),
            (None, Some([jump, wanted])) => {
                format!("jump of ψ {jump:.4}, by 4λh {wanted:.4}")
            }
            _ => String::new(),
        };
        let rounds = row.trajectory.len().saturating_sub(1);
        let plural = if rounds == 1 { "" } else { "s" };
        let fate = match row.fate {
            Fate::Converges => "converges".to_string(),
            Fate::NotAtRest => format!("not at rest within {rounds} round{plural}"),
            Fate::Diverges => "diverges".to_string(),
        };
        text += &format!(
            "| {} | {} | {} | {} | {modulus} | {error} | {fate} |\n",
            row.game,
            word(row.updates),
            pair(row.closed_form),
            pair(row.measured),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_of_known_matrices() {
        assert_eq!(
            eigenvalues([[0.0, -2.0], [2.0, 0.0]]),
            [[0.0, 2.0], [0.0, -2.0]]
        );
        assert_eq!(
            eigenvalues([[3.0, 0.0], [7.0, 1.0]]),
            [[3.0, 0.0], [1.0, 0.0]]
        );
        assert_eq!(
            distance([[1.0, 0.0], [2.0, 0.0]], [[2.0, 0.0], [1.0, 0.5]]),
            0.5
        );
    }

    /// The formulas are the eigenvalues of the two matrices of a round, multiplied by hand.
    #[test]
    fn closed_forms_are_those_of_the_round_s_matrices() {
        let (h, f) = (0.3, 0.5);
        for gamma in [0.0, 0.3, 1.0, 3.0] {
            let game = game("", Objective::Minimax, gamma, 0.0);
            let simultaneous = [[1.0, h * f], [-h * f, 1.0 - h * gamma]];
            let d = [[1.0, 0.0], [-h * f, 1.0 - h * gamma]];
            let g = [[1.0, h * f], [0.0, 1.0]];
            let alternating =
                [0, 1].map(|i: usize| [0, 1].map(|j: usize| g[i][0] * d[0][j] + g[i][1] * d[1][j]));
            for (updates, matrix) in [
                (Updates::Simultaneous, simultaneous),
                (Updates::Alternating, alternating),
            ] {
                let closed = closed_form(&game, h, updates).unwrap();
                let apart = distance(closed, eigenvalues(matrix));
                assert!(apart < 1e-7, "{updates:?} {gamma}: {apart}");
            }
        }
    }

    #[test]
    fn fates() {
        let spiral = |factor: f64| -> Vec<[f64; 2]> {
            (0..100)
                .map(|i| (factor.powi(i), f64::from(i)))
                .map(|(r, a)| [r * a.cos(), r * a.sin()])
                .collect()
        };
        assert_eq!(fate(&spiral(0.9)), Fate::Converges);
        assert_eq!(fate(&spiral(1.0)), Fate::NotAtRest);
        assert_eq!(fate(&spiral(1.1)), Fate::Diverges);
        // A path that goes out to a wide orbit and stays there.
        let mut out = spiral(1.1)[..20].to_vec();
        out.extend(spiral(1.0).iter().map(|p| p.map(|v| v * 6.0)));
        assert_eq!(fate(&out), Fate::NotAtRest);
        assert_eq!(fate(&[[1.0, 0.0]]), Fate::NotAtRest);
        // What goes home or away, but is not there yet: that it converges or diverges, or does not, has not been seen.
        for factor in [0.9657, 1.0112, 1.1] {
            assert_eq!(fate(&spiral(factor)[..6]), Fate::NotAtRest, "{factor}");
        }
        assert_eq!(fate(&spiral(0.9657)[..60]), Fate::NotAtRest);
        assert_eq!(fate(&spiral(1.0112)[..60]), Fate::NotAtRest);
    }

    #[test]
    fn the_table_says_what_was_seen() {
        let row = |fate, rounds: usize| Row {
            game: "a game",
            updates: Updates::Alternating,
            rate: RATE,
            closed_form: None,
            measured: None,
            error: None,
            jump: None,
            fate,
            last_radius: 0.0,
            trajectory: vec![START; rounds + 1],
        };
        let rows = [
            row(Fate::NotAtRest, 60),
            row(Fate::Converges, 60),
            row(Fate::NotAtRest, 1),
        ];
        let text = table(&rows);
        let words: Vec<&str> = text
            .lines()
            .skip(2)
            .filter_map(|line| line.split('|').nth(7))
            .collect();
        let wanted = [
            " not at rest within 60 rounds ",
            " converges ",
            " not at rest within 1 round ",
        ];
        assert_eq!(words, wanted);
        // The word in the numbers is as careful.
        let number = serde_json::to_value(Fate::NotAtRest).unwrap();
        assert_eq!(number, "not_at_rest");
    }
}
