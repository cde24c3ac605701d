//! Closed forms: with G(z) = z and a D that knows the ratio of two densities exactly, every sampler must turn N(0, 1) into the other
//! one, within Kolmogorov's bound; the generator alone, or a D that is wrong, must not.
use super::*;
use crate::data::rng::{Stream, normal2, uniform01};
use crate::gan::trainer::{State, StateTensor};
use crate::gpu::testing::gpu;
use crate::metrics::gaussian::std_normal_cdf;
use crate::nn::ModelSpec;

const IDENTITY: &str = r#"
[generator]
input = { features = 1 }
layer = [{ type = "linear", out = 1 }]
"#;
/// s = a |x| + b, for p(x) ~ exp(-x^2 / 2 - k |x|) at a = -k.
const PEAK: &str = r#"
[discriminator]
input = { features = 1 }
layer = [{ type = "linear", out = 1 }, { type = "leaky_relu", slope = -1.0 }, { type = "linear", out = 1 }]
"#;
/// s = a x + b, for N(m, 1) at a = m, b = -m^2 / 2.
const SHIFT: &str = r#"
[discriminator]
input = { features = 1 }
layer = [{ type = "linear", out = 1 }]
"#;
const K: f64 = 1.5;

fn state(tensors: &[(&str, &[usize], &[f32])]) -> State {
    let tensors = tensors.iter().map(|(name, shape, values)| StateTensor {
        name: (*name).into(),
        shape: shape.to_vec(),
        values: values.to_vec(),
    });
    State {
        tensors: tensors.collect(),
        counters: vec![],
    }
}

fn config(more: &str) -> GanConfig {
    let sgd = "{ name = \"sgd\", lr = 1.0 }";
    let text = format!("batch = 8\n{more}\n[optimiser]\nd = {sgd}\ng = {sgd}\n");
    GanConfig::from_toml("method", &text).unwrap()
}

fn with_state(model: &str, config: GanConfig, state: &State) -> Pair {
    let model = ModelSpec::from_toml("model", model).unwrap();
    let mut pair = Pair::new(&gpu(), model.build().unwrap(), config).unwrap();
    pair.restore(state).unwrap();
    pair
}

const PLAIN: &str = "objective = \"non_saturating\"";

fn peak(a: f32, b: f32, method: &str) -> Pair {
    let one: &[usize] = &[1, 1];
    let state = state(&[
        ("g.0.weight", one, &[1.0]),
        ("g.0.bias", &[1], &[0.0]),
        ("d.0.weight", one, &[1.0]),
        ("d.0.bias", &[1], &[0.0]),
        ("d.2.weight", one, &[a]),
        ("d.2.bias", &[1], &[b]),
    ]);
    with_state(&format!("{IDENTITY}{PEAK}"), config(method), &state)
}

fn shift(m: f32, method: &str) -> Pair {
    let one: &[usize] = &[1, 1];
    let state = state(&[
        ("g.0.weight", one, &[1.0]),
        ("g.0.bias", &[1], &[0.0]),
        ("d.0.weight", one, &[m]),
        ("d.0.bias", &[1], &[-0.5 * m * m]),
    ]);
    with_state(&format!("{IDENTITY}{SHIFT}"), config(method), &state)
}

/// Of exp(-x^2 / 2 - K |x|): both halves are tails of a Gaussian.
fn peak_cdf(x: f64) -> f64 {
    let half = 0.5 * (std_normal_cdf(-x.abs() - K) / std_normal_cdf(-K));
    if x < 0.0 { half } else { 1.0 - half }
}

/// sup |F_n - F| sqrt(n): below 1.95 in 999 of 1000 cases.
fn kolmogorov(samples: &[f32], cdf: impl Fn(f64) -> f64) -> f64 {
    let mut x: Vec<f64> = samples.iter().map(|&v| f64::from(v)).collect();
    x.sort_unstable_by(f64::total_cmp);
    let n = x.len() as f64;
    let off = x.iter().enumerate().map(|(i, &x)| {
        let f = cdf(x);
        (f - i as f64 / n).abs().max(((i + 1) as f64 / n - f).abs())
    });
    off.fold(0.0, f64::max) * n.sqrt()
}

fn request<'a>(method: Method, count: usize) -> Request<'a> {
    Request {
        method,
        count,
        seed: 11,
        use_ema: true,
        calibrate: Calibrate::Never,
        held_out: &[],
        starts: &[],
    }
}

