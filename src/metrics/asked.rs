//! Whether generated images show what was asked for, by a classifier's word: the class of a conditional generator, and the value of
//! InfoGAN's categorical code, which means a class without having been told (1606.03657, section 7.2: "matching each category to a digit
//! type" the code errs in 5 % on MNIST's test digits).
use super::target::labels;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};
use pathfinding::prelude::{Matrix, kuhn_munkres};

pub(super) const CLASS: Metric = Metric {
    name: "class_right_percent",
    aliases: &["class_right"],
    better: Better::Higher,
    domain: Domain::AskedClasses,
    what: "share of samples that the classifier takes for the class they were asked to show",
    measure: |target, samples| {
        let (seen, asked, _) = seen_and_asked(&CLASS, target, samples)?;
        let right = seen
            .iter()
            .zip(asked)
            .filter(|&(&seen, &asked)| u32::from(seen) == asked);
        Ok(share(right.count(), seen.len()))
    },
};

pub(super) const CODE: Metric = Metric {
    name: "code_right_percent",
    aliases: &["code_right"],
    better: Better::Higher,
    domain: Domain::AskedCodes,
    what: "share of samples that show the class of their categorical code, each code standing for another class, as they match best",
    measure: |target, samples| {
        let (seen, asked, classes) = seen_and_asked(&CODE, target, samples)?;
        let codes = asked.iter().max().map_or(0, |&code| code as usize + 1);
        Ok(share(best_match(seen, asked, [codes, classes]), seen.len()))
    },
};

fn share(right: usize, of: usize) -> Value {
    match of {
        0 => Value::Undefined,
        of => Value::Number(100.0 * right as f64 / of as f64),
    }
}

/// What was seen and what was asked of as many samples, none where nothing is known of it, and how many classes there are.
fn seen_and_asked<'a>(
    metric: &Metric,
    target: &'a Target,
    samples: &'a Samples,
) -> Result<(&'a [u8], &'a [u32], usize), MetricError> {
    let (law, seen) = labels(metric.name, metric.domain, target, samples)?;
    let asked = match samples {
        Samples::Labels { asked, .. } => asked.as_slice(),
        _ => &[],
    };
    let seen = if asked.len() == seen.len() { seen } else { &[] };
    Ok((seen, asked, law.counts.len()))
}

/// The most samples that can show the class of their code, where each code stands for one class and no two for the same.
fn best_match(seen: &[u8], asked: &[u32], [codes, classes]: [usize; 2]) -> usize {
    // Square: codes too many stand for nothing.
    let mut together = Matrix::new_square(codes.max(classes), 0i64);
    for (&seen, &asked) in seen.iter().zip(asked) {
        together[(asked as usize, usize::from(seen))] += 1;
    }
    kuhn_munkres(&together).0 as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Asked, ClassLaw};

    fn target(classes: usize, asked: Asked) -> Target {
        Target::Classes(ClassLaw {
            per_sample: 1,
            counts: vec![1; classes],
            known: true,
            asked: Some(asked),
        })
    }

    fn value(metric: &Metric, target: &Target, seen: &[u8], asked: &[u32]) -> Value {
        let samples = Samples::Labels {
            per_sample: 1,
            labels: seen.to_vec(),
            asked: asked.to_vec(),
        };
        (metric.measure)(target, &samples).unwrap()
    }

    #[test]
    fn a_class_is_right_where_it_is_the_one_asked_for() {
        let target = target(3, Asked::Class);
        let found = value(&CLASS, &target, &[0, 1, 2, 2], &[0, 1, 2, 1]);
        assert_eq!(found, Value::Number(75.0));
        assert_eq!(value(&CLASS, &target, &[0, 1], &[]), Value::Undefined);
    }

    #[test]
    fn a_code_is_right_whatever_class_it_stands_for_but_two_do_not_share_one() {
        let three = target(3, Asked::Code(3));
        // Turned round: every code is one class.
        let found = value(&CODE, &three, &[1, 2, 0, 1], &[0, 1, 2, 0]);
        assert_eq!(found, Value::Number(100.0));
        // All the same: one code alone can stand for it.
        let found = value(&CODE, &three, &[1; 6], &[0, 0, 1, 1, 2, 2]);
        assert_eq!(found, Value::Number(100.0 / 3.0));
        // The greedy choice (code 0 for class 0, 3 of 3 there) would leave code 1 with nothing: 3 right; crossed, 2 + 2.
        let two = target(2, Asked::Code(2));
        let (seen, asked) = ([0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(
            value(&CODE, &two, &seen, &asked),
            Value::Number(400.0 / 7.0)
        );
        // More codes than classes, and fewer.
        let found = value(&CODE, &two, &[0, 1, 1], &[4, 2, 3]);
        assert_eq!(found, Value::Number(200.0 / 3.0));
        let five = target(5, Asked::Code(2));
        assert_eq!(
            value(&CODE, &five, &[4, 3, 3], &[0, 1, 1]),
            Value::Number(100.0)
        );
    }

    #[test]
    fn exact_samples_show_what_is_asked_for() {
        for (metric, asked) in [(&CLASS, Asked::Class), (&CODE, Asked::Code(4))] {
            let target = target(4, asked);
            let exact = metric.exact(&target, &target.exact_sets(50)).unwrap();
            assert_eq!(exact.map(|e| e.mean), Some(100.0));
        }
        // Nothing says what 4 classes would look like by 3 codes.
        let target = target(4, Asked::Code(3));
        assert_eq!(CODE.exact(&target, &target.exact_sets(50)), Ok(None));
    }
}
