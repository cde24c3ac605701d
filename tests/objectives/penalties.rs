//! Gradient penalty, R1 and R2 of critics whose gradient is known in closed form.
use super::torch::Bench;
use super::{Spoil, agree, holds_and_can_fail};
use gan_gpu::gan::regularisers::{Critic, Samples};
use gan_gpu::gan::{GanError, Regulariser};
use gan_gpu::graph::{Distribution, Expr, Graph};

const WEIGHT: f32 = 3.0;
/// Three samples of two features, features first.
const REAL: [[f64; 3]; 2] = [[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]];
const FAKE: [[f64; 3]; 2] = [[-1.0, 0.5, 2.0], [0.75, -3.0, 1.5]];
const EPSILON: [f64; 3] = [0.25, 0.0, 0.875];

/// Where each penalty is evaluated: x^ = eps x + (1 - eps) G(z), x, or G(z).
fn places(r: Regulariser) -> [[f64; 3]; 2] {
    let at = |f: usize, n: usize| match r {
        Regulariser::GradientPenalty => EPSILON[n] * REAL[f][n] + (1.0 - EPSILON[n]) * FAKE[f][n],
        // With noise, which `dragan_is_taken_around_the_data` looks at.
        Regulariser::R1 | Regulariser::Dragan => REAL[f][n],
        Regulariser::R2 => FAKE[f][n],
    };
    [0, 1].map(|f| [0, 1, 2].map(|n| at(f, n)))
}

/// The penalty of a critic with the parameters c `[2, 1]`, and its gradient in c. Samples are `[2, 3]` or, as images,
/// `[2, 3, 1, 1]`.
fn evaluate(
    r: Regulariser,
    c: [f64; 2],
    image: bool,
    critic: fn(&mut Graph, Expr, Expr) -> Expr,
    spoil: Spoil,
) -> (f64, Vec<f64>) {
    let mut b = Bench::default();
    let shape = |f: usize| if image { vec![f, 3, 1, 1] } else { vec![f, 3] };
    let samples = Samples {
        real: b.leaf("real", shape(2), &REAL.concat()),
        fake: b.leaf("fake", shape(2), &FAKE.concat()),
        epsilon: b.leaf("epsilon", [1, 3], &EPSILON),
    };
    let c = b.leaf("c", [2, 1], &c);
    let mut d = |g: &mut Graph, x: Expr| {
        let x = g.reshape(x, [2, 3])?;
        Ok(critic(g, c, x))
    };
    let penalty = r
        .penalty(&mut b.g, WEIGHT, samples, Critic::new(&[], &mut d))
        .unwrap();
    let penalty = spoil(&mut b.g, penalty);
    let gradient = b.g.gradients(penalty, &[c]).unwrap()[0];
    (b.scalar(penalty), b.value(gradient))
}

fn compare(got: (f64, Vec<f64>), value: f64, gradient: [f64; 2]) -> Result<(), String> {
    agree("penalty", got.0, value, 1e-6)?;
    agree("gradient 0", got.1[0], gradient[0], 1e-6)?;
    agree("gradient 1", got.1[1], gradient[1], 1e-6)
}

/// D(x) = c.x has the gradient c everywhere: lambda (|c| - 1)^2 and gamma/2 |c|^2, whatever the samples.
#[test]
fn linear_critic() {
    let c = [0.6f64, -1.1];
    let norm = c[0].hypot(c[1]);
    let w = WEIGHT as f64;
    for &r in Regulariser::ALL {
        let (value, slope) = match r {
            Regulariser::GradientPenalty | Regulariser::Dragan => {
                (w * (norm - 1.0).powi(2), 2.0 * w * (norm - 1.0) / norm)
            }
            Regulariser::R1 | Regulariser::R2 => (0.5 * w * norm * norm, w),
        };
        for image in [false, true] {
            holds_and_can_fail(r.name(), |spoil| {
                let critic = |g: &mut Graph, c, x| g.matmul_t(c, x, true, false).unwrap();
                compare(
                    evaluate(r, c, image, critic, spoil),
                    value,
                    c.map(|v| slope * v),
                )
            });
        }
    }
}

