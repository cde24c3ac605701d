//! The flags that choose one of the samplers that follow training, for every verb that draws from a run, and what those verbs say of it.
use super::CliError;
use crate::gan::samplers::Details;
use crate::run::samplers::{Calibrate, Method, RunReport, Settings, ddls, drs, mh};

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Sampler")]
pub struct SamplerFlags {
    /// raw: the generator alone; drs: discriminator rejection sampling; mh: MH-GAN; ddls: Langevin chains in latent space
    #[arg(long, value_enum)]
    pub sampler: Option<SamplerName>,
    /// Make D's output a logit by logistic regression on real and generated samples; by default always for mh, for the others where
    /// the objective's D has no logit, and where the generator is the average of its weights, which D was not trained with
    #[arg(long, value_enum)]
    pub calibrate: Option<CalibrateName>,
    /// Real samples, and as many generated ones, that calibration sees [default: 5000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub calibration_samples: Option<u32>,
    /// Where real samples for calibration and chains come from, best data that D has not seen; by default the run's own data
    #[arg(long, value_name = "NAME|PATH")]
    pub real: Option<String>,
    /// Generated samples from which drs estimates the largest logit [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub drs_burn_in: Option<u32>,
    /// gamma of drs is this percentile of F; lower accepts more; `none` for gamma = 0, exact where D is [default: 95]
    #[arg(long, value_name = "P|none", value_parser = percentile)]
    pub drs_gamma_percentile: Option<Percentile>,
    /// epsilon of drs [default: 1e-6]
    #[arg(long, value_name = "F")]
    pub drs_epsilon: Option<f64>,
    /// Proposals per chain of mh [default: 640]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub mh_steps: Option<u32>,
    /// Where chains of mh start [default: real]
    #[arg(long, value_enum)]
    pub mh_start: Option<StartName>,
    /// Langevin steps of ddls [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub ddls_steps: Option<u32>,
    /// Step size of ddls [default: 0.01]
    #[arg(long, value_name = "F")]
    pub ddls_step_size: Option<f64>,
    /// Standard deviation of the noise of a step of ddls [default: the root of the step size]
    #[arg(long, value_name = "F")]
    pub ddls_noise: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SamplerName {
    Raw,
    Drs,
    Mh,
    Ddls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CalibrateName {
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StartName {
    /// At real samples
    Real,
    /// At generated samples
    Generated,
}

/// A percentile, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentile(Option<f64>);

fn percentile(text: &str) -> Result<Percentile, String> {
    if text == "none" {
        return Ok(Percentile(None));
    }
    match text.parse::<f64>() {
        Ok(p) if (0.0..=100.0).contains(&p) => Ok(Percentile(Some(p))),
        _ => Err(format!(
            "`{text}` is no number from 0 to 100, and not `none`"
        )),
    }
}

impl SamplerFlags {
    /// How to draw; None for the generator alone, which needs none of this.
    ///
    /// # Errors
    /// [`CliError::usage`] for a flag of another sampler.
    pub fn settings(&self) -> Result<Option<Settings>, CliError> {
        let sampler = self.sampler.unwrap_or(SamplerName::Raw);
        for (given, flag, owner) in self.owned() {
            if given && !owner.contains(&sampler) {
                let names: Vec<_> = owner.iter().map(|s| s.name()).collect();
                return Err(CliError::usage(format!(
                    "{flag} belongs to --sampler {}, and the sampler is {}",
                    names.join(" or "),
                    sampler.name()
                )));
            }
        }
        let method = match sampler {
            SamplerName::Raw => return Ok(None),
            SamplerName::Drs => {
                let usual = drs::Settings::default();
                Method::Drs(drs::Settings {
                    burn_in: self.drs_burn_in.map_or(usual.burn_in, |n| n as usize),
                    gamma_percentile: self
                        .drs_gamma_percentile
                        .map_or(usual.gamma_percentile, |p| p.0),
                    epsilon: self.drs_epsilon.unwrap_or(usual.epsilon),
                })
            }
            SamplerName::Mh => Method::Mh(mh::Settings {
                steps: self.mh_steps.unwrap_or(mh::Settings::default().steps),
                start: match self.mh_start {
                    Some(StartName::Generated) => mh::Start::Generated,
                    Some(StartName::Real) | None => mh::Start::Real,
                },
            }),
            SamplerName::Ddls => {
                let usual = ddls::Settings::default();
                Method::Ddls(ddls::Settings {
                    steps: self.ddls_steps.unwrap_or(usual.steps),
                    step_size: self.ddls_step_size.unwrap_or(usual.step_size),
                    noise: self.ddls_noise,
                })
            }
        };
        let usual = Settings::new(method);
        Ok(Some(Settings {
            method,
            calibrate: match self.calibrate {
                None => Calibrate::Auto,
                Some(CalibrateName::Always) => Calibrate::Always,
                Some(CalibrateName::Never) => Calibrate::Never,
            },
            calibration_samples: self
                .calibration_samples
                .map_or(usual.calibration_samples, |n| n as usize),
            real: self.real.clone(),
        }))
    }

    /// Every flag but `--sampler`: whether it was given, and whose it is.
    fn owned(&self) -> [(bool, &'static str, &'static [SamplerName]); 11] {
        use SamplerName::{Ddls, Drs, Mh};
        let (drs, mh, ddls): (&[_], &[_], &[_]) = (&[Drs], &[Mh], &[Ddls]);
        let all: &[_] = &[Drs, Mh, Ddls];
        [
            (self.calibrate.is_some(), "--calibrate", all),
            (
                self.calibration_samples.is_some(),
                "--calibration-samples",
                all,
            ),
            (self.real.is_some(), "--real", all),
            (self.drs_burn_in.is_some(), "--drs-burn-in", drs),
            (
                self.drs_gamma_percentile.is_some(),
                "--drs-gamma-percentile",
                drs,
            ),
            (self.drs_epsilon.is_some(), "--drs-epsilon", drs),
            (self.mh_steps.is_some(), "--mh-steps", mh),
            (self.mh_start.is_some(), "--mh-start", mh),
            (self.ddls_steps.is_some(), "--ddls-steps", ddls),
            (self.ddls_step_size.is_some(), "--ddls-step-size", ddls),
            (self.ddls_noise.is_some(), "--ddls-noise", ddls),
        ]
    }
}

impl SamplerName {
    fn name(self) -> &'static str {
        match self {
            SamplerName::Raw => "raw",
            SamplerName::Drs => "drs",
            SamplerName::Mh => "mh",
            SamplerName::Ddls => "ddls",
        }
    }
}

/// How the samples came about, for a person.
pub fn describe(run: &RunReport) -> String {
    let report = &run.report;
    let mut text = format!(
        "{}: {} samples from {} generated ones",
        report.sampler, report.count, report.generated
    );
    if let Some(rate) = report.acceptance_rate {
        text += &format!(", {:.1} % of proposals accepted", 100.0 * rate);
    }
    match report.details {
        Details::Drs { max_logit } => text += &format!(", largest logit {max_logit:.2}"),
        Details::Mh { restarted_chains } => {
            text += &format!(", {restarted_chains} chains restarted");
        }
        Details::Ddls {
            mean_logit_before,
            mean_logit,
        } => text += &format!(", mean logit {mean_logit_before:.3} -> {mean_logit:.3}"),
        Details::None {} => {}
    }
    if let Some(platt) = report.calibration {
        text += &format!(
            "; logit = {:.3} D {:+.3} by calibration",
            platt.slope, platt.offset
        );
    }
    if let Some(real) = &run.real_samples {
        text += &format!("; real samples: {real}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parsed;

    fn settings(flags: &str) -> Result<Option<Settings>, CliError> {
        parsed::<SamplerFlags>(flags.split_whitespace())
            .unwrap()
            .settings()
    }

    #[test]
    fn flags_make_the_sampler_and_defaults_are_the_papers() {
        assert_eq!(settings("").unwrap(), None);
        assert_eq!(settings("--sampler raw").unwrap(), None);
        let method = |flags: &str| settings(flags).unwrap().unwrap().method;
        assert_eq!(method("--sampler mh"), Method::Mh(mh::Settings::default()));
        assert_eq!(
            method("--sampler drs --drs-gamma-percentile none --drs-burn-in 9"),
            Method::Drs(drs::Settings {
                gamma_percentile: None,
                burn_in: 9,
                ..Default::default()
            })
        );
        assert_eq!(
            method("--sampler ddls --ddls-steps 5 --ddls-step-size 0.1"),
            Method::Ddls(ddls::Settings {
                steps: 5,
                step_size: 0.1,
                noise: None
            })
        );
        let other = settings("--sampler drs --mh-steps 5").unwrap_err();
        let text = other.to_string();
        assert!(
            text.contains("--mh-steps belongs to --sampler mh"),
            "{text}"
        );
        assert!(settings("--ddls-steps 5").is_err());
    }
}