/// Draws of exp(-x^2 / 2 - K |x|) by plain rejection on the host.
fn peaked(count: usize, seed: u64) -> Vec<f32> {
    let stream = Stream::new(seed, 0, 0);
    let kept = (0..).filter_map(|i| {
        let x = normal2(stream.block(i, 0))[0];
        let u = uniform01(stream.block(i, 1)[0]);
        (f64::from(u) < (-K * f64::from(x.abs())).exp()).then_some(x)
    });
    kept.take(count).collect()
}

#[test]
fn the_generator_alone_gives_its_own_distribution() {
    let drawn = peak(-K as f32, 1.0, PLAIN)
        .draw(&request(Method::Raw, 3000))
        .unwrap();
    assert!(kolmogorov(&drawn.samples, std_normal_cdf) < 1.95);
    assert!(kolmogorov(&drawn.samples, peak_cdf) > 5.0);
    assert_eq!(drawn.report.generated, 3000);
}

#[test]
fn rejection_gives_the_data() {
    let exact = Method::Drs(drs::Settings {
        burn_in: 2000,
        gamma_percentile: None,
        epsilon: 1e-6,
    });
    let pair = peak(-K as f32, 1.0, PLAIN);
    let drawn = pair.draw(&request(exact, 2500)).unwrap();
    let off = kolmogorov(&drawn.samples, peak_cdf);
    assert!(off < 1.95, "{off}");
    // The share that is accepted is the integral of phi exp(-K |x|), 2 exp(K^2 / 2) Phi(-K).
    let rate = drawn.report.acceptance_rate.unwrap();
    let share = 2.0 * (0.5 * K * K).exp() * std_normal_cdf(-K);
    assert!((rate - share).abs() < 0.03, "{rate} {share}");
    // The same for the same seed, and for fewer.
    let fewer = pair.draw(&request(exact, 100)).unwrap();
    assert_eq!(fewer.samples, drawn.samples[..100]);
    // With gamma more is accepted of what the generator makes often: not exact any more.
    let shifted = Method::Drs(drs::Settings {
        gamma_percentile: Some(20.0),
        burn_in: 2000,
        epsilon: 1e-6,
    });
    let shifted = pair.draw(&request(shifted, 2500)).unwrap();
    assert!(shifted.report.acceptance_rate.unwrap() > rate + 0.2);
    assert!(kolmogorov(&shifted.samples, peak_cdf) > 1.95);
    // A D that has it the wrong way round.
    let wrong = peak(0.3, 1.0, PLAIN).draw(&request(exact, 2500)).unwrap();
    assert!(kolmogorov(&wrong.samples, peak_cdf) > 5.0);
}

#[test]
fn chains_give_the_data() {
    let chains = |steps, start| Method::Mh(mh::Settings { steps, start });
    let pair = peak(-K as f32, 1.0, PLAIN);
    let drawn = pair
        .draw(&request(chains(60, mh::Start::Generated), 2500))
        .unwrap();
    let off = kolmogorov(&drawn.samples, peak_cdf);
    assert!(off < 1.95, "{off}");
    let fewer = pair
        .draw(&request(chains(60, mh::Start::Generated), 700))
        .unwrap();
    assert_eq!(fewer.samples, drawn.samples[..700]);
    // One step is the generator alone, and a D that has it the wrong way round leads elsewhere.
    let short = pair
        .draw(&request(chains(1, mh::Start::Generated), 2500))
        .unwrap();
    assert!(kolmogorov(&short.samples, std_normal_cdf) < 1.95);
    assert_eq!(short.report.acceptance_rate, Some(1.0));
    let wrong = peak(0.3, 1.0, PLAIN);
    let wrong = wrong.draw(&request(chains(60, mh::Start::Generated), 2500));
    assert!(kolmogorov(&wrong.unwrap().samples, peak_cdf) > 5.0);
}

#[test]
fn chains_from_real_samples_never_end_there() {
    let method = Method::Mh(mh::Settings {
        steps: 1,
        start: mh::Start::Real,
    });
    // Where D is surest: many of the proposals are refused.
    let pair = peak(-K as f32, 1.0, PLAIN);
    let start = Request {
        starts: &[0.0],
        ..request(method, 600)
    };
    let drawn = pair.draw(&start).unwrap();
    assert!(drawn.samples.iter().all(|&x| x != 0.0));
    let Details::Mh { restarted_chains } = drawn.report.details else {
        panic!("{:?}", drawn.report);
    };
    // A proposal is taken with the probability of rejection sampling, .39.
    assert!((280..450).contains(&restarted_chains), "{restarted_chains}");
    let error = pair.draw(&request(method, 5)).unwrap_err().to_string();
    assert!(error.contains("--mh-start generated"), "{error}");
}

