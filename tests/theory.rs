//! The game seen from its theory: closed forms against what the training programs do on the device, and qualitative results of the
//! experiments, each with a mutation that its check must catch.
use gan_gpu::data::rng::Stream;
use gan_gpu::data::toy::ToySet;
use gan_gpu::gan::Objective;
use gan_gpu::gan::config::Updates;
use gan_gpu::gpu::CacheFolder;
use gan_gpu::gpu::testing::gpu;
use gan_gpu::graph::{Expr, Graph, Reference};
use gan_gpu::run::theory::dirac::{Fate, GAMES, Game, Player, RATE};
use gan_gpu::run::theory::{Settings, critic, dirac, mle, strength};

const BOTH: [Updates; 2] = [Updates::Simultaneous, Updates::Alternating];

fn settings() -> Settings {
    Settings {
        adapter: std::env::var("GAN_GPU_ADAPTER").unwrap_or_else(|_| "auto".into()),
        seed: 0,
        cache: CacheFolder::default(),
    }
}

fn game(name: &str) -> &'static Game {
    GAMES.iter().find(|g| g.name.starts_with(name)).unwrap()
}

/// f32 results over a difference of 2 x 0.01, and what is left of the third derivative.
const NEAR: f64 = 1e-3;

#[test]
fn a_training_round_of_the_dirac_gan_has_the_closed_form_s_eigenvalues() {
    for name in [
        "GAN (minimax)",
        "GAN (non",
        "WGAN",
        "R1, γ = 0.3",
        "R1, γ = 3",
    ] {
        for updates in BOTH {
            let game = game(name);
            let mut player = Player::new(game, RATE, updates, &settings()).unwrap();
            let measured = dirac::eigenvalues(player.jacobian().unwrap());
            let closed = |game: &Game, updates| dirac::closed_form(game, RATE, updates).unwrap();
            let error = dirac::distance(measured, closed(game, updates));
            assert!(
                error < NEAR,
                "{name} {updates:?}: {measured:?}, {error:.1e} off"
            );
            // A penalty of the other sign, and the other order of updates, are told apart.
            let flipped = Game {
                gamma: -game.gamma,
                ..*game
            };
            let order = BOTH[usize::from(updates == BOTH[0])];
            let wrong = [
                (game.gamma != 0.0).then(|| closed(&flipped, updates)),
                Some(closed(game, order)),
            ];
            for wrong in wrong.into_iter().flatten() {
                let error = dirac::distance(measured, wrong);
                assert!(error > 10.0 * NEAR, "{name} {updates:?}: {error:.1e}");
            }
        }
    }
}

#[test]
fn only_the_penalised_dirac_gan_converges() {
    let fate = |name: &str, updates| {
        let row = dirac::measure(game(name), updates, 60, &settings()).unwrap();
        (row.fate, row.jump)
    };
    assert_eq!(fate("WGAN", Updates::Simultaneous).0, Fate::Diverges);
    assert_eq!(fate("WGAN", Updates::Alternating).0, Fate::NotAtRest);
    for updates in BOTH {
        assert_eq!(fate("R1, γ = 1", updates).0, Fate::Converges, "{updates:?}");
        let (fate, jump) = fate("WGAN-GP", updates);
        assert_ne!(fate, Fate::Converges, "{updates:?}");
        let [jump, wanted] = jump.unwrap();
        assert!((jump - wanted).abs() < NEAR, "{jump} {wanted}");
    }
}

/// Below lambda = 1 the penalty's two halves hand the path back and forth; above, it comes to rest in one of them, at |theta| = 2 lambda.
#[test]
fn wgan_gp_circles_or_comes_to_rest_at_a_wrong_place() {
    let tail = |game: &Game, updates| -> Vec<[f64; 2]> {
        let mut player = Player::new(game, RATE, updates, &settings()).unwrap();
        player.trajectory(90).unwrap().split_off(60)
    };
    for updates in BOTH {
        let circling = tail(game("WGAN-GP"), updates);
        for axis in [0, 1] {
            let far = |sign: f64| circling.iter().any(|p| sign * p[axis] > 0.8);
            assert!(far(1.0) && far(-1.0), "{updates:?}: {circling:?}");
        }
        let overdamped = Game {
            lambda: 1.2,
            ..*game("WGAN-GP")
        };
        let resting = tail(&overdamped, updates);
        let [theta, psi] = resting[resting.len() - 1];
        assert!((theta.abs() - 2.4).abs() < 0.05, "{updates:?}: {theta}");
        assert!(psi.abs() < 0.02, "{updates:?}: {psi}");
    }
}

