//! Construction of graphs: shape errors, interning, simplification.
use gan_gpu::graph::{Distribution, Expr, Graph, GraphError, Op, Result, Unary, Window};

const UNIT: Window = Window {
    stride: [1, 1],
    pad: [0, 0],
};

/// The shape error of `build`: operation, and whether its message holds what was expected and what came.
fn shape_error(build: impl FnOnce(&mut Graph) -> Result<Expr>) -> (&'static str, String) {
    match build(&mut Graph::new()) {
        Err(GraphError::Shape { op, expected, got }) => (op, format!("{expected} | {got}")),
        other => panic!("expected a shape error, got {other:?}"),
    }
}
fn leaf(g: &mut Graph, shape: &[usize]) -> Expr {
    g.leaf("x", shape)
}

#[test]
fn shapes_that_do_not_fit_are_errors_with_both_shapes() {
    type Build = fn(&mut Graph) -> Result<Expr>;
    let table: &[(Build, &str, &[&str])] = &[
        (
            |g| {
                let (a, b) = (leaf(g, &[2, 3]), leaf(g, &[2, 4]));
                g.add(a, b)
            },
            "add",
            &["[2, 3]", "[2, 4]"],
        ),
        (
            |g| {
                let (a, b) = (leaf(g, &[2, 3]), leaf(g, &[3]));
                g.mul(a, b)
            },
            "mul",
            &["[2, 3]", "[3]"],
        ),
        (
            |g| {
                let (a, b) = (leaf(g, &[2]), leaf(g, &[3]));
                g.select(a, b, b)
            },
            "select",
            &["[2]", "[3]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.expand(a, &[4, 3].into())
            },
            "broadcast",
            &["[4, 3]", "[2, 3]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.expand(a, &[2, 3, 1].into())
            },
            "broadcast",
            &["[2, 3, 1]", "[2, 3]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.reshape(a, [5])
            },
            "reshape",
            &["6 elements", "[5]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.transpose(a, &[0, 0])
            },
            "transpose",
            &["2 axes", "[0, 0]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.transpose(a, &[0])
            },
            "transpose",
            &["2 axes", "[0]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.slice(a, &[0, 2], &[2, 2])
            },
            "slice",
            &["[2, 3]", "[0, 2]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2]);
                g.slice(a, &[0], &[0])
            },
            "slice",
            &["[2]", "[0]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2]);
                g.slice(a, &[usize::MAX], &[2])
            },
            "slice",
            &["[2]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2]);
                g.pad(a, &[1, 1], &[0, 0])
            },
            "pad",
            &["1 sizes", "[1, 1]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.sum(a, &[2])
            },
            "sum",
            &["below 2", "[2]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.mean(a, &[7])
            },
            "sum",
            &["below 2", "[7]"],
        ),
        (|g| g.iota([2, 3], 2), "iota", &["below 2", "2"]),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.gather(a, a, 0)
            },
            "gather",
            &["rank 1", "[2, 3]"],
        ),
        (
            |g| {
                let (a, i) = (leaf(g, &[2, 3]), leaf(g, &[4]));
                g.gather(a, i, 2)
            },
            "gather",
            &["below 2", "axis 2"],
        ),
        (
            |g| {
                let (a, i) = (leaf(g, &[2, 3]), leaf(g, &[4]));
                g.scatter_add(a, i, 0, 9)
            },
            "scatter_add",
            &["axis 0 of [2, 3]", "[4]"],
        ),
        (
            |g| {
                let (a, b) = (leaf(g, &[2, 3]), leaf(g, &[4, 5]));
                g.matmul(a, b)
            },
            "matmul",
            &["3", "[2, 3]", "4", "[4, 5]"],
        ),
        (
            |g| {
                let (a, b) = (leaf(g, &[2, 3]), leaf(g, &[3, 5]));
                g.matmul_t(a, b, true, false)
            },
            "matmul",
            &["2", "3"],
        ),
        (
            |g| {
                let (a, b) = (leaf(g, &[2, 2, 3]), leaf(g, &[4, 3, 5]));
                g.matmul(a, b)
            },
            "matmul",
            &["[2, 2, 3]", "[4, 3, 5]"],
        ),
        (
            |g| {
                let (a, b) = (leaf(g, &[3]), leaf(g, &[3]));
                g.matmul(a, b)
            },
            "matmul",
            &["[3]"],
        ),
        (
            |g| {
                let (x, w) = (leaf(g, &[2, 1, 4, 4]), leaf(g, &[1, 3, 2, 2]));
                g.conv2d(x, w, UNIT)
            },
            "conv2d",
            &["[2, 1, 4, 4]", "[1, 3, 2, 2]"],
        ),
        (
            |g| {
                let (x, w) = (leaf(g, &[1, 1, 4, 4]), leaf(g, &[1, 1, 5, 2]));
                g.conv2d(x, w, UNIT)
            },
            "conv2d",
            &["no larger", "[1, 1, 5, 2]"],
        ),
        (
            |g| {
                let (x, w) = (leaf(g, &[1, 1, 4, 4]), leaf(g, &[1, 1, 2, 2]));
                g.conv2d(
                    x,
                    w,
                    Window {
                        stride: [0, 1],
                        pad: [0, 0],
                    },
                )
            },
            "conv2d",
            &["stride of at least 1", "stride [0, 1]"],
        ),
        (
            |g| {
                let (w, y) = (leaf(g, &[1, 1, 2, 2]), leaf(g, &[1, 1, 3, 3]));
                g.conv2d_input_grad(w, y, UNIT, [5, 4])
            },
            "conv2d_input_grad",
            &["[5, 4]", "[1, 1, 3, 3]"],
        ),
        (
            |g| {
                let (x, y) = (leaf(g, &[1, 2, 4, 4]), leaf(g, &[1, 1, 3, 3]));
                g.conv2d_weight_grad(x, y, UNIT, [2, 2])
            },
            "conv2d_weight_grad",
            &["[1, 2, 4, 4]", "[1, 1, 3, 3]"],
        ),
        (
            |g| {
                let x = leaf(g, &[7, 4]);
                g.closeness(x, 3)
            },
            "closeness",
            &["kernels * 3", "[7, 4]"],
        ),
        (
            |g| {
                let (x, y) = (leaf(g, &[6, 4]), leaf(g, &[3, 4]));
                g.closeness_grad(x, y, 3)
            },
            "closeness_grad",
            &["[6, 4]", "[3, 4]"],
        ),
        (|g| g.concat(&[], 0), "concat", &["at least one", "none"]),
        (
            |g| {
                let (a, b) = (leaf(g, &[2, 3]), leaf(g, &[3, 3]));
                g.concat(&[a, b], 1)
            },
            "concat",
            &["[2, 3]", "axis 1", "[3, 3]"],
        ),
        (
            |g| {
                let a = leaf(g, &[2, 3]);
                g.concat(&[a], 2)
            },
            "concat",
            &["axis 2"],
        ),
        (
            |g| {
                let a = leaf(g, &[3]);
                g.upsample_nearest(a, [2, 2])
            },
            "upsample_nearest",
            &["two axes", "[3]"],
        ),
        (
            |g| {
                let a = leaf(g, &[3, 4]);
                g.avg_pool(a, [2, 2])
            },
            "avg_pool",
            &["[2, 2]", "[3, 4]"],
        ),
    ];
    for (i, (build, op, parts)) in table.iter().enumerate() {
        let (got_op, text) = shape_error(build);
        assert_eq!(got_op, *op, "row {i}");
        for part in *parts {
            assert!(
                text.contains(part),
                "row {i}, {op}: `{part}` is missing in `{text}`"
            );
        }
    }
}

