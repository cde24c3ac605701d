//! Results of one plan each: elementwise trees, views, sums, products, windows, choices.
use super::{check, values};
use gan_gpu::gpu::testing;
use gan_gpu::graph::plan::evaluate::{Options, evaluate};
use gan_gpu::graph::plan::{Environment, Form, Plan, Region, Stage, Target};
use gan_gpu::graph::{Graph, Window};

#[test]
fn elementwise_trees_and_broadcasts() {
    check(
        "bias and activations",
        &[&[5, 12], &[5, 1], &[1, 12]],
        |g, x| {
            let a = g.add(x[0], x[1])?;
            let b = g.mul(a, x[2])?;
            let c = g.leaky_relu(b, 0.2);
            let d = g.tanh(b);
            let e = g.softplus(b);
            let f = g.sigmoid(a);
            let h = g.div(e, f)?;
            Ok(vec![c, d, h])
        },
    );
    check(
        "ragged sizes",
        &[&[3, 5, 7], &[3, 1, 1], &[1, 5, 1]],
        |g, x| {
            let a = g.sub(x[0], x[1])?;
            let b = g.max(a, x[2])?;
            let c = g.abs(b);
            let d = g.sqrt(c);
            let e = g.exp(a);
            let one = g.less(x[0], a)?;
            let s = g.select(one, d, e)?;
            Ok(vec![s])
        },
    );
}

#[test]
fn views() {
    check("transpose and reshape", &[&[4, 6, 8]], |g, x| {
        let t = g.transpose(x[0], &[2, 0, 1])?;
        let r = g.reshape(t, [16, 12])?;
        let n = g.neg(r);
        let u = g.reshape(t, [192])?;
        Ok(vec![n, u])
    });
    check("reshape that does not split", &[&[4, 6, 5]], |g, x| {
        let t = g.transpose(x[0], &[1, 2, 0])?;
        let n = g.exp(t);
        let r = g.reshape(n, [8, 15])?;
        let m = g.scale(r, 2.0)?;
        Ok(vec![m])
    });
    check("slice, pad, concat", &[&[3, 8, 4], &[3, 2, 4]], |g, x| {
        let s = g.slice(x[0], &[1, 2, 0], &[2, 5, 4])?;
        let e = g.exp(s);
        let p = g.pad(e, &[0, 1, 2], &[1, 0, 2])?;
        let c = g.concat(&[x[0], x[1], x[0]], 1)?;
        Ok(vec![p, c])
    });
    check("up-sampling and pooling", &[&[2, 3, 4, 6]], |g, x| {
        let u = g.upsample_nearest(x[0], [2, 3])?;
        let a = g.avg_pool(x[0], [2, 3])?;
        let v = g.avg_pool(u, [4, 2])?;
        Ok(vec![u, a, v])
    });
}

#[test]
fn sums() {
    // The last ones have few sums of long rows, which a GPU's form gives more lanes.
    let shapes = [
        [4usize, 8, 12],
        [3, 5, 7],
        [1, 33, 16],
        [17, 1, 64],
        [2, 3, 1500],
        [2, 5, 901],
        // A kept axis on either side of the summed one.
        [4, 9, 12],
        [3, 11, 13],
    ];
    for shape in shapes {
        check("sums over every choice of axes", &[&shape], |g, x| {
            let mut out = vec![];
            for axes in [
                &[0usize][..],
                &[1],
                &[2],
                &[0, 2],
                &[1, 2],
                &[0, 1],
                &[0, 1, 2],
            ] {
                let e = g.square(x[0])?;
                let s = g.sum(e, axes)?;
                let m = g.scale(s, 0.5)?;
                let m = g.shift(m, 1.0)?;
                out.push(g.sqrt(m));
            }
            Ok(out)
        });
    }
    check("normalisation", &[&[6, 4, 5, 8], &[6, 1, 1, 1]], |g, x| {
        let mean = g.mean(x[0], &[1, 2, 3])?;
        let c = g.sub(x[0], mean)?;
        let sq = g.square(c)?;
        let var = g.mean(sq, &[1, 2, 3])?;
        let var = g.shift(var, 1e-5)?;
        let sd = g.sqrt(var);
        let n = g.div(c, sd)?;
        let y = g.mul(n, x[1])?;
        let t = g.tanh(y);
        let loss = g.mean_all(t)?;
        let grads = g.gradients(loss, x)?;
        Ok([vec![t, loss], grads].concat())
    });
}

