//! The layers that GAN methods add, and spectral norm: values, states, first- and second-order gradients against PyTorch
//! (`assets/goldens/layers.safetensors`), in f64 and on the device.
use super::network;
use super::torch::{Bench, GOLDEN, Goldens, Tensor, distance};
use gan_gpu::gpu::testing::gpu;
use gan_gpu::graph::plan::evaluate::{Options, evaluate};
use gan_gpu::graph::{Expr, Graph};
use gan_gpu::nn::{Given, Mode, Network, ParamSpec};
use serde_json::Value;

/// A golden case as a graph: what is computed, and the golden of each.
struct Case {
    b: Bench,
    inputs: Vec<(Expr, Vec<f32>)>,
    wanted: Vec<(Expr, String)>,
}

/// Something done to a weight or an output before it is used; the identity but in the test of the tests.
type Tamper = fn(&mut Graph, Expr) -> Expr;
const NONE: Tamper = |_, e| e;

fn case(goldens: &Goldens, case: &Value, tamper: Tamper) -> Case {
    let name = case["name"].as_str().unwrap();
    let get = |key: &str| goldens.get(&format!("{name}/{key}"));
    let classes = match case["classes"].as_u64() {
        Some(k) => format!("classes = {k}\n"),
        None => String::new(),
    };
    let input = match get("x").shape[..] {
        [_, f] => format!("{{ features = {f} }}"),
        [_, c, h, w] => format!("{{ channels = {c}, height = {h}, width = {w} }}"),
        _ => panic!("{name}: no batch"),
    };
    let layers = case["layers"].as_str().unwrap();
    let net = network(&format!("input = {input}\n{classes}[[layer]]\n{layers}"));
    let (mut b, mut inputs) = (Bench::default(), vec![]);
    let mut bind = |b: &mut Bench, label: &str, t: &Tensor| {
        let e = b.tensor(label, t);
        inputs.push((e, t.values.iter().map(|&v| v as f32).collect()));
        e
    };
    let x = bind(&mut b, "x", &get("x").swap_batch());
    let label = net
        .classes()
        .map(|_| bind(&mut b, "label", &get("label").swap_batch()));
    let cotangent = bind(&mut b, "cotangent", &get("cotangent").swap_batch());
    let mut leaves = |b: &mut Bench, group: &str, specs: &[ParamSpec]| -> Vec<Expr> {
        let leaf = |s: &ParamSpec| {
            let t = get(&format!("{group}/{}", s.name));
            assert_eq!(t.shape, s.shape.to_vec(), "{name} {}", s.name);
            bind(b, &s.name, t)
        };
        specs.iter().map(leaf).collect()
    };
    let params = leaves(&mut b, "p", net.params());
    let mut states = leaves(&mut b, "s", net.states());
    let mut given = vec![x];
    given.extend(&params);
    let x_used = tamper(&mut b.g, x);
    let passes = if states.is_empty() { 1 } else { 2 };
    let mut wanted = vec![];
    let mut loss = b.g.scalar(0.0);
    for pass in 0..passes {
        let given = Given { x: x_used, label };
        let made = net
            .forward(&mut b.g, &params, &states, given, Mode::Train)
            .unwrap();
        states = made.next_states(&states);
        let y = tamper(&mut b.g, made.output);
        if pass == 0 {
            wanted.push((y, "output".to_string()));
        }
        let part = b.g.mul(y, cotangent).unwrap();
        let part = b.g.sum_all(part).unwrap();
        loss = b.g.add(loss, part).unwrap();
    }
    if passes == 2 {
        for (s, &e) in net.states().iter().zip(&states) {
            wanted.push((e, format!("after/{}", s.name)));
        }
        let eval = net
            .forward(&mut b.g, &params, &states, x_used, Mode::Eval)
            .unwrap();
        assert!(eval.state_updates.is_empty());
        wanted.push((eval.output, "evaluated".into()));
    }
    let names: Vec<&str> = std::iter::once("x")
        .chain(net.params().iter().map(|p| &p.name[..]))
        .collect();
    let first = b.g.gradients(loss, &given).unwrap();
    let squared = b.g.square(first[0]).unwrap();
    let penalty = b.g.sum_all(squared).unwrap();
    let second = b.g.gradients(penalty, &given).unwrap();
    for (order, gradients) in [("grad", first), ("second", second)] {
        let named = names.iter().zip(gradients);
        wanted.extend(named.map(|(n, e)| (e, format!("{order}/{n}"))));
    }
    let wanted = wanted.into_iter();
    let wanted = wanted
        .map(|(e, key)| (e, format!("{name}/{key}")))
        .collect();
    Case { b, inputs, wanted }
}