/// D(x) = 1/2 sum c_f x_f^2 has the gradient (c_f x_f) at x: the place where it is taken matters, and so does each sample's.
#[test]
fn quadratic_critic() {
    let c = [0.8, -1.5];
    let w = WEIGHT as f64;
    for &r in Regulariser::ALL {
        if r == Regulariser::Dragan {
            continue;
        }
        let x = places(r);
        let (mut value, mut gradient) = (0.0, [0.0; 2]);
        for n in 0..3 {
            let square: f64 = (0..2).map(|f| (c[f] * x[f][n]).powi(2)).sum();
            let norm = square.sqrt();
            // d square / d c_f = 2 c_f x_f^2
            let (v, slope) = match r {
                Regulariser::GradientPenalty | Regulariser::Dragan => {
                    (w * (norm - 1.0).powi(2), w * (norm - 1.0) / norm)
                }
                Regulariser::R1 | Regulariser::R2 => (0.5 * w * square, 0.5 * w),
            };
            value += v / 3.0;
            for f in 0..2 {
                gradient[f] += slope * 2.0 * c[f] * x[f][n].powi(2) / 3.0;
            }
        }
        for image in [false, true] {
            holds_and_can_fail(r.name(), |spoil| {
                let critic = |g: &mut Graph, c, x| {
                    let x2 = g.square(x).unwrap();
                    let s = g.matmul_t(c, x2, true, false).unwrap();
                    g.scale(s, 0.5).unwrap()
                };
                compare(evaluate(r, c, image, critic, spoil), value, gradient)
            });
        }
    }
    // The three places differ, so taking the gradient at another one would fail above.
    assert!(places(Regulariser::GradientPenalty) != REAL && places(Regulariser::R1) != FAKE);
}

/// D(x) = theta.x at weights theta = m c that were computed from the samples, m = 1 + (mean x)^2 + (mean G(z))^2, as those of unrolled updates
/// are: the penalised gradient is theta all the same, and the penalty's own in c that of |theta|.
#[test]
fn weights_computed_from_the_samples_are_held() {
    let c = [0.6f64, -1.1];
    let mean = |samples: &[[f64; 3]; 2]| samples.concat().iter().sum::<f64>() / 6.0;
    let m = 1.0 + mean(&REAL).powi(2) + mean(&FAKE).powi(2);
    let w = WEIGHT as f64;
    for r in [Regulariser::R1, Regulariser::R2] {
        let check = |spoil: Spoil, holds: bool| {
            let mut b = Bench::default();
            let samples = Samples {
                real: b.leaf("real", [2, 3], &REAL.concat()),
                fake: b.leaf("fake", [2, 3], &FAKE.concat()),
                epsilon: b.leaf("epsilon", [1, 3], &EPSILON),
            };
            let c_leaf = b.leaf("c", [2, 1], &c);
            let g = &mut b.g;
            let mut factor = g.scalar(1.0);
            for x in [samples.real, samples.fake] {
                let mean = g.mean_all(x).unwrap();
                let square = g.square(mean).unwrap();
                factor = g.add(factor, square).unwrap();
            }
            let theta = g.mul(c_leaf, factor).unwrap();
            let mut d = |g: &mut Graph, x| Ok(g.matmul_t(theta, x, true, false)?);
            let held = [theta];
            let critic = Critic::new(if holds { &held } else { &[] }, &mut d);
            let penalty = r.penalty(g, WEIGHT, samples, critic).unwrap();
            let penalty = spoil(g, penalty);
            let gradient = g.gradients(penalty, &[c_leaf]).unwrap()[0];
            let got = (b.scalar(penalty), b.value(gradient));
            let square = m * m * (c[0] * c[0] + c[1] * c[1]);
            compare(got, 0.5 * w * square, c.map(|v| w * m * m * v))
        };
        holds_and_can_fail(r.name(), |spoil| check(spoil, true));
        assert!(check(super::unspoilt, false).is_err(), "{}", r.name());
    }
}

/// A critic of dead ReLUs has a gradient of exactly 0: the penalty is lambda, and its gradient 0 as in PyTorch, not NaN.
#[test]
fn a_vanishing_gradient_gives_no_nan() {
    for &r in Regulariser::ALL {
        let critic = |g: &mut Graph, c, x| {
            let s = g.matmul_t(c, x, true, false).unwrap();
            let s = g.shift(s, -1000.0).unwrap();
            g.relu(s)
        };
        let (value, gradient) = evaluate(r, [0.5, 2.0], false, critic, super::unspoilt);
        let expected = match r {
            Regulariser::GradientPenalty | Regulariser::Dragan => WEIGHT as f64,
            Regulariser::R1 | Regulariser::R2 => 0.0,
        };
        assert!(
            (value - expected).abs() < 1e-7 && gradient == [0.0, 0.0],
            "{}: {value}, {gradient:?}",
            r.name()
        );
    }
}

