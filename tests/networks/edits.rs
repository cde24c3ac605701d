//! Descriptions of networks changed as methods ask.
use super::network;
use gan_gpu::nn::{Extent, Network, NetworkSpec, model_by_name_or_file};

fn d_of(model: &str) -> NetworkSpec {
    model_by_name_or_file(model).unwrap().discriminator
}
fn shapes(spec: &NetworkSpec) -> Vec<(String, Vec<usize>)> {
    let net = Network::new(spec).unwrap();
    let shape = |p: &gan_gpu::nn::ParamSpec| (p.name.clone(), p.shape.to_vec());
    net.params().iter().map(shape).collect()
}
fn names(spec: &NetworkSpec) -> Vec<String> {
    shapes(spec).into_iter().map(|s| s.0).collect()
}
/// What a file of it says is what it is.
fn round_trips(spec: &NetworkSpec) {
    let text = toml::to_string(spec).unwrap();
    assert_eq!(
        &toml::from_str::<NetworkSpec>(&text).unwrap(),
        spec,
        "{text}"
    );
}

#[test]
fn output_features() {
    let ring = d_of("ring8").with_output_features(5).unwrap();
    assert_eq!(shapes(&ring)[4], ("4.weight".into(), vec![5, 128]));
    // dcgan64 ends in a convolution to one pixel.
    let conv = d_of("dcgan64").with_output_features(11).unwrap();
    let net = Network::new(&conv).unwrap();
    assert_eq!(net.output(), Extent::Features { features: 11 });
    round_trips(&conv);
    for (text, expected) in [
        (
            "input = { features = 3 }\nlayer = [{ type = \"linear\", out = 2 }, { type = \"batch_norm\" }]",
            "layer 1 (batch_norm): expected the last layer with parameters to be linear, so that its outputs can be counted anew, got batch_norm",
        ),
        (
            "input = { features = 3 }\nlayer = [{ type = \"tanh\" }]",
            "the network's layers: expected a final linear layer, whose outputs can be counted anew, got none with parameters",
        ),
        (
            "input = { features = 3 }\nclasses = 2\nlayer = [{ type = \"projection\" }]",
            "layer 0 (projection): expected the last layer with parameters to be linear: a projection has 1 output, not 4, got projection",
        ),
        (
            "input = { channels = 1, height = 4, width = 4 }\nlayer = [{ type = \"conv2d\", out = 1, kernel = 3 }, { type = \"flatten\" }]",
            "layer 0 (conv2d): expected the last layer with parameters to be the last to change the size, to 4 features, got conv2d",
        ),
    ] {
        let spec: NetworkSpec = toml::from_str(text).unwrap();
        let e = spec.with_output_features(4).unwrap_err();
        assert_eq!(e.to_string(), expected);
    }
    let projected = d_of("ring8").with_projection(3).unwrap();
    assert_eq!(projected.with_output_features(1).unwrap(), projected);
}

#[test]
fn minibatch_discrimination_stands_before_the_final_layer() {
    let spec = d_of("dcgan28")
        .with_minibatch_discrimination(20, 5)
        .unwrap();
    let found = shapes(&spec);
    assert_eq!(found[found.len() - 3], ("6.weight".into(), vec![6272, 100]));
    assert_eq!(found[found.len() - 2], ("7.weight".into(), vec![1, 6292]));
    round_trips(&spec);
    let conv = d_of("dcgan64").with_minibatch_discrimination(20, 5);
    let e = conv.unwrap_err().to_string();
    assert!(
        e.ends_with("(conv2d): expected the last layer with parameters to be linear or projection, to be given more features, got conv2d"),
        "{e}"
    );
}

