//! Which metrics are meant by their names, and which apply.
use crate::metrics::{METRICS, Metric, Target};
use crate::run::suggest::suggestion;

/// What was asked for cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("no metric is named `{name}`{}; there are {}", suggestion(name, names()), list(METRICS.iter()))]
    Unknown { name: String },
    #[error("`{name}` is a metric of {domain}, but the run learnt {target}; {}", describe_fitting(.fitting))]
    NotFor {
        name: &'static str,
        domain: &'static str,
        target: String,
        /// The metrics that apply, by name.
        fitting: String,
    },
    #[error(
        "no metric applies to {target} as they are; of digits, --classifier FILE says what they are (`gan-gpu classify train` makes one)"
    )]
    Nothing { target: String },
}

fn names() -> impl Iterator<Item = &'static str> {
    METRICS
        .iter()
        .flat_map(|m| m.aliases.iter().copied().chain([m.name]))
}

fn list<'a>(metrics: impl Iterator<Item = &'a Metric>) -> String {
    metrics.map(|m| m.name).collect::<Vec<_>>().join(", ")
}

fn describe_fitting(fitting: &str) -> String {
    match fitting {
        "" => "no metric applies to it".into(),
        fitting => format!("there {fitting} would apply"),
    }
}

/// The metrics that `names` mean, each once, in the order given; all that apply to the target if none is named.
///
/// # Errors
/// [`EvalError`]: a name that is none, a metric of other data, or nothing to be measured.
pub fn select(names: &[String], target: &Target) -> Result<Vec<&'static Metric>, EvalError> {
    let mut chosen: Vec<&'static Metric> = Vec::new();
    for name in names {
        let metric = Metric::find(name).ok_or_else(|| EvalError::Unknown { name: name.clone() })?;
        if !metric.domain.holds(target) {
            return Err(EvalError::NotFor {
                name: metric.name,
                domain: metric.domain.describe(),
                target: target.describe(),
                fitting: list(Metric::all_for(target)),
            });
        }
        if chosen.iter().all(|m| m.name != metric.name) {
            chosen.push(metric);
        }
    }
    if names.is_empty() {
        chosen = Metric::all_for(target).collect();
    }
    if chosen.is_empty() {
        let target = target.describe();
        return Err(EvalError::Nothing { target });
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::toy::ToySet;

    fn ring() -> Target {
        Target::points(ToySet::Ring8)
    }

    fn names_of(chosen: Vec<&Metric>) -> Vec<&str> {
        chosen.into_iter().map(|m| m.name).collect()
    }

    fn given(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn metrics_are_chosen_by_any_of_their_names_once() {
        let chosen = select(&given(&["hq", "modes", "high-quality-percent"]), &ring()).unwrap();
        assert_eq!(names_of(chosen), ["high_quality_percent", "modes"]);
        let all = names_of(select(&[], &ring()).unwrap());
        assert!(
            all.contains(&"sliced_w1") && !all.contains(&"w1"),
            "{all:?}"
        );
    }

    #[test]
    fn what_does_not_apply_is_refused_with_what_does() {
        let error = select(&given(&["w1"]), &ring()).unwrap_err().to_string();
        for part in ["`w1` is a metric of 1-D point sets", "ring8", "reverse_kl"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let error = select(&given(&["modes"]), &Target::Images).unwrap_err();
        assert!(error.to_string().contains("no metric applies"), "{error}");
        assert!(matches!(
            select(&[], &Target::Images),
            Err(EvalError::Nothing { .. })
        ));
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let error = select(&given(&["reverse_lk"]), &ring()).unwrap_err();
        assert!(
            error.to_string().starts_with(
                "no metric is named `reverse_lk` (did you mean `reverse_kl`?); there are modes"
            ),
            "{error}"
        );
    }
}
