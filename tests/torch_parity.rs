//! Training on the device against PyTorch (`assets/goldens/train_*.safetensors`): ten iterations of whole models with the same
//! weights, latents and batches. Losses, the gradients of the first update tensor by tensor, the parameters and running statistics
//! at the end, and the optimisers alone. What the goldens hold, and how far float32 may be off, is in `assets/goldens/README.md`.
#[path = "support/torch.rs"]
mod torch;

use gan_gpu::gan::config::GanConfig;
use gan_gpu::gan::trainer::{Data, Kind, StateTensor, Trainer};
use gan_gpu::gpu::testing::{buffer_of, gpu, read_f32};
use gan_gpu::gpu::{Buffer, Gpu, Kernel};
use gan_gpu::graph::plan::{Form, Target};
use gan_gpu::kernels::momentum::Momentum;
use gan_gpu::kernels::scaler::Skip;
use gan_gpu::kernels::{adam, rmsprop, sgd};
use gan_gpu::nn::{Network, model_by_name_or_file};
use serde_json::Value;
use torch::{Goldens, distance, fill, uniform, uniform_at};

/// What is demanded of losses, and on gradients and parameters in their tensor's norm.
const TOLERANCE: f64 = 1e-4;
/// The change of a parameter over ten steps is less sharp, as Adam makes full steps of tiny gradients: PyTorch's own float32 is
/// off by up to 3e-4.
const CHANGE: f64 = 1e-3;

/// A mistake that must be noticed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    Beta1,
    Latents,
    LearningRateOfD,
    Interpolation,
}

/// The largest deviation of each kind.
#[derive(Default)]
struct Worst {
    losses: f64,
    gradients: f64,
    parameters: f64,
    changes: f64,
    statistics: f64,
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "largest deviation of losses {:.1e}, gradients {:.1e}, parameters {:.1e}, their changes {:.1e}, statistics {:.1e}",
            self.losses, self.gradients, self.parameters, self.changes, self.statistics
        )
    }
}

/// Keeps the largest deviation; fails beyond the limit, or where there is no number.
fn keep(worst: &mut f64, what: &str, deviation: f64, limit: f64) -> Result<(), String> {
    *worst = worst.max(deviation);
    match deviation <= limit {
        true => Ok(()),
        false => Err(format!(
            "{what}: off by {deviation:.1e}, allowed {limit:.0e}"
        )),
    }
}

struct Run {
    goldens: Goldens,
    seed: u32,
    batch: usize,
    trainer: Trainer,
    worst: Worst,
}

impl Run {
    fn open(name: &str, form: Form, mistake: Mistake) -> Run {
        let goldens = Goldens::open(&format!("train_{name}.safetensors"));
        let text = |key: &str| goldens.metadata[key].clone();
        let seed = text("seed").parse().unwrap();
        let betas = goldens.list("betas");
        let lr: f64 = text("lr").parse().unwrap();
        let optimiser = |wrong_lr: bool| {
            let lr = if wrong_lr { 1.01 * lr } else { lr };
            let beta1 = match mistake {
                Mistake::Beta1 => 0.9,
                _ => betas[0].as_f64().unwrap(),
            };
            let (beta2, eps) = (&betas[1], text("adam_eps"));
            format!(
                "{{ name = \"adam\", lr = {lr}, beta1 = {beta1:?}, beta2 = {beta2}, eps = {eps} }}"
            )
        };
        let (batch, d_steps) = (text("batch"), text("n_critic"));
        let method = match text("penalty_weight").as_str() {
            "none" => "objective = \"non_saturating\"".to_string(),
            weight => format!(
                "objective = \"wgan\"\nregularisers = [{{ name = \"gradient_penalty\", weight = {weight} }}]"
            ),
        };
        let (for_d, for_g) = (
            optimiser(mistake == Mistake::LearningRateOfD),
            optimiser(false),
        );
        let config = format!(
            "{method}\nbatch = {batch}\nd_steps = {d_steps}\n[optimiser]\nd = {for_d}\ng = {for_g}\n"
        );
        let config = GanConfig::from_toml(name, &config).unwrap();
        let model = model_by_name_or_file(name).unwrap().build().unwrap();
        let batch = config.batch;
        let mut trainer = Trainer::with_target(
            &gpu(),
            &Target::with_form(gpu().caps(), form),
            model,
            config,
            Data::Host,
            0,
        )
        .unwrap();
        let mut state = trainer.state().unwrap();
        for which in ["g", "d"] {
            for entry in goldens.list(&format!("parameters_{which}")) {
                let name = format!("{which}.{}", entry["name"].as_str().unwrap());
                let tensor = state.tensors.iter_mut().find(|t| t.name == name).unwrap();
                let filled = fill(seed, &entry);
                assert_eq!(tensor.shape, filled.shape, "{name}");
                tensor.values = floats(&filled.values);
            }
        }
        trainer.restore(&state).unwrap();
        Run {
            goldens,
            seed,
            batch,
            trainer,
            worst: Worst::default(),
        }
    }