#[test]
fn several_generators_are_one_proposal_but_no_chain() {
    let several = config("objective = \"non_saturating\"\ngenerators = 4");
    let settings = drs::Settings {
        gamma_percentile: None,
        burn_in: 10,
        epsilon: 1e-6,
    };
    assert!(check(&several, Method::Drs(settings)).is_ok());
    let start = mh::Start::Generated;
    let error = check(&several, Method::Mh(mh::Settings { steps: 2, start })).unwrap_err();
    assert!(
        error.to_string().contains("mh cannot sample this run"),
        "{error}"
    );
}

#[test]
fn classes_are_for_the_generator_alone() {
    let classes = config(
        "objective = \"non_saturating\"\nconditional = { kind = \"auxiliary\", classes = 10 }",
    );
    let start = mh::Start::Generated;
    for method in [
        Method::Drs(drs::Settings::default()),
        Method::Mh(mh::Settings { steps: 2, start }),
        Method::Ddls(ddls::Settings::default()),
    ] {
        let error = check(&classes, method).unwrap_err().to_string();
        assert!(error.contains("it is conditional"), "{error}");
    }
    check(&classes, Method::Raw).unwrap();
}

#[test]
fn what_is_calibrated() {
    let start = mh::Start::Generated;
    let mh = Method::Mh(mh::Settings { steps: 2, start });
    let drs = Method::Drs(drs::Settings::default());
    let logit = config(PLAIN);
    let averaged = config("objective = \"non_saturating\"\nema = { decay = 0.9 }");
    let critic = config("objective = \"least_squares\"");
    let cases = [
        (mh, Calibrate::Auto, &logit, true),
        (mh, Calibrate::Never, &critic, false),
        (Method::Raw, Calibrate::Always, &critic, false),
        (drs, Calibrate::Auto, &logit, false),
        (drs, Calibrate::Auto, &critic, true),
        (drs, Calibrate::Auto, &averaged, true),
    ];
    for (method, calibrate, config, expected) in cases {
        let found = calibrates(method, calibrate, config, true);
        assert_eq!(found, expected, "{method:?} {calibrate:?}");
    }
    // The weights themselves are the generator that D knows.
    assert!(!calibrates(drs, Calibrate::Auto, &averaged, false));
}

/// D's values are five times the logit and off by 3, as a critic's may be: calibration finds the logit again.
#[test]
fn calibration_makes_a_critic_a_judge() {
    let pair = peak(-5.0 * K as f32, 3.0, "objective = \"least_squares\"");
    let (held_out, starts) = (peaked(4000, 5), peaked(2500, 6));
    let method = Method::Mh(mh::Settings {
        steps: 60,
        start: mh::Start::Real,
    });
    let calibrated = Request {
        calibrate: Calibrate::Auto,
        held_out: &held_out,
        starts: &starts,
        ..request(method, 2500)
    };
    let drawn = pair.draw(&calibrated).unwrap();
    let platt = drawn.report.calibration.unwrap();
    assert!((platt.slope - 0.2).abs() < 0.02, "{platt:?}");
    let off = kolmogorov(&drawn.samples, peak_cdf);
    assert!(off < 1.95, "{off}");
    let raw = Request {
        calibrate: Calibrate::Never,
        ..calibrated
    };
    assert!(kolmogorov(&pair.draw(&raw).unwrap().samples, peak_cdf) > 5.0);
    let none = Request {
        held_out: &[],
        ..calibrated
    };
    let error = pair.draw(&none).unwrap_err().to_string();
    assert!(error.contains("--calibrate never"), "{error}");
}

