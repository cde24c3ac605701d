//! Equilibrium and optimum of each objective.
use super::torch::Bench;
use super::{Spoil, agree, flipped, holds_and_can_fail, unspoilt};
use gan_gpu::gan::objectives::{Score, Targets};
use gan_gpu::gan::{GanError, Objective};
use gan_gpu::graph::{Expr, Graph};
use std::f64::consts::LN_2;

/// Losses and their gradients where D cannot tell real from generated: every logit is `s`.
struct Equilibrium {
    objective: Objective,
    s: f64,
    d_loss: f64,
    /// d D-loss / d s_r and / d s_f of a single sample each.
    d_gradient: [f64; 2],
    g_loss: f64,
    g_gradient: f64,
    statistic: f64,
}

const EQUILIBRIA: [Equilibrium; 8] = [
    // -log D - log(1 - D) = log 4 and log(1 - D) = -log 2 at D = 1/2.
    Equilibrium {
        objective: Objective::Minimax,
        s: 0.0,
        d_loss: 2.0 * LN_2,
        d_gradient: [-0.5, 0.5],
        g_loss: -LN_2,
        g_gradient: -0.5,
        statistic: 0.5,
    },
    Equilibrium {
        objective: Objective::NonSaturating,
        s: 0.0,
        d_loss: 2.0 * LN_2,
        d_gradient: [-0.5, 0.5],
        g_loss: LN_2,
        g_gradient: -0.5,
        statistic: 0.5,
    },
    // s* = p/(p+q) = 1/2.
    Equilibrium {
        objective: Objective::LeastSquares,
        s: 0.5,
        d_loss: 0.25,
        d_gradient: [-0.5, 0.5],
        g_loss: 0.125,
        g_gradient: -0.5,
        statistic: 0.5,
    },
    Equilibrium {
        objective: Objective::Hinge,
        s: 0.0,
        d_loss: 2.0,
        d_gradient: [-1.0, 1.0],
        g_loss: 0.0,
        g_gradient: -1.0,
        statistic: 0.0,
    },
    Equilibrium {
        objective: Objective::Wgan,
        s: 0.75,
        d_loss: 0.0,
        d_gradient: [-1.0, 1.0],
        g_loss: -0.75,
        g_gradient: -1.0,
        statistic: 0.75,
    },
    // No side ahead of the other: sp(0).
    Equilibrium {
        objective: Objective::Relativistic,
        s: 0.75,
        d_loss: LN_2,
        d_gradient: [-0.5, 0.5],
        g_loss: LN_2,
        g_gradient: -0.5,
        statistic: 0.75,
    },
    Equilibrium {
        objective: Objective::RelativisticAverage,
        s: 0.75,
        d_loss: LN_2,
        d_gradient: [-0.5, 0.5],
        g_loss: LN_2,
        g_gradient: -0.5,
        statistic: 0.75,
    },
    // Within the margin of 1: E + (1 - E).
    Equilibrium {
        objective: Objective::Energy,
        s: 0.25,
        d_loss: 1.0,
        d_gradient: [1.0, -1.0],
        g_loss: 0.25,
        g_gradient: 1.0,
        statistic: 0.25,
    },
];

fn check_equilibrium(e: &Equilibrium, spoil: Spoil) -> Result<(), String> {
    // Batches of different sizes where each loss is a sum of means; pairs need as many of each.
    let (n, m) = match e.objective {
        Objective::Relativistic => (4, 4),
        _ => (3, 5),
    };
    let mut b = Bench::default();
    let (real, fake) = (
        b.leaf("real", [1, n], &vec![e.s; n]),
        b.leaf("fake", [1, m], &vec![e.s; m]),
    );
    let d = e
        .objective
        .discriminator_loss(&mut b.g, real, fake)
        .unwrap();
    let d = spoil(&mut b.g, d);
    let g = e
        .objective
        .generator_loss(&mut b.g, Some(real), fake)
        .unwrap();
    let g = spoil(&mut b.g, g);
    agree("D loss", b.scalar(d), e.d_loss, 1e-7)?;
    agree("G loss", b.scalar(g), e.g_loss, 1e-7)?;
    let d_gradients = b.g.gradients(d, &[real, fake]).unwrap();
    let g_gradient = b.g.gradients(g, &[fake]).unwrap()[0];
    for (gradient, expected) in [
        (d_gradients[0], e.d_gradient[0] / n as f64),
        (d_gradients[1], e.d_gradient[1] / m as f64),
        (g_gradient, e.g_gradient / m as f64),
    ] {
        for v in b.value(gradient) {
            agree("gradient", v, expected, 1e-7)?;
        }
    }
    let statistic = e.objective.statistic(&mut b.g, real).unwrap();
    agree("statistic", b.scalar(statistic), e.statistic, 1e-7)
}