/// The golden in this program's layout: parameters and states are PyTorch's, activations have their batch second.
fn golden(goldens: &Goldens, key: &str) -> Vec<f64> {
    let t = goldens.get(key);
    let activation = ["output", "evaluated", "grad/x", "second/x"];
    match activation.iter().any(|a| key.ends_with(&format!("/{a}"))) {
        true => t.swap_batch().values,
        false => t.values.clone(),
    }
}

/// Relative distance, or the largest value where the golden is exactly zero.
fn off(got: &[f64], expected: &[f64]) -> f64 {
    match expected.iter().all(|&v| v == 0.0) {
        true => got.iter().fold(0.0, |m: f64, v| m.max(v.abs())),
        false => distance(got, expected),
    }
}

#[test]
fn layers_of_methods_are_pytorchs_to_second_order() {
    let goldens = Goldens::open("layers.safetensors");
    let cases = goldens.list("cases");
    assert_eq!(cases.len(), 9);
    for described in &cases {
        let c = case(&goldens, described, NONE);
        for (e, key) in &c.wanted {
            let d = off(&c.b.value(*e), &golden(&goldens, key));
            assert!(d < GOLDEN, "{key}: relative distance {d:.1e} from PyTorch");
        }
    }
}

/// A layer that is a little off in its values, or right in values and first order and wrong in second, is seen.
#[test]
fn wrong_layers_are_caught() {
    let goldens = Goldens::open("layers.safetensors");
    let worst = |described: &Value, tamper: Tamper, of: &str| {
        let c = case(&goldens, described, tamper);
        let of = c.wanted.iter().filter(|(_, key)| key.contains(of));
        of.map(|(e, key)| off(&c.b.value(*e), &golden(&goldens, key)))
            .fold(0.0, f64::max)
    };
    for described in goldens.list("cases") {
        let name = described["name"].as_str().unwrap();
        let larger: Tamper = |g, e| g.scale(e, 1.001).unwrap();
        assert!(worst(&described, larger, "/output") > 1e-4, "{name}");
        assert!(worst(&described, larger, "/grad/") > 1e-4, "{name}");
        assert!(worst(&described, larger, "/second/") > 1e-4, "{name}");
        // 1 + (x - x), where the second x has no gradient: values stay, gradients double.
        let doubled: Tamper = |g, e| {
            let fixed = g.stop_gradient(e);
            let nothing = g.sub(e, fixed).unwrap();
            g.add(e, nothing).unwrap()
        };
        assert!(worst(&described, doubled, "/output") < GOLDEN, "{name}");
        assert!(worst(&described, doubled, "/grad/") > 0.5, "{name}");
    }
}

/// The same, compiled and run in f32.
#[test]
fn layers_of_methods_on_the_device() {
    let gpu = gpu();
    let goldens = Goldens::open("layers.safetensors");
    for described in goldens.list("cases") {
        let c = case(&goldens, &described, NONE);
        let inputs: Vec<(Expr, &[f32])> = c.inputs.iter().map(|(e, v)| (*e, &v[..])).collect();
        let outputs: Vec<Expr> = c.wanted.iter().map(|w| w.0).collect();
        let got = evaluate(&gpu, &c.b.g, &inputs, &outputs, Options::default()).unwrap();
        for ((_, key), got) in c.wanted.iter().zip(got) {
            let got: Vec<f64> = got.iter().map(|&v| v as f64).collect();
            let d = off(&got, &golden(&goldens, key));
            assert!(d < 5e-6, "{key}: relative distance {d:.1e}");
        }
    }
}

