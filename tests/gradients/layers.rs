//! The layers that are compositions of their own, as networks use them: first and second order against finite differences.
use crate::checker::{Tamper, Values, check};
use gan_gpu::graph::{Expr, Graph, Reference};
use gan_gpu::nn::{Given, Mode, Network, NetworkSpec, ParamSpec};

const NONE: Tamper = |_, e| e;

/// Checks the derivatives of a network's output in its input, its label and its parameters.
fn layer(text: &str, batch: usize, mode: Mode, tamper: Tamper) -> Result<(), String> {
    let net = Network::new(&toml::from_str::<NetworkSpec>(text).unwrap()).unwrap();
    let (mut g, mut at, mut values) = (Graph::new(), Reference::new(), Values::new(5));
    let mut leaf = |g: &mut Graph, name: &str, shape: &[usize]| {
        let e = g.leaf(name, shape);
        at.bind(g, e, values.vec(g.shape(e).numel(), -1.2, 1.2));
        e
    };
    let x = leaf(&mut g, "x", &net.input_shape(batch));
    let label = net.classes().map(|k| leaf(&mut g, "label", &[k, batch]));
    let mut tensors = |specs: &[ParamSpec]| -> Vec<Expr> {
        let tensor = |p: &ParamSpec| leaf(&mut g, &p.name, &p.shape);
        specs.iter().map(tensor).collect()
    };
    let (params, states) = (tensors(net.params()), tensors(net.states()));
    let given = Given { x, label };
    let made = net.forward(&mut g, &params, &states, given, mode).unwrap();
    let mut wrt = vec![x];
    wrt.extend(label);
    wrt.extend(params);
    check(&mut g, &at, &[made.output], &wrt, 2, tamper)
        .map_err(|(order, mismatch)| format!("{text}, order {order}: {mismatch:?}"))
}

const CASES: &[(&str, usize)] = &[
    (
        "input = { features = 3 }\nlayer = [{ type = \"maxout\", out = 2, pieces = 3 }, { type = \"tanh\" }]",
        2,
    ),
    (
        "input = { features = 3 }\nlayer = [{ type = \"minibatch_discrimination\", kernels = 2, dims = 2 }]",
        4,
    ),
    (
        "input = { features = 3 }\nclasses = 2\nlayer = [{ type = \"tanh\" }, { type = \"projection\" }]",
        3,
    ),
    (
        "input = { features = 2 }\nclasses = 2\nlayer = [{ type = \"condition\" }, { type = \"linear\", out = 2 }, { type = \"tanh\" }]",
        3,
    ),
    (
        "input = { channels = 1, height = 2, width = 2 }\nclasses = 2\nlayer = [{ type = \"condition\" }, { type = \"conv2d\", out = 1, kernel = 2 }, { type = \"tanh\" }]",
        2,
    ),
    (
        "input = { features = 2 }\nlayer = [{ type = \"branches\", count = 2, layers = [{ type = \"linear\", out = 2 }, { type = \"tanh\" }] }]",
        4,
    ),
    (
        "input = { channels = 1, height = 2, width = 6 }\nlayer = [{ type = \"max_pool\", kernel = [2, 3] }, { type = \"tanh\" }]",
        2,
    ),
];

#[test]
fn layers_of_methods() {
    for &(text, batch) in CASES {
        layer(text, batch, Mode::Train, NONE).unwrap();
    }
    // Each pass keeps its mask, so that differences see one function.
    let text =
        "input = { features = 4 }\nlayer = [{ type = \"dropout\", p = 0.5 }, { type = \"tanh\" }]";
    layer(text, 3, Mode::Train, NONE).unwrap();
}

/// In evaluation u and v stand still and sigma is a function of W alone; training detaches them, for which PyTorch's goldens stand.
#[test]
fn spectral_norm_in_evaluation() {
    for text in [
        "input = { features = 3 }\nlayer = [{ type = \"linear\", out = 2, spectral_norm = true }, { type = \"tanh\" }]",
        "input = { channels = 2, height = 1, width = 2 }\nlayer = [{ type = \"conv_transpose2d\", out = 1, kernel = [2, 1], spectral_norm = true }, { type = \"tanh\" }]",
    ] {
        layer(text, 2, Mode::Eval, NONE).unwrap();
    }
}

#[test]
fn wrong_gradients_of_layers_are_caught() {
    let slightly_off: Tamper = |g, e| g.scale(e, 1.0 + 1e-4).unwrap();
    // Right to first order; the second order loses its path.
    let frozen: Tamper = |g, e| g.stop_gradient(e);
    for &(text, batch) in CASES {
        for (tamper, order) in [(slightly_off, "order 1"), (frozen, "order 2")] {
            let e = layer(text, batch, Mode::Train, tamper).unwrap_err();
            assert!(e.contains(order), "{e}");
        }
    }
}
