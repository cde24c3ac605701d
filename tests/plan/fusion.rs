//! How many dispatches a plan takes, and what they share.
use super::check;
use gan_gpu::gpu::testing;
use gan_gpu::graph::plan::evaluate::layout;
use gan_gpu::graph::plan::{Environment, Form, Plan, Region, Stage, Target};
use gan_gpu::graph::{Expr, Graph, Result};
use gan_gpu::nn::{Mode, Network, NetworkSpec, ParamSpec};

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
