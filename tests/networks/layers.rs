//! Each layer's output and gradients against PyTorch's (`assets/goldens/ops.safetensors`), and what the goldens leave out.
use super::network;
use super::torch::{Bench, Goldens, assert_golden, distance};
use gan_gpu::graph::Expr;
use gan_gpu::nn::{Forward, Mode, Network};

/// One layer, its input (and parameters) from the golden case `case`; output and all gradients must be PyTorch's.
/// `spoil` changes the layer's output: the check must then fail.
fn check(goldens: &Goldens, case: &str, layer: &str, spoil: f32) -> f64 {
    let x = goldens.get(&format!("{case}/x0")).swap_batch();
    let input = match x.shape[..] {
        [f, _] => format!("{{ features = {f} }}"),
        [c, _, h, w] => format!("{{ channels = {c}, height = {h}, width = {w} }}"),
        _ => panic!("{case}: no batch"),
    };
    let net = network(&format!("input = {input}\n[[layer]]\n{layer}"));
    let mut b = Bench::default();
    let x = b.tensor("x", &x);
    let params: Vec<Expr> = (0..net.params().len())
        .map(|i| {
            b.tensor(
                &net.params()[i].name,
                goldens.get(&format!("{case}/x{}", i + 1)),
            )
        })
        .collect();
    let states = initial_states(&mut b, &net);
    let y = net
        .forward(&mut b.g, &params, &states, x, Mode::Train)
        .unwrap();
    let y = b.g.scale(y.output, spoil).unwrap();
    let cotangent = goldens.get(&format!("{case}/cotangent")).swap_batch();
    let cotangent = b.tensor("cotangent", &cotangent);
    let wrt: Vec<Expr> = [&[x], &params[..]].concat();
    let grads = b.g.vector_jacobian(y, cotangent, &wrt).unwrap();
    let expected = goldens.get(&format!("{case}/output")).swap_batch();
    let mut worst = distance(&b.value(y), &expected.values);
    for (i, &grad) in grads.iter().enumerate() {
        let mut expected = goldens.get(&format!("{case}/grad{i}")).clone();
        if i == 0 {
            expected = expected.swap_batch();
        }
        worst = worst.max(distance(&b.value(grad), &expected.values));
    }
    worst
}

fn initial_states(b: &mut Bench, net: &Network) -> Vec<Expr> {
    let arena = net.initial_state();
    let bind = |s: &gan_gpu::nn::StateSpec| {
        let values: Vec<f64> = arena[s.offset..][..s.shape.numel()]
            .iter()
            .map(|&v| v as f64)
            .collect();
        b.leaf(&s.name, s.shape.clone(), &values)
    };
    net.states().iter().map(bind).collect()
}

#[test]
fn layers_and_their_gradients_are_pytorchs() {
    let goldens = Goldens::open("ops.safetensors");
    let cases: serde_json::Value = serde_json::from_str(&goldens.metadata["cases"]).unwrap();
    let mut checked = 0;
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let p = &case["parameters"];
        let layer = if name.starts_with("conv") {
            let kind = if name.starts_with("conv2d") {
                "conv2d"
            } else {
                "conv_transpose2d"
            };
            format!(
                "type = \"{kind}\"\nout = 4\nkernel = {}\nstride = {}\npad = {}",
                p["kernel"], p["stride"], p["padding"]
            )
        } else if name.starts_with("batch_norm") {
            "type = \"batch_norm\"".into()
        } else if name.starts_with("layer_norm") {
            "type = \"layer_norm\"".into()
        } else if name.starts_with("upsample") {
            format!("type = \"upsample\"\nfactor = {}", p["scale"])
        } else if name.starts_with("avg_pool") {
            format!("type = \"avg_pool\"\nfactor = {}", p["kernel"])
        } else {
            continue;
        };
        let d = check(&goldens, name, &layer, 1.0);
        assert!(
            d < super::torch::GOLDEN,
            "{name}: relative distance {d:.1e} from PyTorch"
        );
        assert!(
            check(&goldens, name, &layer, 1.001) > 1e-4,
            "{name}: a wrong layer passes"
        );
        checked += 1;
    }
    assert_eq!(
        checked,
        18,
        "cases of {} that this test knows",
        cases.as_array().unwrap().len()
    );
}

