//! The built-in models against the same networks in PyTorch: names, shapes, initialisation, parameter counts and arithmetic.
use super::network;
use gan_gpu::nn::models::MODELS;
use gan_gpu::nn::models::{DiscriminatorOutput, Pairing};
use gan_gpu::nn::{Extent, Init, InitScheme, Model, ModelSpec, Network, model_by_name_or_file};
use serde_json::Value;

fn goldens() -> serde_json::Map<String, Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/goldens/models.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
fn model(name: &str) -> Model {
    model_by_name_or_file(name).unwrap().build().unwrap()
}

/// How the networks of a built-in model are meant to fit.
fn pairing(name: &str) -> Pairing {
    let mut pairing = Pairing::default();
    if name.starts_with("ebgan") {
        pairing.output = DiscriminatorOutput::Reconstruction;
    }
    pairing
}

fn compare(name: &str, net: &Network, golden: &Value) {
    let tensors = golden["state_dict"].as_array().unwrap();
    let of_role = |role| move |t: &&Value| t["role"] == role;
    let params: Vec<&Value> = tensors.iter().filter(of_role("parameter")).collect();
    assert_eq!(net.params().len(), params.len(), "{name}");
    for (p, t) in net.params().iter().zip(params) {
        assert_eq!(Value::from(&p.name[..]), t["name"], "{name}");
        assert_eq!(
            Value::from(p.shape.to_vec()),
            t["shape"],
            "{name} {}",
            p.name
        );
        let init = &t["init"];
        let number = |key: &str| init[key].as_f64().unwrap() as f32;
        let expected = match init["kind"].as_str().unwrap() {
            "uniform" => Init::Uniform {
                low: -number("bound"),
                high: number("bound"),
            },
            "normal" => Init::Normal {
                mean: number("mean"),
                std: number("std"),
            },
            "constant" => Init::Constant(number("value")),
            kind => panic!("{name}: unknown init {kind}"),
        };
        assert_eq!(p.init, expected, "{name} {}", p.name);
    }
    // PyTorch's counter of batches is not kept.
    let states: Vec<&Value> = tensors
        .iter()
        .filter(of_role("buffer"))
        .filter(|t| !t["name"].as_str().unwrap().ends_with("num_batches_tracked"))
        .collect();
    assert_eq!(net.states().len(), states.len(), "{name}");
    for (s, t) in net.states().iter().zip(states) {
        assert_eq!(Value::from(&s.name[..]), t["name"], "{name}");
        assert_eq!(
            Value::from(s.shape.to_vec()),
            t["shape"],
            "{name} {}",
            s.name
        );
    }
    assert_eq!(
        Value::from(net.param_count()),
        golden["parameter_count"],
        "{name}"
    );
}

#[test]
fn built_in_models_are_pytorchs() {
    let goldens = goldens();
    assert_eq!(goldens.len(), 6);
    for (name, golden) in &goldens {
        let m = model(name);
        compare(
            &format!("{name} generator"),
            &m.generator,
            &golden["generator"],
        );
        compare(
            &format!("{name} discriminator"),
            &m.discriminator,
            &golden["discriminator"],
        );
        let latent = golden["latent_dim"].as_u64().unwrap() as usize;
        assert_eq!(m.generator.input(), Extent::Features { features: latent });
        let sample = golden["sample_shape"].as_array().unwrap();
        let numel: u64 = sample.iter().map(|d| d.as_u64().unwrap()).product();
        assert_eq!(m.discriminator.input().numel() as u64, numel, "{name}");
        assert_eq!(m.generator.output_shape(3), m.discriminator.input_shape(3));
        assert_eq!(m.discriminator.output_shape(3).to_vec(), [1, 3]);
    }
}

