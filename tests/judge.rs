//! D asked about given samples: what comes back is its forward pass in evaluation mode under the weights of the moment, sample by
//! sample, and asking changes nothing.
use gan_gpu::data::toy::ToySet;
use gan_gpu::gan::GanError;
use gan_gpu::gan::config::GanConfig;
use gan_gpu::gan::trainer::{Data, Pair, State, Trainer};
use gan_gpu::gpu::testing::{assert_close, close, gpu};
use gan_gpu::graph::{Expr, Graph, Reference};
use gan_gpu::nn::models::Pairing;
use gan_gpu::nn::{Mode, Model, ModelSpec, ParamSpec};

const METHOD: &str = r#"
objective = "non_saturating"
batch = 32
optimiser.d = { name = "adam", lr = 1e-2 }
optimiser.g = { name = "adam", lr = 1e-3 }
"#;
/// Points, with a norm in D whose running statistics move.
const POINTS: &str = r#"
[generator]
input = { features = 3 }
layer = [{ type = "linear", out = 2 }]
[discriminator]
input = { features = 2 }
layer = [
  { type = "linear", out = 9 }, { type = "batch_norm" }, { type = "leaky_relu", slope = 0.2 }, { type = "linear", out = 1 },
]
"#;
/// Images that D sees as they are, with a norm per channel.
const IMAGES: &str = r#"
[generator]
input = { features = 3 }
layer = [{ type = "linear", out = 162 }, { type = "unflatten", channels = 2, height = 9, width = 9 }]
[discriminator]
input = { channels = 2, height = 9, width = 9 }
layer = [
  { type = "conv2d", out = 5, kernel = 3, stride = 2 }, { type = "batch_norm" }, { type = "relu" }, { type = "flatten" },
  { type = "linear", out = 1 },
]
"#;
/// Images that both networks see as vectors.
const VECTORS: &str = r#"
sample = { channels = 1, height = 3, width = 4 }
[generator]
input = { features = 3 }
layer = [{ type = "linear", out = 12 }]
[discriminator]
input = { features = 12 }
layer = [{ type = "linear", out = 1 }]
"#;

fn model(text: &str) -> Model {
    ModelSpec::from_toml("model", text)
        .unwrap()
        .build()
        .unwrap()
}

fn trainer(text: &str, data: Data) -> Trainer {
    let config = GanConfig::from_toml("method", METHOD).unwrap();
    Trainer::new(&gpu(), model(text), config, data, 5).unwrap()
}

/// D in f64 on the state's weights, over the whole batch at once; samples row by row.
fn expected(model: &Model, state: &State, samples: &[f32], mode: Mode) -> Vec<f64> {
    let (mut g, mut reference) = (Graph::new(), Reference::new());
    let per_sample = model.sample.numel();
    let count = samples.len() / per_sample;
    let mut tensors = |g: &mut Graph, specs: &[ParamSpec]| -> Vec<Expr> {
        let mut leaves = vec![];
        for p in specs {
            let name = format!("d.{}", p.name);
            let tensor = state.tensors.iter().find(|t| t.name == name).unwrap();
            let leaf = g.leaf(&name, p.shape.clone());
            let values = tensor.values.iter().map(|&v| f64::from(v)).collect();
            reference.bind(g, leaf, values);
            leaves.push(leaf);
        }
        leaves
    };
    let params = tensors(&mut g, model.discriminator.params());
    let states = tensors(&mut g, model.discriminator.states());
    // Batch second.
    let shape = model.sample.shape(count);
    let inner: usize = shape[2..].iter().product();
    let mut batch = vec![];
    for c in 0..shape[0] {
        for row in samples.chunks(per_sample) {
            let plane = &row[c * inner..(c + 1) * inner];
            batch.extend(plane.iter().map(|&v| f64::from(v)));
        }
    }
    let x = g.leaf("x", shape);
    reference.bind(&g, x, batch);
    let x = model.data_to_network(&mut g, x).unwrap();
    let pass = model
        .discriminator
        .forward(&mut g, &params, &states, x, mode);
    reference.evaluate(&g, &[pass.unwrap().output]).unwrap()[0].clone()
}

/// Ragged numbers, -1..1, no two samples alike.
fn samples(model: &Model, count: usize) -> Vec<f32> {
    let all = 0..count * model.sample.numel();
    all.map(|i| ((i * 2_654_435_761) % 1009) as f32 / 504.0 - 1.0)
        .collect()
}