    /// A batch in the shape that `net` takes, drawn in PyTorch's layout.
    fn input(&self, net: &Network, stream: usize, scale: f64) -> Vec<f32> {
        let mut shape = net.input_shape(self.batch).to_vec();
        shape.swap(0, 1);
        floats(
            &uniform(self.seed, stream as u32, &shape, scale)
                .swap_batch()
                .values,
        )
    }
    fn latents(&self, stream: usize) -> Vec<f32> {
        self.input(&self.trainer.model().generator, stream, 3f64.sqrt())
    }

    /// Ten iterations; an error says what disagrees first.
    fn compare(&mut self, mistake: Mistake) -> Result<(), String> {
        let critic_steps: usize = self.goldens.metadata["n_critic"].parse().unwrap();
        let kind = match critic_steps {
            1 => Kind::Both,
            _ => Kind::Discriminator,
        };
        let mut g_updates = 0;
        for t in 0..10 {
            let real = self.input(&self.trainer.model().discriminator, 3001 + t, 1.0);
            let shift = usize::from(mistake == Mistake::Latents);
            let latents = self.latents(2001 + t + shift);
            let eps_stream = 4001 + t + usize::from(mistake == Mistake::Interpolation);
            let eps = uniform(self.seed, eps_stream as u32, &[self.batch], 1.0).values;
            let eps: Vec<f64> = eps.iter().map(|v| 0.5 * (v + 1.0)).collect();
            self.trainer.feed(&real, &latents, &floats(&eps)).unwrap();
            let round = self.trainer.run_once(kind).unwrap();
            self.loss("loss_d", t, round.loss_d)?;
            if let Some(&penalty) = round.extra.first() {
                let weight = self.trainer.config().regularisers[0].weight;
                self.loss("penalty", t, (penalty as f64 / weight) as f32)?;
            }
            if t == 0 {
                self.gradients("d")?;
            }
            let g_round = match kind {
                Kind::Both => Some(round),
                _ if (t + 1) % critic_steps == 0 => {
                    let latents = self.latents(5001 + g_updates);
                    self.trainer.feed(&[], &latents, &[]).unwrap();
                    Some(self.trainer.run_once(Kind::Generator).unwrap())
                }
                _ => None,
            };
            if let Some(round) = g_round {
                self.loss("loss_g", g_updates, round.loss_g)?;
                if g_updates == 0 {
                    self.gradients("g")?;
                }
                g_updates += 1;
            }
        }
        assert_eq!(g_updates, self.goldens.get("loss_g").values.len());
        let state = self.trainer.state().unwrap();
        for which in ["g", "d"] {
            self.parameters(which, &state.tensors)?;
            self.statistics(which, &state.tensors)?;
        }
        Ok(())
    }

    fn loss(&mut self, name: &str, t: usize, got: f32) -> Result<(), String> {
        let golden = self.goldens.get(name).values[t];
        let deviation = (got as f64 / golden - 1.0).abs();
        let what = format!("{name} of update {t}");
        keep(&mut self.worst.losses, &what, deviation, TOLERANCE)
    }

    /// The first gradients of a network: whole tensors, or samples and the error's norm estimated from projections.
    fn gradients(&mut self, which: &str) -> Result<(), String> {
        let got = self.trainer.gradients().unwrap();
        for entry in self.goldens.list(&format!("parameters_{which}")) {
            let name = entry["name"].as_str().unwrap();
            let got = values(&got, &format!("{which}.{name}"));
            let golden = format!("grad_{which}/{name}");
            let deviation = match entry["stride"].as_u64() {
                Some(stride) => {
                    let summary = &self.goldens.get(&format!("{golden}#summary")).values;
                    let samples: Vec<f64> = got.iter().step_by(stride as usize).copied().collect();
                    let samples = distance(
                        &samples[..256],
                        &self.goldens.get(&format!("{golden}#samples")).values,
                    );
                    self.estimate(&got, summary).max(samples)
                }
                None => {
                    let golden = &self.goldens.get(&golden).values;
                    // A gradient that is exactly zero (a constant added to every output of a critic) has no norm to compare with.
                    match golden.iter().all(|&v| v.abs() < 1e-9) {
                        true => got.iter().fold(0.0, |a: f64, v| a.max(v.abs())),
                        false => distance(&got, golden),
                    }
                }
            };
            let what = format!("gradient of {which}.{name}");
            keep(&mut self.worst.gradients, &what, deviation, TOLERANCE)?;
        }
        Ok(())
    }

