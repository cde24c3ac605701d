//! The first training step of whole models against PyTorch (`assets/goldens/train_*.safetensors`): names, order, layouts,
//! objective and penalty together, in f64, on no device.
use super::torch::{Bench, Goldens, Tensor, distance, fill, uniform};
use gan_gpu::gan::regularisers::{Critic, Samples};
use gan_gpu::gan::{Objective, Regulariser};
use gan_gpu::graph::{Expr, Graph};
use gan_gpu::nn::{Mode, Model, Network, model_by_name_or_file};

struct Step {
    goldens: Goldens,
    seed: u32,
    model: Model,
    b: Bench,
}

impl Step {
    fn open(name: &str) -> Step {
        let goldens = Goldens::open(&format!("train_{name}.safetensors"));
        let model = model_by_name_or_file(name).unwrap().build().unwrap();
        let seed = goldens.metadata["seed"].parse().unwrap();
        Step {
            goldens,
            seed,
            model,
            b: Bench::default(),
        }
    }
    /// A network's parameters, filled by the goldens' recipe, and its states.
    fn tensors(&mut self, net: &Network, key: &str) -> (Vec<Expr>, Vec<Expr>) {
        let recipe = self.goldens.list(key);
        assert_eq!(recipe.len(), net.params().len());
        let filled: Vec<Tensor> = recipe.iter().map(|r| fill(self.seed, r)).collect();
        for (p, (r, t)) in net.params().iter().zip(recipe.iter().zip(&filled)) {
            assert_eq!(r["name"], p.name);
            assert_eq!(t.shape, p.shape.to_vec(), "{}", p.name);
        }
        let params = filled.iter().map(|t| self.b.tensor(key, t)).collect();
        let initial = net.initial_state();
        let states = net.states().iter().map(|s| {
            let values: Vec<f64> = initial[s.offset..][..s.shape.numel()]
                .iter()
                .map(|&v| v as f64)
                .collect();
            self.b.leaf(&s.name, s.shape.clone(), &values)
        });
        (params, states.collect())
    }
    /// `got` is the golden: whole, or its samples and its norm.
    fn check(&self, name: &str, got: &[f64], stride: Option<usize>) {
        let near = |what: &str, got: &[f64], expected: &[f64]| {
            let d = distance(got, expected);
            assert!(d < 2e-6, "{what}: relative distance {d:.1e} from PyTorch");
        };
        let Some(stride) = stride else {
            return near(name, got, &self.goldens.get(name).values);
        };
        let samples: Vec<f64> = got.iter().step_by(stride).take(256).copied().collect();
        near(
            name,
            &samples,
            &self.goldens.get(&format!("{name}#samples")).values,
        );
        let norm = got.iter().map(|v| v * v).sum::<f64>().sqrt();
        near(
            name,
            &[norm],
            &self.goldens.get(&format!("{name}#summary")).values[..1],
        );
    }
    fn check_gradients(&self, which: &str, net: &Network, gradients: &[Vec<f64>]) {
        let recipe = self.goldens.list(&format!("parameters_{which}"));
        for (r, (p, gradient)) in recipe.iter().zip(net.params().iter().zip(gradients)) {
            let stride = r["stride"].as_u64().map(|s| s as usize);
            self.check(&format!("grad_{which}/{}", p.name), gradient, stride);
        }
    }
}

