//! The settings of a method: defaults, TOML and what is refused.
use super::torch::Bench;
use gan_gpu::gan::config::{Adam, Ema, Optimiser, Prior};
use gan_gpu::gan::regularisers::{Critic, Samples};
use gan_gpu::gan::{GanConfig, Objective, Regulariser};
use gan_gpu::nn::{Network, NetworkSpec};

const WGAN_GP: &str = "objective = \"wgan\"\nbatch = 64\nd_steps = 5\nwarmup_d_steps = 20\nprior = \"uniform\"\n\
    regularisers = [{ name = \"gradient_penalty\", weight = 10.0 }]\nema = { half_life_images = 640 }\n\
    [optimiser]\nd = { name = \"adam\", lr = 1e-4, beta1 = 0.5, beta2 = 0.9 }\ng = { name = \"sgd\", lr = 0.1, momentum = 0.5 }\n";

#[test]
fn settings_read_with_pytorchs_defaults_and_round_trip() {
    let c = GanConfig::from_toml("preset", WGAN_GP).unwrap();
    assert_eq!(
        (c.objective, c.batch, c.d_steps, c.g_steps, c.warmup_d_steps),
        (Objective::Wgan, 64, 5, 1, 20)
    );
    assert_eq!(
        (c.prior, c.latent_dim, c.clip, c.label_smoothing),
        (Prior::Uniform, None, None, 0.0)
    );
    assert_eq!(
        (c.regularisers[0].name, c.regularisers[0].weight),
        (Regulariser::GradientPenalty, 10.0)
    );
    assert_eq!(
        c.optimiser.d,
        Optimiser::Adam(Adam {
            lr: 1e-4,
            beta1: 0.5,
            beta2: 0.9,
            eps: 1e-8
        })
    );
    let text = toml::to_string(&c).unwrap();
    assert_eq!(GanConfig::from_toml("again", &text).unwrap(), c, "{text}");

    let least = "objective = \"hinge\"\nbatch = 1\n[optimiser]\nd = { name = \"rmsprop\", lr = 5e-5 }\ng = { name = \"adam\", lr = 1.0 }";
    let c = GanConfig::from_toml("least", least).unwrap();
    assert_eq!(
        (c.d_steps, c.g_steps, c.warmup_d_steps, c.prior, c.ema),
        (1, 1, 0, Prior::Normal, None)
    );
    let Optimiser::Rmsprop(d) = c.optimiser.d else {
        panic!()
    };
    assert_eq!((d.alpha, d.eps, d.momentum), (0.99, 1e-8, 0.0));
    assert_eq!(
        c.optimiser.g,
        Optimiser::Adam(Adam {
            lr: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8
        })
    );
}

/// The method's own loss has its smoothing, and its penalty its weight.
#[test]
fn the_method_writes_its_losses() {
    let text = WGAN_GP.replacen("\"wgan\"", "\"minimax\"\nlabel_smoothing = 0.1", 1);
    let c = GanConfig::from_toml("preset", &text).unwrap();
    let mut b = Bench::default();
    let s = b.leaf("s", [1, 1], &[2.0]);
    let loss = c.discriminator_loss(&mut b.g, s, s).unwrap();
    let softplus = |x: f64| x.exp().ln_1p();
    let expected = 0.9 * softplus(-2.0) + 0.1 * softplus(2.0) + softplus(2.0);
    assert!((b.scalar(loss) - expected).abs() < 1e-7);
    assert!((b.scalar(loss) - softplus(-2.0) - softplus(2.0)).abs() > 0.1);
    assert_eq!(c.ema_decay(), Some(0.5f64.powf(0.1)));
    // D(x) = 3 x: 10 (3 - 1)^2.
    let x = b.leaf("x", [1, 1], &[5.0]);
    let samples = Samples {
        real: x,
        fake: x,
        epsilon: s,
    };
    let penalty = c.regularisers[0].penalty(
        &mut b.g,
        samples,
        Critic::new(&[], &mut |g, x| Ok(g.scale(x, 3.0)?)),
    );
    assert!((b.scalar(penalty.unwrap()) - 40.0).abs() < 1e-9);
}

/// 0.5^(batch / half-life): half of the old average is left after ten steps of 64 of 640 images.
#[test]
fn ema_by_half_life() {
    let decay = Ema::HalfLife {
        half_life_images: 640.0,
    }
    .decay(64);
    assert!((decay.powi(10) - 0.5).abs() < 1e-12);
    assert_eq!(Ema::Decay { decay: 0.999 }.decay(64), 0.999);
}