/// Every built-in model builds, is written back to the same TOML, and has the padding that the arena promises.
#[test]
fn models_round_trip_and_their_arenas_are_aligned() {
    for (name, _) in MODELS {
        let spec = model_by_name_or_file(name).unwrap();
        let text = toml::to_string(&spec).unwrap();
        assert_eq!(
            gan_gpu::nn::ModelSpec::from_toml(name, &text).unwrap(),
            spec,
            "{name}"
        );
        let m = spec.build_for(&pairing(name)).unwrap();
        for net in [&m.generator, &m.discriminator] {
            let mut end = 0;
            for p in net.params() {
                assert!(
                    p.offset % 4 == 0 && p.offset >= end && p.offset < end + 4,
                    "{name} {}",
                    p.name
                );
                end = p.offset + p.shape.numel();
            }
            assert!(net.arena_len() >= end && net.arena_len().is_multiple_of(4));
        }
    }
    let text = toml::to_string(&model_by_name_or_file("dcgan28").unwrap()).unwrap();
    assert!(
        !text.contains("0.0200000") && text.contains("momentum = 0.1\n"),
        "{text}"
    );
}

#[test]
fn glyphs_costs_a_third_of_dcgan28() {
    let cost = |name| {
        let m = model(name);
        m.generator
            .flops(1)
            .iter()
            .chain(&m.discriminator.flops(1))
            .sum::<u64>() as f64
    };
    let ratio = cost("glyphs") / cost("dcgan28");
    assert!((0.3..0.36).contains(&ratio), "{ratio}");
}

#[test]
fn a_latent_width_of_ones_own() {
    let m = model_by_name_or_file("mlp")
        .unwrap()
        .with_latent_dim(7)
        .build()
        .unwrap();
    assert_eq!(m.generator.params()[0].shape.to_vec(), [256, 7]);
    // dcgan64 reads its latents as the channels of one pixel, which may be any number.
    let m = model_by_name_or_file("dcgan64")
        .unwrap()
        .with_latent_dim(7)
        .build()
        .unwrap();
    assert_eq!(m.generator.params()[0].shape.to_vec(), [7, 512, 4, 4]);
    // Several pixels are a shape that only some widths have: another is an error that says where.
    let text = "[generator]\ninput = { features = 16 }\nlayer = [{ type = \"unflatten\", channels = 4, height = 2, width = 2 }]\n\
                [discriminator]\ninput = { channels = 4, height = 2, width = 2 }\n\
                layer = [{ type = \"flatten\" }, { type = \"linear\", out = 1 }]\n";
    let spec = ModelSpec::from_toml("pixels", text).unwrap();
    assert!(spec.build().is_ok());
    let e = spec.with_latent_dim(7).build().unwrap_err();
    assert_eq!(
        e.to_string(),
        "generator: layer 0 (unflatten): expected 4 x 2 x 2 = 16 features, got 7 features"
    );
}

/// `mlp` sees vectors, its data are images.
#[test]
fn the_sample_of_mlp_is_an_image() {
    let m = model("mlp");
    assert_eq!(
        m.sample,
        Extent::Image {
            channels: 1,
            height: 28,
            width: 28
        }
    );
    let mut g = gan_gpu::graph::Graph::new();
    let images = g.source("images", m.sample.shape(5));
    let vectors = m.data_to_network(&mut g, images).unwrap();
    assert_eq!(*g.shape(vectors), m.discriminator.input_shape(5));
    let back = m.network_to_data(&mut g, vectors).unwrap();
    assert_eq!(*g.shape(back), m.sample.shape(5));
    let m = model("dcgan28");
    assert_eq!(m.data_to_network(&mut g, images).unwrap(), images);
}

