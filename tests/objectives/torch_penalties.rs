//! Gradient penalty and R1 of whole critics, and their gradients in every parameter, against PyTorch
//! (`assets/goldens/second_order.safetensors`).
use super::critics::critic;
use super::torch::{Bench, Goldens, distance};
use gan_gpu::gan::regularisers::{Critic, Samples};
use gan_gpu::gan::{Objective, Regulariser};
use gan_gpu::graph::{Distribution, Expr, Graph};
use gan_gpu::nn::models::{DiscriminatorOutput, MODELS, Pairing};
use gan_gpu::nn::{Mode, ParamSpec, model_by_name_or_file};

#[test]
fn penalties_and_their_gradients_are_pytorchs() {
    let goldens = Goldens::open("second_order.safetensors");
    let critics: serde_json::Value = serde_json::from_str(&goldens.metadata["critics"]).unwrap();
    let critics = critics.as_array().unwrap();
    assert_eq!(critics.len(), 8);
    for entry in critics {
        let name = entry["name"].as_str().unwrap();
        let net = critic(name);
        let mut b = Bench::default();
        let x = b.tensor("x", &goldens.get(&format!("{name}/x")).swap_batch());
        let params: Vec<Expr> = net
            .params()
            .iter()
            .map(|p| b.tensor(&p.name, goldens.get(&format!("{name}/p/{}", p.name))))
            .collect();
        let states: Vec<Expr> = net
            .states()
            .iter()
            .map(|s| b.g.constant(1.0, s.shape.clone()))
            .collect();
        let mut forward =
            |g: &mut Graph, x: Expr| Ok(net.forward(g, &params, &states, x, Mode::Train)?.output);
        let output = forward(&mut b.g, x).unwrap();
        let check = |what: &str, got: &[f64], golden: &str| {
            let d = distance(got, &goldens.get(&format!("{name}/{golden}")).values);
            assert!(
                d < 2e-6,
                "{name} {what}: relative distance {d:.1e} from PyTorch"
            );
        };
        check("output", &b.value(output), "output");
        // With x as both real and generated sample, x^ is x.
        let batch = b.g.shape(x)[1];
        let epsilon = b.g.constant(0.5, [1, batch]);
        let samples = Samples {
            real: x,
            fake: x,
            epsilon,
        };
        for (r, golden) in [
            (Regulariser::GradientPenalty, "wgan_gp"),
            (Regulariser::R1, "r1"),
            (Regulariser::R2, "r1"),
        ] {
            let penalty = r
                .penalty(&mut b.g, 10.0, samples, Critic::new(&params, &mut forward))
                .unwrap();
            check(r.name(), &b.value(penalty), &format!("{golden}/value"));
            let gradients = b.g.gradients(penalty, &params).unwrap();
            for (p, &gradient) in net.params().iter().zip(&gradients) {
                check(
                    &p.name,
                    &b.value(gradient),
                    &format!("{golden}/grad/{}", p.name),
                );
            }
            // Half the penalty's weight must not pass for it.
            let half = r
                .penalty(&mut b.g, 5.0, samples, Critic::new(&params, &mut forward))
                .unwrap();
            let golden = &goldens.get(&format!("{name}/{golden}/value")).values;
            assert!(distance(&b.value(half), golden) > 0.1);
        }
    }
}

/// Every built-in model's D loss with each penalty, and G's loss, differentiate in every parameter; each state is updated
/// once per pass.
#[test]
fn built_in_models_differentiate_twice() {
    for (name, _) in MODELS {
        let mut pairing = Pairing::default();
        if name.starts_with("ebgan") {
            pairing.output = DiscriminatorOutput::Reconstruction;
        }
        let spec = model_by_name_or_file(name).unwrap();
        let m = spec.build_for(&pairing).unwrap();
        let mut g = Graph::new();
        let leaves = |g: &mut Graph, specs: &[ParamSpec]| -> Vec<Expr> {
            specs
                .iter()
                .map(|p| g.leaf(&p.name, p.shape.clone()))
                .collect()
        };
        let (gp, gs) = (
            leaves(&mut g, m.generator.params()),
            leaves(&mut g, m.generator.states()),
        );
        let (dp, ds) = (
            leaves(&mut g, m.discriminator.params()),
            leaves(&mut g, m.discriminator.states()),
        );
        let z = g.random(Distribution::Normal, m.generator.input_shape(2));
        let fake = m
            .generator
            .forward(&mut g, &gp, &gs, z, Mode::Train)
            .unwrap();
        let mut updated: Vec<usize> = fake.state_updates.iter().map(|u| u.0).collect();
        updated.sort_unstable();
        assert_eq!(updated, (0..gs.len()).collect::<Vec<_>>(), "{name}");
        for (i, value) in &fake.state_updates {
            assert_eq!(*g.shape(*value), m.generator.states()[*i].shape, "{name}");
        }
        let data = g.source("data", m.sample.shape(2));
        let real = m.data_to_network(&mut g, data).unwrap();
        let mut d = |g: &mut Graph, x: Expr| {
            let made = m.discriminator.forward(g, &dp, &ds, x, Mode::Train)?;
            if pairing.output == DiscriminatorOutput::Features(1) {
                return Ok(made.output);
            }
            // An auto-encoder's energy stands for the logit.
            let error = g.sub(made.output, x)?;
            let squared = g.square(error)?;
            Ok(g.sum(squared, &[0])?)
        };
        let (s_real, s_fake) = (d(&mut g, real).unwrap(), d(&mut g, fake.output).unwrap());
        let mut d_loss = Objective::Hinge
            .discriminator_loss(&mut g, s_real, s_fake)
            .unwrap();
        let detached = g.stop_gradient(fake.output);
        let samples = Samples::new(&mut g, real, detached);
        for r in Regulariser::ALL {
            let penalty = r
                .penalty(&mut g, 1.0, samples, Critic::new(&[], &mut d))
                .unwrap();
            d_loss = g.add(d_loss, penalty).unwrap();
        }
        let g_loss = Objective::NonSaturating
            .generator_loss(&mut g, None, s_fake)
            .unwrap();
        for (loss, params) in [(d_loss, &dp), (g_loss, &gp)] {
            let gradients = g.gradients(loss, params).unwrap();
            for (&p, &gradient) in params.iter().zip(&gradients) {
                assert_eq!(g.shape(gradient), g.shape(p), "{name}");
                assert_eq!(
                    g.constant_value(gradient),
                    None,
                    "{name}: a parameter without a gradient"
                );
            }
        }
    }
}