#[test]
fn equal_expressions_are_one_node() {
    let mut g = Graph::new();
    let (a, b) = (g.leaf("a", [3]), g.leaf("a", [3]));
    assert_ne!(a, b, "each leaf has its own memory");
    assert_eq!(g.exp(a), g.exp(a));
    assert_eq!(g.add(a, b).unwrap(), g.add(b, a).unwrap());
    assert_eq!(g.mul(a, b).unwrap(), g.mul(b, a).unwrap());
    assert_eq!(g.equal(a, b).unwrap(), g.equal(b, a).unwrap());
    assert_ne!(g.sub(a, b).unwrap(), g.sub(b, a).unwrap());
    assert_ne!(g.less(a, b).unwrap(), g.less(b, a).unwrap());
    assert_ne!(g.leaky_relu(a, 0.1), g.leaky_relu(a, 0.2));
    // Constants meet by their bits: 0 and -0 differ, and NaN is itself.
    assert_ne!(g.scalar(0.0), g.scalar(-0.0));
    assert_eq!(g.scalar(f32::NAN), g.scalar(f32::NAN));
    let (r, s) = (
        g.random(Distribution::Normal, [3]),
        g.random(Distribution::Normal, [3]),
    );
    assert_ne!(r, s, "two draws are independent");
    let first = Graph::FIRST_OWN_STREAM;
    assert_eq!(g.random_stream(Distribution::Normal, [3], first), r);
    assert_ne!(g.random_stream(Distribution::Normal, [3], 0), r);
}

