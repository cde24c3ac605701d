//! The small critics of `assets/goldens/second_order.safetensors`.
use gan_gpu::nn::{Network, NetworkSpec};

/// The critics of tools/reference/second_order.py.
pub fn critic(name: &str) -> Network {
    const FLAT: &str = "input = { features = 6 }\n";
    const IMAGE: &str = "input = { channels = 2, height = 10, width = 8 }\n";
    let linear = |out| format!("[[layer]]\ntype = \"linear\"\nout = {out}\n");
    let plain = |kind: &str| match kind {
        "leaky_relu" => "[[layer]]\ntype = \"leaky_relu\"\nslope = 0.2\n".to_string(),
        kind => format!("[[layer]]\ntype = \"{kind}\"\n"),
    };
    let conv1 = "[[layer]]\ntype = \"conv2d\"\nout = 5\nkernel = 4\nstride = 2\npad = 1\n";
    let conv2 =
        "[[layer]]\ntype = \"conv2d\"\nout = 7\nkernel = 3\nstride = [2, 1]\npad = [0, 1]\n";
    let text = match name.split_once('_').unwrap() {
        ("conv", "batch_norm") => {
            format!("{IMAGE}{conv1}bias = false\n")
                + &plain("batch_norm")
                + &plain("leaky_relu")
                + &plain("flatten")
                + &linear(1)
        }
        ("mlp", "layer_norm") => {
            FLAT.to_string()
                + &linear(17)
                + &plain("layer_norm")
                + &plain("leaky_relu")
                + &linear(1)
        }
        ("mlp", act) => {
            FLAT.to_string() + &linear(17) + &plain(act) + &linear(9) + &plain(act) + &linear(1)
        }
        ("conv", act) => {
            format!("{IMAGE}{conv1}")
                + &plain(act)
                + conv2
                + &plain(act)
                + &plain("flatten")
                + &linear(1)
        }
        _ => panic!("unknown critic {name}"),
    };
    Network::new(&toml::from_str::<NetworkSpec>(&text).unwrap()).unwrap()
}