#[test]
fn equilibrium_values_and_gradients() {
    assert_eq!(EQUILIBRIA.len(), Objective::ALL.len());
    for e in &EQUILIBRIA {
        holds_and_can_fail(e.objective.name(), |spoil| check_equilibrium(e, spoil));
    }
}

/// Ten samples each on three points, so that p and q are exact: p = (5, 3, 2)/10 on real, q = (1, 3, 6)/10 on generated ones.
const P: [usize; 3] = [5, 3, 2];
const Q: [usize; 3] = [1, 3, 6];
fn share(counts: [usize; 3]) -> [f64; 3] {
    counts.map(|c| c as f64 / 10.0)
}

/// D's loss when its output on point i is `s[i]`: (loss, gradient in s).
fn on_three_points(
    objective: Objective,
    s: [f64; 3],
    target: f32,
    spoil: Spoil,
) -> (f64, Vec<f64>) {
    let mut b = Bench::default();
    let logits = b.leaf("s", [1, 3], &s);
    let spread = |b: &mut Bench, counts: [usize; 3]| -> Expr {
        let points: Vec<f64> = (0..3).flat_map(|i| vec![i as f64; counts[i]]).collect();
        let index = b.leaf("points", [10], &points);
        b.g.gather(logits, index, 1).unwrap()
    };
    let (real, fake) = (spread(&mut b, P), spread(&mut b, Q));
    // A sign flipped in one half alone; least squares would not see it in the other, whose target is 0.
    let real = spoil(&mut b.g, real);
    let loss = objective
        .discriminator_loss_with(
            &mut b.g,
            real,
            fake,
            Targets {
                real: target,
                ..Targets::default()
            },
        )
        .unwrap();
    let gradient = b.g.gradients(loss, &[logits]).unwrap()[0];
    (b.scalar(loss), b.value(gradient))
}

