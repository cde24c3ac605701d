//! What is said when a network's file is wrong: where and what to do.
use gan_gpu::graph::Graph;
use gan_gpu::nn::{Mode, ModelSpec, Network, NetworkSpec, NnError, model_by_name_or_file};

fn refused(text: &str) -> String {
    Network::new(&toml::from_str::<NetworkSpec>(text).unwrap())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_layer_that_does_not_fit_is_named() {
    const VECTOR: &str = "input = { features = 10 }\n[[layer]]\n";
    const IMAGE: &str = "input = { channels = 3, height = 5, width = 4 }\n[[layer]]\n";
    for (text, expected) in [
        (
            format!("{VECTOR}type = \"leaky_relu\"\nslope = inf"),
            "layer 0 (leaky_relu): expected a finite slope, got inf",
        ),
        (
            format!("{IMAGE}type = \"linear\"\nout = 3"),
            "layer 0 (linear): expected a vector of features (put a flatten layer before it), got 3 channels of 5x4",
        ),
        (
            format!("{VECTOR}type = \"relu\"\n[[layer]]\ntype = \"conv2d\"\nout = 3\nkernel = 3"),
            "layer 1 (conv2d): expected an image (put an unflatten layer before it), got 10 features",
        ),
        (
            format!("{IMAGE}type = \"conv2d\"\nout = 3\nkernel = [3, 7]\npad = 1"),
            "layer 0 (conv2d): expected an image that, padded, is at least as large as the kernel 3x7, got 3 channels of 5x4, 7x6 with its padding",
        ),
        (
            format!("{IMAGE}type = \"conv2d\"\nout = 3\nkernel = 3\nstride = 0"),
            "layer 0 (conv2d): expected stride of at least 1, got 0",
        ),
        (
            format!(
                "{IMAGE}type = \"conv_transpose2d\"\nout = 3\nkernel = 4\nstride = 2\noutput_padding = 2"
            ),
            "layer 0 (conv_transpose2d): expected output_padding below the stride [2, 2], got [2, 2]",
        ),
        (
            format!("{IMAGE}type = \"conv_transpose2d\"\nout = 3\nkernel = 1\npad = 4"),
            "layer 0 (conv_transpose2d): expected a padding that leaves an image of 3 channels of 5x4, got pad [4, 4] with kernel 1x1",
        ),
        (
            format!("{VECTOR}type = \"linear\"\nout = 0"),
            "layer 0 (linear): expected out of at least 1, got 0",
        ),
        (
            format!("{VECTOR}type = \"unflatten\"\nchannels = 1\nheight = 3\nwidth = 3"),
            "layer 0 (unflatten): expected 1 x 3 x 3 = 9 features, got 10 features",
        ),
        (
            format!("{IMAGE}type = \"avg_pool\"\nfactor = 2"),
            "layer 0 (avg_pool): expected an image whose sizes are multiples of the factor 2x2, got 3 channels of 5x4",
        ),
        (
            format!("{VECTOR}type = \"upsample\"\nfactor = 2"),
            "layer 0 (upsample): expected an image, got 10 features",
        ),
        (
            format!("{VECTOR}type = \"batch_norm\"\nmomentum = 1.5"),
            "layer 0 (batch_norm): expected a momentum between 0 and 1, got 1.5",
        ),
        (
            format!("{VECTOR}type = \"layer_norm\"\neps = 0.0"),
            "layer 0 (layer_norm): expected an eps of at least 1.1754944e-38 that f32 holds, got 0.0",
        ),
        (
            format!("{VECTOR}type = \"batch_norm\"\neps = 1e-50"),
            "layer 0 (batch_norm): expected an eps of at least 1.1754944e-38 that f32 holds, got 1e-50",
        ),
        (
            format!("{VECTOR}type = \"layer_norm\"\neps = 1e300"),
            "layer 0 (layer_norm): expected an eps of at least 1.1754944e-38 that f32 holds, got 1e300",
        ),
        (
            format!("{VECTOR}type = \"batch_norm\"\ninit = {{ weight = \"kaiming_normal\" }}"),
            "layer 0 (batch_norm): expected an init without fan-in (constant, uniform or normal) for a norm layer, got KaimingNormal",
        ),
        (
            format!(
                "{VECTOR}type = \"linear\"\nout = 1\ninit = {{ weight = {{ normal = {{ std = -1.0 }} }} }}"
            ),
            "layer 0 (linear): expected numbers in `init` that f32 holds, high - low too, low <= high and std >= 0, got Normal { mean: 0.0, std: -1.0 }",
        ),
        (
            format!(
                "{VECTOR}type = \"linear\"\nout = 1\ninit = {{ weight = {{ uniform = {{ low = -3e38, high = 3e38 }} }} }}"
            ),
            "layer 0 (linear): expected numbers in `init` that f32 holds, high - low too, low <= high and std >= 0, got Uniform { low: -3e38, high: 3e38 }",
        ),
        (
            format!(
                "{VECTOR}type = \"linear\"\nout = 1\ninit = {{ weight = {{ normal = {{ std = 1e300 }} }} }}"
            ),
            "layer 0 (linear): expected numbers in `init` that f32 holds, high - low too, low <= high and std >= 0, got Normal { mean: 0.0, std: 1e300 }",
        ),
        (
            format!("{VECTOR}type = \"residual\"\nlayers = []"),
            "layer 0 (residual): expected at least one layer in `layers`, got none",
        ),
        (
            format!("{VECTOR}type = \"residual\"\nlayers = [{{ type = \"linear\", out = 4 }}]"),
            "layer 0 (residual): expected the body to give what the shortcut gives (10 features), got 4 features",
        ),
        (
            format!(
                "{VECTOR}type = \"residual\"\nlayers = [{{ type = \"tanh\" }}, {{ type = \"conv2d\", out = 4, kernel = 1 }}]"
            ),
            "layer 0.body.1 (conv2d): expected an image (put an unflatten layer before it), got 10 features",
        ),
        (
            format!("{IMAGE}type = \"max_pool\"\nkernel = [5, 3]"),
            "layer 0 (max_pool): expected an image whose sizes are multiples of the kernel 5x3, got 3 channels of 5x4",
        ),
        (
            format!("{VECTOR}type = \"maxout\"\nout = 3\npieces = 0"),
            "layer 0 (maxout): expected pieces of at least 1, got 0",
        ),
        (
            format!("{IMAGE}type = \"maxout\"\nout = 3\npieces = 2"),
            "layer 0 (maxout): expected a vector of features (put a flatten layer before it), got 3 channels of 5x4",
        ),
        (
            format!("{VECTOR}type = \"minibatch_discrimination\"\nkernels = 3\ndims = 0"),
            "layer 0 (minibatch_discrimination): expected dims of at least 1, got 0",
        ),
        (
            format!("{VECTOR}type = \"minibatch_discrimination\"\nkernels = 3\ndims = 257"),
            "layer 0 (minibatch_discrimination): expected dims of at most 256, got 257",
        ),
        (
            format!("{IMAGE}type = \"minibatch_discrimination\"\nkernels = 3"),
            "layer 0 (minibatch_discrimination): expected a vector of features (put a flatten layer before it), got 3 channels of 5x4",
        ),
        (
            format!("{VECTOR}type = \"dropout\"\np = 1.0"),
            "layer 0 (dropout): expected a probability p of at least 0 and below 1, got 1",
        ),
        (
            format!("{VECTOR}type = \"branches\"\ncount = 0\nlayers = [{{ type = \"tanh\" }}]"),
            "layer 0 (branches): expected count of at least 1, got 0",
        ),
        (
            format!("{VECTOR}type = \"branches\"\ncount = 2\nlayers = []"),
            "layer 0 (branches): expected at least one layer in `layers`, got none",
        ),
        (
            format!("{VECTOR}type = \"branches\"\ncount = 2\nlayers = [{{ type = \"features\" }}]"),
            "layer 0.branches.1.0 (features): expected one features layer in a network, got a second one",
        ),
        (
            format!("{VECTOR}type = \"condition\""),
            "layer 0 (condition): expected `classes = K` beside the network's `input`, got none",
        ),
        (
            format!("classes = 0\n{VECTOR}type = \"projection\""),
            "layer 0 (projection): expected classes of at least 1, got 0",
        ),
        (
            format!("classes = 2\n{IMAGE}type = \"projection\""),
            "layer 0 (projection): expected a vector of features (put a flatten layer before it), got 3 channels of 5x4",
        ),
        (
            format!("classes = 2\n{VECTOR}type = \"tanh\""),
            "the network has `classes`, but no layer that uses labels; add one of type condition or projection, or remove `classes`",
        ),
        (
            "input = { features = 0 }\nlayer = [{ type = \"relu\" }]".into(),
            "input: expected 1 to 2147483648 numbers per sample, got 0 features",
        ),
        (
            "input = { features = 1 }\nlayer = []".into(),
            "the network has no layers; add a [[layer]] table",
        ),
    ] {
        assert_eq!(refused(&text), expected);
    }
}

/// A file may hold any numbers; none is multiplied before it is looked at.
#[test]
fn sizes_that_no_tensor_can_have_are_refused() {
    const VECTOR: &str = "input = { features = 10 }\n[[layer]]\n";
    const IMAGE: &str = "input = { channels = 3, height = 5, width = 4 }\n[[layer]]\n";
    const HUGE: usize = 9_000_000_000_000_000_000;
    for (text, expected) in [
        (
            format!("{IMAGE}type = \"conv2d\"\nout = 3\nkernel = 3\nstride = [6, 1]"),
            "layer 0 (conv2d): expected a stride of at most the padded image, [5, 4], got [6, 1]",
        ),
        (
            format!("{IMAGE}type = \"conv2d\"\nout = 3\nkernel = 3\nstride = 65536\npad = 1"),
            "layer 0 (conv2d): expected a stride of at most the padded image, [7, 6], got [65536, 65536]",
        ),
        (
            format!("{IMAGE}type = \"conv2d\"\nout = 3\nkernel = 3\nstride = 65\npad = 100"),
            "layer 0 (conv2d): expected a stride of at most 4096, rows times columns, got [65, 65]",
        ),
        (
            format!("{IMAGE}type = \"conv_transpose2d\"\nout = 3\nkernel = 4\nstride = {HUGE}"),
            "layer 0 (conv_transpose2d): expected a stride of at most 4096, rows times columns, got [9000000000000000000, 9000000000000000000]",
        ),
        (
            format!("{IMAGE}type = \"conv2d\"\nout = 3\nkernel = 3\npad = 1000000000"),
            "layer 0 (conv2d): expected a padded image of 1 to 2147483648 elements, got 2000000005 x 2000000004",
        ),
        (
            format!("{IMAGE}type = \"conv_transpose2d\"\nout = {HUGE}\nkernel = {HUGE}"),
            "layer 0 (conv_transpose2d): expected weight of 1 to 2147483648 elements, got 3 x 9000000000000000000 x 9000000000000000000 x 9000000000000000000",
        ),
        (
            format!("{VECTOR}type = \"linear\"\nout = 4294967296"),
            "layer 0 (linear): expected weight of 1 to 2147483648 elements, got 4294967296 x 10",
        ),
        (
            format!("{VECTOR}type = \"linear\"\nout = {HUGE}\nbias = false\nspectral_norm = true"),
            "layer 0 (linear): expected weight of 1 to 2147483648 elements, got 9000000000000000000 x 10",
        ),
        (
            format!("{VECTOR}type = \"maxout\"\nout = {HUGE}\npieces = 5"),
            "layer 0 (maxout): expected out pieces of 1 to 2147483648 elements, got 9000000000000000000 x 5",
        ),
        (
            format!("{VECTOR}type = \"minibatch_discrimination\"\nkernels = {HUGE}"),
            "layer 0 (minibatch_discrimination): expected kernels dims of 1 to 2147483648 elements, got 9000000000000000000 x 5",
        ),
        (
            format!("{VECTOR}type = \"unflatten\"\nchannels = {HUGE}\nheight = {HUGE}\nwidth = 0"),
            "layer 0 (unflatten): expected channels, height and width of 1 to 2147483648 elements, got 9000000000000000000 x 9000000000000000000 x 0",
        ),
        (
            format!("{IMAGE}type = \"upsample\"\nfactor = {HUGE}"),
            "layer 0 (upsample): expected an image of 1 to 2147483648 elements, got 3 x 5 x 4 x 9000000000000000000 x 9000000000000000000",
        ),
        (
            format!("{VECTOR}type = \"branches\"\ncount = {HUGE}\nlayers = [{{ type = \"tanh\" }}]"),
            "layer 0 (branches): expected at most 1024 branches, nested ones multiplied, got 9000000000000000000",
        ),
        (
            format!("classes = {HUGE}\n{VECTOR}type = \"condition\""),
            "layer 0 (condition): expected classes of 1 to 2147483648 elements, got 9000000000000000000",
        ),
        (
            format!("classes = 2147483648\n{VECTOR}type = \"condition\""),
            "layer 0 (condition): expected 1 to 2147483648 numbers per sample to come out, got 2147483658 features",
        ),
        (
            "input = { channels = 9000000000000000000, height = 3, width = 9000000000000000000 }\nlayer = [{ type = \"relu\" }]".into(),
            "input: expected 1 to 2147483648 numbers per sample, got 9000000000000000000 channels of 3x9000000000000000000",
        ),
        (
            format!("{VECTOR}type = \"linear\"\nout = 40000\n[[layer]]\ntype = \"linear\"\nout = 40000\n[[layer]]\ntype = \"linear\"\nout = 40000"),
            "layer 2 (linear): expected at most 2147483648 numbers in the network up to here, got 3200480000",
        ),
    ] {
        assert_eq!(refused(&text), expected);
    }
    // At the limits.
    for layer in [
        format!("{IMAGE}type = \"conv2d\"\nout = 3\nkernel = 3\nstride = [5, 4]"),
        format!("{IMAGE}type = \"conv_transpose2d\"\nout = 3\nkernel = 1\nstride = 64"),
        format!("{VECTOR}type = \"branches\"\ncount = 1024\nlayers = [{{ type = \"tanh\" }}]"),
    ] {
        super::network(&layer);
    }
}

#[test]
fn a_file_with_a_wrong_key_or_type_gives_its_line() {
    let good = "[generator]\ninput = { features = 2 }\n[[generator.layer]]\ntype = \"linear\"\nout = 1\n\n[discriminator]\ninput = { features = 1 }\n[[discriminator.layer]]\ntype = \"linear\"\nout = 1\n";
    ModelSpec::from_toml("mine.toml", good)
        .unwrap()
        .build()
        .unwrap();
    for (from, to, line, words) in [
        (
            "out = 1\n\n",
            "out = 1\nbais = true\n",
            "line 3",
            "unknown field `bais`",
        ),
        (
            "type = \"linear\"",
            "type = \"lineal\"",
            "line 4",
            "unknown variant `lineal`",
        ),
        ("out = 1\n\n", "\n", "line 3", "missing field `out`"),
        (
            "{ features = 2 }",
            "{ feature = 2 }",
            "line 2",
            "expected `{ features = N }` or `{ channels = C, height = H, width = W }`",
        ),
        (
            "input = { features = 2 }",
            "input = { features = 2 }\ninti = \"dcgan\"",
            "line 3",
            "unknown field `inti`",
        ),
        (
            "out = 1\n\n",
            "out = -1\n\n",
            "line 3",
            "invalid value: integer `-1`",
        ),
        ("[generator]", "[generator", "line 1", "unclosed table"),
    ] {
        let text = good.replacen(from, to, 1);
        let e = ModelSpec::from_toml("mine.toml", &text)
            .unwrap_err()
            .to_string();
        assert!(
            e.starts_with("mine.toml: ") && e.contains(line) && e.contains(words),
            "{e}"
        );
    }
}

#[test]
fn networks_that_do_not_fit_each_other() {
    let model = |sample: &str, latents: &str, g_out: usize, d_in: &str, d_out: usize| {
        let text = format!(
            "{sample}\n[generator]\ninput = {latents}\n[[generator.layer]]\ntype = \"flatten\"\n[[generator.layer]]\ntype = \"linear\"\nout = {g_out}\n\
             [discriminator]\ninput = {d_in}\n[[discriminator.layer]]\ntype = \"flatten\"\n[[discriminator.layer]]\ntype = \"linear\"\nout = {d_out}\n"
        );
        ModelSpec::from_toml("mine", &text)
            .unwrap()
            .build()
            .map(|m| m.sample)
    };
    let (z, x) = ("{ features = 2 }", "{ features = 4 }");
    assert!(model("", z, 4, x, 1).is_ok());
    let image = "sample = { channels = 1, height = 2, width = 2 }";
    assert!(model(image, z, 4, x, 1).is_ok());
    for (result, expected) in [
        (
            model("", z, 5, x, 1),
            "discriminator's input: expected what the generator gives (5 features), got 4 features",
        ),
        (
            model("", z, 4, x, 2),
            "discriminator's output: expected 1 feature, the logit, got 2 features",
        ),
        (
            model("", "{ channels = 1, height = 1, width = 2 }", 4, x, 1),
            "generator's input: expected latents, `{ features = N }`, got 1 channels of 1x2",
        ),
        (
            model("sample = { features = 3 }", z, 4, x, 1),
            "sample: expected what the generator gives (4 features) or an image of as many numbers, got 3 features",
        ),
    ] {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_model_that_is_not_there() {
    let e = model_by_name_or_file("dcgan29").unwrap_err().to_string();
    assert!(
        e.starts_with("no model is named `dcgan29`; built-in models: mlp, dcgan28,"),
        "{e}"
    );
    let e = model_by_name_or_file("no/such/file.toml").unwrap_err();
    assert!(
        matches!(e, NnError::Read { .. }) && e.to_string().starts_with("no/such/file.toml: "),
        "{e}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, gan_gpu::nn::models::MODELS[0].1).unwrap();
    assert_eq!(
        model_by_name_or_file(path.to_str().unwrap()).unwrap(),
        model_by_name_or_file("mlp").unwrap()
    );
}

#[test]
fn a_forward_pass_checks_what_it_is_given() {
    let net = super::network(
        "input = { features = 3 }\n[[layer]]\ntype = \"linear\"\nout = 2\n[[layer]]\ntype = \"batch_norm\"",
    );
    let mut g = Graph::new();
    let leaves = |g: &mut Graph, specs: &[gan_gpu::nn::ParamSpec]| {
        specs
            .iter()
            .map(|p| g.leaf(&p.name, p.shape.clone()))
            .collect::<Vec<_>>()
    };
    let (params, states) = (leaves(&mut g, net.params()), leaves(&mut g, net.states()));
    let x = g.leaf("x", [3, 4]);
    assert!(
        net.forward(&mut g, &params, &states, x, Mode::Train)
            .is_ok()
    );
    let mut refused = |params: &[_], states: &[_], shape: &[usize], mode| {
        let x = g.leaf("x", shape);
        net.forward(&mut g, params, states, x, mode)
            .unwrap_err()
            .to_string()
    };
    let mut swapped = params.clone();
    swapped.swap(0, 1);
    assert_eq!(
        refused(&params[1..], &states, &[3, 4], Mode::Eval),
        "forward: parameters: expected 4 tensors, got 3"
    );
    assert_eq!(
        refused(&params, &[], &[3, 4], Mode::Eval),
        "forward: states: expected 2 tensors, got 0"
    );
    assert_eq!(
        refused(&swapped, &states, &[3, 4], Mode::Eval),
        "forward: parameter `0.weight`: expected [2, 3], got [2]"
    );
    assert_eq!(
        refused(&params, &states, &[4, 3], Mode::Eval),
        "forward: input: expected 3 features per sample, batch second, got [4, 3]"
    );
    assert_eq!(
        refused(&params, &states, &[], Mode::Eval),
        "forward: input: expected 3 features per sample, batch second, got []"
    );
    assert_eq!(
        refused(&params, &states, &[3, 1], Mode::Train),
        "layer 1 (batch_norm): expected more than one value per channel in training (a larger batch): one value has no variance, got [2, 1]"
    );
}

/// The label is there exactly where layers use it, one column per sample.
#[test]
fn a_forward_pass_checks_its_label() {
    use gan_gpu::nn::Given;
    let layer = "input = { features = 3 }\n[[layer]]\ntype";
    let with = super::network(&format!("classes = 4\n{layer} = \"condition\""));
    let without = super::network(&format!("{layer} = \"tanh\""));
    assert_eq!((with.classes(), without.classes()), (Some(4), None));
    let mut g = Graph::new();
    let x = g.leaf("x", [3, 5]);
    let labels = [[4, 5], [5, 4], [4, 1]].map(|shape| g.leaf("label", shape));
    let mut pass =
        |net: &Network, label| net.forward(&mut g, &[], &[], Given { x, label }, Mode::Eval);
    assert!(pass(&with, Some(labels[0])).is_ok() && pass(&without, None).is_ok());
    let wanted = "forward: label: expected [4, 5], a column of class weights per sample, got";
    for (label, got) in [
        (None, "none"),
        (Some(labels[1]), "[5, 4]"),
        (Some(labels[2]), "[4, 1]"),
    ] {
        let e = pass(&with, label).unwrap_err().to_string();
        assert_eq!(e, format!("{wanted} {got}"));
    }
    let e = pass(&without, Some(labels[0])).unwrap_err().to_string();
    assert_eq!(
        e,
        "forward: label: expected none, as no layer of this network uses it, got [4, 5]"
    );
}