#[test]
fn simplifications() {
    let mut g = Graph::new();
    let x = g.leaf("x", [2, 3]);
    let (zero, one, minus) = (g.scalar(0.0), g.scalar(1.0), g.scalar(-1.0));
    let neg = g.neg(x);
    assert_eq!(g.neg(neg), x);
    for (e, expected) in [
        (g.add(x, zero), x),
        (g.add(zero, x), x),
        (g.sub(x, zero), x),
        (g.mul(x, one), x),
        (g.mul(one, x), x),
        (g.div(x, one), x),
        (g.mul(x, minus), neg),
        (g.mul(minus, x), neg),
        (g.expand(x, &[2, 3].into()), x),
        (g.reshape(x, [2, 3]), x),
        (g.transpose(x, &[0, 1]), x),
        (g.slice(x, &[0, 0], &[2, 3]), x),
        (g.pad(x, &[0, 0], &[0, 0]), x),
        (g.sum(x, &[]), x),
        (g.concat(&[x], 1), x),
    ] {
        assert_eq!(e, Ok(expected));
    }
    // 0 x is not 0: x may be infinite.
    let product = g.mul(x, zero).unwrap();
    assert_eq!(g.constant_value(product), None);
    // Reshapes of reshapes are one, and a transpose that moves only axes of size 1 is a reshape.
    let tall = g.reshape(x, [6, 1]).unwrap();
    assert_eq!(g.reshape(tall, [2, 3]), Ok(x));
    assert_eq!(g.transpose(tall, &[1, 0]), g.reshape(x, [1, 6]));
    let turned = g.transpose(x, &[1, 0]).unwrap();
    assert_eq!(g.node(turned).op, Op::Transpose { perm: vec![1, 0] });
    // Axes of size 1 need no sum, and a duplicate axis counts once.
    assert_eq!(g.sum(tall, &[1]), Ok(tall));
    let once = g.sum(x, &[1]).unwrap();
    assert_eq!(g.sum(x, &[1, 1]), Ok(once));
    // Constants fold.
    let two = g.constant(2.0, [2, 3]);
    for (e, value, shape) in [
        (Ok(g.unary(Unary::Exp, zero)), 1.0, &[][..]),
        (g.add(two, one), 3.0, &[2, 3]),
        (g.sum(two, &[1]), 6.0, &[2, 1]),
        (g.reshape(two, [6]), 2.0, &[6]),
        (g.slice(two, &[0, 1], &[1, 2]), 2.0, &[1, 2]),
        (g.transpose(two, &[1, 0]), 2.0, &[3, 2]),
        (g.expand(one, &[4].into()), 1.0, &[4]),
        (Ok(g.stop_gradient(two)), 2.0, &[2, 3]),
    ] {
        let e = e.unwrap();
        assert_eq!((g.constant_value(e), &g.shape(e)[..]), (Some(value), shape));
    }
}
