//! Gradients of gradients on the device: the WGAN-GP penalty and R1 of whole critics in every parameter against PyTorch
//! (`assets/goldens/second_order.safetensors`), and the gradient through one unrolled step of D against its formula. Both kernel
//! forms run on whatever adapter there is; the f64 reference's own proofs are in `tests/gradients` and `tests/objectives`.
#[path = "support/critics.rs"]
mod critics;
#[path = "support/torch.rs"]
mod torch;

use critics::critic;
use gan_gpu::gan::Regulariser;
use gan_gpu::gan::regularisers::{Critic, Samples};
use gan_gpu::gpu::testing::{assert_close, close, gpu};
use gan_gpu::graph::plan::Form;
use gan_gpu::graph::plan::evaluate::{Options, evaluate};
use gan_gpu::graph::{Expr, Graph};
use gan_gpu::nn::Mode;
use torch::{Goldens, Tensor, distance};

const FORMS: [Form; 2] = [Form::Cpu, Form::Gpu];

fn options(form: Form) -> Options {
    Options {
        form: Some(form),
        ..Options::default()
    }
}

/// The largest distance of both penalties, and of their gradients in every parameter, from PyTorch; `weight` is 10 in the goldens.
fn penalties(name: &str, form: Form, weight: f32) -> f64 {
    let gpu = gpu();
    let goldens = Goldens::open("second_order.safetensors");
    let net = critic(name);
    let mut g = Graph::new();
    let mut inputs: Vec<(Expr, Vec<f32>)> = vec![];
    let mut leaf = |g: &mut Graph, label: &str, t: &Tensor| {
        let e = g.leaf(label, t.shape.clone());
        inputs.push((e, t.values.iter().map(|&v| v as f32).collect()));
        e
    };
    let x = leaf(&mut g, "x", &goldens.get(&format!("{name}/x")).swap_batch());
    let mut params = vec![];
    for p in net.params() {
        let golden = goldens.get(&format!("{name}/p/{}", p.name));
        params.push(leaf(&mut g, &p.name, golden));
    }
    let states: Vec<Expr> = net
        .states()
        .iter()
        .map(|s| g.constant(1.0, s.shape.clone()))
        .collect();
    let mut forward =
        |g: &mut Graph, x: Expr| Ok(net.forward(g, &params, &states, x, Mode::Train)?.output);
    // With x as both real and generated sample, x^ is x.
    let epsilon = g.constant(0.5, [1, g.shape(x)[1]]);
    let samples = Samples {
        real: x,
        fake: x,
        epsilon,
    };
    let mut wanted = vec![(forward(&mut g, x).unwrap(), format!("{name}/output"))];
    for (r, golden) in [
        (Regulariser::GradientPenalty, "wgan_gp"),
        (Regulariser::R1, "r1"),
    ] {
        let penalty = r
            .penalty(&mut g, weight, samples, Critic::new(&params, &mut forward))
            .unwrap();
        wanted.push((penalty, format!("{name}/{golden}/value")));
        let gradients = g.gradients(penalty, &params).unwrap();
        for (p, gradient) in net.params().iter().zip(gradients) {
            wanted.push((gradient, format!("{name}/{golden}/grad/{}", p.name)));
        }
    }
    let outputs: Vec<Expr> = wanted.iter().map(|w| w.0).collect();
    let inputs: Vec<(Expr, &[f32])> = inputs.iter().map(|(e, v)| (*e, v.as_slice())).collect();
    let got = evaluate(&gpu, &g, &inputs, &outputs, options(form)).unwrap();
    let mut worst = 0.0f64;
    for ((_, golden), got) in wanted.iter().zip(got) {
        let got: Vec<f64> = got.iter().map(|&v| v as f64).collect();
        let expected = &goldens.get(golden).values;
        // A bias that moves all outputs alike has no part in a penalty on gradients: exactly zero in both.
        let deviation = match expected.iter().all(|&v| v == 0.0) {
            true => got.iter().fold(0.0, |a: f64, v| a.max(v.abs())),
            false => distance(&got, expected),
        };
        assert!(!deviation.is_nan(), "{golden}: {got:?}");
        worst = worst.max(deviation);
    }
    worst
}