fn first_step(name: &str, objective: Objective, regularisers: &[Regulariser]) {
    let mut s = Step::open(name);
    let (g_net, d_net) = (s.model.generator.clone(), s.model.discriminator.clone());
    let (g_params, g_states) = s.tensors(&g_net, "parameters_g");
    let (d_params, d_states) = s.tensors(&d_net, "parameters_d");
    let batch: usize = s.goldens.metadata["batch"].parse().unwrap();
    let torch_shape = |net: &Network| {
        let mut shape = net.input_shape(batch).to_vec();
        shape.swap(0, 1);
        shape
    };
    let z = uniform(s.seed, 2001, &torch_shape(&g_net), 3f64.sqrt()).swap_batch();
    let z = s.b.tensor("z", &z);
    let x = uniform(s.seed, 3001, &torch_shape(&d_net), 1.0).swap_batch();
    let x = s.b.tensor("x", &x);
    let epsilon = uniform(s.seed, 4001, &[batch], 1.0).values;
    let epsilon: Vec<f64> = epsilon.iter().map(|e| 0.5 * (e + 1.0)).collect();
    let epsilon = s.b.leaf("epsilon", [1, batch], &epsilon);

    let made = g_net
        .forward(&mut s.b.g, &g_params, &g_states, z, Mode::Train)
        .unwrap();
    let detached = s.b.g.stop_gradient(made.output);
    let mut d = |g: &mut Graph, x: Expr| {
        Ok(d_net
            .forward(g, &d_params, &d_states, x, Mode::Train)?
            .output)
    };
    let (on_real, on_fake) = (d(&mut s.b.g, x).unwrap(), d(&mut s.b.g, detached).unwrap());
    let mut loss = objective
        .discriminator_loss(&mut s.b.g, on_real, on_fake)
        .unwrap();
    for r in regularisers {
        let samples = Samples {
            real: x,
            fake: detached,
            epsilon,
        };
        let penalty = r
            .penalty(&mut s.b.g, 10.0, samples, Critic::new(&d_params, &mut d))
            .unwrap();
        loss = s.b.g.add(loss, penalty).unwrap();
    }
    let mut all = s.b.g.gradients(loss, &d_params).unwrap();
    all.extend([made.output, on_real, on_fake, loss]);
    let mut values = s.b.reference.evaluate(&s.b.g, &all).unwrap();
    let last = values.split_off(d_params.len());
    let fake = Tensor {
        shape: s.b.g.shape(made.output).to_vec(),
        values: last[0].clone(),
    }
    .swap_batch();
    let fake_stride = s
        .goldens
        .metadata
        .get("fake_stride")
        .and_then(|v| v.parse().ok());
    s.check("fake", &fake.values, fake_stride);
    s.check("logits_real", &last[1], None);
    s.check("logits_fake", &last[2], None);
    let golden = s.goldens.get("loss_d").values[0];
    assert!(
        (last[3][0] / golden - 1.0).abs() < 1e-6,
        "loss_d {}, PyTorch {golden}",
        last[3][0]
    );
    s.check_gradients("d", &d_net, &values);
    // The check can fail: with the sign of the loss flipped, so is that of every gradient.
    let minus: Vec<f64> = values[0].iter().map(|v| -v).collect();
    assert!(distance(&minus, &values[0]) > 1.0);

    // WGAN-GP's G follows only after five critic steps.
    if objective == Objective::Wgan {
        return;
    }
    // Adam's first step in closed form: m^ = g, v^ = g^2.
    let lr: f64 = s.goldens.metadata["lr"].parse().unwrap();
    let mut moved = vec![];
    for (i, gradient) in values.iter().enumerate() {
        let before = s.b.value(d_params[i]);
        let after = before
            .iter()
            .zip(gradient)
            .map(|(p, g)| p - lr * g / (g.abs() + 1e-8));
        let spec = &d_net.params()[i];
        let after: Vec<f64> = after.collect();
        moved.push(s.b.leaf(&spec.name, spec.shape.clone(), &after));
    }
    let judged = d_net
        .forward(&mut s.b.g, &moved, &d_states, made.output, Mode::Train)
        .unwrap();
    let loss = objective
        .generator_loss(&mut s.b.g, None, judged.output)
        .unwrap();
    let mut all = s.b.g.gradients(loss, &g_params).unwrap();
    all.push(loss);
    let mut values = s.b.reference.evaluate(&s.b.g, &all).unwrap();
    let loss = values.split_off(g_params.len())[0][0];
    let golden = s.goldens.get("loss_g").values[0];
    assert!(
        (loss / golden - 1.0).abs() < 1e-6,
        "loss_g {loss}, PyTorch {golden}"
    );
    s.check_gradients("g", &g_net, &values);
}

#[test]
fn mlp() {
    first_step("mlp", Objective::NonSaturating, &[]);
}
#[test]
fn dcgan28() {
    first_step("dcgan28", Objective::NonSaturating, &[]);
}
#[test]
fn wgangp28() {
    first_step("wgangp28", Objective::Wgan, &[Regulariser::GradientPenalty]);
}