/// Minibatch discrimination's primitive behind reshapes, with what differentiates it twice; one sample alone, more dims than are unrolled.
#[test]
fn closeness_and_its_derivatives() {
    for [kernels, dims, n] in [[3usize, 5, 24], [2, 9, 33], [2, 17, 9], [1, 2, 1]] {
        let shape = [kernels * dims, n];
        check(
            "closeness",
            &[&[kernels * dims * n], &[kernels, n]],
            |g, x| {
                let flat = g.scale(x[0], 0.3)?;
                let samples = g.reshape(flat, shape)?;
                let f = g.closeness(samples, dims)?;
                let y = g.tanh(f);
                let y = g.mul(y, x[1])?;
                let loss = g.sum_all(y)?;
                let dx = g.gradients(loss, &[x[0]])?[0];
                let squares = g.square(dx)?;
                let penalty = g.mean_all(squares)?;
                let second = g.gradients(penalty, x)?;
                // With a constant for an adjoint.
                let total = g.sum_all(f)?;
                let plain = g.gradients(total, &[x[0]])?;
                Ok([vec![f, dx, penalty], second, plain].concat())
            },
        );
    }
}

/// NaN and infinities through what chooses among values, in either form, one by one and in fours.
#[test]
fn what_is_not_finite_comes_through_choices() {
    let gpu = testing::gpu();
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for columns in [5, 8] {
        let mut g = Graph::new();
        let x = g.leaf("x", [4, columns]);
        let largest = g.max_along(x, 0).unwrap();
        let root = g.guarded_sqrt(x).unwrap();
        let [two, three] = [2.0, 3.0].map(|value| g.scalar(value));
        let chosen = g.select(x, two, three).unwrap();
        let outputs = [largest, root, chosen];
        for row in 0..4 {
            let mut values: Vec<f32> = (0..4 * columns).map(|i| (i * 7 % 11) as f32).collect();
            values[row * columns] = nan;
            values[row * columns + 1] = inf;
            for form in [Form::Cpu, Form::Gpu] {
                let options = Options {
                    form: Some(form),
                    ..Options::default()
                };
                let inputs = [(x, &values[..])];
                let got = evaluate(&gpu, &g, &inputs, &outputs, options).unwrap();
                assert!(got[0][0].is_nan() && got[0][1] == inf, "{form:?}: {got:?}");
                for (i, (&x, &y)) in values.iter().zip(&got[1]).enumerate() {
                    assert_eq!(y.is_nan(), x.is_nan(), "{form:?}, {i}: {y}");
                }
                // NaN is not 0.
                for (x, &y) in values.iter().zip(&got[2]) {
                    assert_eq!(y, if *x == 0.0 { 3.0 } else { 2.0 }, "{form:?}, {x}");
                }
                for column in 2..columns {
                    let of = (0..4).map(|r| values[r * columns + column]);
                    assert_eq!(got[0][column], of.fold(0.0, f32::max), "{form:?}");
                }
            }
        }
    }
}

#[test]
fn gather_and_scatter() {
    check("gather", &[&[5, 6]], |g, x| {
        let i = g.iota([8], 0)?;
        let i = g.scale(i, 0.6)?;
        let i = g.floor(i);
        let rows = g.gather(x[0], i, 0)?;
        let cols = g.gather(x[0], i, 1)?;
        let back = g.scatter_add(cols, i, 1, 6)?;
        let hot = g.one_hot(i, 5)?;
        Ok(vec![rows, cols, back, hot])
    });
}

#[test]
fn a_wrong_reference_is_caught() {
    let caught = std::panic::catch_unwind(|| {
        let gpu = testing::gpu();
        let mut g = Graph::new();
        let x = g.leaf("x", [33]);
        let y = g.exp(x);
        let v = values(0, 33);
        let got = evaluate(&gpu, &g, &[(x, &v)], &[y], Options::default()).unwrap();
        let want: Vec<f64> = v.iter().map(|&x| (x as f64).exp() * 1.0001).collect();
        testing::assert_close("mutant", &got[0], &want, 2e-6, 2e-5);
    });
    assert!(caught.is_err());
}

const S2P1: Window = Window {
    stride: [2, 2],
    pad: [1, 1],
};

