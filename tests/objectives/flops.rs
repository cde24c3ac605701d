//! Arithmetic per iteration, to the last operation, as the PyTorch baseline counts it.
use gan_gpu::gan::Regulariser;
use gan_gpu::gan::flops::{Iteration, iteration_flops};
use gan_gpu::nn::model_by_name_or_file;
use serde_json::Value;

#[test]
fn flops_per_iteration_are_the_baselines() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/goldens/models.json");
    let goldens: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut checked = 0;
    for (name, golden) in goldens.as_object().unwrap() {
        let m = model_by_name_or_file(name).unwrap().build().unwrap();
        for (batch, expected) in golden["gflop_per_iter"].as_object().unwrap() {
            let wgan = name == "wgangp28";
            let iteration = Iteration {
                batch: batch.parse().unwrap(),
                d_steps: if wgan { 5 } else { 1 },
                regularisers: if wgan {
                    &[Regulariser::GradientPenalty]
                } else {
                    &[]
                },
                fresh_latents: wgan,
                freeze_d: false,
            };
            let flops = iteration_flops(&m.generator, &m.discriminator, &iteration);
            let expected = (expected.as_f64().unwrap() * 1e9).round() as u64;
            assert_eq!(flops, expected, "{name}, batch {batch}");
            let frozen = iteration_flops(
                &m.generator,
                &m.discriminator,
                &Iteration {
                    freeze_d: true,
                    ..iteration
                },
            );
            let d_weights: u64 = m.discriminator.flops(batch.parse().unwrap()).iter().sum();
            assert_eq!(frozen, expected - d_weights);
            checked += 1;
        }
    }
    assert_eq!(checked, 24);
}