#[test]
fn judgements_are_d_s_outputs_in_evaluation_mode() {
    // Counts straddle the 512 and 16 samples that one execution takes.
    for (text, data, counts) in [
        (POINTS, Data::Toy(ToySet::Ring8), [1, 511, 513]),
        (IMAGES, Data::Host, [1, 16, 33]),
        (VECTORS, Data::Glyphs, [1, 7, 513]),
    ] {
        let mut trainer = trainer(text, data);
        trainer.step_block(3).unwrap();
        let model = trainer.model().clone();
        let state = trainer.state().unwrap();
        for count in counts {
            let x = samples(&model, count);
            let got = trainer.judge(&x).unwrap();
            let want = expected(&model, &state, &x, Mode::Eval);
            assert_close(&format!("{count} samples"), &got, &want, 1e-5, 1e-5);
            if count == 1 {
                continue; // no batch statistics, no neighbour
            }
            // The check sees batch statistics in place of running ones, and a neighbour's output.
            let wrong = expected(&model, &state, &x, Mode::Train);
            let has_norm = !model.discriminator.states().is_empty();
            assert_eq!(close(&got, &wrong, 1e-5, 1e-5).is_err(), has_norm);
            let mut turned = want.clone();
            turned.rotate_right(1);
            close(&got, &turned, 1e-5, 1e-5).unwrap_err();
        }
        assert_eq!(trainer.state().unwrap(), state);
    }
}

#[test]
fn asking_does_not_change_training_and_the_answer_follows_it() {
    let (mut asked, mut other) = (
        trainer(POINTS, Data::Toy(ToySet::Ring8)),
        trainer(POINTS, Data::Toy(ToySet::Ring8)),
    );
    let x = samples(asked.model(), 5);
    // One device per thread: these are the buffers of this test. A second block makes none, the first question makes some.
    let held = || gpu().traffic().buffers_created;
    asked.step_block(1).unwrap();
    let before = held();
    let first = asked.judge(&x).unwrap();
    assert!(held() > before);
    let before = held();
    assert_eq!(first, asked.judge(&x).unwrap());
    asked.step_block(2).unwrap();
    assert_eq!(held(), before);
    assert_ne!(asked.judge(&x).unwrap(), first);
    other.step_block(3).unwrap();
    assert_eq!(asked.state().unwrap(), other.state().unwrap());
    assert!(asked.judge(&[]).unwrap().is_empty());
    let error = asked.judge(&x[1..]).unwrap_err();
    assert!(
        matches!(error, GanError::Samples { width: 2, got: 9 }),
        "{error}"
    );
}

#[test]
fn a_finished_run_answers_as_its_trainer_did() {
    let mut trainer = trainer(POINTS, Data::Toy(ToySet::Ring8));
    trainer.step_block(3).unwrap();
    let mut state = trainer.state().unwrap();
    let x = samples(trainer.model(), 9);
    let mut pair = Pair::new(&gpu(), model(POINTS), trainer.config().clone()).unwrap();
    pair.restore(&state).unwrap();
    assert_eq!(pair.judge(&x).unwrap(), trainer.judge(&x).unwrap());
    // A generator alone draws samples, but there is nobody to ask.
    state.tensors.retain(|t| !t.name.starts_with("d."));
    pair.restore(&state).unwrap();
    let z = pair.generator().latents(4, 0);
    assert_eq!(
        pair.generator().sample(&z, None, false, false).unwrap(),
        trainer.generator().sample(&z, None, false, false).unwrap()
    );
    let error = pair.judge(&x).unwrap_err().to_string();
    assert!(error.contains("no tensor `d.*`"), "{error}");
}

#[test]
fn a_discriminator_that_needs_more_than_a_sample_says_what() {
    let method = format!("pack = 2\n{METHOD}");
    let config = GanConfig::from_toml("method", &method).unwrap();
    let packed = POINTS.replace(
        "[discriminator]\ninput = { features = 2 }",
        "[discriminator]\ninput = { features = 4 }",
    );
    let spec = ModelSpec::from_toml("model", &packed).unwrap();
    let model = spec
        .build_for(&Pairing {
            pack: 2,
            ..Default::default()
        })
        .unwrap();
    let trainer = Trainer::new(&gpu(), model, config, Data::Toy(ToySet::Ring8), 5).unwrap();
    let error = trainer.judge(&[0.0; 4]).unwrap_err().to_string();
    assert!(
        error.contains("--pack") && error.contains("4 features"),
        "{error}"
    );
}