/// The singular values of a matrix by Jacobi's rotations of its columns, largest first.
fn singular_values(rows: usize, columns: usize, values: &[f64]) -> Vec<f64> {
    let mut a: Vec<Vec<f64>> = (0..columns)
        .map(|j| (0..rows).map(|i| values[i * columns + j]).collect())
        .collect();
    let dot = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(x, y)| x * y).sum::<f64>();
    for _ in 0..60 {
        for p in 0..columns {
            for q in p + 1..columns {
                let (pp, qq, pq) = (dot(&a[p], &a[p]), dot(&a[q], &a[q]), dot(&a[p], &a[q]));
                if pq.abs() < 1e-300 {
                    continue;
                }
                let angle = 0.5 * (2.0 * pq).atan2(pp - qq);
                let (s, c) = angle.sin_cos();
                for i in 0..rows {
                    let (x, y) = (a[p][i], a[q][i]);
                    (a[p][i], a[q][i]) = (c * x + s * y, c * y - s * x);
                }
            }
        }
    }
    let mut found: Vec<f64> = a.iter().map(|column| dot(column, column).sqrt()).collect();
    found.sort_by(|x, y| y.total_cmp(x));
    found
}

/// After many training passes each normalised weight has largest singular value 1, whatever the layer's layout; one pass is not
/// enough, and evaluation does not move the states.
#[test]
fn spectral_norm_divides_by_the_largest_singular_value() {
    for (layer, input, rows) in [
        ("type = \"linear\"\nout = 4", "{ features = 6 }", 4),
        (
            "type = \"conv2d\"\nout = 3\nkernel = [2, 1]",
            "{ channels = 2, height = 2, width = 2 }",
            3,
        ),
        (
            "type = \"conv_transpose2d\"\nout = 3\nkernel = [2, 1]",
            "{ channels = 2, height = 2, width = 2 }",
            3,
        ),
        (
            "type = \"maxout\"\nout = 2\npieces = 2",
            "{ features = 3 }",
            4,
        ),
    ] {
        let net = network(&format!(
            "input = {input}\n[[layer]]\n{layer}\nbias = false\nspectral_norm = true"
        ));
        let names: Vec<&str> = net.states().iter().map(|s| &s.name[..]).collect();
        assert_eq!(names, ["0.weight_u", "0.weight_v"]);
        assert_eq!(net.params()[0].name, "0.weight_orig");
        let mut b = Bench::default();
        let shape = net.params()[0].shape.clone();
        let arena = net.initialise([3, 4]);
        let values: Vec<f64> = arena[..shape.numel()].iter().map(|&v| v as f64).collect();
        let w = b.leaf("w", shape.clone(), &values);
        let x = b.leaf(
            "x",
            net.input_shape(3),
            &vec![0.5; net.input_shape(3).numel()],
        );
        // The matrix of one row per output.
        let columns = values.len() / rows;
        let matrix: Vec<f64> = match layer.contains("transpose") {
            false => values.clone(),
            true => {
                let area = shape[2] * shape[3];
                (0..values.len())
                    .map(|at| {
                        let (row, rest) = (at / columns, at % columns);
                        values[(rest / area * rows + row) * area + rest % area]
                    })
                    .collect()
            }
        };
        let largest = singular_values(rows, columns, &matrix)[0];
        let mut states: Vec<Expr> = initial_states(&mut b, &net);
        let sigma = |b: &Bench, states: &[Expr]| {
            let (u, v) = (b.value(states[0]), b.value(states[1]));
            (0..values.len())
                .map(|at| u[at / columns] * matrix[at] * v[at % columns])
                .sum::<f64>()
        };
        let norm = |v: Vec<f64>| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((norm(b.value(states[0])) - 1.0).abs() < 1e-6);
        let mut first = 0.0;
        for pass in 0..300 {
            let made = net
                .forward(&mut b.g, &[w], &states, x, Mode::Train)
                .unwrap();
            states = made.next_states(&states);
            // As leaves, so that the graph stays small.
            states = [0, 1]
                .map(|k| {
                    let (shape, values) = (b.g.shape(states[k]).clone(), b.value(states[k]));
                    b.leaf("state", shape, &values)
                })
                .to_vec();
            if pass == 0 {
                first = sigma(&b, &states);
            }
        }
        let last = sigma(&b, &states);
        assert!(
            (last / largest - 1.0).abs() < 1e-6,
            "{layer}: {last}, not {largest}"
        );
        assert!(
            (first / largest - 1.0).abs() > 1e-5,
            "{layer}: {first} already"
        );
        // A network of W / sigma gives what the plain layer does with that weight.
        let plain = network(&format!(
            "input = {input}\n[[layer]]\n{layer}\nbias = false"
        ));
        let over: Vec<f64> = values.iter().map(|v| v / largest).collect();
        let divided = b.leaf("w / sigma", shape, &over);
        let expected = plain
            .forward(&mut b.g, &[divided], &[], x, Mode::Eval)
            .unwrap();
        let eval = net.forward(&mut b.g, &[w], &states, x, Mode::Eval).unwrap();
        assert!(eval.state_updates.is_empty());
        let d = distance(&b.value(eval.output), &b.value(expected.output));
        assert!(d < 1e-6, "{layer}: {d:.1e}");
    }
}