#[test]
fn a_critic_without_logits_is_refused() {
    let mut g = Graph::new();
    let (real, fake) = (g.source("real", [2, 3]), g.source("fake", [2, 3]));
    let samples = Samples::new(&mut g, real, fake);
    assert_eq!(g.shape(samples.epsilon).to_vec(), [1, 3]);
    let e = Regulariser::R1
        .penalty(&mut g, 1.0, samples, Critic::new(&[], &mut |_, x| Ok(x)))
        .unwrap_err();
    assert!(matches!(e, GanError::Logits { .. }), "{e}");
    let image = g.source("image", [2, 3, 4, 5]);
    let samples = Samples::new(&mut g, image, image);
    assert_eq!(g.shape(samples.epsilon).to_vec(), [1, 3]);
    // As many epsilons as samples.
    let epsilon = g.leaf("epsilon", [1, 2]);
    let wrong = Samples { epsilon, ..samples };
    let mut critic =
        |g: &mut Graph, x| Ok(g.sum(x, &[0, 2, 3]).and_then(|s| g.reshape(s, [1, 3]))?);
    assert!(
        Regulariser::GradientPenalty
            .penalty(&mut g, 1.0, samples, Critic::new(&[], &mut critic))
            .is_ok()
    );
    let e = Regulariser::GradientPenalty
        .penalty(&mut g, 1.0, wrong, Critic::new(&[], &mut critic))
        .unwrap_err();
    assert!(
        e.to_string()
            .contains("reshape: expected 2 elements, got [1, 3, 1, 1]"),
        "{e}"
    );
}

#[test]
fn names() {
    for &r in Regulariser::ALL {
        assert_eq!(r.name().parse::<Regulariser>().unwrap(), r);
        assert_eq!(serde_json::to_value(r).unwrap(), r.name());
    }
    let e = "r3".parse::<Regulariser>().unwrap_err().to_string();
    assert_eq!(
        e,
        "regulariser: expected one of gradient_penalty, r1, r2, dragan, got r3"
    );
}

/// DRAGAN's penalty of D(x) = 1/2 |x|^2, whose gradient is x, is lambda E (|x + 1/2 std(X) u| - 1)^2 for the same uniform numbers u.
#[test]
fn dragan_is_taken_around_the_data() {
    let check = |spoil: Spoil, noise: f64| {
        let mut b = Bench::default();
        let real = b.leaf("real", [2, 3], &REAL.concat());
        let samples = Samples {
            real,
            fake: b.leaf("fake", [2, 3], &FAKE.concat()),
            epsilon: b.leaf("epsilon", [1, 3], &EPSILON),
        };
        let mut d = |g: &mut Graph, x: Expr| {
            let square = g.square(x)?;
            let sum = g.sum(square, &[0])?;
            Ok(g.scale(sum, 0.5)?)
        };
        let penalty = Regulariser::Dragan
            .penalty(&mut b.g, WEIGHT, samples, Critic::new(&[], &mut d))
            .unwrap();
        let penalty = spoil(&mut b.g, penalty);
        // The graph keeps one node per stream: this is the noise that the penalty drew.
        let u = b.g.random_stream(Distribution::Uniform, [2, 3], 0xd7a6);
        let u = b.value(u);
        let all = REAL.concat();
        let mean = all.iter().sum::<f64>() / 6.0;
        let std = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 6.0).sqrt();
        let around: Vec<f64> = all
            .iter()
            .zip(&u)
            .map(|(x, u)| x + noise * std * u)
            .collect();
        let norm = |n: usize| around[n].hypot(around[3 + n]);
        let expected = (0..3).map(|n| (norm(n) - 1.0).powi(2)).sum::<f64>() / 3.0;
        agree("penalty", b.scalar(penalty), WEIGHT as f64 * expected, 1e-6)
    };
    holds_and_can_fail("dragan", |spoil| check(spoil, 0.5));
    assert!(check(super::unspoilt, 0.0).is_err(), "without noise");
}