/// float32 against the f64 goldens; far below the 1e-4 that is asked.
const NEAR: f64 = 5e-6;

#[track_caller]
fn penalties_are_pytorchs(name: &str) {
    for form in FORMS {
        let worst = penalties(name, form, 10.0);
        println!("{name} ({form:?}): largest relative distance {worst:.1e}");
        assert!(
            worst < NEAR,
            "{name} ({form:?}): {worst:.1e} away from PyTorch"
        );
    }
}

#[test]
fn penalties_of_a_multi_layer_perceptron() {
    penalties_are_pytorchs("mlp_tanh");
}
#[test]
fn penalties_of_a_convolutional_critic() {
    penalties_are_pytorchs("conv_leaky_relu");
}
#[test]
fn another_weight_is_noticed() {
    assert!(penalties("mlp_tanh", Form::Cpu, 10.01) > 5e-4);
}

/// The Dirac-GAN (Mescheder et al., arXiv 1801.04406): D(x) = psi x, real data at 0, generated at theta, logistic losses.
/// One gradient step of D with rate eta: psi' = psi - eta theta s(psi theta), with s the logistic function. Through it, G's loss
/// softplus(-psi' theta) has the derivative -s(-psi' theta) (psi' + theta dpsi'/dtheta),
/// dpsi'/dtheta = -eta (s + theta psi s (1 - s)) with s = s(psi theta).
#[test]
fn a_step_of_d_unrolled() {
    const N: usize = 33;
    const ETA: f64 = 0.7;
    let gpu = gpu();
    let psi: Vec<f32> = (0..N).map(|i| (i as f32 * 0.37).sin() * 1.5).collect();
    let theta: Vec<f32> = (0..N)
        .map(|i| 0.4 + (i as f32 * 0.53).cos() * 1.2)
        .collect();
    let mut g = Graph::new();
    let (p, t) = (g.leaf("psi", [N]), g.leaf("theta", [N]));
    let judged = g.mul(p, t).unwrap();
    let on_fake = g.softplus(judged);
    let d_loss = g.sum_all(on_fake).unwrap();
    let d_gradient = g.gradients(d_loss, &[p]).unwrap()[0];
    let step = g.scale(d_gradient, -ETA as f32).unwrap();
    // Once through the step, and once with the step taken for a constant.
    let cut = g.stop_gradient(step);
    let gradients: Vec<Expr> = [step, cut]
        .into_iter()
        .map(|step| {
            let next = g.add(p, step).unwrap();
            let judged = g.mul(next, t).unwrap();
            let against = g.neg(judged);
            let each = g.softplus(against);
            let loss = g.sum_all(each).unwrap();
            g.gradients(loss, &[t]).unwrap()[0]
        })
        .collect();
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let by_hand = |unrolled: bool| -> Vec<f64> {
        psi.iter()
            .zip(&theta)
            .map(|(&p, &t)| {
                let (p, t) = (p as f64, t as f64);
                let s = logistic(p * t);
                let next = p - ETA * t * s;
                let through = -ETA * (s + t * p * s * (1.0 - s));
                let through = if unrolled { through } else { 0.0 };
                -logistic(-next * t) * (next + t * through)
            })
            .collect()
    };
    for form in FORMS {
        let inputs = [(p, psi.as_slice()), (t, theta.as_slice())];
        let got = evaluate(&gpu, &g, &inputs, &gradients, options(form)).unwrap();
        let (abs, rel) = (1e-6, 1e-5);
        assert_close("unrolled", &got[0], &by_hand(true), abs, rel);
        assert_close("not unrolled", &got[1], &by_hand(false), abs, rel);
        // The two differ by far more than that.
        assert!(close(&got[1], &by_hand(true), 1e-2, 1e-2).is_err());
    }
}