/// Convolutions of convolutions, shapes that only `output_padding` reaches: the transposed convolution is the adjoint,
/// <conv(x), y> = <x, conv_transpose(y)>.
#[test]
fn conv_transpose_with_output_padding_is_the_adjoint() {
    let conv = network(
        "input = { channels = 2, height = 8, width = 6 }\n[[layer]]\ntype = \"conv2d\"\nout = 3\nkernel = 3\nstride = 2\npad = 1\nbias = false",
    );
    let transposed = network(
        "input = { channels = 3, height = 4, width = 3 }\n[[layer]]\ntype = \"conv_transpose2d\"\nout = 2\nkernel = 3\nstride = 2\npad = 1\noutput_padding = 1\nbias = false",
    );
    assert_eq!(transposed.output(), conv.input());
    let mut b = Bench::default();
    let numbers = |n: usize, k: f64| (0..n).map(|i| (i as f64 * k).sin()).collect::<Vec<_>>();
    let x = b.leaf("x", [2, 5, 8, 6], &numbers(480, 0.7));
    let y = b.leaf("y", [3, 5, 4, 3], &numbers(180, 1.3));
    let w = b.leaf("w", [3, 2, 3, 3], &numbers(54, 0.9));
    let cx = conv
        .forward(&mut b.g, &[w], &[], x, Mode::Train)
        .unwrap()
        .output;
    let ty = transposed
        .forward(&mut b.g, &[w], &[], y, Mode::Train)
        .unwrap()
        .output;
    let dot = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(p, q)| p * q).sum::<f64>();
    let left = dot(b.value(cx), b.value(y));
    let right = dot(b.value(x), b.value(ty));
    assert!(
        (left - right).abs() < 1e-9 * left.abs(),
        "{left} against {right}"
    );
}

/// y = W x + b column by column.
#[test]
fn linear_is_a_matrix_times_features_by_batch() {
    let net = network("input = { features = 3 }\n[[layer]]\ntype = \"linear\"\nout = 2");
    let mut b = Bench::default();
    let x = b.leaf(
        "x",
        [3, 4],
        &[1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12.],
    );
    let w = b.leaf("w", [2, 3], &[1., 10., 100., -1., 0., 2.]);
    let bias = b.leaf("b", [2], &[0.5, -3.]);
    let y = net
        .forward(&mut b.g, &[w, bias], &[], x, Mode::Train)
        .unwrap();
    assert_eq!(
        b.value(y.output),
        [951.5, 1062.5, 1173.5, 1284.5, 14., 15., 16., 17.]
    );
}

/// torch.flatten(1) and unflatten run over (c, h, w) of each sample.
#[test]
fn flatten_and_unflatten_keep_pytorchs_order() {
    let net =
        network("input = { channels = 2, height = 3, width = 4 }\n[[layer]]\ntype = \"flatten\"");
    let mut b = Bench::default();
    let (c, n, h, w) = (2, 5, 3, 4);
    let code = |c: usize, n: usize, y: usize, x: usize| (((c * 10 + n) * 10 + y) * 10 + x) as f64;
    let mut image = vec![];
    for i in 0..c * n * h * w {
        image.push(code(i / (n * h * w), i / (h * w) % n, i / w % h, i % w));
    }
    let x = b.leaf("x", [c, n, h, w], &image);
    let flat = net
        .forward(&mut b.g, &[], &[], x, Mode::Train)
        .unwrap()
        .output;
    let values = b.value(flat);
    for f in 0..c * h * w {
        for s in 0..n {
            assert_eq!(values[f * n + s], code(f / (h * w), s, f / w % h, f % w));
        }
    }
    let back = network(
        "input = { features = 24 }\n[[layer]]\ntype = \"unflatten\"\nchannels = 2\nheight = 3\nwidth = 4",
    );
    let again = back
        .forward(&mut b.g, &[], &[], flat, Mode::Train)
        .unwrap()
        .output;
    assert_eq!(b.value(again), image);
}