/// Draws follow the stated distributions, repeat for one key, differ for another and between tensors; padding is zero.
#[test]
fn initialisation() {
    let net = network(
        "input = { channels = 3, height = 9, width = 9 }\n[[layer]]\ntype = \"conv2d\"\nout = 61\nkernel = [3, 5]\n\
         [[layer]]\ntype = \"conv_transpose2d\"\nout = 50\nkernel = 4\ninit = \"dcgan\"\n[[layer]]\ntype = \"batch_norm\"\n\
         init = { weight = { normal = { mean = 1.0, std = 0.5 } }, bias = { constant = 3.0 } }\n\
         [[layer]]\ntype = \"flatten\"\n[[layer]]\ntype = \"linear\"\nout = 1\ninit = { weight = \"kaiming_normal\" }",
    );
    assert_eq!(net.spec().init, InitScheme::Pytorch);
    let arena = net.initialise([1, 2]);
    assert_eq!(arena, net.initialise([1, 2]));
    assert_ne!(arena, net.initialise([1, 3]));
    let get = |name: &str| {
        let p = net.params().iter().find(|p| p.name == name).unwrap();
        &arena[p.offset..][..p.shape.numel()]
    };
    let moments = |v: &[f32]| {
        let n = v.len() as f64;
        let mean = v.iter().map(|&x| x as f64).sum::<f64>() / n;
        (
            mean,
            v.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / n,
        )
    };
    // Conv weight and bias: uniform on +-1/sqrt(3 * 3 * 5), variance bound^2 / 3.
    let bound = 1.0 / 45f64.sqrt();
    let w = get("0.weight");
    assert!(
        w.iter().all(|v| v.abs() as f64 <= bound)
            && w.iter().any(|v| v.abs() as f64 > 0.98 * bound)
    );
    let (mean, variance) = moments(w);
    let n = w.len() as f64;
    assert!(
        mean.abs() < 4.0 * (bound * bound / 3.0 / n).sqrt(),
        "{mean}"
    );
    assert!(
        (variance / (bound * bound / 3.0) - 1.0).abs() < 4.0 * (0.8 / n).sqrt(),
        "{variance}"
    );
    assert!(get("0.bias").iter().all(|v| v.abs() as f64 <= bound));
    assert_ne!(w[..60], get("0.bias")[..60]);
    // Transposed convolution by DCGAN: N(0, 0.02); its bias by PyTorch's fan-in of 50 * 4 * 4.
    let (mean, variance) = moments(get("1.weight"));
    let n = get("1.weight").len() as f64;
    assert!(
        mean.abs() < 4.0 * 0.02 / n.sqrt()
            && (variance / 4e-4 - 1.0).abs() < 4.0 * (2.0 / n).sqrt()
    );
    let bound = 1.0 / 800f32.sqrt();
    let largest = get("1.bias").iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(largest <= bound && largest > 0.8 * bound);
    assert!((moments(get("2.weight")).0 - 1.0).abs() < 4.0 * 0.5 / 50f64.sqrt());
    assert!(get("2.bias").iter().all(|&v| v == 3.0));
    let (_, variance) = moments(get("4.weight"));
    let n = get("4.weight").len() as f64;
    assert!(
        (variance / (2.0 / n) - 1.0).abs() < 4.0 * (2.0 / n).sqrt(),
        "{variance}"
    );
    // 61 biases leave 3 floats of padding.
    let p = net.params().iter().find(|p| p.name == "0.bias").unwrap();
    assert_eq!(arena[p.offset + 61..p.offset + 64], [0.0; 3]);
    assert_eq!(
        net.initial_state()[..52],
        [[0.0; 50].as_slice(), &[0.0; 2]].concat()
    );
    assert_eq!(net.initial_state()[52..102], [1.0; 50]);
}

