//! Compiled plans on the device against the f64 reference: fusion, views, reductions, random numbers, both kernel forms.
use gan_gpu::gpu::testing;
use gan_gpu::graph::plan::evaluate::{Options, evaluate};
use gan_gpu::graph::plan::{Form, Precision};
use gan_gpu::graph::{Expr, Graph, Reference, Result, Window};

/// Deterministic values away from 0 and of both signs.
fn values(seed: usize, count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| {
            let x = ((i * 7919 + seed * 104_729 + 13) % 1999) as f32 / 1000.0 - 1.0;
            if x.abs() < 0.05 { x + 0.2 } else { x }
        })
        .collect()
}

/// Builds expressions over leaves of the given shapes and compares device and reference.
fn check(
    name: &str,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Vec<Expr>>,
) {
    let gpu = testing::gpu();
    let mut g = Graph::new();
    let leaves: Vec<Expr> = shapes
        .iter()
        .enumerate()
        .map(|(k, s)| g.leaf(&format!("x{k}"), s.to_vec()))
        .collect();
    let outputs = build(&mut g, &leaves).unwrap_or_else(|e| panic!("{name}: {e}"));
    let data: Vec<Vec<f32>> = leaves
        .iter()
        .enumerate()
        .map(|(k, &l)| values(k, g.shape(l).numel()))
        .collect();
    let mut reference = Reference::new();
    for (&l, v) in leaves.iter().zip(&data) {
        reference.bind(&g, l, v.iter().map(|&x| x as f64).collect());
    }
    reference.seed = 7;
    reference.execution = 3;
    let want = reference.evaluate(&g, &outputs).unwrap();
    let inputs: Vec<(Expr, &[f32])> = leaves
        .iter()
        .copied()
        .zip(data.iter().map(|v| v.as_slice()))
        .collect();
    for form in [Form::Cpu, Form::Gpu] {
        let options = Options {
            form: Some(form),
            precision: Precision::F32,
            seed: 7,
            execution: 3,
        };
        let got = evaluate(&gpu, &g, &inputs, &outputs, options)
            .unwrap_or_else(|e| panic!("{name} ({form:?}): {e}"));
        for (k, (got, want)) in got.iter().zip(&want).enumerate() {
            testing::assert_close(
                &format!("{name} ({form:?}), output {k}"),
                got,
                want,
                2e-6,
                2e-5,
            );
        }
    }
}

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
    for shape in [[4usize, 8, 12], [3, 5, 7], [1, 33, 16], [17, 1, 64]] {
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