    /// The norm of the error, estimated from four projections, relative to the golden's norm; and the norms' own difference.
    fn estimate(&self, got: &[f64], summary: &[f64]) -> f64 {
        let squares: f64 = (0..4)
            .map(|j| {
                let dot: f64 = got
                    .iter()
                    .enumerate()
                    .map(|(i, v)| v * uniform_at(self.seed, 6001 + j, 1.0, i))
                    .sum();
                (dot - summary[2 + j as usize]).powi(2)
            })
            .sum();
        let norm = norm(got);
        (0.75 * squares).sqrt().max((norm - summary[0]).abs()) / summary[0]
    }

    fn parameters(&mut self, which: &str, tensors: &[StateTensor]) -> Result<(), String> {
        let after = self.goldens.get(&format!("after_{which}")).clone();
        let entries = self.goldens.list(&format!("parameters_{which}"));
        assert_eq!(after.shape, [entries.len(), 7]);
        for (entry, golden) in entries.iter().zip(after.values.chunks(7)) {
            let name = format!("{which}.{}", entry["name"].as_str().unwrap());
            let got = values(tensors, &name);
            let before = fill(self.seed, entry).values;
            let deviation = self.estimate(&got, golden);
            keep(&mut self.worst.parameters, &name, deviation, TOLERANCE)?;
            let change: Vec<f64> = got.iter().zip(&before).map(|(a, b)| a - b).collect();
            let what = format!("change of {name}");
            if golden[6] == 0.0 {
                // Its gradient is exactly zero.
                keep(&mut self.worst.changes, &what, norm(&change), 1e-7)?;
            } else {
                let deviation = (norm(&change) / golden[6] - 1.0).abs();
                keep(&mut self.worst.changes, &what, deviation, CHANGE)?;
            }
        }
        Ok(())
    }

    /// Running means and variances at the end.
    fn statistics(&mut self, which: &str, tensors: &[StateTensor]) -> Result<(), String> {
        let names = self.goldens.json("buffers");
        let Some(names) = names[which].as_array() else {
            return Ok(());
        };
        let after = self.goldens.get(&format!("buffers_{which}")).clone();
        assert_eq!(after.shape, [names.len(), 6]);
        for (name, golden) in names.iter().zip(after.values.chunks(6)) {
            let name = format!("{which}.{}", name.as_str().unwrap());
            let deviation = self.estimate(&values(tensors, &name), golden);
            keep(&mut self.worst.statistics, &name, deviation, TOLERANCE)?;
        }
        Ok(())
    }
}

fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}
fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}
fn values(tensors: &[StateTensor], name: &str) -> Vec<f64> {
    let found = tensors.iter().find(|t| t.name == name);
    let found = found.unwrap_or_else(|| panic!("no tensor {name}"));
    found.values.iter().map(|&v| v as f64).collect()
}

/// Ten iterations agree in both kernel forms, and with each mistake they do not.
#[track_caller]
fn parity(name: &str, mistakes: &[Mistake]) {
    for form in [Form::Cpu, Form::Gpu] {
        let mut run = Run::open(name, form, Mistake::None);
        let result = run.compare(Mistake::None);
        println!("{name} ({form:?}): {}", run.worst);
        if let Err(e) = result {
            panic!("{name} ({form:?}): {e}");
        }
    }
    let own = Form::of(gpu().caps().class);
    for &mistake in mistakes {
        let noticed = Run::open(name, own, mistake).compare(mistake);
        println!("{name} with wrong {mistake:?}: {noticed:?}");
        assert!(noticed.is_err(), "{name}: wrong {mistake:?} passes");
    }
}

#[test]
fn mlp() {
    parity("mlp", &[Mistake::Beta1, Mistake::Latents]);
}
#[test]
fn dcgan28() {
    parity("dcgan28", &[Mistake::LearningRateOfD]);
}
#[test]
fn wgangp28() {
    parity("wgangp28", &[Mistake::Interpolation]);
}

