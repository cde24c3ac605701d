//! Compiled plans on the device against the f64 reference: fusion, views, reductions, random numbers, both kernel forms.
use gan_gpu::gan::config::GanConfig;
use gan_gpu::gan::trainer::{Data, kernels};
use gan_gpu::gpu::{AdapterClass, Caps, testing};
use gan_gpu::graph::plan::evaluate::{Options, evaluate, layout};
use gan_gpu::graph::plan::{Environment, Form, Plan, Precision, Region, Stage, Target};
use gan_gpu::graph::{Expr, Graph, GraphError, Reference, Result, Window};
use gan_gpu::nn::models::MODELS;
use gan_gpu::nn::{Mode, Network, NetworkSpec, ParamSpec, model_by_name_or_file};

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

/// The dispatches of a program with these outputs, and the bytes that each moves.
fn dispatches(g: &Graph, leaves: &[Expr], outputs: &[Expr], form: Form) -> Vec<(String, u64)> {
    let target = Target::with_form(testing::gpu().caps(), form);
    let mut env = Environment::new(target, 3, 2, 0);
    let place = |buffer: usize, all: &[Expr]| -> Vec<Region> {
        let places = layout(all.iter().map(|&e| g.shape(e).numel()));
        let region = |offset| Region { buffer, offset };
        places.offsets.into_iter().map(region).collect()
    };
    for (&l, region) in leaves.iter().zip(place(0, leaves)) {
        env.leaves.insert(g.leaf_id(l).unwrap(), region);
    }
    let stage = Stage {
        outputs: outputs.iter().copied().zip(place(1, outputs)).collect(),
        effects: vec![],
    };
    let plan = Plan::compile(g, &[stage], &env).unwrap();
    // What is read again is computed aside and copied to its output at the end.
    let steps = plan.steps.iter().filter(|s| s.kernel.label != "copy");
    steps.map(|s| (s.kernel.label.clone(), s.bytes)).collect()
}

/// Checks the values, then how many dispatches they take.
fn check_count(
    name: &str,
    count: usize,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Vec<Expr>>,
) {
    for (form, found) in checked(name, shapes, build) {
        assert_eq!(found.len(), count, "{name} ({form:?}): {found:#?}");
    }
}

/// Checks the values; the labels of what is dispatched, in both forms.
fn checked(
    name: &str,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Vec<Expr>>,
) -> [(Form, Vec<String>); 2] {
    check(name, shapes, &build);
    let mut g = Graph::new();
    let leaf = |(k, s): (usize, &&[usize])| g.leaf(&format!("x{k}"), s.to_vec());
    let leaves: Vec<Expr> = shapes.iter().enumerate().map(leaf).collect();
    let outputs = build(&mut g, &leaves).unwrap();
    [Form::Cpu, Form::Gpu].map(|form| {
        let found = dispatches(&g, &leaves, &outputs, form).into_iter();
        (form, found.map(|(label, _)| label).collect())
    })
}

#[test]
fn sums_of_the_same_elements_share_a_kernel() {
    // Along rows, along columns, in fours and not.
    for (shape, axes) in [
        (&[6usize, 4, 5, 8][..], &[1usize, 2, 3][..]),
        (&[5, 3, 7], &[1, 2]),
        (&[37, 64], &[0]),
        (&[12, 33], &[0]),
    ] {
        check_count("two sums", 1, &[shape, shape], |g, x| {
            let product = g.mul(x[0], x[1])?;
            let plain = g.sum(x[0], axes)?;
            let products = g.sum(product, axes)?;
            Ok(vec![plain, products])
        });
        check_count("and what follows from them", 1, &[shape, shape], |g, x| {
            let product = g.mul(x[0], x[1])?;
            let plain = g.sum(x[0], axes)?;
            let products = g.sum(product, axes)?;
            let squares = g.square(x[0])?;
            let squares = g.sum(squares, axes)?;
            let third = g.abs(products);
            let third = g.add(third, squares)?;
            let fourth = g.sqrt(third);
            Ok(vec![plain, products, fourth, third])
        });
    }
}