fn initial_states(b: &mut Bench, net: &Network) -> Vec<Expr> {
    let arena = net.initial_state();
    let bind = |s: &ParamSpec| {
        let values = &arena[s.offset..][..s.shape.numel()];
        let values: Vec<f64> = values.iter().map(|&v| v as f64).collect();
        b.leaf(&s.name, s.shape.clone(), &values)
    };
    net.states().iter().map(bind).collect()
}

/// A penalty's pass through D starts from the states that the step has reached, and its own are dropped.
#[test]
fn passes_of_one_step_hand_on_the_power_iteration() {
    let net = network(
        "input = { features = 3 }\n[[layer]]\ntype = \"linear\"\nout = 2\nspectral_norm = true",
    );
    let names: Vec<&str> = net.params().iter().map(|p| &p.name[..]).collect();
    assert_eq!(names, ["0.bias", "0.weight_orig"]);
    let mut b = Bench::default();
    let params = [
        b.leaf("bias", [2], &[0.5, -1.0]),
        b.leaf("w", [2, 3], &[1.0, 2.0, -1.0, 0.5, 0.0, 3.0]),
    ];
    let x = b.leaf("x", [3, 2], &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]);
    let start = initial_states(&mut b, &net);
    let pass = |b: &mut Bench, states: &[Expr]| {
        let made = net.forward(&mut b.g, &params, states, x, Mode::Train);
        made.unwrap()
    };
    let real = pass(&mut b, &start);
    let after_real = real.next_states(&start);
    let fake = pass(&mut b, &after_real);
    let after_fake = fake.next_states(&after_real);
    let penalty = pass(&mut b, &after_fake);
    let judged = pass(&mut b, &after_fake);
    assert_eq!(
        penalty.output, judged.output,
        "the penalty's pass moves nothing"
    );
    assert_ne!(b.value(after_real[0]), b.value(after_fake[0]));
    // u of both passes by hand.
    let (w, mut u) = ([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]], b.value(start[0]));
    for states in [&after_real, &after_fake] {
        let mut v = [0.0; 3];
        for j in 0..3 {
            v[j] = w[0][j] * u[0] + w[1][j] * u[1];
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let v = v.map(|x| x / norm);
        let forth: Vec<f64> = w
            .iter()
            .map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum())
            .collect();
        let norm = forth.iter().map(|x: &f64| x * x).sum::<f64>().sqrt();
        u = forth.iter().map(|x| x / norm).collect();
        assert!(distance(&b.value(states[0]), &u) < 1e-9);
        assert!(distance(&b.value(states[1]), &v) < 1e-9);
    }
}

