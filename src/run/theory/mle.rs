//! Maximum likelihood as the baseline on a line: a mixture of K Gaussians
//!
//!   p(x) = sum_k softmax(a)_k N(x; m_k, exp(s_k)^2)
//!
//! fitted by gradient ascent on the mean log-likelihood, through the graph engine with Adam on the device; for K = 1 in closed form too.
//! Maximum likelihood minimises KL(data || model): one Gaussian on two modes covers both and what lies between. A GAN whose generator
//! can make Gaussians only, G(z) = a z + b, picks one (Theis et al., arXiv 1511.01844, figure 1, for the divergences; Goodfellow,
//! arXiv 1701.00160, section 3.2.5).
use super::{Outcome, Settings, bare_game, on_a_line};
use crate::data::rng::{Stream, normal2, uniform01};
use crate::data::toy::{Mixture, ToySet};
use crate::gan::Regulariser;
use crate::gan::config::Penalty;
use crate::gpu::{Gpu, GpuError};
use crate::graph::plan::{Effect, Environment, Plan as Program, Region, Stage, Target};
use crate::graph::{Expr, Graph, GraphError};
use crate::kernels::scaler::Skip;
use crate::kernels::{adam, record};
use crate::metrics::density::{SAMPLES, density};
use crate::metrics::gaussian::std_normal_pdf;
use crate::nn::{Extent, ModelSpec};
use crate::run::RunError;
use crate::run::config::ModelConfig;
use crate::run::curves;
use crate::run::distances::{Distances, draw, of};
use crate::run::engine;
use crate::run::plot::{Axis, Chart, Figure, Legend, look};
use crate::run::session::EngineError;
use serde::Serialize;
use std::num::NonZeroU32;

/// Samples that are fitted.
const FITTED: usize = 4096;
/// Adam's rate.
const RATE: f64 = 0.03;
/// Submissions between two waits.
const IN_FLIGHT: u64 = 16;
/// Random streams of the fitted samples and of those drawn from a fit.
const DATA_STREAM: u32 = 0x6d6c_6500;
const FIT_STREAM: u32 = 0x6d6c_6501;
/// How far the bare GAN's generator can bend: not at all.
const SMALL_GENERATOR: &str = r#"
[generator]
input = { features = 1 }
[[generator.layer]]
type = "linear"
out = 1
"#;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub set: ToySet,
    /// Gaussians of the larger density model; the smaller one has one.
    pub components: usize,
    /// Steps of ascent.
    pub steps: u64,
    /// Rounds of the GAN; 0 for none.
    pub gan_steps: u64,
}

/// A mixture of Gaussians of any widths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    pub weights: Vec<f64>,
    pub means: Vec<f64>,
    pub sigmas: Vec<f64>,
}

impl Fit {
    /// One Gaussian by its closed form: mean and standard deviation of the data.
    pub fn gaussian(samples: &[f32]) -> Fit {
        let n = samples.len() as f64;
        let mean = samples.iter().copied().map(f64::from).sum::<f64>() / n;
        let square = |&x: &f32| (f64::from(x) - mean).powi(2);
        let variance = samples.iter().map(square).sum::<f64>() / n;
        Fit {
            weights: vec![1.0],
            means: vec![mean],
            sigmas: vec![variance.sqrt()],
        }
    }

    pub fn density(&self, x: f64) -> f64 {
        let parts = self.weights.iter().zip(&self.means).zip(&self.sigmas);
        parts
            .map(|((w, m), s)| w * std_normal_pdf((x - m) / s) / s)
            .sum()
    }

    /// Mean of -log p, in nats.
    pub fn negative_log_likelihood(&self, samples: &[f32]) -> f64 {
        let each = samples.iter().map(|&x| -self.density(f64::from(x)).ln());
        each.sum::<f64>() / samples.len() as f64
    }

    /// `n` draws.
    pub fn sample(&self, stream: &Stream, n: usize) -> Vec<f32> {
        let draw = |i: u32| {
            let mut left = f64::from(uniform01(stream.block(i, 0)[0]));
            let last = self.weights.len() - 1;
            let k = self.weights[..last]
                .iter()
                .position(|w| {
                    left -= w;
                    left < 0.0
                })
                .unwrap_or(last);
            let noise = f64::from(normal2(stream.block(i, 1))[0]);
            (self.means[k] + self.sigmas[k] * noise) as f32
        };
        (0..n as u32).map(draw).collect()
    }
}

