//! The flags of `train` that set the method, and how they change a preset's.
use super::method_names::{
    Choice, Named, OptimiserName, conditional, ema, encoder, info, objective, regulariser,
};
use super::{CliError, parse};
use crate::gan::config::{Ema, GanConfig, Optimiser, Optimisers, Penalty, Prior, Updates};
use crate::gan::methods::{Conditional, EncoderMethod, Info, Unroll};

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Method")]
pub struct MethodFlags {
    /// minimax, non-saturating, least-squares, hinge, wgan (with --clip, a regulariser or --spectral-norm), wgan-gp, relativistic, relativistic-average, energy
    #[arg(long, value_name = "NAME", value_parser = objective)]
    pub objective: Option<Named>,
    /// Penalty on D's gradient: gradient-penalty=10, r1=10, r2=1, dragan=10; may be repeated, replaces the preset's; `none` for none
    #[arg(long, visible_alias = "regularizer", value_name = "NAME[=WEIGHT]", value_parser = regulariser)]
    pub regulariser: Vec<Choice<Penalty>>,
    /// Clip D's weights to +- this after each of its steps (WGAN)
    #[arg(long, value_name = "F", value_parser = parse::positive)]
    pub clip: Option<f64>,
    /// One-sided label smoothing: the target of real samples is 1 minus this
    #[arg(long, value_name = "F", value_parser = parse::fraction)]
    pub label_smoothing: Option<f64>,
    /// Discriminator updates per round
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub d_steps: Option<u32>,
    /// Generator updates per round
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub g_steps: Option<u32>,
    /// Discriminator updates before the first round
    #[arg(long, value_name = "N")]
    pub warmup: Option<u32>,
    /// Real samples per discriminator update
    #[arg(long, visible_alias = "batch-size", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Optimiser of both networks: adam, rmsprop or sgd
    #[arg(long, visible_alias = "optimizer", value_enum)]
    pub optimiser: Option<OptimiserName>,
    /// Learning rate of both networks
    #[arg(long, value_name = "F", value_parser = parse::positive)]
    pub lr: Option<f64>,
    /// Learning rate of the discriminator
    #[arg(long, value_name = "F", value_parser = parse::positive)]
    pub d_lr: Option<f64>,
    /// Learning rate of the generator
    #[arg(long, value_name = "F", value_parser = parse::positive)]
    pub g_lr: Option<f64>,
    /// Adam's decay of the mean gradient
    #[arg(long, visible_alias = "b1", value_name = "F", value_parser = parse::fraction)]
    pub beta1: Option<f64>,
    /// Adam's decay of the mean square
    #[arg(long, visible_alias = "b2", value_name = "F", value_parser = parse::fraction)]
    pub beta2: Option<f64>,
    /// Momentum of sgd or rmsprop
    #[arg(long, value_name = "F", value_parser = parse::fraction)]
    pub momentum: Option<f64>,
    /// Keep a moving average of G's weights for sampling, with this decay per generator update (0.999); `none` for none
    #[arg(long, value_name = "DECAY", value_parser = ema)]
    pub ema: Option<Choice<Ema>>,
    /// Samples that D judges together (PacGAN)
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..))]
    pub pack: Option<u32>,
    /// Updates of D that G's loss looks and differentiates through (unrolled GAN); 0 for none. Made for --objective minimax, whose
    /// value both share
    #[arg(long, value_name = "K")]
    pub unroll: Option<u32>,
    /// The control arm of --unroll: look ahead, but let no gradient through
    #[arg(long)]
    pub unroll_first_order: bool,
    /// Generators behind a shared trunk (MAD-GAN)
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub generators: Option<u32>,
    /// A network from samples to latents: mrgan or veegan; `none` for none
    #[arg(long, value_name = "METHOD", value_parser = encoder)]
    pub encoder: Option<Choice<EncoderMethod>>,
    /// Generation by class, and how D uses the label: concat, projection or auxiliary, with the number of classes (auxiliary=10)
    #[arg(long, value_name = "KIND[=CLASSES]", value_parser = conditional)]
    pub conditional: Option<Conditional>,
    /// Latent codes that D recovers (InfoGAN): values of a categorical one, plus the number of continuous ones (10+2)
    #[arg(long, value_name = "CATEGORICAL[+CONTINUOUS]", value_parser = info)]
    pub info: Option<Info>,
    /// Energy up to which D pushes generated samples (objective energy)
    #[arg(long, value_name = "F", value_parser = parse::positive)]
    pub margin: Option<f64>,
    /// Weight of the pulling-away term on G (objective energy)
    #[arg(long, value_name = "F", value_parser = parse::positive)]
    pub pulling_away: Option<f64>,
    /// Which network moves first in a round: alternating (D, then G against the new D) or simultaneous
    #[arg(long, value_enum)]
    pub updates: Option<Updates>,
    /// Report the norms of D's and G's gradients
    #[arg(long)]
    pub gradient_norms: bool,
    /// Width of the latent vectors, without codes
    #[arg(long, visible_alias = "nz", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub latent_dim: Option<u32>,
    /// Distribution of the latents, each component on its own: normal, uniform (on -1..1), or a density that `data sample` shows
    #[arg(long, value_enum)]
    pub prior: Option<Prior>,
}

