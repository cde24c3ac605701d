//! Every method on the device: it trains, reports what it should, stops and goes on bit for bit, and is the expression that its file says.
use gan_gpu::data::toy::ToySet;
use gan_gpu::gan::config::Optimiser;
use gan_gpu::gan::trainer::{Data, Kind, Round, Sampled, Trainer};
use gan_gpu::gan::{GanConfig, Objective};
use gan_gpu::gpu::{AdapterChoice, DeviceOptions, Gpu};
use gan_gpu::graph::plan::{Form, Target};
use gan_gpu::nn::ModelSpec;

fn gpu() -> Gpu {
    let choice = std::env::var("GAN_GPU_ADAPTER").unwrap_or("auto".into());
    let choice: AdapterChoice = choice.parse().unwrap();
    Gpu::open(&choice, DeviceOptions::default()).unwrap()
}

/// A small pair for points in the plane; D can be made an auto-encoder.
fn model(energy: bool) -> ModelSpec {
    let linear =
        |side: &str, out: usize| format!("[[{side}.layer]]\ntype = \"linear\"\nout = {out}\n");
    let tanh = |side: &str| format!("[[{side}.layer]]\ntype = \"tanh\"\n");
    let mut text = String::from("[generator]\ninput = { features = 4 }\n");
    text += &(linear("generator", 12) + &tanh("generator") + &linear("generator", 2));
    text += "[discriminator]\ninput = { features = 2 }\n";
    text += &(linear("discriminator", 12) + &tanh("discriminator"));
    text += &linear("discriminator", if energy { 2 } else { 1 });
    ModelSpec::from_toml("test", &text).unwrap()
}

fn config(method: &str) -> GanConfig {
    let objective = match method.contains("objective") {
        true => "",
        false => "objective = \"non_saturating\"\n",
    };
    let text = format!(
        "{objective}{method}\nbatch = 24\n[optimiser]\nd = {{ name = \"adam\", lr = 1e-2, beta1 = 0.5 }}\n\
         g = {{ name = \"adam\", lr = 1e-2, beta1 = 0.5 }}\n"
    );
    GanConfig::from_toml("test", &text).unwrap_or_else(|e| panic!("{method}: {e}"))
}

fn trainer(gpu: &Gpu, form: Form, method: &str) -> Trainer {
    trainer_of(gpu, form, config(method))
}

fn trainer_of(gpu: &Gpu, form: Form, config: GanConfig) -> Trainer {
    let energy = config.objective == Objective::Energy;
    let spec = config.adapt(model(energy)).unwrap();
    let pairing = config.pairing(spec.generator.input.numel());
    let model = spec.build_for(&pairing).unwrap();
    let target = Target::with_form(gpu.caps(), form);
    let data = Data::Toy(ToySet::Ring8);
    Trainer::with_target(gpu, &target, model, config, data, 3).unwrap()
}

/// Settings, and the names of what they report beside the losses.
const METHODS: &[(&str, &[&str])] = &[
    ("", &[]),
    (
        "objective = \"relativistic\"\nregularisers = [{ name = \"r1\", weight = 0.1 }, { name = \"r2\", weight = 0.1 }]",
        &["r1", "r2"],
    ),
    ("objective = \"relativistic_average\"\ng_steps = 2", &[]),
    (
        "objective = \"energy\"\nmargin = 2.0\npulling_away = 0.1",
        &["pulling_away"],
    ),
    (
        "regularisers = [{ name = \"dragan\", weight = 10.0 }]",
        &["dragan"],
    ),
    (
        "pack = 3\nregularisers = [{ name = \"gradient_penalty\", weight = 1.0 }]",
        &["gradient_penalty"],
    ),
    (
        "unroll = { steps = 3 }\ngradient_norms = true",
        &["grad_norm_d", "grad_norm_g"],
    ),
    (
        "unroll = { steps = 2, first_order = true }\nd_steps = 2",
        &[],
    ),
    ("generators = 4", &[]),
    (
        "encoder = { method = \"mrgan\" }\nunroll = { steps = 1 }",
        &["rebuilt_distance", "rebuilt_realism"],
    ),
    (
        "encoder = { method = \"veegan\" }\nd_steps = 2",
        &["latent_reconstruction"],
    ),
    (
        "conditional = { kind = \"concat\", classes = 8 }\nd_steps = 2",
        &[],
    ),
    ("conditional = { kind = \"projection\", classes = 8 }", &[]),
    (
        "conditional = { kind = \"auxiliary\", classes = 8 }",
        &["class_loss_d", "class_loss_g"],
    ),
    (
        "info = { categorical = 8, continuous = 1 }",
        &["information_loss_d", "information_loss_g"],
    ),
    ("updates = \"simultaneous\"", &[]),
];