/// The optimal D of each objective in closed form: its gradient vanishes, its loss is the divergence that it stands for.
#[test]
fn optimal_discriminators() {
    let (p, q) = (share(P), share(Q));
    let point = |f: fn(f64, f64) -> f64| [f(p[0], q[0]), f(p[1], q[1]), f(p[2], q[2])];
    let total = |f: fn(f64, f64) -> f64| point(f).iter().sum::<f64>();
    let jensen_shannon = total(|p, q| {
        let m = 0.5 * (p + q);
        0.5 * p * (p / m).ln() + 0.5 * q * (q / m).ln()
    });
    let log_ratio = point(|p, q| (p / q).ln());
    let part_of_p = point(|p, q| p / (p + q));
    for (objective, s, loss) in [
        // The value -log 4 + 2 JSD is maximised, so the loss is its negative.
        (
            Objective::Minimax,
            log_ratio,
            4f64.ln() - 2.0 * jensen_shannon,
        ),
        (
            Objective::NonSaturating,
            log_ratio,
            4f64.ln() - 2.0 * jensen_shannon,
        ),
        (
            Objective::LeastSquares,
            part_of_p,
            0.5 * total(|p, q| p * q / (p + q)),
        ),
    ] {
        holds_and_can_fail(objective.name(), |spoil| {
            let (got, gradient) = on_three_points(objective, s, 1.0, spoil);
            agree("loss at the optimum", got, loss, 1e-7)?;
            for v in gradient {
                agree("gradient at the optimum", v, 0.0, 1e-7)?;
            }
            for i in 0..3 {
                for step in [-0.01, 0.01] {
                    let mut off = s;
                    off[i] += step;
                    if on_three_points(objective, off, 1.0, spoil).0 <= got {
                        return Err(format!("a lower loss at {off:?} than at the optimum"));
                    }
                }
            }
            Ok(())
        });
    }
    // Hinge: s* = sign(p - q), loss 2 sum min(p, q) = 2 (1 - total variation); 1e-9 inside the kinks at +-1.
    let s = point(|p, q| (p - q).signum() * if p == q { 0.0 } else { 1.0 - 1e-9 });
    holds_and_can_fail("hinge", |spoil| {
        let (got, gradient) = on_three_points(Objective::Hinge, s, 1.0, spoil);
        agree("loss at the optimum", got, 2.0 * total(f64::min), 1e-7)?;
        for (i, v) in gradient.iter().enumerate() {
            agree("gradient inside the margin", *v, q[i] - p[i], 1e-7)?;
        }
        Ok(())
    });
    // WGAN with the critic s = x on points 0, 1, 2: E_q x - E_p x = 1.5 - 0.7.
    holds_and_can_fail("wgan", |spoil| {
        let (got, gradient) = on_three_points(Objective::Wgan, [0.0, 1.0, 2.0], 1.0, spoil);
        agree("difference of means", got, 0.8, 1e-7)?;
        for (i, v) in gradient.iter().enumerate() {
            agree("gradient", *v, q[i] - p[i], 1e-7)?;
        }
        Ok(())
    });
}

/// One-sided smoothing to a target t: D* = t p / (p + q) (Salimans et al., section 3.4, with beta = 0).
#[test]
fn label_smoothing_moves_the_optimum() {
    let (p, q, t) = (share(P), share(Q), 0.9);
    let d: Vec<f64> = (0..3).map(|i| t * p[i] / (p[i] + q[i])).collect();
    let logit = [0, 1, 2].map(|i: usize| (d[i] / (1.0 - d[i])).ln());
    for (objective, s) in [
        (Objective::Minimax, logit),
        (Objective::NonSaturating, logit),
        (Objective::LeastSquares, [d[0], d[1], d[2]]),
    ] {
        holds_and_can_fail(objective.name(), |spoil| {
            for v in on_three_points(objective, s, t as f32, spoil).1 {
                agree("gradient at the smoothed optimum", v, 0.0, 1e-7)?;
            }
            Ok(())
        });
    }
    for objective in [Objective::Hinge, Objective::Wgan] {
        let mut g = Graph::new();
        let s = g.leaf("s", [1, 4]);
        let e = objective
            .discriminator_loss_with(
                &mut g,
                s,
                s,
                Targets {
                    real: 0.9,
                    ..Targets::default()
                },
            )
            .unwrap_err();
        assert!(
            matches!(e, GanError::Setting { ref field, .. } if field == "label_smoothing"),
            "{e}"
        );
    }
}

