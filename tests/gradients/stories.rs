//! Compositions, losses and penalties: gradients of gradients as GAN training asks for them.
use crate::checker::{Tamper, Values, check};
use gan_gpu::graph::{Expr, Graph, GraphError, Reference, Result, SourceId, Window};

const NONE: Tamper = |_, e| e;

/// Leaves of the given shapes with values uniform in [low, high).
fn leaves(
    g: &mut Graph,
    at: &mut Reference,
    shapes: &[&[usize]],
    low: f64,
    high: f64,
) -> Vec<Expr> {
    let mut values = Values::new(shapes.len() as u64 + 31);
    shapes
        .iter()
        .enumerate()
        .map(|(i, &shape)| {
            let leaf = g.leaf(&format!("x{i}"), shape);
            let v = values.vec(g.shape(leaf).numel(), low, high);
            at.bind(g, leaf, v);
            leaf
        })
        .collect()
}

/// Builds y from leaves and checks its derivatives of orders 1 and 2.
fn check_composition(
    name: &str,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Expr>,
) {
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let x = leaves(&mut g, &mut at, shapes, -1.2, 1.2);
    let y = build(&mut g, &x).unwrap();
    if let Err((order, mismatch)) = check(&mut g, &at, &[y], &x, 2, NONE) {
        panic!("{name}, order {order}: {mismatch:?}");
    }
}

#[test]
fn compositions() {
    check_composition("concat", &[&[2, 3], &[2, 1], &[2, 4]], |g, x| {
        g.concat(x, 1)
    });
    check_composition("concat of one", &[&[2, 3]], |g, x| g.concat(x, 0));
    check_composition("upsample_nearest", &[&[2, 3, 2]], |g, x| {
        g.upsample_nearest(x[0], [2, 3])
    });
    check_composition("avg_pool", &[&[1, 2, 4, 6]], |g, x| {
        g.avg_pool(x[0], [2, 3])
    });
    check_composition("max_along", &[&[2, 4, 3]], |g, x| {
        let y = g.max_along(x[0], 1)?;
        g.square(y)
    });
    check_composition("max_pool", &[&[1, 2, 4, 6]], |g, x| {
        let y = g.max_pool(x[0], [2, 3])?;
        g.square(y)
    });
    check_composition("mean", &[&[3, 5]], |g, x| g.mean(x[0], &[1]));
    check_composition("mean_all", &[&[3, 5]], |g, x| g.mean_all(x[0]));
    check_composition("scatter_add", &[&[2, 5, 3]], |g, x| {
        let half = g.iota([5], 0)?;
        let half = g.scale(half, 0.5)?;
        let indices = g.floor(half); // 0 0 1 1 2
        g.scatter_add(x[0], indices, 1, 4)
    });
    check_composition("one_hot", &[&[3, 4]], |g, x| {
        let labels = g.iota([4], 0)?; // the last label is no class
        let hot = g.one_hot(labels, 3)?;
        g.mul(hot, x[0])
    });
}

/// Batch norm over [C, N, H, W] in training: statistics over all axes but the first, scale and shift per channel.
fn batch_norm(g: &mut Graph, x: Expr, gamma: Expr, beta: Expr) -> Result<Expr> {
    let mean = g.mean(x, &[1, 2, 3])?;
    let centred = g.sub(x, mean)?;
    let squared = g.square(centred)?;
    let variance = g.mean(squared, &[1, 2, 3])?;
    let shifted = g.shift(variance, 1e-5)?;
    let deviation = g.sqrt(shifted);
    let normal = g.div(centred, deviation)?;
    let scaled = g.mul(normal, gamma)?;
    g.add(scaled, beta)
}

#[test]
fn batch_norm_in_training() {
    check_composition(
        "batch norm",
        &[&[2, 3, 2, 1], &[2, 1, 1, 1], &[2, 1, 1, 1]],
        |g, x| batch_norm(g, x[0], x[1], x[2]),
    );
}

