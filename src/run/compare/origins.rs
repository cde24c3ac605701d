//! What computed the runs of a comparison, in words: it may have been gone on with by another program, or on another adapter.
use super::results::RunResult;
use crate::run::origin::Origin;

/// A sentence on programs, adapters and drivers, and one on methods whose seeds were computed by different kernels. Empty where nothing
/// is known.
pub fn notes(results: &[RunResult]) -> Vec<String> {
    let started: Vec<(&str, Option<&Origin>)> = results
        .iter()
        .filter_map(|r| {
            let origin = r.record.as_ref()?.origin.as_ref();
            Some((r.planned.variant.as_str(), origin))
        })
        .collect();
    // Place by place the number of runs, in order of the first.
    let mut places: Vec<(Option<String>, usize)> = vec![];
    let mut kernels: Vec<(&str, Vec<&str>)> = vec![];
    for (variant, origin) in started {
        let place = origin.map(|o| format!("{} on {}, driver {}", o.program, o.adapter, o.driver));
        match places.iter_mut().find(|(p, _)| *p == place) {
            Some((_, n)) => *n += 1,
            None => places.push((place, 1)),
        }
        let Some(digest) = origin.map(|o| o.kernels.as_str()) else {
            continue;
        };
        match kernels.iter_mut().find(|(v, _)| *v == variant) {
            Some((_, digests)) if digests.contains(&digest) => (),
            Some((_, digests)) => digests.push(digest),
            None => kernels.push((variant, vec![digest])),
        }
    }
    let mut notes = match &places[..] {
        [] | [(None, _)] => vec![],
        [(Some(place), _)] => vec![format!("Computed by {place}.")],
        several => {
            let parts = several.iter().map(|(place, n)| {
                let place = place.as_ref().map(|place| format!("by {place}"));
                format!("{n} {}", place.unwrap_or("not known by what".into()))
            });
            let parts: Vec<String> = parts.collect();
            vec![format!("Runs computed: {}.", parts.join("; "))]
        }
    };
    let mixed = kernels.iter().filter(|(_, digests)| digests.len() > 1);
    let mixed: Vec<String> = mixed.map(|(variant, _)| format!("`{variant}`")).collect();
    if !mixed.is_empty() {
        let mixed = mixed.join(", ");
        notes.push(format!(
            "Not all seeds of {mixed} were computed by the same kernels."
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::Planned;
    use super::super::record::Record;
    use super::*;
    use crate::run::presets::preset;

    fn result(variant: &str, seed: u64, origin: Option<[&str; 2]>) -> RunResult {
        let planned = Planned {
            variant: variant.into(),
            seed,
            config: preset("ring8").unwrap().config().unwrap(),
            hash: String::new(),
            folder: Default::default(),
        };
        let origin = origin
            .map(|[adapter, kernels]| Origin::of_this_program(adapter, "d", kernels.to_string()));
        RunResult {
            record: Some(Record {
                origin,
                ..Record::new(&planned)
            }),
            planned,
            figures: None,
        }
    }

    #[test]
    fn runs_of_one_place_are_one_sentence() {
        let run = |variant, seed| result(variant, seed, Some(["x", variant]));
        let program = concat!("gan-gpu ", env!("CARGO_PKG_VERSION"));
        let expected = format!("Computed by {program} on x, driver d.");
        assert_eq!(notes(&[run("a", 0), run("a", 1), run("b", 0)]), [expected]);
        assert!(notes(&[result("a", 0, None)]).is_empty());
        assert!(notes(&[]).is_empty());
    }

    #[test]
    fn other_adapters_and_kernels_are_told() {
        let runs = [
            result("a", 0, Some(["x", "00"])),
            result("a", 1, Some(["y", "01"])),
            result("b", 0, Some(["y", "02"])),
            result("b", 1, None),
        ];
        let program = concat!("gan-gpu ", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            notes(&runs),
            [
                format!(
                    "Runs computed: 1 by {program} on x, driver d; 2 by {program} on y, driver d; 1 not known by what."
                ),
                "Not all seeds of `a` were computed by the same kernels.".to_string(),
            ]
        );
    }
}
