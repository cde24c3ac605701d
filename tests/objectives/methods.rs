//! What the methods add, against their closed forms: in f64, with a mistake that each check must catch.
use super::torch::Bench;
use super::{Spoil, agree, holds_and_can_fail, unspoilt};
use gan_gpu::gan::config::{Adam, Optimiser, Sgd};
use gan_gpu::gan::methods::unrolled::{Standing, unrolled};
use gan_gpu::gan::methods::{Info, Unroll, classes, info, mad, mrgan, pack, pulling_away, veegan};
use gan_gpu::gan::{GanError, Objective};
use gan_gpu::graph::{Expr, Graph};
use std::f64::consts::LN_2;

fn all(what: &str, got: &[f64], expected: &[f64]) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{what}: {} numbers", got.len()));
    }
    let pairs = got.iter().zip(expected);
    pairs
        .map(|(&g, &e)| agree(what, g, e, 1e-6))
        .collect::<Result<Vec<()>, _>>()
        .map(|_| ())
}

#[test]
fn softmax_is_stable_and_its_cross_entropy_has_the_known_gradient() {
    // Columns far apart and far from 0: without the shift e^1000 is infinite.
    let logits = [1000.0, -3.0, 0.5, 999.0, -1.0, 0.5, 990.0, 2.0, 0.5];
    let target = [0.0, 1.0, 0.2, 1.0, 0.0, 0.3, 0.0, 0.0, 0.5];
    let probability = |c: usize, n: usize| {
        let largest = (0..3).map(|k| logits[3 * k + n]).fold(f64::MIN, f64::max);
        let power = |k: usize| (logits[3 * k + n] - largest).exp();
        power(c) / (0..3).map(power).sum::<f64>()
    };
    holds_and_can_fail("cross-entropy", |spoil| {
        let mut b = Bench::default();
        let l = b.leaf("logits", [3, 3], &logits);
        let t = b.leaf("target", [3, 3], &target);
        let loss = classes::cross_entropy(&mut b.g, l, t).unwrap();
        let loss = spoil(&mut b.g, loss);
        let (mut value, mut gradient) = (0.0, vec![]);
        for c in 0..3 {
            for n in 0..3 {
                let p = probability(c, n);
                if target[3 * c + n] > 0.0 {
                    value -= target[3 * c + n] * p.ln() / 3.0;
                }
                gradient.push((p - target[3 * c + n]) / 3.0);
            }
        }
        agree("loss", b.scalar(loss), value, 1e-6)?;
        let slope = b.g.gradients(loss, &[l]).unwrap()[0];
        all("gradient", &b.value(slope), &gradient)
    });
}

#[test]
fn uniform_numbers_become_classes() {
    let mut b = Bench::default();
    let u = b.leaf("u", [4], &[0.0, 0.33, 0.34, 0.999]);
    let columns = classes::uniform_one_hot(&mut b.g, u, 3).unwrap();
    let expected = [1., 1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1.];
    assert_eq!(b.value(columns), expected);
}

/// Two samples a pack: D sees the neighbours 2i and 2i + 1 as one, and nothing of another pack.
#[test]
fn a_pack_is_neighbours_behind_each_other() {
    let mut b = Bench::default();
    let points: Vec<f64> = (0..8).map(f64::from).collect(); // [2, 4]: sample n is (n, 4 + n)
    let x = b.leaf("x", [2, 4], &points);
    let packed = pack::pack(&mut b.g, x, 2).unwrap();
    assert_eq!(b.g.shape(packed).to_vec(), [4, 2]);
    // Columns (0, 4, 1, 5) and (2, 6, 3, 7).
    assert_eq!(b.value(packed), [0., 2., 4., 6., 1., 3., 5., 7.]);
    let images: Vec<f64> = (0..24).map(f64::from).collect(); // [1, 4, 2, 3]
    let x = b.leaf("images", [1, 4, 2, 3], &images);
    let packed = pack::pack(&mut b.g, x, 2).unwrap();
    assert_eq!(b.g.shape(packed).to_vec(), [2, 2, 2, 3]);
    let image = |n: usize| &images[6 * n..6 * n + 6];
    assert_eq!(
        b.value(packed),
        [image(0), image(2), image(1), image(3)].concat()
    );
    assert_eq!(pack::pack(&mut b.g, x, 1).unwrap(), x);
}

