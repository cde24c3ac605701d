//! Metrics for a person: numbers, rows of a table, and what is to be said beside them.
use super::Measured;
use crate::data::Source;
use crate::metrics::{Target, Value};

/// What is to be said where the number of samples is not the protocol's.
pub fn note(samples: usize, target: &Target) -> Option<String> {
    let protocol = target.protocol_samples();
    let beside = match target {
        Target::Classes(_) => "ideal",
        _ => "exact",
    };
    (samples != protocol).then(|| {
        format!(
            "{samples} samples, not the protocol's {protocol}: do not compare with published rows; the column of {beside} samples is for {samples}"
        )
    })
}

/// What the values beside those of classes are: nothing of the data is shown to the classifier for them.
pub(super) fn exact_note(source: &Source, target: &Target) -> Option<String> {
    let Target::Classes(law) = target else {
        return None;
    };
    let how = match source {
        Source::Stacked(_) => "by MNIST's counts of digits",
        Source::Glyphs => "from all classes equally often",
        _ if law.known => "by the data's class counts",
        _ => "from all classes equally often, for the data has no labels,",
    };
    Some(format!(
        "ideal samples are as many, drawn {how} and judged without error: the classifier's own errors are not in their score"
    ))
}

/// A number for a person: four significant digits, whole numbers as they are.
pub fn number(x: f64) -> String {
    if x == 0.0 || (x.fract() == 0.0 && x.abs() < 1e9) {
        return format!("{x}");
    }
    let digits = 3 - x.abs().log10().floor() as i32;
    match digits {
        ..=0 => format!("{x:.0}"),
        1..=8 => format!("{x:.*}", digits.min(4) as usize),
        _ => format!("{x:.2e}"),
    }
}

/// The value of a metric for a person.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Count(n) => n.to_string(),
        Value::Number(x) => number(*x),
        Value::Counts(counts) => counts
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        Value::Undefined => "none".into(),
    }
}

/// The rows of the table: metric, value, what exact samples score.
pub fn table(metrics: &[Measured]) -> Vec<[String; 3]> {
    metrics
        .iter()
        .map(|row| {
            let exact = match row.exact {
                None => String::new(),
                Some(e) if e.deviation == 0.0 => number(e.mean),
                Some(e) => format!("{} +- {}", number(e.mean), number(e.deviation)),
            };
            [row.name.into(), describe(&row.value), exact]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::toy::ToySet;
    use crate::metrics::ClassLaw;

    fn ring() -> Target {
        Target::points(ToySet::Ring8)
    }

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (8.0, "8"),
            (0.0, "0"),
            (98.8912, "98.89"),
            (0.00143, "0.0014"),
            (1.23456, "1.235"),
            (2.5e-9, "2.50e-9"),
            (1234.56, "1235"),
            (-0.25, "-0.2500"),
        ] {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn another_number_of_samples_is_noted() {
        assert_eq!(note(2500, &ring()), None);
        let note = note(400, &ring()).unwrap();
        assert!(note.contains("400") && note.contains("2500"), "{note}");
    }

    #[test]
    fn what_stands_beside_classes_is_said() {
        let classes = |known| {
            Target::Classes(ClassLaw {
                per_sample: 1,
                counts: vec![1; 4],
                known,
                asked: None,
            })
        };
        let folder = Source::parse("some/folder");
        let note = |known| exact_note(&folder, &classes(known)).unwrap();
        for (note, part) in [
            (note(true), "by the data's class counts"),
            (note(false), "has no labels"),
            (note(false), "judged without error"),
        ] {
            assert!(note.contains(part), "{part}: {note}");
        }
        assert_eq!(exact_note(&Source::parse("ring8"), &ring()), None);
    }
}