#[test]
fn softplus_losses() {
    // Non-saturating: D's mean softplus(-real) + softplus(fake), G's mean softplus(-fake); and the saturating -softplus(fake).
    check_composition("logistic losses", &[&[1, 4], &[1, 3]], |g, x| {
        let minus = g.neg(x[0]);
        let real = g.softplus(minus);
        let fake = g.softplus(x[1]);
        let (real, fake) = (g.mean_all(real)?, g.mean_all(fake)?);
        let d = g.add(real, fake)?;
        let saturating = g.neg(fake);
        let minus = g.neg(x[1]);
        let non_saturating = g.softplus(minus);
        let non_saturating = g.mean_all(non_saturating)?;
        let product = g.mul(d, non_saturating)?;
        g.mul(product, saturating)
    });
    // log(sigmoid(x)) = -softplus(-x), and its gradient is sigmoid(-x) even where the sigmoid itself is 0 in f64.
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let x = g.leaf("x", [3]);
    at.bind(&g, x, vec![-800.0, 0.0, 800.0]);
    let minus = g.neg(x);
    let y = g.softplus(minus);
    let loss = g.sum_all(y).unwrap();
    let dx = g.gradients(loss, &[x]).unwrap()[0];
    let values = at.evaluate(&g, &[y, dx]).unwrap();
    assert_eq!(values[0], [800.0, 2f64.ln(), 0.0]);
    assert_eq!(values[1], [-1.0, -0.5, -0.0]);
}

/// What is not finite is never replaced: it comes through the largest of several wherever it stands, and through a guarded root with its
/// gradient.
#[test]
fn nan_comes_through() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for entry in 0..4 {
        let (mut g, mut at) = (Graph::new(), Reference::new());
        let x = g.leaf("x", [2, 4]);
        let mut values = vec![1.0, 5.0, inf, 3.0, -1.0, inf, -inf, 0.0];
        values[entry] = nan;
        at.bind(&g, x, values);
        let y = g.max_along(x, 1).unwrap();
        let y = at.evaluate(&g, &[y]).unwrap().remove(0);
        assert!(y[0].is_nan() && y[1] == inf, "{entry}: {y:?}");
    }
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let x = g.leaf("x", [3]);
    at.bind(&g, x, vec![nan, 4.0, 0.0]);
    let y = g.guarded_sqrt(x).unwrap();
    let loss = g.sum_all(y).unwrap();
    let dx = g.gradients(loss, &[x]).unwrap()[0];
    let values = at.evaluate(&g, &[y, dx]).unwrap();
    assert!(values[0][0].is_nan() && values[1][0].is_nan(), "{values:?}");
    assert_eq!(values[0][1], 2.0);
    assert_eq!(values[1][1..], [0.25, 0.0]);
}

type Critic = fn(&mut Graph, Expr, &[Expr]) -> Result<Expr>;

/// Two layers on [F, N] -> [1, N].
fn mlp_critic(g: &mut Graph, x: Expr, w: &[Expr]) -> Result<Expr> {
    let h = g.matmul(w[0], x)?;
    let h = g.add(h, w[1])?;
    let h = g.leaky_relu(h, 0.2);
    let h = g.matmul(w[2], h)?;
    let h = g.add(h, w[3])?;
    let h = g.tanh(h);
    let y = g.matmul(w[4], h)?;
    g.add(y, w[5])
}
const MLP: (&[usize], &[&[usize]]) = (
    &[3, 4],
    &[&[5, 3], &[5, 1], &[3, 5], &[3, 1], &[1, 3], &[1, 1]],
);

/// Two strided convolutions and a bias on [C, N, H, W] -> [1, N].
fn conv_critic(g: &mut Graph, x: Expr, w: &[Expr]) -> Result<Expr> {
    let window = Window {
        stride: [2, 2],
        pad: [1, 1],
    };
    let h = g.conv2d(x, w[0], window)?;
    let h = g.add(h, w[1])?;
    let h = g.leaky_relu(h, 0.2);
    let h = g.conv2d(h, w[2], window)?;
    let h = g.softplus(h);
    let n = g.shape(h)[1];
    let last = Window {
        stride: [1, 1],
        pad: [0, 0],
    };
    let y = g.conv2d(h, w[3], last)?;
    g.reshape(y, [1, n])
}
const CONV: (&[usize], &[&[usize]]) = (
    &[1, 2, 7, 6],
    &[&[2, 1, 4, 4], &[2, 1, 1, 1], &[2, 2, 3, 4], &[1, 2, 2, 1]],
);