/// The graph's loss of a mixture as f64, and its gradient by finite differences and by the graph.
#[test]
fn the_likelihood_of_a_mixture_is_its_formula_and_so_is_its_gradient() {
    let x: Vec<f32> = (0..37).map(|i| (i as f32 * 0.61).sin() * 3.0).collect();
    let values = [
        vec![0.3, -0.5, 0.1],
        vec![-1.5, 0.2, 2.0],
        vec![-0.7, 0.1, -0.3],
    ];
    let mut g = Graph::new();
    let p = mle::Parameters {
        logits: g.leaf("logits", [3, 1]),
        means: g.leaf("means", [3, 1]),
        log_sigmas: g.leaf("log_sigmas", [3, 1]),
    };
    let data = g.leaf("x", [1, x.len()]);
    let loss = mle::negative_log_likelihood(&mut g, p, data).unwrap();
    let leaves = [p.logits, p.means, p.log_sigmas];
    let gradients = g.gradients(loss, &leaves).unwrap();
    let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let evaluate = |values: &[Vec<f64>; 3], wanted: &[Expr]| -> Vec<Vec<f64>> {
        let mut reference = Reference::new();
        reference.bind(&g, data, wide.clone());
        for (&leaf, values) in leaves.iter().zip(values) {
            reference.bind(&g, leaf, values.clone());
        }
        reference.evaluate(&g, wanted).unwrap()
    };
    let fit = |values: &[Vec<f64>; 3]| {
        let exp: Vec<f64> = values[0].iter().map(|a| a.exp()).collect();
        let total: f64 = exp.iter().sum();
        mle::Fit {
            weights: exp.iter().map(|w| w / total).collect(),
            means: values[1].clone(),
            sigmas: values[2].iter().map(|s| s.exp()).collect(),
        }
    };
    let by_hand = fit(&values).negative_log_likelihood(&x);
    let by_graph = evaluate(&values, &[loss])[0][0];
    assert!((by_hand - by_graph).abs() < 1e-6, "{by_hand} {by_graph}");
    let found = evaluate(&values, &gradients);
    for part in 0..3 {
        for k in 0..3 {
            let moved = |step: f64| {
                let mut values = values.clone();
                values[part][k] += step;
                fit(&values).negative_log_likelihood(&x)
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let got = found[part][k];
            assert!(
                (got - difference).abs() < 1e-5,
                "{part} {k}: {got} {difference}"
            );
            // Of the other sign it would be noticed.
            assert!((got + difference).abs() > 1e-4, "{part} {k}");
        }
    }
}

#[test]
fn ascent_on_the_device_reaches_the_maximum_of_the_likelihood() {
    let draw = |set: ToySet| set.sample_features_first(&Stream::new(4, 1, 0), 1000);
    let samples = draw(ToySet::Bimodal1d);
    let closed = mle::Fit::gaussian(&samples);
    let (single, _) = mle::fit(&gpu(), &samples, 1, 300).unwrap();
    assert!(
        (single.means[0] - closed.means[0]).abs() < 2e-3,
        "{single:?} {closed:?}"
    );
    assert!(
        (single.sigmas[0] - closed.sigmas[0]).abs() < 2e-3,
        "{single:?} {closed:?}"
    );
    // One Gaussian covers both modes and the gap between: sigma^2 = 2^2 + 0.3^2.
    assert!(
        (single.sigmas[0] - 4.09f64.sqrt()).abs() < 0.05,
        "{single:?}"
    );
    let (both, losses) = mle::fit(&gpu(), &samples, 2, 300).unwrap();
    let mut means = both.means.clone();
    means.sort_by(f64::total_cmp);
    assert!(
        (means[0] + 2.0).abs() < 0.05 && (means[1] - 2.0).abs() < 0.05,
        "{both:?}"
    );
    assert!(
        both.sigmas.iter().all(|s| (s - 0.3).abs() < 0.03),
        "{both:?}"
    );
    // The loss it reports is that of the fit, and two Gaussians are likelier than one by nearly ln(sigma / 0.3) - ln 2.
    let [one, two] = [&single, &both].map(|fit| fit.negative_log_likelihood(&samples));
    assert!((losses[losses.len() - 1] - two).abs() < 1e-3, "{losses:?}");
    assert!(
        losses[0] > two + 0.1 && one > two + 1.0,
        "{one} {two} {}",
        losses[0]
    );
}

#[test]
fn a_strong_d_leaves_g_no_gradient_under_the_minimax_loss_only() {
    let plan = strength::Plan {
        set: ToySet::Gauss1d,
        steps: 12,
    };
    let last = |objective, d_steps| {
        let series = strength::play(objective, d_steps, &plan, &settings()).unwrap();
        series.grad_norm_g[series.grad_norm_g.len() - 1]
    };
    let strong = last(Objective::Minimax, 50);
    let weak = last(Objective::Minimax, 1);
    let other = last(Objective::NonSaturating, 50);
    assert!(strong < 0.1 * weak, "{strong:e} against {weak:e}");
    assert!(strong < 0.1 * other, "{strong:e} against {other:e}");
}

/// On a line a strong penalty keeps a critic at the wrong side of a slope of 0, and then it says that generated samples are the better
/// ones: with lambda = 10 this estimate is negative.
#[test]
fn a_critic_on_a_line_finds_the_right_sign() {
    let plan = critic::Plan {
        set: ToySet::Mixture1d,
        steps: 30,
        every: 15,
        clip: None,
    };
    let numbers = critic::run(&plan, &settings()).unwrap().numbers;
    for point in &numbers.wgan {
        assert!(point.estimate > 0.1 * point.lipschitz, "{point:?}");
    }
}