/// The published sizes: hidden layers, latents, parameters, and where the features of an auto-encoder are.
#[test]
fn models_of_papers() {
    let count = |name: &str| {
        let m = model_by_name_or_file(name).unwrap();
        let m = m.build_for(&pairing(name)).unwrap();
        [m.generator.param_count(), m.discriminator.param_count()]
    };
    // Four times weights and two of batch norm; three times five pieces of 200.
    let hidden = 3 * 400 * 400 + 2 * 400 + 4 * 800 + 2 * 400 + 2;
    let maxout = 3 * 1000 + 2 * (200 * 1000 + 1000) + 201;
    assert_eq!(count("pacgan2d"), [hidden, maxout]);
    let tail = |n: usize, out: usize| n * n + n + n * out + out;
    let both = |z: usize, n: usize, out: usize| z * n + n + tail(n, out);
    assert_eq!(count("unrolled2d"), [both(256, 128, 2), both(2, 128, 1)]);
    let three = |z: usize, n: usize, out: usize| both(z, n, out) + n * n + n;
    assert_eq!(count("toy512"), [three(2, 512, 2), three(2, 512, 1)]);
    assert_eq!(count("drs2d"), [three(2, 100, 2), three(2, 100, 1)]);
    // D is to be a quarter of G in channels: 8 of 32, 4 of 16, 2 of 8.
    let m = model("stacked-tiny");
    let channels = |net: &Network| -> Vec<usize> {
        let weights = net.params().iter().filter(|p| p.shape.rank() == 4);
        weights.map(|p| p.shape[0]).collect()
    };
    assert_eq!(channels(&m.discriminator), [2, 4, 8]);
    assert_eq!(channels(&m.generator), [64, 32, 16, 3]);
    let three = Extent::Image {
        channels: 3,
        height: 28,
        width: 28,
    };
    assert_eq!(m.sample, three);
    for (name, features) in [("ebgan28", 1024), ("ebgan2d", 32)] {
        let spec = model_by_name_or_file(name).unwrap();
        let m = spec.build_for(&pairing(name)).unwrap();
        assert_eq!(m.discriminator.features(), Extent::Features { features });
        assert!(spec.build().is_err(), "{name} has no logit");
    }
}

/// Orthogonal rows where those are fewer, columns otherwise, of length `gain`; refused for biases and norms.
#[test]
fn orthogonal_initialisation() {
    let net = network(
        "input = { features = 6 }\n[[layer]]\ntype = \"linear\"\nout = 40\nbias = false\ninit = { weight = { orthogonal = { gain = 1.5 } } }\n\
         [[layer]]\ntype = \"linear\"\nout = 7\nbias = false\ninit = { weight = { orthogonal = {} } }",
    );
    let arena = net.initialise([8, 9]);
    // Minibatch discrimination's weight stands the other way round, [features, kernels dims]: fan-in is no length of a row.
    let discrimination = |features: usize| {
        network(&format!(
            "input = {{ features = {features} }}\n[[layer]]\ntype = \"minibatch_discrimination\"\nkernels = 3\ndims = 2\n\
             init = {{ weight = {{ orthogonal = {{}} }} }}"
        ))
    };
    let others = [discrimination(4), discrimination(9)].map(|net| {
        let p = net.params()[0].clone();
        (p, net.initialise([8, 9]), 1.0)
    });
    let layers = net.params().iter().zip([1.5, 1.0]);
    let layers = layers.map(|(p, gain)| (p.clone(), arena.clone(), gain));
    for (p, arena, gain) in layers.chain(others) {
        let (rows, columns) = (p.shape[0], p.shape[1]);
        let w = |i: usize, j: usize| arena[p.offset + i * columns + j] as f64;
        let few = rows.min(columns);
        for a in 0..few {
            for b in 0..few {
                let product: f64 = match rows <= columns {
                    true => (0..columns).map(|j| w(a, j) * w(b, j)).sum(),
                    false => (0..rows).map(|i| w(i, a) * w(i, b)).sum(),
                };
                let expected = if a == b { gain * gain } else { 0.0 };
                assert!((product - expected).abs() < 1e-6, "{a} {b}: {product}");
            }
        }
    }
    let other = net.initialise([8, 10]);
    assert_ne!(arena[0], other[0]);
    let refused = |text: &str| {
        let text = format!("input = {{ features = 6 }}\n[[layer]]\n{text}");
        let e = Network::new(&toml::from_str(&text).unwrap()).unwrap_err();
        e.to_string()
    };
    assert_eq!(
        refused("type = \"linear\"\nout = 4\ninit = { bias = { orthogonal = {} } }"),
        "layer 0 (linear): expected an init for the bias that is not one of matrices, got Orthogonal { gain: 1.0 }"
    );
    assert!(
        refused("type = \"batch_norm\"\ninit = { weight = { orthogonal = {} } }")
            .contains("without fan-in")
    );
}