/// Batch norm's training and evaluation against the textbook in f64, with a mean that is large against the spread, and
/// two passes of one step, as D sees real and generated images.
#[test]
fn batch_norm_moves_its_running_statistics_as_pytorch_does() {
    let net =
        network("input = { features = 2 }\n[[layer]]\ntype = \"batch_norm\"\nmomentum = 0.25");
    let names: Vec<&str> = net.states().iter().map(|s| &s.name[..]).collect();
    assert_eq!(names, ["0.running_mean", "0.running_var"]);
    let mut b = Bench::default();
    let first = [1000.0, 1001.0, 1003.0, -2.0, 0.5, 4.0];
    let second = [10.0, 11.0, 15.0, 1.0, 1.0, 4.0];
    let (x1, x2) = (b.leaf("x1", [2, 3], &first), b.leaf("x2", [2, 3], &second));
    let params = [
        b.leaf("w", [2], &[1.5, -0.5]),
        b.leaf("b", [2], &[0.25, 2.0]),
    ];
    let states = initial_states(&mut b, &net);
    let one = net
        .forward(&mut b.g, &params, &states, x1, Mode::Train)
        .unwrap();
    let between = one.next_states(&states);
    let two = net
        .forward(&mut b.g, &params, &between, x2, Mode::Train)
        .unwrap();
    let after = two.next_states(&between);
    let eval = net
        .forward(&mut b.g, &params, &after, x1, Mode::Eval)
        .unwrap();
    assert!(eval.state_updates.is_empty());

    let moments = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / 3.0;
        (mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f64>())
    };
    let (eps, w, bias) = (1e-5f32 as f64, [1.5, -0.5], [0.25, 2.0]);
    let mut running = [(0.0, 1.0); 2];
    let mut trained = vec![];
    for batch in [&first, &second] {
        for f in 0..2 {
            let (mean, squares) = moments(&batch[3 * f..][..3]);
            running[f].0 = 0.75 * running[f].0 + 0.25 * mean;
            running[f].1 = 0.75 * running[f].1 + 0.25 * squares / 2.0;
            for x in &batch[3 * f..][..3] {
                trained.push((x - mean) / (squares / 3.0 + eps).sqrt() * w[f] + bias[f]);
            }
        }
    }
    let close = |got: Vec<f64>, expected: &[f64]| {
        assert!(distance(&got, expected) < 1e-9, "{got:?}, not {expected:?}")
    };
    close(b.value(one.output), &trained[..6]);
    close(b.value(two.output), &trained[6..]);
    close(b.value(after[0]), &[running[0].0, running[1].0]);
    close(b.value(after[1]), &[running[0].1, running[1].1]);
    let expected: Vec<f64> = (0..6)
        .map(|i| {
            (first[i] - running[i / 3].0) / (running[i / 3].1 + eps).sqrt() * w[i / 3] + bias[i / 3]
        })
        .collect();
    close(b.value(eval.output), &expected);
    // The biased variance in the running statistics would be caught: 2/3 of the unbiased one.
    assert!(
        distance(
            &b.value(after[1]),
            &[running[0].1 * 0.9, running[1].1 * 0.9]
        ) > 1e-2
    );
}