/// N(0, 1) against N(m, sigma) by numerical integration: with s* = log p/q, log 4 minus the loss is 2 JSD.
#[test]
fn jensen_shannon_divergence_of_two_gaussians() {
    // Equally likely samples: the midpoints of n quantiles of N(0, 1), from the integral of the density on a fine grid.
    let n = 40_000;
    let (step, mut mass, mut x) = (1e-4, 0.0, -9.0);
    let mut quantiles = Vec::with_capacity(n);
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    while x < 9.0 {
        let next = mass + step * density(x + 0.5 * step);
        while quantiles.len() < n && next > (quantiles.len() as f64 + 0.5) / n as f64 {
            let part = ((quantiles.len() as f64 + 0.5) / n as f64 - mass) / (next - mass);
            quantiles.push(x + part * step);
        }
        (mass, x) = (next, x + step);
    }
    assert_eq!(quantiles.len(), n);
    for (m, sigma, divergence) in [
        (0.0, 1.0, 0.0),
        (1.0, 1.0, 0.11142),
        (2.0, 1.0, 0.33683),
        (0.0, 2.0, 0.09273),
        (3.0, 0.5, 0.63087),
    ] {
        let s = |x: f64| 0.5 * ((x - m) / sigma).powi(2) - 0.5 * x * x + f64::ln(sigma);
        let on_real: Vec<f64> = quantiles.iter().map(|&x| s(x)).collect();
        let on_fake: Vec<f64> = quantiles.iter().map(|&x| s(m + sigma * x)).collect();
        let measured = |spoil: Spoil| {
            let mut b = Bench::default();
            let (real, fake) = (
                b.leaf("real", [1, n], &on_real),
                b.leaf("fake", [1, n], &on_fake),
            );
            let real = spoil(&mut b.g, real);
            let loss = Objective::Minimax
                .discriminator_loss(&mut b.g, real, fake)
                .unwrap();
            0.5 * (4f64.ln() - b.scalar(loss))
        };
        let check = |spoil| agree("JSD", measured(spoil), divergence, 1e-5);
        if m == 0.0 && sigma == 1.0 {
            check(unspoilt).unwrap(); // every logit is 0: no sign to flip
        } else {
            holds_and_can_fail("minimax", check);
        }
    }
}

/// Where D is sure that samples are generated (s = -20, D = 2e-9), minimax's generator gets next to no gradient and
/// the non-saturating one a full one; both point towards higher logits.
#[test]
fn the_saturating_loss_saturates() {
    let gradient = |objective: Objective, spoil: Spoil| {
        let mut b = Bench::default();
        let s = b.leaf("s", [1, 1], &[-20.0]);
        let loss = objective.generator_loss(&mut b.g, None, s).unwrap();
        let loss = spoil(&mut b.g, loss);
        let gradient = b.g.gradients(loss, &[s]).unwrap()[0];
        b.value(gradient)[0]
    };
    let d = 1.0 / (1.0 + 20f64.exp()); // sigmoid(-20) = 2.06e-9
    let check = |spoil: Spoil| {
        let saturating = gradient(Objective::Minimax, spoil);
        agree("saturating, in units of D", saturating / d, -1.0, 1e-6)?;
        agree(
            "non-saturating",
            gradient(Objective::NonSaturating, spoil),
            -(1.0 - d),
            1e-9,
        )
    };
    holds_and_can_fail("generator gradients", check);
}

/// Losses and their gradients stay finite at any logit that f32 holds, where log(sigmoid) would not.
#[test]
fn extreme_logits_stay_finite() {
    for &objective in Objective::ALL {
        for s in [-1e4, -100.0, 0.0, 100.0, 1e4] {
            let mut b = Bench::default();
            let (real, fake) = (b.leaf("real", [1, 1], &[s]), b.leaf("fake", [1, 1], &[-s]));
            let d = objective.discriminator_loss(&mut b.g, real, fake).unwrap();
            let g = objective
                .generator_loss(&mut b.g, Some(real), fake)
                .unwrap();
            let mut all = b.g.gradients(d, &[real, fake]).unwrap();
            all.extend(b.g.gradients(g, &[fake]).unwrap());
            all.extend([d, g]);
            for e in all {
                assert!(b.scalar(e).is_finite(), "{} at {s}", objective.name());
            }
        }
    }
}