impl MethodFlags {
    /// # Errors
    /// If a flag belongs to another optimiser than the configured one, or to a method that is not in use, or contradicts itself.
    pub fn apply(&self, method: &mut GanConfig) -> Result<(), CliError> {
        if self.regulariser.len() > 1 && self.regulariser.contains(&Choice::Nothing) {
            return Err(CliError::usage(
                "--regulariser: none stands alone; leave it out, or leave the others out",
            ));
        }
        self.apply_game(method);
        self.apply_methods(method)?;
        if let Some(name) = self.optimiser {
            let Optimisers { d, g } = &mut method.optimiser;
            *d = name.with_rate(d.lr());
            *g = name.with_rate(g.lr());
        }
        let Optimisers { d, g } = &mut method.optimiser;
        if let Some(lr) = self.d_lr.or(self.lr) {
            *d.lr_mut() = lr;
        }
        if let Some(lr) = self.g_lr.or(self.lr) {
            *g.lr_mut() = lr;
        }
        for optimiser in [d, g] {
            for (flag, value) in [
                ("beta1", self.beta1),
                ("beta2", self.beta2),
                ("momentum", self.momentum),
            ] {
                if let Some(value) = value {
                    set(optimiser, flag, value)?;
                }
            }
        }
        Ok(())
    }

    /// The plain game of two networks, without the optimisers.
    fn apply_game(&self, method: &mut GanConfig) {
        if let Some(Named { objective, penalty }) = self.objective {
            method.objective = objective;
            if let Some(name) = penalty {
                method.regularisers = vec![Penalty {
                    name,
                    weight: name.default_weight(),
                }];
            }
        }
        if !self.regulariser.is_empty() {
            let given = self.regulariser.iter().filter_map(|choice| match choice {
                Choice::Some(penalty) => Some(*penalty),
                Choice::Nothing => None,
            });
            method.regularisers = given.collect();
        }
        if let Some(clip) = self.clip {
            method.clip = Some(clip);
        }
        if let Some(smoothing) = self.label_smoothing {
            method.label_smoothing = smoothing;
        }
        let counts = [
            (&mut method.d_steps, self.d_steps),
            (&mut method.g_steps, self.g_steps),
            (&mut method.warmup_d_steps, self.warmup),
            (&mut method.batch, self.batch),
        ];
        for (field, flag) in counts {
            if let Some(count) = flag {
                *field = count as usize;
            }
        }
        if let Some(width) = self.latent_dim {
            method.latent_dim = Some(width as usize);
        }
        match self.ema {
            Some(Choice::Some(ema)) => method.ema = Some(ema),
            Some(Choice::Nothing) => method.ema = None,
            None => {}
        }
        if let Some(prior) = self.prior {
            method.prior = prior;
        }
    }
}