/// affine = "channel" is torch.nn.GroupNorm(1, C): statistics over (c, h, w) of a sample, scale and shift per channel.
#[test]
fn layer_norm_per_channel() {
    let text = |affine| {
        format!(
            "input = {{ channels = 2, height = 1, width = 2 }}\n[[layer]]\ntype = \"layer_norm\"\naffine = \"{affine}\""
        )
    };
    let (channel, none) = (network(&text("channel")), network(&text("none")));
    assert_eq!(
        (channel.params()[0].shape.to_vec(), none.params().len()),
        (vec![2], 0)
    );
    let mut b = Bench::default();
    // Sample 0 is 1 2 3 6 (mean 3, variance 3.5), sample 1 is -1 -1 1 1 (mean 0, variance 1).
    let x = b.leaf("x", [2, 2, 1, 2], &[1., 2., -1., -1., 3., 6., 1., 1.]);
    let params = [b.leaf("w", [2], &[2., -1.]), b.leaf("b", [2], &[10., 20.])];
    let y = channel
        .forward(&mut b.g, &params, &[], x, Mode::Train)
        .unwrap();
    let plain = none.forward(&mut b.g, &[], &[], x, Mode::Eval).unwrap();
    let (s, t) = ((3.5f64 + 1e-5).sqrt(), (1f64 + 1e-5).sqrt());
    let z = [
        -2. / s,
        -1. / s,
        -1. / t,
        -1. / t,
        0.,
        3. / s,
        1. / t,
        1. / t,
    ];
    assert_golden("without affine", &b.value(plain.output), &z);
    let expected: Vec<f64> = (0..8)
        .map(|i| if i < 4 { 2. * z[i] + 10. } else { 20. - z[i] })
        .collect();
    assert_golden("per channel", &b.value(y.output), &expected);
}

/// y = body(x) + shortcut(x), with PyTorch's names of nested modules and one arena.
#[test]
fn residual_blocks_add_and_name_their_parts() {
    let net = network(
        "input = { features = 2 }\n[[layer]]\ntype = \"relu\"\n[[layer]]\ntype = \"residual\"\n\
         layers = [{ type = \"linear\", out = 3, bias = false }, { type = \"residual\", layers = [{ type = \"tanh\" }] }]\n\
         shortcut = [{ type = \"linear\", out = 3 }]\n[[layer]]\ntype = \"batch_norm\"",
    );
    let names: Vec<&str> = net.params().iter().map(|p| &p.name[..]).collect();
    assert_eq!(
        names,
        [
            "1.body.0.weight",
            "1.shortcut.0.weight",
            "1.shortcut.0.bias",
            "2.weight",
            "2.bias"
        ]
    );
    let offsets: Vec<usize> = net.params().iter().map(|p| p.offset).collect();
    assert_eq!(
        (offsets, net.arena_len(), net.param_count()),
        (vec![0, 8, 16, 20, 24], 28, 21)
    );
    let net = network(
        "input = { features = 2 }\n[[layer]]\ntype = \"residual\"\nlayers = [{ type = \"tanh\" }]\nshortcut = [{ type = \"relu\" }]\n\
         [[layer]]\ntype = \"residual\"\nlayers = [{ type = \"softplus\" }]",
    );
    let mut b = Bench::default();
    let x = b.leaf("x", [2, 1], &[-0.5, 2.0]);
    let Forward { output, .. } = net.forward(&mut b.g, &[], &[], x, Mode::Train).unwrap();
    let expected: Vec<f64> = [-0.5f64, 2.0]
        .map(|x| x.tanh() + x.max(0.0))
        .map(|y| y + y.exp().ln_1p())
        .to_vec();
    assert!(distance(&b.value(output), &expected) < 1e-14);
}

/// The remaining activations, and leaky ReLU's slope, at both signs.
#[test]
fn activations() {
    for (layer, f) in [
        ("type = \"relu\"", (|x| x.max(0.0)) as fn(f64) -> f64),
        ("type = \"leaky_relu\"", |x| {
            if x > 0.0 { x } else { 0.01f32 as f64 * x }
        }),
        ("type = \"leaky_relu\"\nslope = 0.25", |x| {
            if x > 0.0 { x } else { 0.25 * x }
        }),
        ("type = \"tanh\"", f64::tanh),
        ("type = \"sigmoid\"", |x| 1.0 / (1.0 + (-x).exp())),
        ("type = \"softplus\"", |x| x.exp().ln_1p()),
    ] {
        let net = network(&format!("input = {{ features = 3 }}\n[[layer]]\n{layer}"));
        let mut b = Bench::default();
        let x = [-1.5, 0.0, 0.75];
        let leaf = b.leaf("x", [3, 1], &x);
        let y = net.forward(&mut b.g, &[], &[], leaf, Mode::Train).unwrap();
        assert!(distance(&b.value(y.output), &x.map(f)) < 1e-12, "{layer}");
    }
}