/// Every loss' gradient against central differences, away from the kinks of hinge.
#[test]
fn gradients_against_finite_differences() {
    let (real, fake) = ([0.3, -0.7, 2.1, -1.9], [-0.2, 1.4, 0.6, -2.3]);
    let losses = |objective: Objective, real: &[f64], fake: &[f64], spoil: Spoil| {
        let mut b = Bench::default();
        let (r, f) = (b.leaf("real", [1, 4], real), b.leaf("fake", [1, 4], fake));
        let d = objective.discriminator_loss(&mut b.g, r, f).unwrap();
        let g = objective.generator_loss(&mut b.g, Some(r), f).unwrap();
        let d_gradients = b.g.gradients(d, &[r, f]).unwrap();
        let g_gradient = b.g.gradients(g, &[f]).unwrap()[0];
        let all = [d_gradients[0], d_gradients[1], g_gradient].map(|e| spoil(&mut b.g, e));
        (b.scalar(d), b.scalar(g), all.map(|e| b.value(e)))
    };
    let h = 1e-5;
    for &objective in Objective::ALL {
        holds_and_can_fail(objective.name(), |spoil| {
            let (_, _, gradients) = losses(objective, &real, &fake, spoil);
            for i in 0..4 {
                let moved = |at: &[f64; 4], by: f64| {
                    let mut out = *at;
                    out[i] += by;
                    out
                };
                let slope = |plus: f64, minus: f64| (plus - minus) / (2.0 * h);
                let up = losses(objective, &moved(&real, h), &fake, unspoilt);
                let down = losses(objective, &moved(&real, -h), &fake, unspoilt);
                agree("d D / d s_r", gradients[0][i], slope(up.0, down.0), 1e-8)?;
                let up = losses(objective, &real, &moved(&fake, h), unspoilt);
                let down = losses(objective, &real, &moved(&fake, -h), unspoilt);
                agree("d D / d s_f", gradients[1][i], slope(up.0, down.0), 1e-8)?;
                agree("d G / d s_f", gradients[2][i], slope(up.1, down.1), 1e-8)?;
            }
            Ok(())
        });
    }
}

#[test]
fn logits_of_another_shape_are_refused() {
    let mut g = Graph::new();
    let (good, bad) = (g.leaf("good", [1, 4]), g.leaf("bad", [4, 1]));
    for &o in Objective::ALL {
        assert_eq!(
            o.discriminator_loss(&mut g, good, bad)
                .unwrap_err()
                .to_string(),
            "discriminator loss, generated: expected logits of shape [1, N], got [4, 1]"
        );
        assert!(o.discriminator_loss(&mut g, bad, good).is_err());
        assert!(o.generator_loss(&mut g, Some(good), bad).is_err());
        assert!(
            o.generator_loss(&mut g, Some(bad), good).is_err() && o.statistic(&mut g, bad).is_err()
        );
    }
}

/// A relativistic loss without real samples, or with another number of them, is an error and no other loss.
#[test]
fn relativistic_losses_need_real_samples() {
    let mut g = Graph::new();
    let (four, five) = (g.leaf("four", [1, 4]), g.leaf("five", [1, 5]));
    for &o in Objective::ALL {
        let alone = o.generator_loss(&mut g, None, four);
        assert_eq!(alone.is_err(), o.generator_sees_real(), "{}", o.name());
    }
    let e = Objective::Relativistic.discriminator_loss(&mut g, four, five);
    assert!(e.unwrap_err().to_string().contains("[1, 5] against [1, 4]"));
}

#[test]
fn names_are_found_and_unknown_ones_listed() {
    for &o in Objective::ALL {
        assert_eq!(o.name().parse::<Objective>().unwrap(), o);
        assert_eq!(serde_json::to_value(o).unwrap(), o.name());
    }
    assert_eq!(
        "non-saturating".parse::<Objective>().unwrap(),
        Objective::NonSaturating
    );
    let e = "lsgan".parse::<Objective>().unwrap_err().to_string();
    assert_eq!(
        e,
        "objective: expected one of minimax, non_saturating, least_squares, hinge, wgan, relativistic, relativistic_average, energy, got lsgan"
    );
    let probability = Objective::ALL
        .iter()
        .filter(|o| o.score() == Score::Probability);
    assert_eq!(probability.count(), 2);
    // `flipped` is a mistake, or the checks of this file prove nothing.
    let mut b = Bench::default();
    let one = b.leaf("one", [1, 1], &[1.0]);
    let minus = flipped(&mut b.g, one);
    assert_eq!(b.scalar(minus), -1.0);
}