/// Everything that the next round depends on, as bits.
fn bits(trainer: &Trainer) -> Vec<(String, Vec<u32>)> {
    let state = trainer.state().unwrap();
    let tensors = state.tensors.into_iter();
    tensors
        .map(|t| (t.name, t.values.into_iter().map(f32::to_bits).collect()))
        .collect()
}

#[test]
fn each_trains_reports_and_goes_on_bit_for_bit() {
    let gpu = gpu();
    for (method, names) in METHODS {
        let mut whole = trainer(&gpu, Form::Cpu, method);
        let scalars = whole.config().extra_scalars();
        let own: Vec<&str> = scalars.iter().map(|s| s.name).collect();
        assert_eq!(own, *names, "{method}");
        let before = bits(&whole);
        let rounds = whole.step_block(4).unwrap();
        assert!(rounds.iter().all(Round::is_finite), "{method}: {rounds:?}");
        for (k, name) in names.iter().enumerate() {
            assert!(
                rounds[3].extra[k] != 0.0,
                "{method}: {name} is not reported"
            );
        }
        let after = bits(&whole);
        for ((name, old), (_, new)) in before.iter().zip(&after) {
            let is_weight = name.ends_with("weight") && !name.starts_with("opt");
            assert!(!is_weight || old != new, "{method}: {name} is not trained");
        }
        // Two rounds, a checkpoint, another trainer that goes on from it.
        let mut first = trainer(&gpu, Form::Cpu, method);
        first.step_block(2).unwrap();
        let mut second = trainer(&gpu, Form::Cpu, method);
        second.restore(&first.state().unwrap()).unwrap();
        assert_eq!(second.step_block(2).unwrap(), rounds[2..], "{method}");
        assert_eq!(bits(&second), after, "{method}");
    }
}

/// The kernels for GPUs compute the same rounds: those methods whose programs hold something that no other test compiles.
#[test]
fn both_forms_agree() {
    let gpu = gpu();
    let own = ["unroll = { steps = 3 }", "generators", "pack", "info"];
    for (method, _) in METHODS
        .iter()
        .filter(|(method, _)| own.iter().any(|start| method.starts_with(start)))
    {
        let [cpu, other] = [Form::Cpu, Form::Gpu].map(|form| {
            let mut trainer = trainer(&gpu, form, method);
            trainer.step_block(2).unwrap()
        });
        for (a, b) in cpu.iter().zip(&other) {
            let values = |r: &Round| {
                [
                    vec![r.loss_d, r.loss_g, r.d_real, r.d_fake],
                    r.extra.clone(),
                ]
                .concat()
            };
            for (a, b) in values(a).into_iter().zip(values(b)) {
                assert!(
                    (a - b).abs() <= 2e-4 * a.abs().max(1.0),
                    "{method}: {a} and {b}"
                );
            }
        }
    }
}

/// The norms that are logged are those of the gradients that the arenas hold.
#[test]
fn gradient_norms_are_the_gradients() {
    let gpu = gpu();
    let mut trainer = trainer(&gpu, Form::Cpu, "gradient_norms = true\nd_steps = 2");
    let d = trainer.run_once(Kind::Discriminator).unwrap();
    let g = trainer.run_once(Kind::Generator).unwrap();
    let gradients = trainer.gradients().unwrap();
    let norm = |prefix: &str| {
        let own = gradients.iter().filter(|t| t.name.starts_with(prefix));
        let squares = own.flat_map(|t| t.values.iter().map(|&v| f64::from(v).powi(2)));
        squares.sum::<f64>().sqrt()
    };
    for (got, prefix) in [(d.extra[0], "d."), (g.extra[1], "g.")] {
        let expected = norm(prefix);
        assert!(
            (f64::from(got) - expected).abs() < 1e-5 * expected,
            "{prefix} {got} {expected}"
        );
    }
    assert!(norm("d.") != norm("g."));
}

/// Unrolling changes what G sees and nothing else: D's first update is the same, G's loss is that of a D further on, and the control arm has
/// the same loss with another gradient.
#[test]
fn unrolling_changes_the_generator_alone() {
    let gpu = gpu();
    let run = |method: &str| {
        let mut trainer = trainer(&gpu, Form::Cpu, method);
        let round = trainer.run_once(Kind::Both).unwrap();
        let gradients = trainer.gradients().unwrap();
        let of = |prefix: &str| -> Vec<f32> {
            let own = gradients.iter().filter(|t| t.name.starts_with(prefix));
            own.flat_map(|t| t.values.clone()).collect()
        };
        (round.loss_d, round.loss_g, of("d."), of("g."))
    };
    let plain = run("");
    let unrolled = run("unroll = { steps = 5 }");
    let control = run("unroll = { steps = 5, first_order = true }");
    assert_eq!((plain.0, &plain.2), (unrolled.0, &unrolled.2));
    // D further on is better at telling G's samples: G's loss is larger.
    assert!(unrolled.1 > plain.1 + 1e-3, "{} {}", unrolled.1, plain.1);
    assert!(
        (unrolled.1 - control.1).abs() < 1e-5,
        "{} {}",
        unrolled.1,
        control.1
    );
    let distance = |a: &[f32], b: &[f32]| -> f32 {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f32>()
            .sqrt()
    };
    let length = distance(&control.3, &vec![0.0; control.3.len()]);
    assert!(distance(&unrolled.3, &control.3) > 1e-2 * length);
}