#[test]
fn sums_that_cannot_share_a_kernel_do_not() {
    let shape = &[6usize, 4, 5, 8][..];
    let axes = &[1, 2, 3];
    check_count("one needs the other's total", 2, &[shape], |g, x| {
        let total = g.sum(x[0], axes)?;
        let off = g.sub(x[0], total)?;
        let off = g.sum(off, axes)?;
        Ok(vec![total, off])
    });
    check_count(
        "one needs it through a third",
        3,
        &[shape, &[6, 6]],
        |g, x| {
            let total = g.sum(x[0], axes)?;
            let flat = g.reshape(total, [6, 1])?;
            let mixed = g.matmul(x[1], flat)?;
            let mixed = g.reshape(mixed, [6, 1, 1, 1])?;
            let weighed = g.mul(x[0], mixed)?;
            let weighed = g.sum(weighed, axes)?;
            Ok(vec![total, weighed])
        },
    );
    check_count("other tensors", 2, &[shape, shape], |g, x| {
        let squares = g.square(x[1])?;
        Ok(vec![g.sum(x[0], axes)?, g.sum(squares, axes)?])
    });
    check_count("other axes", 2, &[shape], |g, x| {
        Ok(vec![g.sum(x[0], axes)?, g.sum(x[0], &[2, 3])?])
    });
    check_count("a tree that mixes totals", 2, &[&[6, 6, 12]], |g, x| {
        let total = g.sum(x[0], &[2])?;
        let turned = g.transpose(total, &[1, 0, 2])?;
        let both = g.add(total, turned)?;
        Ok(vec![total, both])
    });
}

/// Checks the values, then what the dispatches are called: `elementwise`, `sum` or what multiplies.
fn check_kinds(
    name: &str,
    kinds: &[&str],
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Vec<Expr>>,
) {
    for (form, found) in checked(name, shapes, build) {
        let fits = found.len() == kinds.len()
            && found
                .iter()
                .zip(kinds)
                .all(|(label, kind)| label.starts_with(kind));
        assert!(fits, "{name} ({form:?}): {found:#?}");
    }
}

