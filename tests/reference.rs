//! The f64 evaluator of graphs: values checked by eye, adjointness of the convolutions, errors, random numbers.
use gan_gpu::graph::{Distribution, Expr, Graph, GraphError, Reference, Result, Window};

const UNIT: Window = Window {
    stride: [1, 1],
    pad: [0, 0],
};

/// Hand-made values, small enough to check by eye.
#[test]
fn the_reference_computes_the_documented_values() {
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let x = g.leaf("x", [2, 3]);
    at.bind(&g, x, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let expect = |g: &Graph, e: Result<Expr>, values: &[f64]| {
        assert_eq!(at.evaluate(g, &[e.unwrap()]).unwrap(), [values]);
    };
    expect(&g, Ok(x), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let e = g.transpose(x, &[1, 0]);
    expect(&g, e, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let e = g.slice(x, &[0, 1], &[2, 2]);
    expect(&g, e, &[2.0, 3.0, 5.0, 6.0]);
    let e = g.pad(x, &[0, 1], &[1, 0]);
    expect(
        &g,
        e,
        &[0.0, 1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0, 0.0],
    );
    let e = g.sum(x, &[0]);
    expect(&g, e, &[5.0, 7.0, 9.0]);
    let e = g.mean(x, &[1]);
    expect(&g, e, &[2.0, 5.0]);
    let column = g.slice(x, &[0, 0], &[2, 1]).unwrap();
    let e = g.expand(column, &[2, 2].into());
    expect(&g, e, &[1.0, 1.0, 4.0, 4.0]);
    let rows = g.iota([2, 3], 0);
    expect(&g, rows, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let e = g.concat(&[column, x], 1);
    expect(&g, e, &[1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0]);
    let e = g.upsample_nearest(column, [1, 2]);
    expect(&g, e, &[1.0, 1.0, 4.0, 4.0]);
    let e = g.avg_pool(x, [2, 1]);
    expect(&g, e, &[2.5, 3.5, 4.5]);
    // x x^T
    let e = g.matmul_t(x, x, false, true);
    expect(&g, e, &[14.0, 32.0, 32.0, 77.0]);
    // x^T x
    let e = g.matmul_t(x, x, true, false);
    expect(
        &g,
        e,
        &[17.0, 22.0, 27.0, 22.0, 29.0, 36.0, 27.0, 36.0, 45.0],
    );
    // Batches: the two rows as matrices [3, 1] and [1, 3].
    let (tall, wide) = (
        g.reshape(x, [2, 3, 1]).unwrap(),
        g.reshape(x, [2, 1, 3]).unwrap(),
    );
    let e = g.matmul(wide, tall);
    expect(&g, e, &[14.0, 77.0]);
    // Backwards, with a repeat.
    let i = g.iota([4], 0).unwrap();
    let two = g.scalar(2.0);
    let i = g.sub(two, i).unwrap();
    let i = g.relu(i); // 2 1 0 0
    let e = g.gather(x, i, 1);
    expect(&g, e, &[3.0, 2.0, 1.0, 1.0, 6.0, 5.0, 4.0, 4.0]);
    let picked = g.gather(x, i, 1).unwrap();
    let e = g.scatter_add(picked, i, 1, 3);
    expect(&g, e, &[2.0, 2.0, 3.0, 8.0, 5.0, 6.0]);
    let image = g.reshape(x, [1, 1, 2, 3]).unwrap();
    let kernel = g.iota([1, 1, 1, 2], 3).unwrap(); // picks the right neighbour
    let e = g.conv2d(image, kernel, UNIT);
    expect(&g, e, &[2.0, 3.0, 5.0, 6.0]);
    let padded = Window {
        stride: [2, 3],
        pad: [1, 1],
    };
    let e = g.conv2d(image, kernel, padded);
    expect(&g, e, &[0.0, 0.0, 4.0, 0.0]);
    let e = g.conv2d(
        image,
        kernel,
        Window {
            stride: [1, 3],
            pad: [0, 1],
        },
    );
    expect(&g, e, &[1.0, 0.0, 4.0, 0.0]);
}

/// y = conv(x, w), dx = conv_input_grad(w, v), dw = conv_weight_grad(x, v) are adjoint: <y, v> = <x, dx> = <w, dw>.
#[test]
fn the_convolutions_are_adjoint() {
    let window = Window {
        stride: [2, 1],
        pad: [1, 2],
    };
    let (mut g, mut at) = (Graph::new(), Reference::new());
    let (x, w) = (g.leaf("x", [2, 3, 5, 4]), g.leaf("w", [3, 2, 2, 3]));
    let y = g.conv2d(x, w, window).unwrap();
    let shape = g.shape(y).clone();
    assert_eq!(&shape[..], [3, 3, 3, 6]);
    let v = g.leaf("v", shape);
    for (i, e) in [x, w, v].into_iter().enumerate() {
        let n = g.shape(e).numel();
        at.bind(
            &g,
            e,
            (0..n)
                .map(|k| ((k * (7 + 2 * i) + 3) % 11) as f64 - 5.0)
                .collect(),
        );
    }
    let dx = g.conv2d_input_grad(w, v, window, [5, 4]).unwrap();
    let dw = g.conv2d_weight_grad(x, v, window, [2, 3]).unwrap();
    let mut inner = |a, b| {
        let product = g.mul(a, b).unwrap();
        let sum = g.sum_all(product).unwrap();
        at.evaluate(&g, &[sum]).unwrap()[0][0]
    };
    let forward = inner(y, v);
    assert_ne!(forward, 0.0);
    assert_eq!((inner(x, dx), inner(w, dw)), (forward, forward)); // whole numbers: exact
}

#[test]
fn the_reference_names_what_is_missing_or_out_of_range() {
    let mut g = Graph::new();
    let (x, i) = (g.leaf("table", [3, 2]), g.leaf("i", [2]));
    let y = g.gather(x, i, 0).unwrap();
    let mut at = Reference::new();
    assert_eq!(
        at.evaluate(&g, &[y]),
        Err(GraphError::Unbound {
            name: "table".into()
        })
    );
    at.bind(&g, x, vec![0.0; 5]);
    assert!(matches!(at.evaluate(&g, &[y]), Err(GraphError::Shape { got, .. }) if got == "5"));
    at.bind(&g, x, vec![0.0; 6]);
    for index in [3.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
        at.bind(&g, i, vec![2.0, index]);
        match at.evaluate(&g, &[y]) {
            Err(GraphError::Index {
                op: "gather",
                position: 1,
                size: 3,
                index: got,
            }) => {
                assert_eq!(got.to_bits(), index.to_bits());
            }
            other => panic!("index {index}: {other:?}"),
        }
    }
    at.bind(&g, i, vec![2.0, 0.0]);
    assert_eq!(at.evaluate(&g, &[y]), Ok(vec![vec![0.0; 4]]));
    let batch = g.source("batch", [1]);
    assert_eq!(
        at.evaluate(&g, &[batch]),
        Err(GraphError::Unbound {
            name: "batch".into()
        })
    );
}

#[test]
fn random_is_a_function_of_seed_stream_execution_and_index() {
    let mut g = Graph::new();
    let normal = g.random_stream(Distribution::Normal, [100], 3);
    let longer = g.random_stream(Distribution::Normal, [200], 3);
    let other = g.random_stream(Distribution::Normal, [100], 4);
    let uniform = g.random_stream(Distribution::Uniform, [40, 25], 5);
    let coin = g.random_stream(
        Distribution::Bernoulli(gan_gpu::graph::Scalar(0.25)),
        [40, 25],
        5,
    );
    let at = Reference {
        seed: (9 << 32) | 7,
        execution: 2,
        ..Reference::new()
    };
    let v = at
        .evaluate(&g, &[normal, longer, other, uniform, coin])
        .unwrap();
    assert_eq!(
        v[0],
        v[1][..100],
        "an element does not depend on the tensor's size"
    );
    assert_ne!(v[0], v[2]);
    assert_eq!(at.evaluate(&g, &[normal]).unwrap()[0], v[0]);
    for changed in [
        Reference {
            seed: (9 << 32) | 6,
            ..at.clone()
        },
        Reference {
            seed: (8 << 32) | 7,
            ..at.clone()
        },
        Reference {
            execution: 3,
            ..at.clone()
        },
    ] {
        assert_ne!(changed.evaluate(&g, &[normal]).unwrap()[0], v[0]);
    }
    assert!(v[3].iter().all(|u| (0.0..1.0).contains(u)));
    // A coin is the comparison of the uniform of the same stream.
    assert!(
        v[3].iter()
            .zip(&v[4])
            .all(|(&u, &c)| c == (u < 0.25) as u8 as f64)
    );
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    // Four standard errors.
    assert!((mean(&v[3]) - 0.5).abs() < 4.0 * (1.0 / 12e3f64).sqrt());
    assert!((mean(&v[4]) - 0.25).abs() < 4.0 * (0.1875 / 1e3f64).sqrt());
    assert!(mean(&v[1]).abs() < 4.0 * (1.0 / 200f64).sqrt());
}