/// Where both play for one value, G minimises minus D's whole loss at the D further on; with updates too small to see that is D's loss itself.
#[test]
fn an_unrolled_zero_sum_game_is_played_for_its_whole_value() {
    let gpu = gpu();
    let losses = |objective: &str, unroll: &str| {
        let mut config = config(&format!("objective = \"{objective}\"\n{unroll}"));
        match &mut config.optimiser.d {
            Optimiser::Adam(adam) => adam.lr = 1e-12,
            other => panic!("{other:?}"),
        }
        let mut trainer = trainer_of(&gpu, Form::Cpu, config);
        let round = trainer.run_once(Kind::Both).unwrap();
        (round.loss_d, round.loss_g)
    };
    for (objective, bounds) in [("minimax", ""), ("wgan", "clip = 100.0\n")] {
        let (d, g) = losses(objective, &format!("{bounds}unroll = {{ steps = 1 }}"));
        assert!(
            (d + g).abs() < 1e-5 * d.abs().max(1e-2),
            "{objective}: {d} {g}"
        );
    }
    for (objective, unroll) in [
        ("minimax", ""),
        ("non_saturating", "unroll = { steps = 1 }"),
    ] {
        let (d, g) = losses(objective, unroll);
        assert!((d + g).abs() > 0.1, "{objective}: {d} {g}");
    }
}

/// Both networks against each other's old weights: D moves as with alternating updates, G does not.
#[test]
fn simultaneous_updates_use_old_weights() {
    let gpu = gpu();
    let weights = |method: &str, prefix: &str| {
        let mut trainer = trainer(&gpu, Form::Cpu, method);
        trainer.run_once(Kind::Both).unwrap();
        let all = bits(&trainer);
        all.into_iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .collect::<Vec<_>>()
    };
    let simultaneous = "updates = \"simultaneous\"";
    assert_eq!(weights("", "d."), weights(simultaneous, "d."));
    assert_ne!(weights("", "g."), weights(simultaneous, "g."));
}

/// A label changes the sample, each label its own way; without any, classes come in turn.
#[test]
fn samples_follow_their_labels() {
    let gpu = gpu();
    let trainer = trainer(
        &gpu,
        Form::Cpu,
        "conditional = { kind = \"concat\", classes = 8 }",
    );
    let z = trainer.generator().latents(1, 5).repeat(8);
    let draw = |labels: Option<&[u32]>| match trainer.generator().sample(&z, labels, false, false) {
        Ok(Sampled::F32(values)) => values,
        other => panic!("{other:?}"),
    };
    let each: Vec<u32> = (0..8).collect();
    assert_eq!(draw(None), draw(Some(&each)));
    let points = draw(None);
    for a in 0..8 {
        for b in 0..a {
            assert_ne!(points[2 * a..2 * a + 2], points[2 * b..2 * b + 2]);
        }
    }
    let same = draw(Some(&[3; 8]));
    assert!(same.chunks(2).all(|p| p == &points[6..8]));
    for labels in [&[0; 7][..], &[8; 8]] {
        let error = trainer
            .generator()
            .sample(&z, Some(labels), false, false)
            .unwrap_err();
        assert!(
            error.to_string().contains("label") || error.to_string().contains("class 8"),
            "{error}"
        );
    }
}

/// Codes are what the prior says: one category each, continuous ones on [-1, 1), latents a function of seed and number.
#[test]
fn sampled_latents_hold_their_codes() {
    let gpu = gpu();
    let trainer = trainer(
        &gpu,
        Form::Cpu,
        "info = { categorical = 8, continuous = 1 }",
    );
    let z = trainer.generator().latents(400, 5);
    assert_eq!(z.len(), 400 * 13);
    let mut seen = [0; 8];
    for row in z.chunks(13) {
        let hot: Vec<usize> = (0..8).filter(|&c| row[4 + c] == 1.0).collect();
        assert!(hot.len() == 1 && row[4..12].iter().sum::<f32>() == 1.0);
        seen[hot[0]] += 1;
        assert!((-1.0..1.0).contains(&row[12]));
    }
    assert!(
        seen.iter().all(|&count| (25..=80).contains(&count)),
        "{seen:?}"
    );
    assert_eq!(trainer.generator().latents(3, 5), z[..39]);
}