/// Sum over all axes but the samples': axis 1 in [F, N] and [C, N, H, W].
fn sum_per_sample(g: &mut Graph, x: Expr) -> Result<Expr> {
    let axes: Vec<usize> = (0..g.shape(x).rank()).filter(|&a| a != 1).collect();
    g.sum(x, &axes)
}
/// |d critic / d x|^2 per sample. The critics treat samples independently, so the gradient of the sum holds all of them.
fn squared_norms(g: &mut Graph, critic: Critic, x: Expr, w: &[Expr]) -> Result<Expr> {
    let y = critic(g, x, w)?;
    let total = g.sum_all(y)?;
    let dx = g.gradients(total, &[x])?[0];
    let squared = g.square(dx)?;
    sum_per_sample(g, squared)
}
/// WGAN-GP: 10 mean (|grad| - 1)^2 (Gulrajani et al. 2017, eq. 3).
fn gradient_penalty(g: &mut Graph, critic: Critic, x: Expr, w: &[Expr]) -> Result<Expr> {
    let squares = squared_norms(g, critic, x, w)?;
    let norms = g.sqrt(squares);
    let off = g.shift(norms, -1.0)?;
    let off = g.square(off)?;
    let mean = g.mean_all(off)?;
    g.scale(mean, 10.0)
}
/// R1: gamma / 2 mean |grad|^2 (Mescheder et al. 2018, eq. 9).
fn r1(g: &mut Graph, critic: Critic, x: Expr, w: &[Expr]) -> Result<Expr> {
    let squares = squared_norms(g, critic, x, w)?;
    let mean = g.mean_all(squares)?;
    g.scale(mean, 5.0)
}

#[test]
fn penalties_of_critics() {
    type Penalty = fn(&mut Graph, Critic, Expr, &[Expr]) -> Result<Expr>;
    for (name, critic, (x, w)) in [
        ("mlp", mlp_critic as Critic, MLP),
        ("conv", conv_critic, CONV),
    ] {
        for (what, penalty) in [
            ("gradient penalty", gradient_penalty as Penalty),
            ("r1", r1),
        ] {
            let (mut g, mut at) = (Graph::new(), Reference::new());
            let shapes: Vec<&[usize]> = std::iter::once(x).chain(w.iter().copied()).collect();
            let l = leaves(&mut g, &mut at, &shapes, -0.9, 0.9);
            let y = penalty(&mut g, critic, l[0], &l[1..]).unwrap();
            if let Err((order, mismatch)) = check(&mut g, &at, &[y], &l, 2, NONE) {
                panic!("{what} of the {name} critic, order {order}: {mismatch:?}");
            }
        }
    }
}

/// D(x) = w . x has gradient w everywhere: penalty 10 (|w| - 1)^2, and its gradient 20 (|w| - 1) w / |w|.
#[test]
fn gradient_penalty_of_a_linear_critic_by_hand() {
    let (mut g, mut at) = (Graph::new(), Reference::new());
    // Four samples: 1/4 is exact in f32.
    let (x, w) = (g.leaf("x", [2, 4]), g.leaf("w", [1, 2]));
    at.bind(&g, x, (0..8).map(f64::from).collect());
    at.bind(&g, w, vec![3.0, -4.0]);
    let y = gradient_penalty(&mut g, |g, x, w| g.matmul(w[0], x), x, &[w]).unwrap();
    let d = g.gradients(y, &[w, x]).unwrap();
    let values = at.evaluate(&g, &[y, d[0], d[1]]).unwrap();
    assert_eq!(values[0], [160.0]);
    for (got, expected) in values[1].iter().zip([48.0, -64.0]) {
        assert!((got - expected).abs() < 1e-12, "{got}, expected {expected}");
    }
    assert_eq!(values[2], [0.0; 8]);
}