#[test]
fn a_setting_out_of_range_is_named() {
    for (from, to, expected) in [
        (
            "batch = 64",
            "batch = 0",
            "batch: expected at least 1, got 0",
        ),
        (
            "d_steps = 5",
            "d_steps = 0",
            "d_steps: expected at least 1, got 0",
        ),
        (
            "d_steps = 5",
            "d_steps = 4294967295",
            "d_steps: expected at most 1000000, got 4294967295",
        ),
        (
            "d_steps = 5",
            "g_steps = 0",
            "g_steps: expected at least 1, got 0",
        ),
        (
            "d_steps = 5",
            "latent_dim = 0",
            "latent_dim: expected at least 1, got 0",
        ),
        (
            "d_steps = 5",
            "clip = -0.01",
            "clip: expected a finite number above 0, got -0.01",
        ),
        (
            "lr = 1e-4",
            "lr = 0.0",
            "optimiser.d.lr: expected a finite number above 0, got 0",
        ),
        (
            "lr = 0.1",
            "lr = nan",
            "optimiser.g.lr: expected a finite number above 0, got NaN",
        ),
        (
            "beta1 = 0.5",
            "beta1 = 1.0",
            "optimiser.d.beta1: expected a number from 0 to below 1, got 1",
        ),
        (
            "momentum = 0.5",
            "momentum = -0.5",
            "optimiser.g.momentum: expected a number from 0 to below 1, got -0.5",
        ),
        (
            "half_life_images = 640",
            "decay = 1.0",
            "ema.decay: expected a number from 0 to below 1, got 1",
        ),
        (
            "half_life_images = 640",
            "half_life_images = 0",
            "ema.half_life_images: expected a finite number above 0, got 0",
        ),
        (
            "weight = 10.0",
            "weight = -1.0",
            "regularisers.gradient_penalty.weight: expected a finite number above 0, got -1",
        ),
        (
            "weight = 10.0 }",
            "weight = 10.0 }, { name = \"gradient_penalty\", weight = 1.0 }",
            "regularisers: expected each name once, got gradient_penalty twice",
        ),
        (
            "d_steps = 5",
            "label_smoothing = 0.1",
            "label_smoothing: expected 0 with the objective wgan, which has no labels, got 0.1",
        ),
    ] {
        let text = WGAN_GP.replacen(from, to, 1);
        assert_ne!(text, WGAN_GP);
        assert_eq!(
            GanConfig::from_toml("preset", &text)
                .unwrap_err()
                .to_string(),
            expected
        );
    }
    let clipped = WGAN_GP.replacen(
        "regularisers = [{ name = \"gradient_penalty\", weight = 10.0 }]",
        "clip = 0.01",
        1,
    );
    let penalty = "regularisers = [{ name = \"gradient_penalty\", weight = 10.0 }]";
    let free = WGAN_GP.replacen(penalty, "", 1);
    let critic = |normalised: bool| {
        let layer = format!("[[layer]]\ntype = \"linear\"\nout = 1\nspectral_norm = {normalised}");
        let spec = format!("input = {{ features = 2 }}\n{layer}");
        Network::new(&toml::from_str::<NetworkSpec>(&spec).unwrap()).unwrap()
    };
    let check = |text: &str, normalised| {
        let config = GanConfig::from_toml("preset", text).unwrap();
        config.check_critic(&critic(normalised))
    };
    assert!(check(&clipped, false).is_ok() && check(WGAN_GP, false).is_ok());
    assert!(check(&free, true).is_ok());
    assert_eq!(
        check(&free, false).unwrap_err().to_string(),
        "objective: expected `clip`, a regulariser or a discriminator with spectral norm with wgan, got none of them"
    );
    let smoothed = WGAN_GP.replacen("\"wgan\"", "\"minimax\"\nlabel_smoothing = 0.1", 1);
    assert!(GanConfig::from_toml("preset", &smoothed).is_ok());
}

#[test]
fn wrong_keys_and_types_give_their_line() {
    for (from, to, line, words) in [
        (
            "d_steps = 5",
            "k_steps = 5",
            "line 3",
            "unknown field `k_steps`",
        ),
        ("\"wgan\"", "\"wgann\"", "line 1", "unknown variant `wgann`"),
        ("batch = 64", "", "line 1", "missing field `batch`"),
        (
            "beta1 = 0.5",
            "beta = 0.5",
            "line 9",
            "unknown field `beta`",
        ),
        (
            "half_life_images",
            "halflife",
            "line 7",
            "expected `{ decay = B }` or `{ half_life_images = N }`",
        ),
    ] {
        let text = WGAN_GP.replacen(from, to, 1);
        let e = GanConfig::from_toml("preset", &text)
            .unwrap_err()
            .to_string();
        assert!(
            e.starts_with("preset: ") && e.contains(line) && e.contains(words),
            "{e}"
        );
    }
}