impl MethodFlags {
    /// What goes beyond the plain game of two networks.
    fn apply_methods(&self, method: &mut GanConfig) -> Result<(), CliError> {
        if let Some(pack) = self.pack {
            method.pack = pack as usize;
        }
        match self.unroll {
            Some(0) => method.unroll = None,
            Some(steps) => {
                let first_order = method.unroll.is_some_and(|u| u.first_order);
                method.unroll = Some(Unroll {
                    steps: steps as usize,
                    lr: method.unroll.and_then(|u| u.lr),
                    first_order,
                });
            }
            None => {}
        }
        if self.unroll_first_order {
            match method.unroll.as_mut().filter(|unroll| unroll.steps > 0) {
                Some(unroll) => unroll.first_order = true,
                None => {
                    return Err(CliError::usage(
                        "--unroll-first-order is the control arm of an unrolled game, and nothing is unrolled: give --unroll K with K at least 1",
                    ));
                }
            }
        }
        if let Some(generators) = self.generators {
            method.generators = generators as usize;
        }
        match self.encoder {
            Some(Choice::Some(encoder)) => method.encoder = Some(encoder),
            Some(Choice::Nothing) => method.encoder = None,
            None => {}
        }
        method.conditional = self.conditional.or(method.conditional);
        method.info = self.info.or(method.info);
        method.margin = self.margin.or(method.margin);
        method.pulling_away = self.pulling_away.or(method.pulling_away);
        method.updates = self.updates.unwrap_or(method.updates);
        method.gradient_norms |= self.gradient_norms;
        Ok(())
    }
}