/// R1 differentiates with respect to a batch, which is a source; stop_gradient holds there as anywhere.
#[test]
fn a_source_can_be_differentiated_and_stopped() {
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let batch = g.source("batch", [2]);
    at.bind(&g, batch, vec![3.0, 5.0]);
    assert_eq!(g.source_id(batch), Some(SourceId(0)));
    let stopped = g.stop_gradient(batch);
    let square = g.square(batch).unwrap();
    let y = g.mul(square, stopped).unwrap();
    let loss = g.sum_all(y).unwrap();
    let d = g.gradients(loss, &[batch]).unwrap()[0];
    assert_eq!(at.evaluate(&g, &[d]).unwrap(), [[18.0, 50.0]]); // 2 x x, not 3 x^2
    let random = g.random(gan_gpu::graph::Distribution::Uniform, [2]);
    let stopped = g.stop_gradient(random);
    let loss = g.sum_all(stopped).unwrap();
    let d = g.gradients(loss, &[random]).unwrap()[0];
    assert_eq!(g.constant_value(d), Some(0.0));
}

#[test]
fn stop_gradient_passes_values_only() {
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let x = g.leaf("x", [2]);
    at.bind(&g, x, vec![2.0, -3.0]);
    let square = g.square(x).unwrap();
    let stopped = g.stop_gradient(square);
    assert_eq!(g.stop_gradient(stopped), stopped);
    let y = g.mul(stopped, x).unwrap();
    let loss = g.sum_all(y).unwrap();
    // The target of a gradient may lie behind the stop, and may be the stop itself.
    let d = g.gradients(loss, &[x, square, stopped]).unwrap();
    let values = at.evaluate(&g, &[stopped, d[0], d[2]]).unwrap();
    assert_eq!(values, [[4.0, 9.0], [4.0, 9.0], [2.0, -3.0]]);
    assert_eq!(g.constant_value(d[1]), Some(0.0));
}

#[test]
fn gradients_of_what_the_loss_does_not_use_are_zero() {
    let mut g = Graph::new();
    let (x, unused) = (g.leaf("x", [2, 3]), g.leaf("unused", [4, 1]));
    let loss = g.sum_all(x).unwrap();
    let later = g.exp(x); // stands behind the loss
    let d = g.gradients(loss, &[unused, x, later, loss]).unwrap();
    let shapes: Vec<Vec<usize>> = d.iter().map(|&e| g.shape(e).to_vec()).collect();
    assert_eq!(shapes, [vec![4, 1], vec![2, 3], vec![2, 3], vec![]]);
    let values: Vec<Option<f32>> = d.iter().map(|&e| g.constant_value(e)).collect();
    assert_eq!(values, [Some(0.0), Some(1.0), Some(0.0), Some(1.0)]);
}

#[test]
fn intermediate_expressions_have_gradients() {
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let x = g.leaf("x", [2]);
    at.bind(&g, x, vec![2.0, -3.0]);
    let square = g.square(x).unwrap();
    let cube = g.mul(square, x).unwrap();
    let loss = g.sum_all(cube).unwrap();
    let d = g.gradients(loss, &[square, x, cube]).unwrap();
    // d/dsquare = x; d/dx = 3 x^2, through square as well
    assert_eq!(
        at.evaluate(&g, &d).unwrap(),
        [[2.0, -3.0], [12.0, 27.0], [1.0, 1.0]]
    );
}

#[test]
fn misuse_is_an_error() {
    let mut g = Graph::new();
    let x = g.leaf("x", [2]);
    let got = [2].into();
    assert_eq!(g.gradients(x, &[x]), Err(GraphError::LossNotScalar { got }));
    let seed = g.scalar(1.0);
    assert!(matches!(
        g.vector_jacobian(x, seed, &[x]),
        Err(GraphError::Shape {
            op: "vector_jacobian",
            ..
        })
    ));
    // Through the indices of scatter_add, and through the labels of one_hot: never a silent zero.
    let scattered = g.scatter_add(x, x, 0, 3).unwrap();
    let loss = g.sum_all(scattered).unwrap();
    let input = "condition";
    assert_eq!(
        g.gradients(loss, &[x]),
        Err(GraphError::NotDifferentiable {
            op: "select",
            input
        })
    );
    let hot = g.one_hot(x, 2).unwrap();
    let loss = g.sum_all(hot).unwrap();
    let input = "operands";
    assert_eq!(
        g.gradients(loss, &[x]),
        Err(GraphError::NotDifferentiable { op: "equal", input })
    );
}