/// Of equal values in a window the first in row-major order gets the whole gradient, as in PyTorch; so does the first piece.
#[test]
fn ties_of_pools_and_pieces() {
    let net = network(
        "input = { channels = 1, height = 2, width = 4 }\n[[layer]]\ntype = \"max_pool\"\nkernel = 2",
    );
    let mut b = Bench::default();
    let x = b.leaf("x", [1, 1, 2, 4], &[1.0, 3.0, 7.0, 7.0, 3.0, 3.0, 7.0, 7.0]);
    let y = net.forward(&mut b.g, &[], &[], x, Mode::Eval).unwrap();
    assert_eq!(b.value(y.output), [3.0, 7.0]);
    let loss = b.g.sum_all(y.output).unwrap();
    let dx = b.g.gradients(loss, &[x]).unwrap()[0];
    assert_eq!(b.value(dx), [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let net = network(
        "input = { features = 1 }\n[[layer]]\ntype = \"maxout\"\nout = 1\npieces = 3\nbias = false",
    );
    let x = b.leaf("x", [1, 1], &[2.0]);
    let w = b.leaf("w", [3, 1], &[0.5, 1.0, 1.0]);
    let y = net.forward(&mut b.g, &[w], &[], x, Mode::Eval).unwrap();
    assert_eq!(b.value(y.output), [2.0]);
    let dw = b.g.gradients(y.output, &[w]).unwrap()[0];
    assert_eq!(b.value(dw), [0.0, 2.0, 0.0]);
}

/// Training drops each element with probability p and scales the rest; every pass draws anew, an execution repeats, evaluation is
/// the identity.
#[test]
fn dropout() {
    let net = network("input = { features = 64 }\n[[layer]]\ntype = \"dropout\"\np = 0.25");
    let mut b = Bench::default();
    let x = b.leaf("x", [64, 500], &vec![3.0; 32_000]);
    let pass = |b: &mut Bench, mode| net.forward(&mut b.g, &[], &[], x, mode).unwrap().output;
    let (one, two) = (pass(&mut b, Mode::Train), pass(&mut b, Mode::Train));
    assert_eq!(pass(&mut b, Mode::Eval), x);
    let (first, second) = (b.value(one), b.value(two));
    assert_ne!(first, second);
    assert_eq!(b.value(one), first);
    let kept = first.iter().filter(|&&v| v != 0.0).count() as f64 / 32_000.0;
    // Five standard deviations of a mean of 32,000 coins.
    assert!(
        (kept - 0.75).abs() < 5.0 * (0.75f64 * 0.25 / 32_000.0).sqrt(),
        "{kept}"
    );
    assert!(first.iter().all(|&v| v == 0.0 || (v - 4.0).abs() < 1e-6));
    let both = first
        .iter()
        .zip(&second)
        .filter(|(a, b)| **a != 0.0 && **b != 0.0);
    let both = both.count() as f64 / 32_000.0;
    assert!(
        (both - 0.5625).abs() < 5.0 * (0.5625f64 * 0.4375 / 32_000.0).sqrt(),
        "{both}"
    );
    b.reference.execution = 1;
    assert_ne!(b.value(one), first);
    let none = network("input = { features = 64 }\n[[layer]]\ntype = \"dropout\"\np = 0.0");
    assert_eq!(
        none.forward(&mut b.g, &[], &[], x, Mode::Train)
            .unwrap()
            .output,
        x
    );
}

/// Sample n goes through branch n mod count, inside and outside of images, labels with it; the number of branches bounds batches.
#[test]
fn branches_take_every_count_th_sample() {
    let net = network(
        "input = { channels = 1, height = 1, width = 2 }\n[[layer]]\ntype = \"branches\"\ncount = 2\n\
         layers = [{ type = \"conv2d\", out = 1, kernel = 1 }]\n[[layer]]\ntype = \"relu\"",
    );
    let names: Vec<&str> = net.params().iter().map(|p| &p.name[..]).collect();
    assert_eq!(
        names,
        [
            "0.branches.0.0.weight",
            "0.branches.0.0.bias",
            "0.branches.1.0.weight",
            "0.branches.1.0.bias"
        ]
    );
    let mut b = Bench::default();
    let x = b.leaf("x", [1, 4, 1, 2], &[1., 2., 3., 4., 5., 6., 7., 8.]);
    let tensor = |b: &mut Bench, v: f64, shape: &[usize]| b.leaf("p", shape, &[v]);
    let params = [
        tensor(&mut b, 10.0, &[1, 1, 1, 1]),
        tensor(&mut b, 0.5, &[1]),
        tensor(&mut b, 100.0, &[1, 1, 1, 1]),
        tensor(&mut b, 0.25, &[1]),
    ];
    let y = net.forward(&mut b.g, &params, &[], x, Mode::Train).unwrap();
    assert_eq!(
        b.value(y.output),
        [10.5, 20.5, 300.25, 400.25, 50.5, 60.5, 700.25, 800.25]
    );
    assert_eq!(net.batch_multiple(), 2);
    let odd = b.leaf("odd", [1, 3, 1, 2], &[0.0; 6]);
    let e = net
        .forward(&mut b.g, &params, &[], odd, Mode::Train)
        .unwrap_err();
    assert_eq!(
        e.to_string(),
        "layer 0 (branches): expected a batch that is a multiple of 2, so that each branch gets as many samples, got 3"
    );
    // Branches in branches multiply, branches in a row need a common multiple.
    let inner = "{ type = \"branches\", count = 3, layers = [{ type = \"tanh\" }] }";
    let text = format!(
        "input = {{ features = 1 }}\nlayer = [{{ type = \"branches\", count = 4, layers = [{inner}] }}, \
         {{ type = \"branches\", count = 10, layers = [{{ type = \"tanh\" }}] }}]"
    );
    assert_eq!(network(&text).batch_multiple(), 60);
    assert_eq!(
        network("input = { features = 1 }\nlayer = [{ type = \"tanh\" }]").batch_multiple(),
        1
    );
    // A label reaches the branch with its sample: 3 samples of classes 0, 1, 0 through 3 branches.
    let net = network(
        "input = { features = 1 }\nclasses = 2\nlayer = [{ type = \"branches\", count = 3, layers = [{ type = \"condition\" }] }]",
    );
    let x = b.leaf("x", [1, 3], &[5., 6., 7.]);
    let label = b.leaf("label", [2, 3], &[1., 0., 1., 0., 1., 0.]);
    let given = Given {
        x,
        label: Some(label),
    };
    let y = net.forward(&mut b.g, &[], &[], given, Mode::Eval).unwrap();
    assert_eq!(b.value(y.output), [5., 6., 7., 1., 0., 1., 0., 1., 0.]);
}

/// A layer in a branch sees the branch's samples alone.
#[test]
fn branches_cost_what_their_samples_do() {
    let linear = "{ type = \"linear\", out = 5 }";
    let branches = |count: usize, layer: &str| {
        format!("{{ type = \"branches\", count = {count}, layers = [{layer}] }}")
    };
    let flops = |layers: &str| {
        let net = network(&format!("input = {{ features = 3 }}\nlayer = [{layers}]"));
        net.flops(12)
    };
    assert_eq!(flops(linear), [2 * 15 * 12]);
    assert_eq!(flops(&branches(4, linear)), [2 * 15 * 3; 4]);
    let nested = branches(2, &branches(3, linear));
    let after = "{ type = \"linear\", out = 1 }";
    let all = flops(&format!("{nested}, {after}"));
    assert_eq!(all[..6], [2 * 15 * 2; 6]);
    assert_eq!(all[6..], [2 * 5 * 12]);
}

/// What the marker records, or else what the last layer reads.
#[test]
fn features_of_a_pass() {
    let marked = network(
        "input = { features = 2 }\nlayer = [{ type = \"tanh\" }, { type = \"features\" }, { type = \"relu\" }, { type = \"sigmoid\" }]",
    );
    let plain = network(
        "input = { features = 2 }\nlayer = [{ type = \"tanh\" }, { type = \"relu\" }, { type = \"sigmoid\" }]",
    );
    let mut b = Bench::default();
    let x = b.leaf("x", [2, 1], &[0.5, -2.0]);
    let (tanh, relu) = (b.g.tanh(x), {
        let t = b.g.tanh(x);
        b.g.relu(t)
    });
    let made = marked.forward(&mut b.g, &[], &[], x, Mode::Train).unwrap();
    assert_eq!(made.features, tanh);
    let made = plain.forward(&mut b.g, &[], &[], x, Mode::Train).unwrap();
    assert_eq!(made.features, relu);
    let one = network("input = { features = 2 }\nlayer = [{ type = \"tanh\" }]");
    let made = one.forward(&mut b.g, &[], &[], x, Mode::Train).unwrap();
    assert_eq!(made.features, x);
    // The last layer at the top counts, not one inside a block.
    let block = network(
        "input = { features = 2 }\nlayer = [{ type = \"tanh\" }, { type = \"residual\", layers = [{ type = \"relu\" }, { type = \"tanh\" }] }]",
    );
    let made = block.forward(&mut b.g, &[], &[], x, Mode::Train).unwrap();
    assert_eq!(made.features, tanh);
    let wide = network(
        "input = { features = 2 }\nlayer = [{ type = \"linear\", out = 5 }, { type = \"features\" }, { type = \"linear\", out = 1 }]",
    );
    let five = gan_gpu::nn::Extent::Features { features: 5 };
    assert_eq!(wide.features(), five);
}

/// Nothing of the size N^2 is kept up to the first order; in the second distances `[kernels, 1, N, N]` are, differences
/// `[kernels, dims, N, N]` are not.
#[test]
fn minibatch_discrimination_keeps_no_differences() {
    use gan_gpu::graph::plan::{Environment, Plan, Region, Stage, Target};
    let net = network(
        "input = { features = 8 }\n[[layer]]\ntype = \"minibatch_discrimination\"\nkernels = 3",
    );
    let mut g = Graph::new();
    let (w, x) = (g.leaf("w", [8, 15]), g.leaf("x", [8, 64]));
    let y = net.forward(&mut g, &[w], &[], x, Mode::Train).unwrap();
    let loss = g.sum_all(y.output).unwrap();
    let first = g.gradients(loss, &[x, w]).unwrap();
    let squared = g.square(first[0]).unwrap();
    let penalty = g.sum_all(squared).unwrap();
    let second = g.gradients(penalty, &[w]).unwrap()[0];
    let gpu = gpu();
    // The differences themselves, to show that a listing would show them.
    let m = g.leaf("m", [3, 5, 64, 64]);
    let stored = g.abs(m);
    for (outputs, distances, differences) in [
        (vec![y.output], false, false),
        (first.clone(), false, false),
        (vec![first[1], second], true, false),
        (vec![stored], false, true),
    ] {
        let mut env = Environment::new(Target::of(gpu.caps()), 2, 1, 0);
        for (e, offset) in [(w, 0), (x, 128), (m, 640)] {
            let region = Region { buffer: 0, offset };
            env.leaves.insert(g.leaf_id(e).unwrap(), region);
        }
        let region = |k: usize| Region {
            buffer: 0,
            offset: 1 << (17 + k),
        };
        let stage = Stage {
            outputs: outputs
                .iter()
                .enumerate()
                .map(|(k, &e)| (e, region(k)))
                .collect(),
            effects: vec![],
        };
        let listing = Plan::compile(&g, &[stage], &env).unwrap().listing();
        println!("{listing}");
        for (shape, expected) in [
            ("[3, 1, 64, 64]", distances),
            ("[3, 5, 64, 64]", differences),
        ] {
            assert_eq!(listing.contains(shape), expected, "{shape}: {listing}");
        }
    }
}