fn set(optimiser: &mut Optimiser, flag: &str, value: f64) -> Result<(), CliError> {
    let field = match (&mut *optimiser, flag) {
        (Optimiser::Adam(adam), "beta1") => &mut adam.beta1,
        (Optimiser::Adam(adam), "beta2") => &mut adam.beta2,
        (Optimiser::Rmsprop(rmsprop), "momentum") => &mut rmsprop.momentum,
        (Optimiser::Sgd(sgd), "momentum") => &mut sgd.momentum,
        (other, _) => {
            let name = other.name();
            return Err(CliError::usage(format!(
                "--{flag}: the optimiser is {name}, which has no {flag}; see --optimiser"
            )));
        }
    };
    *field = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parsed;
    use crate::gan::config::{Adam, Sgd};
    use crate::gan::{Objective, Regulariser};
    use crate::run::presets::preset;

    fn apply(name: &str, flags: &[&str]) -> Result<GanConfig, String> {
        let flags: MethodFlags =
            parsed(flags.iter().copied()).map_err(|error| error.to_string())?;
        let mut method = preset(name).unwrap().unresolved().unwrap().method;
        flags
            .apply(&mut method)
            .map_err(|error| error.to_string())?;
        Ok(method)
    }

    fn rates(method: &GanConfig) -> (f64, f64) {
        (method.optimiser.d.lr(), method.optimiser.g.lr())
    }

    #[test]
    fn no_flags_change_nothing() {
        assert_eq!(
            apply("mnist-wgan-gp", &[]).unwrap(),
            preset("mnist-wgan-gp")
                .unwrap()
                .unresolved()
                .unwrap()
                .method
        );
    }

    #[test]
    fn rates_go_to_their_networks() {
        assert_eq!(
            rates(&apply("ring8", &["--lr", "3e-4"]).unwrap()),
            (3e-4, 3e-4)
        );
        assert_eq!(
            rates(&apply("ring8", &["--lr", "3e-4", "--d-lr", "1e-3"]).unwrap()),
            (1e-3, 3e-4)
        );
        assert_eq!(
            rates(&apply("ring8", &["--g-lr", "0.5", "--d-lr", "0.25"]).unwrap()),
            (0.25, 0.5)
        );
        assert!(apply("ring8", &["--lr", "0"]).is_err());
    }

    #[test]
    fn aliases_of_the_tutorials_work() {
        let method = apply(
            "ring8",
            &[
                "--batch-size",
                "7",
                "--b1",
                "0.25",
                "--b2",
                "0.75",
                "--nz",
                "3",
            ],
        )
        .unwrap();
        assert_eq!((method.batch, method.latent_dim), (7, Some(3)));
        for optimiser in [method.optimiser.d, method.optimiser.g] {
            assert!(matches!(
                optimiser,
                Optimiser::Adam(Adam {
                    beta1: 0.25,
                    beta2: 0.75,
                    ..
                })
            ));
        }
    }

    #[test]
    fn the_whole_game_can_be_set() {
        let flags = [
            "--objective",
            "hinge",
            "--d-steps",
            "3",
            "--g-steps",
            "2",
            "--warmup",
            "9",
            "--prior",
            "uniform",
        ];
        let more = [
            "--regulariser",
            "r1=2.5",
            "--regularizer",
            "gp",
            "--ema",
            "0.99",
            "--clip",
            "0.01",
        ];
        let method = apply("ring8", &[&flags[..], &more[..]].concat()).unwrap();
        assert_eq!(method.objective, Objective::Hinge);
        assert_eq!(
            (method.d_steps, method.g_steps, method.warmup_d_steps),
            (3, 2, 9)
        );
        assert_eq!((method.prior, method.clip), (Prior::Uniform, Some(0.01)));
        assert_eq!(method.ema, Some(Ema::Decay { decay: 0.99 }));
        let penalties: Vec<_> = method
            .regularisers
            .iter()
            .map(|p| (p.name, p.weight))
            .collect();
        let default = Regulariser::GradientPenalty.default_weight();
        assert_eq!(
            penalties,
            [
                (Regulariser::R1, 2.5),
                (Regulariser::GradientPenalty, default)
            ]
        );
        assert_eq!(apply("ring8", &["--ema", "none"]).unwrap().ema, None);
        assert_eq!(
            apply("ring8", &["--label-smoothing", "0.1"])
                .unwrap()
                .label_smoothing,
            0.1
        );
    }

    #[test]
    fn wgan_gp_is_an_objective_with_its_penalty() {
        let method = apply("mnist-dcgan", &["--objective", "wgan-gp"]).unwrap();
        assert_eq!(
            (method.objective, method.regularisers[0].name),
            (Objective::Wgan, Regulariser::GradientPenalty)
        );
        let method = apply(
            "mnist-wgan-gp",
            &["--objective", "lsgan", "--regulariser", "none"],
        )
        .unwrap();
        assert_eq!(
            (method.objective, method.regularisers.len()),
            (Objective::LeastSquares, 0)
        );
    }

    #[test]
    fn a_changed_optimiser_keeps_the_rates_and_has_its_own_settings() {
        let method = apply(
            "ring8",
            &["--optimizer", "sgd", "--momentum", "0.5", "--d-lr", "0.1"],
        )
        .unwrap();
        assert_eq!(
            method.optimiser.d,
            Optimiser::Sgd(Sgd {
                lr: 0.1,
                momentum: 0.5
            })
        );
        let error = apply("ring8", &["--optimiser", "rmsprop", "--beta1", "0.5"]).unwrap_err();
        assert!(
            error.contains("--beta1") && error.contains("rmsprop"),
            "{error}"
        );
        assert!(
            apply("ring8", &["--momentum", "0.5"])
                .unwrap_err()
                .contains("adam")
        );
    }

    #[test]
    fn the_control_arm_needs_something_unrolled() {
        let unroll = |name: &str, flags: &[&str]| apply(name, flags).unwrap().unroll.unwrap();
        let control = "--unroll-first-order";
        assert!(!unroll("ring8", &["--unroll", "3"]).first_order);
        assert!(unroll("ring8", &["--unroll", "3", control]).first_order);
        assert!(unroll("unrolled-ring8", &[control]).first_order);
        for (name, flags) in [
            ("ring8", &[control][..]),
            ("ring8", &["--unroll", "0", control]),
            ("unrolled-ring8", &["--unroll", "0", control]),
        ] {
            let error = apply(name, flags).unwrap_err();
            assert!(error.contains("nothing is unrolled"), "{error}");
        }
    }

    #[test]
    fn unknown_names_suggest_the_nearest() {
        let error = apply("ring8", &["--objective", "hinges"]).unwrap_err();
        assert!(
            error.contains("(did you mean `hinge`?)") && error.contains("least_squares"),
            "{error}"
        );
        let error = apply("ring8", &["--regulariser", "r3=1"]).unwrap_err();
        assert!(
            error.contains("no regulariser is named `r3`") && error.contains("gradient_penalty"),
            "{error}"
        );
        assert!(
            apply("ring8", &["--regulariser", "r1=-1"])
                .unwrap_err()
                .contains("above 0")
        );
        let both = ["--regulariser", "none", "--regulariser", "r1=1"];
        let error = apply("ring8", &both).unwrap_err();
        assert!(error.contains("none stands alone"), "{error}");
    }
}