#[test]
fn generators_are_told_apart_by_their_place_in_the_batch() {
    let mut b = Bench::default();
    for (generators, batch) in [(2, 4), (3, 9), (7, 21), (5, 1000)] {
        let makers = mad::makers(&mut b.g, generators, batch).unwrap();
        let columns = b.value(makers);
        for n in 0..batch {
            for row in 0..=generators {
                let expected = f64::from(row == 1 + n % generators);
                assert_eq!(columns[row * batch + n], expected, "{generators}: {n}");
            }
        }
    }
}

/// A D that knows nothing says 1/(K + 1) for every maker: log(K + 1) on each side; at the paper's equilibrium, where it says 1/2 for
/// real of every sample, G's loss is log 2.
#[test]
fn mad_gan_at_its_equilibrium() {
    holds_and_can_fail("MAD-GAN", |spoil| {
        let mut b = Bench::default();
        let flat = b.leaf("flat", [4, 6], &[0.3; 24]);
        let loss = mad::discriminator_loss(&mut b.g, flat, flat).unwrap();
        let loss = spoil(&mut b.g, loss);
        agree("D's loss", b.scalar(loss), 2.0 * 4f64.ln(), 1e-6)?;
        // p(real) = 1/2, the rest shared: l_real = log 3 over zeros.
        let mut logits = [0.0; 24];
        logits[..6].fill(3f64.ln());
        let half = b.leaf("half", [4, 6], &logits);
        let loss = mad::generator_loss(&mut b.g, Objective::NonSaturating, half).unwrap();
        let loss = spoil(&mut b.g, loss);
        agree("G's loss", b.scalar(loss), LN_2, 1e-6)
    });
}

/// Codes alike push, codes at right angles do not; the sum leaves out a sample with itself.
#[test]
fn pulling_away_is_the_mean_squared_cosine() {
    let check = |spoil: Spoil, codes: [f64; 6], expected: f64| {
        let mut b = Bench::default();
        let codes = b.leaf("codes", [2, 3], &codes);
        let term = pulling_away::term(&mut b.g, codes).unwrap();
        let term = spoil(&mut b.g, term);
        agree("term", b.scalar(term), expected, 1e-6)
    };
    // Three samples of one direction, whatever their lengths.
    holds_and_can_fail("alike", |s| check(s, [1., 2., -3., 1., 2., -3.], 1.0));
    // (1, 0), (0, 2) and (3, 3): cos^2 = 0, 1/2, 1/2, each pair twice of six.
    holds_and_can_fail("angles", |s| check(s, [1., 0., 3., 0., 2., 3.], 1.0 / 3.0));
    // A code of zeros has no direction and adds nothing: two of six pairs are alike.
    holds_and_can_fail("zero", |s| check(s, [1., 0., 2., 0., 0., 0.], 1.0 / 3.0));
}

#[test]
fn information_is_the_likelihood_of_the_codes() {
    let method = Info {
        categorical: 3,
        continuous: 2,
        weight: 0.5,
    };
    holds_and_can_fail("information", |spoil| {
        let mut b = Bench::default();
        // Two samples: flat logits (log 3 each), continuous codes off by (1, 2) and (0, -2).
        let q = b.leaf("q", [5, 2], &[0., 0., 0., 0., 0., 0., 0.5, 0.25, 1.0, -1.5]);
        let codes = b.leaf(
            "c",
            [5, 2],
            &[1., 0., 0., 0., 0., 1., -0.5, 0.25, -1.0, 0.5],
        );
        let loss = info::information_loss(&mut b.g, &method, q, codes).unwrap();
        let loss = spoil(&mut b.g, loss);
        let squares = (1.0 + 4.0 + 0.0 + 4.0) / 2.0;
        agree(
            "loss",
            b.scalar(loss),
            0.5 * (3f64.ln() + 0.5 * squares),
            1e-6,
        )
    });
}