#[test]
fn langevin_chains_give_the_data() {
    let target = |x: f64| std_normal_cdf(x - 1.0);
    let steps = |noise| {
        Method::Ddls(ddls::Settings {
            steps: 300,
            step_size: 0.05,
            noise,
        })
    };
    let pair = shift(1.0, PLAIN);
    let drawn = pair.draw(&request(steps(None), 2000)).unwrap();
    let off = kolmogorov(&drawn.samples, target);
    assert!(off < 1.95, "{off}");
    assert!(kolmogorov(&drawn.samples, std_normal_cdf) > 5.0);
    // E s under N(0, 1) is -1/2, under N(1, 1) it is 1/2.
    let Details::Ddls {
        mean_logit_before,
        mean_logit,
    } = drawn.report.details
    else {
        panic!("{:?}", drawn.report);
    };
    assert!((mean_logit_before + 0.5).abs() < 0.1 && (mean_logit - 0.5).abs() < 0.1);
    let fewer = pair.draw(&request(steps(None), 600)).unwrap();
    assert_eq!(fewer.samples, drawn.samples[..600]);
    // Half the noise is another temperature; a D of the other sign another place.
    let cold = pair.draw(&request(steps(Some(0.11)), 2000)).unwrap();
    assert!(kolmogorov(&cold.samples, target) > 5.0);
    let wrong = shift(-1.0, PLAIN).draw(&request(steps(None), 2000));
    assert!(kolmogorov(&wrong.unwrap().samples, target) > 5.0);
}

/// A logistic prior: the chain follows its gradient, not a Gaussian's. At D = 1/2 everywhere it stays the prior.
#[test]
fn langevin_chains_follow_other_priors() {
    let flat = shift(0.0, &format!("prior = \"logistic\"\n{PLAIN}"));
    let method = Method::Ddls(ddls::Settings {
        steps: 200,
        step_size: 0.1,
        noise: None,
    });
    let drawn = flat.draw(&request(method, 2000)).unwrap();
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let off = kolmogorov(&drawn.samples, logistic);
    assert!(off < 1.95, "{off}");
    for prior in ["uniform", "semicircle", "exponential"] {
        let pair = shift(1.0, &format!("prior = \"{prior}\"\n{PLAIN}"));
        let error = pair.draw(&request(method, 5)).unwrap_err().to_string();
        assert!(error.contains("ends at its bounds"), "{error}");
    }
}

/// Images leave every sampler plane by plane, sample by sample.
#[test]
fn images_come_in_order() {
    let model = r#"
sample = { channels = 2, height = 1, width = 40 }
[generator]
input = { features = 1 }
layer = [{ type = "linear", out = 80 }]
[discriminator]
input = { features = 80 }
layer = [{ type = "linear", out = 1 }]
"#;
    let bias: Vec<f32> = (0..80).map(|i| i as f32).collect();
    let state = state(&[
        ("g.0.weight", &[80, 1], &[0.0; 80]),
        ("g.0.bias", &[80], &bias),
        ("d.0.weight", &[1, 80], &[0.0; 80]),
        ("d.0.bias", &[1], &[0.25]),
    ]);
    let pair = with_state(model, config(PLAIN), &state);
    let starts = vec![0.5; 80];
    let mh = mh::Settings {
        steps: 2,
        ..Default::default()
    };
    let ddls = ddls::Settings {
        steps: 2,
        ..Default::default()
    };
    let drs = drs::Settings {
        burn_in: 1,
        ..Default::default()
    };
    for method in [
        Method::Raw,
        Method::Mh(mh),
        Method::Ddls(ddls),
        Method::Drs(drs),
    ] {
        let asked = Request {
            starts: &starts,
            ..request(method, 19)
        };
        let drawn = pair.draw(&asked).unwrap();
        assert_eq!(drawn.samples, bias.repeat(19), "{method:?}");
    }
}

#[test]
fn what_cannot_be_sampled_says_why() {
    let method = Method::Drs(drs::Settings::default());
    let pair = peak(1.0, 0.0, PLAIN);
    let error = pair.draw(&request(method, 0)).unwrap_err().to_string();
    assert!(error.contains("count is 0"), "{error}");
    let bad = Method::Drs(drs::Settings {
        gamma_percentile: Some(101.0),
        ..Default::default()
    });
    let error = pair.draw(&request(bad, 5)).unwrap_err().to_string();
    assert!(error.contains("from 0 to 100"), "{error}");
    let no_d = state(&[("g.0.weight", &[1, 1], &[1.0]), ("g.0.bias", &[1], &[0.0])]);
    let alone = with_state(&format!("{IDENTITY}{SHIFT}"), config(PLAIN), &no_d);
    let error = alone.draw(&request(method, 5)).unwrap_err().to_string();
    assert!(error.contains("no tensor `d.*`"), "{error}");
    assert_eq!(
        alone.draw(&request(Method::Raw, 5)).unwrap().samples.len(),
        5
    );
}