/// At a tie the first operand gets the whole gradient, whichever was built first.
#[test]
fn ties_of_min_and_max_go_to_the_first_operand() {
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let (a, b) = (g.leaf("a", [1]), g.leaf("b", [1]));
    at.bind(&g, a, vec![1.0]);
    at.bind(&g, b, vec![1.0]);
    for (first, second) in [(a, b), (b, a)] {
        for y in [g.min(first, second).unwrap(), g.max(first, second).unwrap()] {
            let d = g.gradients(y, &[first, second]).unwrap();
            assert_eq!(at.evaluate(&g, &d).unwrap(), [[1.0], [0.0]]);
        }
    }
    for y in [g.relu(a), g.abs(a), g.leaky_relu(a, 0.25)] {
        at.bind(&g, a, vec![0.0]);
        let d = g.gradients(y, &[a]).unwrap();
        let expected = if g.node(y).op.name() == "leaky_relu" {
            0.25
        } else {
            0.0
        };
        assert_eq!(at.evaluate(&g, &d).unwrap(), [[expected]]);
    }
}

/// Unrolled GAN with one step (Metz et al. 2017, eq. 6-8): D ascends f(w, t) = w t^2 - w^3 / 4 once, G descends f at the new w.
///
/// By hand, with w1 = w + eta (t^2 - 3/4 w^2): df/dt = 2 w1 t + (t^2 - 3/4 w1^2) eta 2 t and
/// df/dw = (t^2 - 3/4 w1^2) (1 - 3/2 eta w).
/// Stopping the gradient at the update leaves 2 w1 t.
#[test]
fn one_unrolled_step_by_hand() {
    fn f(g: &mut Graph, w: Expr, t: Expr) -> Result<Expr> {
        let t2 = g.square(t)?;
        let first = g.mul(w, t2)?;
        let w2 = g.square(w)?;
        let w3 = g.mul(w2, w)?;
        let quarter = g.scale(w3, 0.25)?;
        let y = g.sub(first, quarter)?;
        g.sum_all(y)
    }
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let (w, t) = (g.leaf("w", [2]), g.leaf("t", [2]));
    let (w_values, t_values, eta) = ([0.5, -0.75], [1.25, 0.5], 0.25);
    at.bind(&g, w, w_values.to_vec());
    at.bind(&g, t, t_values.to_vec());
    let before = f(&mut g, w, t).unwrap();
    let ascent = g.gradients(before, &[w]).unwrap()[0];
    let step = g.scale(ascent, eta as f32).unwrap();
    let stopped = g.stop_gradient(step);
    let unrolled = g.add(w, step).unwrap();
    let cut = g.add(w, stopped).unwrap();
    let (full, cut) = (f(&mut g, unrolled, t).unwrap(), f(&mut g, cut, t).unwrap());
    let mut d = g.gradients(full, &[t, w]).unwrap();
    d.extend(g.gradients(cut, &[t]).unwrap());
    let values = at.evaluate(&g, &d).unwrap();
    for i in 0..2 {
        let (w, t) = (w_values[i], t_values[i]);
        let w1 = w + eta * (t * t - 0.75 * w * w);
        let slope = t * t - 0.75 * w1 * w1;
        let by_hand = [
            2.0 * w1 * t + slope * eta * 2.0 * t,
            slope * (1.0 - 1.5 * eta * w),
            2.0 * w1 * t,
        ];
        for (k, expected) in by_hand.into_iter().enumerate() {
            assert!(
                (values[k][i] - expected).abs() < 1e-12,
                "{k}, {i}: {} is not {expected}",
                values[k][i]
            );
        }
    }
    if let Err(mismatch) = check(&mut g, &at, &[full], &[w, t], 2, NONE) {
        panic!("{mismatch:?}");
    }
}