#[test]
fn encoders_terms() {
    holds_and_can_fail("MRGAN and VEEGAN", |spoil| {
        let mut b = Bench::default();
        let x = b.leaf("x", [2, 2], &[1., 2., 3., 4.]);
        let y = b.leaf("y", [2, 2], &[1., 0., 3., 1.]);
        let s = b.leaf("s", [1, 2], &[0., 0.]);
        // |(0, 0)|^2 and |(2, 3)|^2, the mean, weighted.
        let distance = mrgan::distance(&mut b.g, x, y, 0.2).unwrap();
        let distance = spoil(&mut b.g, distance);
        agree("distance", b.scalar(distance), 0.2 * 13.0 / 2.0, 1e-6)?;
        let realism = mrgan::realism(&mut b.g, s, 0.4, Objective::NonSaturating).unwrap();
        agree("realism", b.scalar(realism), 0.4 * LN_2, 1e-6)?;
        // Energies: what D takes for real has little.
        let e = b.leaf("e", [1, 2], &[0.5, 2.5]);
        let realism = mrgan::realism(&mut b.g, e, 0.4, Objective::Energy).unwrap();
        agree("energy", b.scalar(realism), 0.4 * 1.5, 1e-6)?;
        let rebuilt = veegan::reconstruction(&mut b.g, x, y, 2.0).unwrap();
        agree("reconstruction", b.scalar(rebuilt), 13.0, 1e-6)
    });
    let mut b = Bench::default();
    let x = b.leaf("x", [1, 2, 1, 2], &[1., 2., 3., 4.]);
    let z = b.leaf("z", [2, 2], &[5., 6., 7., 8.]);
    let pair = veegan::joint(&mut b.g, x, z).unwrap();
    // Each latent is a constant map of its sample.
    let expected = [1., 2., 3., 4., 5., 5., 6., 6., 7., 7., 8., 8.];
    assert_eq!(b.value(pair), expected);
}

/// D(x) = d x on one real sample r and G's one sample t, loss d (t - r) + d^2 / 2: its gradient t - r + d is known, and so are K updates of
/// any rate: d_K = (1 - eta)^K d_0 - (1 - (1 - eta)^K)(t - r). G's loss is -d_K t, its derivative in t by hand.
struct Bilinear {
    rate: f64,
    steps: usize,
    first_order: bool,
}

const D0: f64 = 0.75;
const R: f64 = -0.5;
const T: f64 = 1.25;

impl Bilinear {
    fn run(&self, spoil: Spoil) -> (f64, f64) {
        let mut b = Bench::default();
        let (d, t) = (b.leaf("d", [], &[D0]), b.leaf("t", [], &[T]));
        let updates = b.leaf("updates", [], &[0.0]);
        let mut loss = |g: &mut Graph, params: &[Expr]| {
            let off = g.shift(t, -R as f32)?;
            let linear = g.mul(params[0], off)?;
            let square = g.square(params[0])?;
            let half = g.scale(square, 0.5)?;
            Ok(g.add(linear, half)?)
        };
        let optimiser = Optimiser::Sgd(Sgd {
            lr: self.rate,
            momentum: 0.0,
        });
        let unroll = Unroll {
            steps: self.steps,
            lr: None,
            first_order: self.first_order,
        };
        let from = Standing {
            params: vec![d],
            moments: [vec![], vec![]],
            updates,
        };
        let after = unrolled(&mut b.g, &unroll, &optimiser, from, &mut loss).unwrap()[0];
        let product = b.g.mul(after, t).unwrap();
        let value = b.g.neg(product);
        let value = spoil(&mut b.g, value);
        let slope = b.g.gradients(value, &[t]).unwrap()[0];
        (b.scalar(value), b.scalar(slope))
    }
    fn expected(&self) -> (f64, f64) {
        let kept = (1.0 - self.rate).powi(self.steps as i32);
        let d = kept * D0 - (1.0 - kept) * (T - R);
        let through = if self.first_order { 0.0 } else { -(1.0 - kept) };
        (-d * T, -d - through * T)
    }
}

#[test]
fn unrolled_by_hand() {
    for steps in [1, 2, 5] {
        let case = Bilinear {
            rate: 0.25,
            steps,
            first_order: false,
        };
        holds_and_can_fail("unrolled", |spoil| {
            let (value, slope) = case.run(spoil);
            agree("value", value, case.expected().0, 1e-6)?;
            agree("slope", slope, case.expected().1, 1e-6)
        });
        let control = Bilinear {
            first_order: true,
            ..case
        };
        let (value, slope) = control.run(unspoilt);
        agree("value", value, control.expected().0, 1e-6).unwrap();
        agree(
            "slope of the control arm",
            slope,
            control.expected().1,
            1e-6,
        )
        .unwrap();
        // The control arm sees the same D and lacks what G does to it.
        assert!((slope - case.expected().1).abs() > 0.1);
    }
}

