//! What the method's flags are called on the command line, aliases of papers and tutorials included.
use super::parse;
use crate::gan::config::{Adam, Ema, Optimiser, Penalty, Rmsprop, Sgd};
use crate::gan::methods::{Condition, Conditional, EncoderMethod, Info};
use crate::gan::{Objective, Regulariser};
use crate::run::suggest::suggestion;

/// A value, or the word `none`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice<T> {
    Nothing,
    Some(T),
}

/// An objective with the penalty that its name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named {
    pub objective: Objective,
    pub penalty: Option<Regulariser>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OptimiserName {
    Adam,
    Rmsprop,
    Sgd,
}

impl OptimiserName {
    /// PyTorch's defaults for everything but the rate.
    pub fn with_rate(self, lr: f64) -> Optimiser {
        match self {
            OptimiserName::Adam => Optimiser::Adam(Adam {
                lr,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
            }),
            OptimiserName::Rmsprop => Optimiser::Rmsprop(Rmsprop {
                lr,
                alpha: 0.99,
                eps: 1e-8,
                momentum: 0.0,
            }),
            OptimiserName::Sgd => Optimiser::Sgd(Sgd { lr, momentum: 0.0 }),
        }
    }
}

/// Names that papers and tutorials use besides the table's.
const OTHER_NAMES: &[(&str, Objective)] = &[
    ("gan", Objective::NonSaturating),
    ("vanilla", Objective::NonSaturating),
    ("bce", Objective::NonSaturating),
    ("ns", Objective::NonSaturating),
    ("lsgan", Objective::LeastSquares),
    ("saturating", Objective::Minimax),
    ("rpgan", Objective::Relativistic),
    ("ragan", Objective::RelativisticAverage),
    ("ebgan", Objective::Energy),
];

pub fn objective(text: &str) -> Result<Named, String> {
    let name = text.to_lowercase().replace('-', "_");
    if name == "wgan_gp" {
        return Ok(Named {
            objective: Objective::Wgan,
            penalty: Some(Regulariser::GradientPenalty),
        });
    }
    let table = Objective::ALL
        .iter()
        .map(|&objective| (objective.name(), objective));
    let known = table.chain(OTHER_NAMES.iter().copied());
    match known.clone().find(|(known, _)| *known == name) {
        Some((_, objective)) => Ok(Named {
            objective,
            penalty: None,
        }),
        None => {
            let names: Vec<_> = Objective::ALL
                .iter()
                .map(|objective| objective.name())
                .collect();
            let near = suggestion(&name, known.map(|(name, _)| name).chain(["wgan_gp"]));
            Err(format!(
                "no objective is named `{text}`{near}; there are {}, wgan_gp",
                names.join(", ")
            ))
        }
    }
}

pub fn regulariser(text: &str) -> Result<Choice<Penalty>, String> {
    if text == "none" {
        return Ok(Choice::Nothing);
    }
    let (name, weight) = match text.split_once(['=', ':']) {
        Some((name, weight)) => (name, Some(parse::positive(weight)?)),
        None => (text, None),
    };
    let plain = match name.to_lowercase().replace('-', "_") {
        short if short == "gp" => "gradient_penalty".into(),
        name => name,
    };
    let known = || {
        Regulariser::ALL
            .iter()
            .map(|regulariser| regulariser.name())
    };
    let Some(&found) = Regulariser::ALL
        .iter()
        .find(|regulariser| regulariser.name() == plain)
    else {
        let names = known().collect::<Vec<_>>().join(", ");
        return Err(format!(
            "no regulariser is named `{name}`{}; there are {names}",
            suggestion(&plain, known())
        ));
    };
    Ok(Choice::Some(Penalty {
        name: found,
        weight: weight.unwrap_or(found.default_weight()),
    }))
}

pub fn encoder(text: &str) -> Result<Choice<EncoderMethod>, String> {
    if text == "none" {
        return Ok(Choice::Nothing);
    }
    let found = EncoderMethod::named(&text.to_lowercase());
    found.map(Choice::Some).ok_or_else(|| {
        let near = suggestion(text, EncoderMethod::NAMES);
        format!("no encoder method is named `{text}`{near}; there are mrgan, veegan")
    })
}

pub fn conditional(text: &str) -> Result<Conditional, String> {
    let (name, classes) = match text.split_once('=') {
        Some((name, classes)) => {
            let classes = classes.parse().ok().filter(|&n| n >= 2);
            (
                name,
                classes.ok_or_else(|| {
                    format!("`{text}`: give the number of classes, at least 2, behind the =")
                })?,
            )
        }
        None => (text, 10),
    };
    let kind = name.to_lowercase().parse().map_err(|_| {
        let near = suggestion(name, Condition::ALL.iter().map(|k| k.0));
        format!(
            "no way to use labels is named `{name}`{near}; there are concat, projection, auxiliary"
        )
    })?;
    Ok(Conditional {
        kind,
        classes,
        weight: 1.0,
    })
}

pub fn info(text: &str) -> Result<Info, String> {
    let (categorical, continuous) = text.split_once('+').unwrap_or((text, "0"));
    let number = |part: &str| {
        let read = part.trim().parse::<usize>();
        read.map_err(|_| format!("`{text}`: give two whole numbers as in 10+2, values of the categorical code and number of continuous codes"))
    };
    Ok(Info {
        categorical: number(categorical)?,
        continuous: number(continuous)?,
        weight: 1.0,
    })
}

pub fn ema(text: &str) -> Result<Choice<Ema>, String> {
    match text {
        "none" => Ok(Choice::Nothing),
        _ => Ok(Choice::Some(Ema::Decay {
            decay: parse::fraction(text)?,
        })),
    }
}