/// The parameters: `[K, 1]` each.
#[derive(Clone, Copy)]
pub struct Parameters {
    /// a, the logits of the weights.
    pub logits: Expr,
    pub means: Expr,
    /// s, the logarithms of the standard deviations.
    pub log_sigmas: Expr,
}

/// The mean of -log p over samples `[1, N]`, a scalar.
///
/// # Errors
/// Where shapes do not fit together.
pub fn negative_log_likelihood(g: &mut Graph, p: Parameters, x: Expr) -> Result<Expr, GraphError> {
    let log_sum_exp = |g: &mut Graph, a: Expr| -> Result<Expr, GraphError> {
        let largest = g.max_along(a, 0)?;
        let largest = g.stop_gradient(largest);
        let shifted = g.sub(a, largest)?;
        let exp = g.exp(shifted);
        let sum = g.sum(exp, &[0])?;
        let log = g.log(sum);
        g.add(log, largest)
    };
    let from_mean = g.sub(x, p.means)?;
    let precision = g.neg(p.log_sigmas);
    let precision = g.exp(precision);
    let z = g.mul(from_mean, precision)?;
    let square = g.square(z)?;
    let exponent = g.scale(square, -0.5)?;
    let normaliser = log_sum_exp(g, p.logits)?;
    let log_weights = g.sub(p.logits, normaliser)?;
    let constant = g.sub(log_weights, p.log_sigmas)?;
    let constant = g.shift(constant, -0.5 * (2.0 * std::f32::consts::PI).ln())?;
    let joint = g.add(exponent, constant)?;
    let log_density = log_sum_exp(g, joint)?;
    let mean = g.mean_all(log_density)?;
    Ok(g.neg(mean))
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::device(error.to_string())
}