/// Up to eight terms of a sum and up to four of a product: no kernel of their own.
#[test]
fn short_sums_and_products_are_written_out_where_they_are_used() {
    check_kinds(
        "points through a layer",
        &["elementwise"],
        &[&[9, 2], &[2, 12], &[9, 1]],
        |g, x| {
            let y = g.matmul(x[0], x[1])?;
            let y = g.add(y, x[2])?;
            Ok(vec![g.tanh(y)])
        },
    );
    for k in 1..=4 {
        for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
            for (m, n) in [(5, 12), (8, 7)] {
                let turn = |t: bool, [a, b]: [usize; 2]| if t { [b, a] } else { [a, b] };
                let (a, b) = (turn(trans_a, [m, k]), turn(trans_b, [k, n]));
                let product =
                    |g: &mut Graph, x: &[Expr]| Ok(vec![g.matmul_t(x[0], x[1], trans_a, trans_b)?]);
                let name = "every layout of a product";
                check_kinds(name, &["elementwise"], &[&a, &b], product);
                let batch = |[a, b]: [usize; 2]| [3, a, b];
                let shapes: [&[usize]; 2] = [&batch(a), &batch(b)];
                check_kinds("and in batches", &["elementwise"], &shapes, product);
            }
        }
    }
    check_kinds(
        "a sum over two axes, padded",
        &["elementwise"],
        &[&[2, 7, 4, 5]],
        |g, x| {
            let squares = g.square(x[0])?;
            let s = g.sum(squares, &[0, 2])?;
            let s = g.sqrt(s);
            Ok(vec![g.pad(s, &[0, 2, 0, 1], &[0, 1, 0, 3])?])
        },
    );
    check_kinds(
        "more terms are a kernel",
        &["sum", "gemm"],
        &[&[9, 6], &[9, 5], &[5, 8]],
        |g, x| Ok(vec![g.sum(x[0], &[0])?, g.matmul(x[1], x[2])?]),
    );
    check_kinds(
        "eight copies of a long tree are not written out",
        &["elementwise", "elementwise"],
        &[&[8, 24]],
        |g, x| {
            let mut tree = x[0];
            for _ in 0..3 {
                tree = g.tanh(tree);
                tree = g.exp(tree);
            }
            Ok(vec![g.sum(tree, &[0])?])
        },
    );
    check_kinds("distances inside a sum", &["sum"], &[&[15, 24]], |g, x| {
        let one = g.reshape(x[0], [3, 5, 24, 1])?;
        let other = g.reshape(x[0], [3, 5, 1, 24])?;
        let difference = g.sub(one, other)?;
        let absolute = g.abs(difference);
        let distance = g.sum(absolute, &[1])?;
        let away = g.neg(distance);
        let close = g.exp(away);
        Ok(vec![g.sum(close, &[3])?])
    });
    check(
        "first and second order",
        &[&[6, 2], &[2, 20], &[1, 6]],
        |g, x| {
            let h = g.matmul(x[0], x[1])?;
            let h = g.tanh(h);
            let y = g.matmul(x[2], h)?;
            let total = g.sum_all(y)?;
            let dx = g.gradients(total, &[x[1]])?[0];
            let squares = g.square(dx)?;
            let norm2 = g.sum(squares, &[0])?;
            let penalty = g.mean_all(norm2)?;
            let grads = g.gradients(penalty, &[x[0], x[2]])?;
            Ok([vec![dx, penalty], grads].concat())
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

/// Statistics, application; two sums of the gradient, its application: each of them one pass over whole tensors.
#[test]
fn batch_norm_passes_twice_over_its_input_and_twice_over_its_gradient() {
    let text =
        "input = { channels = 8, height = 12, width = 12 }\n[[layer]]\ntype = \"batch_norm\"";
    let spec: NetworkSpec = toml::from_str(text).unwrap();
    let net = Network::new(&spec).unwrap();
    let mut g = Graph::new();
    let shape = net.input_shape(16);
    let whole = 4 * shape.numel() as u64;
    let x = g.leaf("x", shape.clone());
    let dy = g.leaf("dy", shape);
    let leaves = |g: &mut Graph, specs: &[ParamSpec]| -> Vec<Expr> {
        let specs = specs.iter();
        specs.map(|p| g.leaf(&p.name, p.shape.clone())).collect()
    };
    let params = leaves(&mut g, net.params());
    let states = leaves(&mut g, net.states());
    let made = net.forward(&mut g, &params, &states, x, Mode::Train);
    let made = made.unwrap();
    let weighed = g.mul(made.output, dy).unwrap();
    let loss = g.sum_all(weighed).unwrap();
    let wrt = [vec![x], params.clone()].concat();
    let gradients = g.gradients(loss, &wrt).unwrap();
    let moved = made.next_states(&states);
    let outputs = [vec![made.output], moved, gradients].concat();
    let leaves = [vec![x, dy], params, states].concat();
    for form in [Form::Cpu, Form::Gpu] {
        let found = dispatches(&g, &leaves, &outputs, form);
        let passes: Vec<_> = found.iter().filter(|(_, bytes)| *bytes >= whole).collect();
        assert_eq!(passes.len(), 4, "{form:?}: {found:#?}");
        assert!(found.len() <= 8, "{form:?}: {found:#?}");
    }
}

/// A program of leaves of these shapes, each in a buffer of its own.
fn planned(
    target: Target,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Vec<Expr>>,
) -> Result<Plan> {
    let mut g = Graph::new();
    let leaf = |(k, s): (usize, &&[usize])| g.leaf(&format!("x{k}"), s.to_vec());
    let leaves: Vec<Expr> = shapes.iter().enumerate().map(leaf).collect();
    let outputs = build(&mut g, &leaves).unwrap();
    let count = leaves.len();
    let mut env = Environment::new(target, count + 2, count + 1, 0);
    for (buffer, &l) in leaves.iter().enumerate() {
        let region = Region { buffer, offset: 0 };
        env.leaves.insert(g.leaf_id(l).unwrap(), region);
    }
    let places = layout(outputs.iter().map(|&e| g.shape(e).numel()));
    let regions = places.offsets.into_iter().map(|offset| Region {
        buffer: count,
        offset,
    });
    let stage = Stage {
        outputs: outputs.iter().copied().zip(regions).collect(),
        effects: vec![],
    };
    Plan::compile(&g, &[stage], &env)
}

/// Neighbouring results of different workgroups lie in one vector: a compiler that writes all of it for one component (Metal's) would lose
/// the others.
fn assert_no_component_is_stored(text: &str) {
    assert!(!text.contains("% 4u] = "), "{text}");
}

#[test]
fn sums_that_are_written_singly_lie_apart_from_what_they_sum() {
    for form in [Form::Cpu, Form::Gpu] {
        let caps = Caps::baseline(AdapterClass::Discrete);
        // The sum lives as long as what it sums, and no other tensor needs memory.
        let plan = planned(Target::with_form(&caps, form), &[&[64, 256]], |g, x| {
            let h = g.sin(x[0]);
            let h = g.tanh(h);
            let h = g.exp(h);
            let s = g.sum(h, &[1])?;
            Ok(vec![g.div(h, s)?])
        });
        let plan = plan.unwrap();
        let sum = plan
            .steps
            .iter()
            .find(|s| s.kernel.label.starts_with("sum"));
        let sum = sum.unwrap();
        assert_eq!(plan.slots, [64 * 256 * 4, 64 * 4]);
        assert_eq!(sum.buffers.len(), 2, "{}", plan.listing());
        let text = &sum.kernel.source;
        assert!(text.contains("in0: array<f32x4>"), "{text}");
        assert!(text.contains("result0: array<f32>"), "{text}");
    }
}

#[test]
fn no_kernel_of_the_models_stores_a_component_of_a_vector() {
    let half = Caps {
        f16: true,
        ..Caps::baseline(AdapterClass::Discrete)
    };
    let targets = [
        Target::of(&Caps::baseline(AdapterClass::Software)),
        Target::of(&half),
        Target::of(&half).with_precision(Precision::F16),
    ];
    let adam = "{ name = \"adam\", lr = 1e-3, beta1 = 0.0, beta2 = 0.9 }";
    let mut count = 0;
    for target in targets {
        for (name, _) in MODELS {
            let method = match name.starts_with("ebgan") {
                true => "objective = \"energy\"\npulling_away = 0.1",
                false => "objective = \"non_saturating\"",
            };
            let text = format!("{method}\nbatch = 16\n[optimiser]\nd = {adam}\ng = {adam}\n");
            let config = GanConfig::from_toml("method", &text).unwrap();
            let spec = model_by_name_or_file(name).unwrap();
            let latents = spec.generator.input.numel();
            let model = spec.build_for(&config.pairing(latents)).unwrap();
            for kernel in kernels(&target, &model, &config, &Data::Host).unwrap() {
                assert_no_component_is_stored(&kernel.source);
                count += usize::from(kernel.label.starts_with("sum"));
            }
        }
    }
    assert!(count > 100, "{count} kernels of sums");
    let caught = std::panic::catch_unwind(|| {
        assert_no_component_is_stored("let a = 5u; y[a / 4u][a % 4u] = v;");
    });
    assert!(caught.is_err());
}

/// What an adapter lets a kernel bind is kept, however often a kernel reads the same tensor.
#[test]
fn kernels_bind_no_more_than_there_is_room_for() {
    let bound = |caps: &Caps, plan: &Plan| {
        for step in &plan.steps {
            let (buffers, words) = (step.buffers.len(), step.kernel.immediates.len());
            let listing = plan.listing();
            assert!(buffers <= caps.max_storage_buffers as usize, "{listing}");
            assert!(4 * words <= caps.max_immediate_bytes as usize, "{listing}");
        }
    };
    // A product whose epilogue reads both operands once more, and five other tensors.
    let shapes: [&[usize]; 7] = [&[8, 8]; 7];
    let product = |g: &mut Graph, x: &[Expr]| {
        let mut y = g.matmul(x[0], x[1])?;
        for &factor in x {
            y = g.mul(y, factor)?;
        }
        Ok(vec![y])
    };
    check("a product and its operands", &shapes, product);
    let caps = Caps::baseline(AdapterClass::Discrete);
    let plan = planned(Target::of(&caps), &shapes, product).unwrap();
    bound(&caps, &plan);
    assert!(plan.steps.len() > 1, "{}", plan.listing());
    // Sums whose factors are read before and after: each has one offset.
    let mut shapes = vec![&[16usize, 64][..]];
    shapes.extend([&[16usize, 1][..]; 15]);
    let sums = |g: &mut Graph, x: &[Expr]| {
        let mut y = x[0];
        for &factor in &x[1..] {
            y = g.mul(y, factor)?;
        }
        let mut y = g.sum(y, &[1])?;
        for &factor in &x[1..] {
            y = g.add(y, factor)?;
        }
        Ok(vec![y])
    };
    check("factors before and after a sum", &shapes, sums);
    let many = Caps {
        max_storage_buffers: 64,
        ..caps.clone()
    };
    let plan = planned(Target::of(&many), &shapes, sums).unwrap();
    bound(&many, &plan);
    assert_eq!(plan.steps.len(), 1, "{}", plan.listing());
    // What cannot be split is refused before a device is asked.
    let few = Caps {
        max_storage_buffers: 3,
        ..caps
    };
    let shapes: [&[usize]; 3] = [&[8, 8]; 3];
    let refused = planned(Target::of(&few), &shapes, |g, x| {
        let y = g.matmul(x[0], x[1])?;
        Ok(vec![g.add(y, x[2])?])
    });
    match refused.err() {
        Some(GraphError::Kernel { reason, .. }) => {
            assert!(reason.contains("3 storage buffers"), "{reason}");
        }
        other => panic!("{other:?}"),
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