/// Adam's unrolled step, from moments that are not zero, is what `torch.optim.Adam` does, and its derivative in t is that of finite
/// differences of the same formula in f64.
#[test]
fn adam_is_unrolled_from_its_moments() {
    let (lr, beta1, beta2, eps) = (0.125, 0.5, 0.875, 1e-2);
    let (m0, v0, t0) = (0.25, 0.0625, 3.0);
    let by_hand = |t: f64| {
        let (mut d, mut m, mut v) = (D0, m0, v0);
        for k in 1..=2 {
            let gradient = t - R + d;
            m = beta1 * m + (1.0 - beta1) * gradient;
            v = beta2 * v + (1.0 - beta2) * gradient * gradient;
            let step = t0 + f64::from(k);
            let corrected = (v / (1.0 - beta2.powf(step))).sqrt() + eps;
            d -= lr * m / (1.0 - beta1.powf(step)) / corrected;
        }
        -d * t
    };
    let check = |spoil: Spoil| {
        let mut b = Bench::default();
        let (d, t) = (b.leaf("d", [], &[D0]), b.leaf("t", [], &[T]));
        let from = Standing {
            params: vec![d],
            moments: [vec![b.leaf("m", [], &[m0])], vec![b.leaf("v", [], &[v0])]],
            updates: b.leaf("updates", [], &[t0]),
        };
        let mut loss = |g: &mut Graph, params: &[Expr]| {
            let off = g.shift(t, -R as f32)?;
            let linear = g.mul(params[0], off)?;
            let square = g.square(params[0])?;
            let half = g.scale(square, 0.5)?;
            Ok(g.add(linear, half)?)
        };
        let optimiser = Optimiser::Adam(Adam {
            lr,
            beta1,
            beta2,
            eps,
        });
        let unroll = Unroll {
            steps: 2,
            lr: None,
            first_order: false,
        };
        let after = unrolled(&mut b.g, &unroll, &optimiser, from, &mut loss).unwrap()[0];
        let product = b.g.mul(after, t).unwrap();
        let value = b.g.neg(product);
        let value = spoil(&mut b.g, value);
        let slope = b.g.gradients(value, &[t]).unwrap()[0];
        let h = 1e-5;
        let expected = (by_hand(T + h) - by_hand(T - h)) / (2.0 * h);
        agree("value", b.scalar(value), by_hand(T), 1e-6)?;
        agree("slope", b.scalar(slope), expected, 1e-6)
    };
    holds_and_can_fail("unrolled Adam", check);
}

/// A gradient that is exactly 0, with moments of 0, is D's dead unit: no NaN comes of the square root's derivative.
#[test]
fn a_dead_unit_stays_dead() {
    let mut b = Bench::default();
    let (d, t) = (b.leaf("d", [2], &[0.5, -0.5]), b.leaf("t", [], &[T]));
    let zeros = || vec![0.0; 2];
    let from = Standing {
        params: vec![d],
        moments: [
            vec![b.leaf("m", [2], &zeros())],
            vec![b.leaf("v", [2], &zeros())],
        ],
        updates: b.leaf("updates", [], &[0.0]),
    };
    let mut loss = |g: &mut Graph, params: &[Expr]| {
        let alive = g.relu(params[0]);
        let sum = g.sum_all(alive)?;
        Ok::<Expr, GanError>(g.mul(sum, t)?)
    };
    let optimiser = Optimiser::Adam(Adam {
        lr: 0.1,
        beta1: 0.5,
        beta2: 0.999,
        eps: 1e-8,
    });
    let unroll = Unroll {
        steps: 2,
        lr: None,
        first_order: false,
    };
    let after = unrolled(&mut b.g, &unroll, &optimiser, from, &mut loss).unwrap()[0];
    let sum = b.g.sum_all(after).unwrap();
    let slope = b.g.gradients(sum, &[t]).unwrap()[0];
    let values = [b.value(after), b.value(slope)].concat();
    assert!(values.iter().all(|v| v.is_finite()), "{values:?}");
    assert_eq!(values[1], -0.5);
}