/// Fits `components` Gaussians by `steps` steps of Adam on the device; also the loss before every step.
///
/// # Errors
/// Those of the device.
pub fn fit(
    gpu: &Gpu,
    samples: &[f32],
    components: usize,
    steps: u64,
) -> Result<(Fit, Vec<f64>), EngineError> {
    let k = components.max(1);
    let part = k.next_multiple_of(4);
    let rows = steps.max(1);
    // Positions in the table of buffers.
    let [data, params, grads, m, v, scalars, ring, counters] = [0, 1, 2, 3, 4, 5, 6, 7];
    let mut g = Graph::new();
    let mut env = Environment::new(Target::of(gpu.caps()), 8, counters, 0);
    let mut leaf = |g: &mut Graph, name: &str, shape: [usize; 2], region: Region| {
        let leaf = g.leaf_during(name, shape, 0..1);
        if let Some(id) = g.leaf_id(leaf) {
            env.leaves.insert(id, region);
        }
        leaf
    };
    let region = |buffer: usize, index: usize| Region {
        buffer,
        offset: index * part,
    };
    let p = Parameters {
        logits: leaf(&mut g, "logits", [k, 1], region(params, 0)),
        means: leaf(&mut g, "means", [k, 1], region(params, 1)),
        log_sigmas: leaf(&mut g, "log_sigmas", [k, 1], region(params, 2)),
    };
    let x = leaf(&mut g, "x", [1, samples.len()], region(data, 0));
    let loss = negative_log_likelihood(&mut g, p, x).map_err(failed)?;
    let wrt = [p.logits, p.means, p.log_sigmas];
    let gradients = g.gradients(loss, &wrt).map_err(failed)?;
    let mut outputs: Vec<(Expr, Region)> = gradients
        .into_iter()
        .enumerate()
        .map(|(i, e)| (e, region(grads, i)))
        .collect();
    outputs.push((loss, region(scalars, 0)));
    let count = 3 * part as u32;
    let step = adam::Params {
        count,
        offsets: [0; 4],
        counter: 0,
        lr: RATE,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        skip: Skip::Never,
    };
    let row = record::Params {
        count: 1,
        scalars_offset: 0,
        rows: u32::try_from(rows)
            .ok()
            .and_then(NonZeroU32::new)
            .ok_or_else(|| EngineError::input("more steps than a u32 counts"))?,
        tick: 0,
        increments: {
            let mut all = [record::Increment::default(); 4];
            all[0] = record::Increment { index: 0, by: 1 };
            all
        },
    };
    let effects = vec![
        Effect {
            kernel: adam::kernel(gpu.caps(), &step),
            buffers: vec![params, grads, m, v, counters],
            scope: "density",
            bytes: 28 * u64::from(count),
        },
        Effect {
            kernel: record::kernel(gpu.caps(), &row),
            buffers: vec![scalars, ring, counters],
            scope: "results",
            bytes: 8,
        },
    ];
    let stage = Stage { outputs, effects };
    let program = Program::compile(&g, &[stage], &env).map_err(failed)?;
    let start = start(samples, k, part);
    let floats = |label: &str, n: usize| gpu.buffer(label, 4 * n.next_multiple_of(4) as u64);
    let made = || -> Result<_, GpuError> {
        let mut padded = samples.to_vec();
        padded.resize(samples.len().next_multiple_of(4), 0.0);
        let mut table = vec![
            gpu.buffer_from("samples", bytemuck::cast_slice(&padded))?,
            gpu.buffer_from("parameters", bytemuck::cast_slice(&start))?,
            floats("gradients", 3 * part)?,
            floats("first moments", 3 * part)?,
            floats("second moments", 3 * part)?,
            floats("loss", 1)?,
            floats("losses", rows as usize)?,
            floats("counters", 4)?,
        ];
        for (i, &bytes) in program.slots.iter().enumerate() {
            table.push(gpu.buffer(&format!("temporary {i}"), bytes)?);
        }
        let dispatches = program.prepare(gpu, &table)?;
        for i in 0..steps {
            let submitted = gpu.submit(&dispatches)?;
            if i % IN_FLIGHT == IN_FLIGHT - 1 {
                gpu.wait(&submitted)?;
            }
        }
        let read = |buffer: usize, n: usize| -> Result<Vec<f32>, GpuError> {
            let bytes = gpu.download(&table[buffer], 0..4 * n as u64)?;
            Ok(bytemuck::pod_collect_to_vec(&bytes))
        };
        Ok((read(params, 3 * part)?, read(ring, steps as usize)?))
    };
    let (found, losses) = made().map_err(failed)?;
    if let Some(&value) = found.iter().find(|v| !v.is_finite()) {
        return Err(EngineError::NonFinite {
            step: steps,
            tensor: "the density model".into(),
            value,
        });
    }
    let wide = |index: usize| -> Vec<f64> {
        let part = &found[index * part..][..k];
        part.iter().copied().map(f64::from).collect()
    };
    let exp: Vec<f64> = wide(0).into_iter().map(f64::exp).collect();
    let total: f64 = exp.iter().sum();
    let fit = Fit {
        weights: exp.into_iter().map(|w| w / total).collect(),
        means: wide(1),
        sigmas: wide(2).into_iter().map(f64::exp).collect(),
    };
    Ok((fit, losses.into_iter().map(f64::from).collect()))
}

/// Equal weights, means at the quantiles, widths that share the data's own.
fn start(samples: &[f32], k: usize, part: usize) -> Vec<f32> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let whole = Fit::gaussian(samples).sigmas[0];
    let mut values = vec![0f32; 3 * part];
    for i in 0..k {
        let at = ((i as f64 + 0.5) / k as f64 * sorted.len() as f64) as usize;
        values[part + i] = sorted[at.min(sorted.len() - 1)];
        values[2 * part + i] = (whole / k as f64).ln() as f32;
    }
    values
}

/// A model and how far it is from the data.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub model: String,
    pub parameters: Option<Fit>,
    /// Of the fitted samples, in nats; none for a GAN, which has no density.
    pub negative_log_likelihood: Option<f64>,
    pub distances: Distances,
}

#[derive(Clone, Debug, Serialize)]
pub struct Numbers {
    pub data: &'static str,
    pub rows: Vec<Row>,
    /// Of the model of several Gaussians, before every step.
    pub loss: Vec<f64>,
}