/// An optimiser's kernel and the number of its moment arenas.
fn optimiser(gpu: &Gpu, case: &Value, count: u32) -> (Kernel, usize) {
    let number = |key: &str| case["options"][key].as_f64();
    let lr = number("lr").unwrap();
    let momentum = number("momentum").map(|momentum| Momentum {
        momentum,
        offset: 0,
    });
    let caps = gpu.caps();
    match case["optimiser"].as_str().unwrap() {
        "Adam" => {
            let beta = |i: usize| case["options"]["betas"][i].as_f64().unwrap();
            let params = adam::Params {
                count,
                offsets: [0; 4],
                counter: 0,
                lr,
                beta1: beta(0),
                beta2: beta(1),
                eps: number("eps").unwrap(),
                skip: Skip::Never,
            };
            (adam::kernel(caps, &params), 2)
        }
        "RMSprop" => {
            let params = rmsprop::Params {
                count,
                offsets: [0; 3],
                lr,
                alpha: number("alpha").unwrap(),
                eps: number("eps").unwrap(),
                momentum,
                skip: Skip::Never,
            };
            (rmsprop::kernel(caps, &params), 1)
        }
        "SGD" => {
            let params = sgd::Params {
                count,
                offsets: [0; 2],
                lr,
                momentum,
                skip: Skip::Never,
            };
            (sgd::kernel(caps, &params), usize::from(momentum.is_some()))
        }
        other => panic!("unknown optimiser {other}"),
    }
}

/// Ten steps of every optimiser from zero moments, parameters after each.
#[test]
fn optimisers() {
    let gpu = gpu();
    let goldens = Goldens::open("optimisers.safetensors");
    let start = floats(&goldens.get("start").values);
    let n = start.len();
    let mut worst = 0.0f64;
    for case in goldens.list("cases") {
        let name = case["name"].as_str().unwrap();
        let (kernel, moments) = optimiser(&gpu, &case, n as u32);
        let parameters = buffer_of(&gpu, "parameters", &start);
        let gradients = buffer_of(&gpu, "gradients", &start);
        let moments: Vec<Buffer> = (0..moments)
            .map(|_| buffer_of(&gpu, "moment", &vec![0.0; n]))
            .collect();
        let counters = gpu.buffer("counters", 16).unwrap();
        let mut buffers = vec![&parameters, &gradients];
        buffers.extend(&moments);
        if case["optimiser"] == "Adam" {
            buffers.push(&counters);
        }
        let dispatch = gpu.prepare(&kernel, &buffers).unwrap();
        let expected = &goldens.get(&format!("{name}/parameters")).values;
        let mut before: Vec<f64> = start.iter().map(|&v| v as f64).collect();
        let steps = goldens.get("gradients").values.chunks(n);
        for (t, (gradient, expected)) in steps.zip(expected.chunks(n)).enumerate() {
            let upload = |buffer, bytes: &[u8]| gpu.upload(buffer, 0, bytes).unwrap();
            upload(&gradients, bytemuck::cast_slice(&floats(gradient)));
            upload(&counters, &(t as u32).to_le_bytes());
            gpu.submit([&dispatch]).unwrap();
            let got: Vec<f64> = read_f32(&gpu, &parameters)[..n]
                .iter()
                .map(|&v| v as f64)
                .collect();
            let deviation = distance(&got, expected);
            worst = worst.max(deviation);
            assert!(
                deviation < 1e-6,
                "{name}, step {t}: relative distance {deviation:.1e}"
            );
            // The same parameters without this step are not as near: the step itself is seen.
            assert!(distance(&before, expected) > 1e-5, "{name}, step {t}");
            before = expected.to_vec();
        }
        // Moments at the end, in PyTorch's order of its state.
        let states: &[&str] = match case["optimiser"].as_str().unwrap() {
            "Adam" => &["exp_avg", "exp_avg_sq"],
            "RMSprop" => &["square_avg"],
            _ if moments.is_empty() => &[],
            _ => &["momentum_buffer"],
        };
        for (buffer, state) in moments.iter().zip(states) {
            let got: Vec<f64> = read_f32(&gpu, buffer)[..n]
                .iter()
                .map(|&v| v as f64)
                .collect();
            let expected = &goldens.get(&format!("{name}/state/{state}")).values;
            let deviation = distance(&got, expected);
            assert!(
                deviation < 2e-6,
                "{name}/{state}: relative distance {deviation:.1e}"
            );
        }
    }
    println!("optimisers: {worst:.1e}");
}