#[test]
fn contractions_with_epilogues() {
    check("linear layer", &[&[9, 13], &[13, 8], &[9, 1]], |g, x| {
        let y = g.matmul(x[0], x[1])?;
        let y = g.add(y, x[2])?;
        Ok(vec![g.leaky_relu(y, 0.2)])
    });
    check(
        "both operands transposed, batched",
        &[&[2, 5, 7], &[2, 6, 5]],
        |g, x| {
            let y = g.matmul_t(x[0], x[1], true, true)?;
            Ok(vec![g.tanh(y)])
        },
    );
    check(
        "convolutions and their adjoints",
        &[&[3, 2, 8, 7], &[4, 3, 4, 3], &[4, 1, 1, 1]],
        |g, x| {
            let y = g.conv2d(x[0], x[1], S2P1)?;
            let y = g.add(y, x[2])?;
            let y = g.tanh(y);
            let up = g.conv2d_input_grad(x[1], y, S2P1, [8, 7])?;
            let up = g.relu(up);
            let dw = g.conv2d_weight_grad(up, y, S2P1, [4, 3])?;
            Ok(vec![y, up, dw])
        },
    );
}

#[test]
fn a_network_with_first_and_second_order_gradients() {
    check(
        "gradient penalty of a small critic",
        &[&[2, 4, 8, 8], &[6, 2, 4, 4], &[6, 1, 1, 1], &[1, 96]],
        |g, x| {
            let h = g.conv2d(x[0], x[1], S2P1)?;
            let h = g.add(h, x[2])?;
            let h = g.leaky_relu(h, 0.2);
            let t = g.transpose(h, &[0, 2, 3, 1])?;
            let flat = g.reshape(t, [96, 4])?;
            let s = g.matmul(x[3], flat)?;
            let s = g.scale(s, 0.03)?;
            let s = g.tanh(s);
            let total = g.sum_all(s)?;
            let dx = g.gradients(total, &[x[0]])?[0];
            let sq = g.square(dx)?;
            let norm2 = g.sum(sq, &[0, 2, 3])?;
            let norm = g.sqrt(norm2);
            let off = g.shift(norm, -1.0)?;
            let pen = g.square(off)?;
            let loss = g.mean_all(pen)?;
            let grads = g.gradients(loss, &x[1..])?;
            Ok([vec![loss], grads].concat())
        },
    );
}

/// What a written-out product reads may be overwritten before its user comes: then it is stored in time.
#[test]
fn a_short_product_of_old_weights_outlives_them() {
    let gpu = testing::gpu();
    for form in [Form::Cpu, Form::Gpu] {
        let mut g = Graph::new();
        let old = g.leaf_during("w", [9, 2], 0..1);
        let (x, new) = (
            g.leaf("x", [2, 12]),
            g.leaf_during("w'", [9, 2], 1..usize::MAX),
        );
        let product = g.matmul(old, x).unwrap();
        let doubled = g.scale(old, 2.0).unwrap();
        let next = g.matmul(new, x).unwrap();
        let difference = g.sub(next, product).unwrap();
        let mut env = Environment::new(Target::with_form(gpu.caps(), form), 3, 2, 0);
        let region = |buffer, offset| Region { buffer, offset };
        for (leaf, place) in [(old, region(0, 0)), (new, region(0, 0)), (x, region(1, 0))] {
            env.leaves.insert(g.leaf_id(leaf).unwrap(), place);
        }
        let stage = |e, place| Stage {
            outputs: vec![(e, place)],
            effects: vec![],
        };
        let stages = [
            stage(doubled, region(0, 0)),
            stage(difference, region(1, 24)),
        ];
        let plan = Plan::compile(&g, &stages, &env).unwrap();
        let (w, v) = (values(1, 18), values(2, 24));
        let tail = vec![f32::NAN; 108];
        let mut table: Vec<_> = [w.clone(), [v.clone(), tail].concat(), vec![0.0; 4]]
            .iter()
            .map(|data| testing::buffer_of(&gpu, "t", data))
            .collect();
        for &bytes in &plan.slots {
            table.push(testing::buffer_of(
                &gpu,
                "slot",
                &vec![f32::NAN; bytes as usize / 4],
            ));
        }
        let dispatches = plan.prepare(&gpu, &table).unwrap();
        gpu.submit(&dispatches).unwrap();
        let got = testing::read_f32(&gpu, &table[1]);
        // w' x - w x with w' = 2 w.
        let want: Vec<f64> = (0..108)
            .map(|i| {
                (0..2)
                    .map(|k| f64::from(w[i / 12 * 2 + k]) * f64::from(v[k * 12 + i % 12]))
                    .sum()
            })
            .collect();
        testing::assert_close(&format!("{form:?}"), &got[24..132], &want, 1e-6, 1e-5);
    }
}