/// The whole experiment.
///
/// # Errors
/// Those of the engine; of the drawing.
pub fn run(plan: &Plan, settings: &Settings) -> Result<Outcome<Numbers>, RunError> {
    let target = on_a_line(plan.set)?;
    let samples = plan
        .set
        .sample_features_first(&Stream::new(settings.seed, DATA_STREAM, 0), FITTED);
    let gpu = engine::open_gpu(&settings.adapter, &settings.cache)?;
    let mut rows = vec![];
    let mut row = |model: String, fit: &Fit| -> Result<(), RunError> {
        let drawn = fit.sample(&Stream::new(settings.seed, FIT_STREAM, 0), SAMPLES);
        rows.push(Row {
            model,
            parameters: Some(fit.clone()),
            negative_log_likelihood: Some(fit.negative_log_likelihood(&samples)),
            distances: of(plan.set, &drawn).map_err(EngineError::device)?,
        });
        Ok(())
    };
    let closed = Fit::gaussian(&samples);
    row("one Gaussian, closed form".into(), &closed)?;
    let (single, _) = fit(&gpu, &samples, 1, plan.steps)?;
    row("one Gaussian, by ascent".into(), &single)?;
    let (several, loss) = fit(&gpu, &samples, plan.components, plan.steps)?;
    row(
        format!("{} Gaussians, by ascent", plan.components),
        &several,
    )?;

    let x = curves::places(&target);
    let along = |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| [x, f(x)]).collect::<Vec<_>>();
    let mut chart = Chart::new(
        format!("{}: maximum likelihood covers, a small GAN picks", plan.set),
        Axis::new("x").within(x[0], x[x.len() - 1]),
        Axis::new("density"),
    )
    .legend(Legend::Below)
    .area("data", look::REAL, &along(&|x| density(&target, x)))
    .line(
        "likelihood, 1 Gaussian",
        look::BLUE,
        along(&|x| single.density(x)),
    )
    .dashed(
        format!("likelihood, {} Gaussians", plan.components),
        look::GREEN,
        along(&|x| several.density(x)),
    );
    if plan.gan_steps > 0 {
        let (gan, line) = small_gan(plan, settings, &target, &x)?;
        rows.push(gan);
        chart = chart.line("GAN, G(z) = az + b", look::GENERATED, line);
    }
    Ok(Outcome {
        name: "mle",
        figure: Figure::single(chart).draw()?,
        table: Some(table(&rows)),
        numbers: Numbers {
            data: plan.set.name(),
            rows,
            loss,
        },
    })
}

/// The GAN whose generator makes one Gaussian; the line is its density.
fn small_gan(
    plan: &Plan,
    settings: &Settings,
    target: &Mixture<1>,
    x: &[f64],
) -> Result<(Row, Vec<[f64; 2]>), RunError> {
    let mut config = bare_game(plan.set, settings)?;
    let mut spec: ModelSpec = config.model.spec()?;
    let small =
        format!("{SMALL_GENERATOR}\n[discriminator]\ninput = {{ features = 1 }}\nlayer = []\n");
    spec.generator = ModelSpec::from_toml("small generator", &small)
        .map_err(EngineError::device)?
        .generator;
    config.model = ModelConfig {
        generator: Some(spec.generator),
        discriminator: Some(spec.discriminator),
        sample: Some(Extent::Features { features: 1 }),
        ..ModelConfig::named("small")
    };
    // Without it this game circles, and where it stands at the end is chance.
    config.method.regularisers = vec![Penalty {
        name: Regulariser::R1,
        weight: 0.02,
    }];
    config.budget.steps = Some(plan.gan_steps);
    let config = config.resolve()?;
    let mut engine = engine::open(&config, &settings.cache)?;
    engine.step_block(plan.gan_steps)?;
    let samples = draw(&mut *engine, SAMPLES, settings.seed ^ 0x6d6c_6502, false)?;
    let fit = Fit::gaussian(&samples);
    let curve = curves::evaluate(&mut *engine, &config, target, &samples)?;
    let row = Row {
        model: "GAN, G(z) = a z + b".into(),
        parameters: Some(fit),
        negative_log_likelihood: None,
        distances: of(plan.set, &samples).map_err(EngineError::device)?,
    };
    let line = x.iter().zip(&curve.generated).map(|(&x, &y)| [x, y]);
    Ok((row, line.collect()))
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| model | -log p (nats) | KL(data, model) | KL(model, data) | JS | W1 |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let likelihood = row.negative_log_likelihood;
        let likelihood = likelihood.map_or("none".into(), |v| format!("{v:.4}"));
        let cells: Vec<String> = ["kl_data_model", "kl_model_data", "js", "w1"]
            .into_iter()
            .map(|name| {
                row.distances
                    .get(name)
                    .map_or("".into(), |v| format!("{v:.4}"))
            })
            .collect();
        text += &format!("| {} | {likelihood} | {} |\n", row.model, cells.join(" | "));
    }
    text
}