#[test]
fn labels_by_concatenation_and_by_projection() {
    let ring = d_of("ring8");
    let joined = ring.with_condition(4);
    assert_eq!(shapes(&joined)[0], ("1.weight".into(), vec![128, 6]));
    assert_eq!(Network::new(&joined).unwrap().classes(), Some(4));
    round_trips(&joined);
    let image = d_of("dcgan28").with_condition(10);
    assert_eq!(shapes(&image)[0].1, [64, 11, 4, 4]);
    // dcgan64 makes one pixel of its latents: other latents are that pixel's channels, and so are labels.
    let generator = model_by_name_or_file("dcgan64").unwrap().generator;
    assert_eq!(shapes(&generator)[0].1, [100, 512, 4, 4]);
    let narrow = generator.with_latents(64);
    assert_eq!(shapes(&narrow)[0].1, [64, 512, 4, 4]);
    let joined = narrow.with_condition(10);
    assert_eq!(shapes(&joined)[0], ("2.weight".into(), vec![74, 512, 4, 4]));
    round_trips(&joined);
    let projected = ring.with_projection(4).unwrap();
    let found = shapes(&projected);
    assert_eq!(
        found[4..],
        [
            ("4.weight".to_string(), vec![1, 128]),
            ("4.bias".to_string(), vec![1]),
            ("4.embedding.weight".to_string(), vec![4, 128])
        ]
    );
    round_trips(&projected);
    // The embedding starts as the authors', not as a linear layer: +-sqrt(6 / (4 + 128)).
    let net = Network::new(&projected).unwrap();
    let arena = net.initialise([5, 6]);
    let p = &net.params()[6];
    let bound = (6.0f32 / 132.0).sqrt();
    let largest = arena[p.offset..][..512]
        .iter()
        .fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(largest <= bound && largest > 0.98 * bound, "{largest}");
    let e = ring.with_output_features(2).unwrap();
    let e = e.with_projection(4).unwrap_err();
    assert_eq!(
        e.to_string(),
        "layer 4 (linear): expected the last layer with parameters to be one output to project at (it has 2), got linear"
    );
    let e = d_of("dcgan64").with_projection(4).unwrap_err().to_string();
    assert!(e.contains("(conv2d): expected the last layer with parameters to be linear, to be replaced by a projection"), "{e}");
}

#[test]
fn spectral_norm_everywhere() {
    for model in ["ring8", "dcgan28", "resnet28"] {
        let plain = d_of(model);
        let spec = plain.with_spectral_norm();
        let (before, after) = (names(&plain), names(&spec));
        assert_eq!(before.len(), after.len());
        let net = Network::new(&spec).unwrap();
        let normalised = after.iter().filter(|n| n.ends_with(".weight_orig")).count();
        let states = net.states().iter().filter(|s| s.name.ends_with("_u"));
        assert_eq!(states.count(), normalised, "{model}");
        // Norm layers keep their weights; all matrices are normalised.
        let matrices = Network::new(&plain).unwrap();
        let matrices = matrices
            .params()
            .iter()
            .filter(|p| p.shape.rank() > 1 && p.name.ends_with("weight"));
        assert_eq!(matrices.count(), normalised, "{model}");
        round_trips(&spec);
        assert_eq!(spec.with_spectral_norm(), spec);
    }
    let branches = network(
        "input = { features = 3 }\nlayer = [{ type = \"linear\", out = 4 }, { type = \"maxout\", out = 4, pieces = 2 }, { type = \"linear\", out = 1 }]",
    );
    let spec = branches
        .spec()
        .with_branches(2, 1)
        .unwrap()
        .with_spectral_norm();
    let found = names(&spec);
    assert_eq!(
        found.iter().filter(|n| n.ends_with("weight_orig")).count(),
        5,
        "{found:?}"
    );
    let projected = branches
        .spec()
        .with_projection(2)
        .unwrap()
        .with_spectral_norm();
    let net = Network::new(&projected).unwrap();
    let states: Vec<&str> = net.states().iter().map(|s| &s.name[..]).collect();
    assert_eq!(
        states[4..],
        [
            "2.weight_u",
            "2.weight_v",
            "2.embedding.weight_u",
            "2.embedding.weight_v"
        ]
    );
}

#[test]
fn branches_behind_a_shared_trunk() {
    let g = model_by_name_or_file("ring8").unwrap().generator;
    let spec = g.with_branches(3, 2).unwrap();
    let net = Network::new(&spec).unwrap();
    assert_eq!(net.batch_multiple(), 3);
    assert_eq!(net.output(), Extent::Features { features: 2 });
    assert_eq!(
        shapes(&spec)[2],
        ("2.branches.0.0.weight".into(), vec![128, 128])
    );
    assert_eq!(net.params().len(), 2 + 3 * 4);
    round_trips(&spec);
    assert_eq!(
        g.with_branches(3, 5).unwrap_err().to_string(),
        "the network's layers: expected more than the 5 of the shared trunk, got 5"
    );
}

#[test]
fn another_input() {
    let packed = Extent::Features { features: 6 };
    let spec = d_of("ring8").with_input(packed);
    assert_eq!(shapes(&spec)[0].1, [128, 6]);
    let image = Extent::Image {
        channels: 3,
        height: 28,
        width: 28,
    };
    assert_eq!(
        shapes(&d_of("dcgan28").with_input(image))[0].1,
        [64, 3, 4, 4]
    );
}
