//! Which classes a generator covers, by a classifier's word: the 1000 modes of Stacked-MNIST (three digits, one per channel; VEEGAN,
//! 1705.07761, and PacGAN, 1712.04086), and the ten of plain MNIST.
//!
//! A mode is covered when at least one sample falls on it; KL is that of the samples' histogram p over modes against the uniform one u,
//! `KL(p || u) = sum_k p_k ln(p_k K)`, in nats. A perfect generator does not score 0: a histogram of n samples is uneven, and the digits
//! of MNIST are not equally frequent. [`floor`] is what it scores on average, exactly; the published rows are for
//! [`PROTOCOL_SAMPLES`], and a figure well below its floor is an error.
use super::target::labels;
use super::{Better, Domain, Metric, MetricError, Samples, Target, Value};
use serde::Serialize;

/// The number of samples that the published rows of Stacked-MNIST are for.
pub const PROTOCOL_SAMPLES: usize = 26_000;
/// Digits of MNIST.
pub const DIGITS: usize = 10;
/// Triples of digits.
pub const MODES: usize = DIGITS * DIGITS * DIGITS;
/// Images of each digit in MNIST's training set.
pub const MNIST_COUNTS: [u32; DIGITS] =
    [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949];

pub(super) const MODES_COVERED: Metric = Metric {
    name: "stacked_modes",
    aliases: &[],
    better: Better::Higher,
    domain: Domain::Triples,
    what: "triples of digits, of 1000, that the classifier sees",
    measure: |target, samples| {
        let coverage = stacked_coverage("stacked_modes", target, samples)?;
        Ok(Value::Count(coverage.modes as u64))
    },
};

pub(super) const KL: Metric = Metric {
    name: "stacked_kl",
    aliases: &[],
    better: Better::Lower,
    domain: Domain::Triples,
    what: "KL(histogram over triples || uniform), nats; floor 0.0236 at 26,000 samples",
    measure: |target, samples| {
        let coverage = stacked_coverage("stacked_kl", target, samples)?;
        Ok(Value::Number(coverage.kl))
    },
};

pub(super) const CLASSES_COVERED: Metric = Metric {
    name: "class_modes",
    aliases: &["classes"],
    better: Better::Higher,
    domain: Domain::Classes,
    what: "classes that the classifier sees",
    measure: |target, samples| {
        let coverage = class_coverage("class_modes", target, samples)?;
        Ok(Value::Count(coverage.modes as u64))
    },
};

pub(super) const CLASS_KL: Metric = Metric {
    name: "class_kl",
    aliases: &[],
    better: Better::Lower,
    domain: Domain::Classes,
    what: "KL(histogram over classes || uniform), nats",
    measure: |target, samples| {
        let coverage = class_coverage("class_kl", target, samples)?;
        Ok(Value::Number(coverage.kl))
    },
};

fn stacked_coverage(
    metric: &'static str,
    target: &Target,
    samples: &Samples,
) -> Result<Coverage, MetricError> {
    let (_, labels) = labels(metric, Domain::Triples, target, samples)?;
    Ok(stacked(labels)?)
}

fn class_coverage(
    metric: &'static str,
    target: &Target,
    samples: &Samples,
) -> Result<Coverage, MetricError> {
    let (law, labels) = labels(metric, Domain::Classes, target, samples)?;
    Ok(classes(labels, &law.counts)?)
}

/// Why a coverage could not be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoverageError {
    #[error("coverage of modes needs at least one sample")]
    NoSamples,
    #[error("{labels} labels are no whole samples of {channels} channels")]
    Channels { labels: usize, channels: usize },
    #[error(
        "label {index} is {label}, but there are {classes} classes; the classifier is for other data"
    )]
    Label {
        index: usize,
        label: u8,
        classes: usize,
    },
}

/// Mode coverage of samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    pub samples: usize,
    /// Modes with at least one sample.
    pub modes: usize,
    /// Modes there are.
    pub of: usize,
    /// KL(histogram over modes || uniform), nats.
    pub kl: f64,
    /// What as many samples of the data itself score on average.
    pub kl_floor: f64,
}

/// Coverage of the 1000 modes by the digits that a classifier sees, `[n, 3]`. Digits of the data are as frequent as in MNIST.
///
/// # Errors
/// [`CoverageError`].
pub fn stacked(digits: &[u8]) -> Result<Coverage, CoverageError> {
    let channels = 3;
    if !digits.len().is_multiple_of(channels) {
        let labels = digits.len();
        return Err(CoverageError::Channels { labels, channels });
    }
    check(digits, DIGITS)?;
    let mut histogram = vec![0u64; MODES];
    for triple in digits.chunks(channels) {
        histogram[mode_of(triple)] += 1;
    }
    let one = shares(&MNIST_COUNTS);
    let triple = |k: usize| one[k / 100] * one[k / 10 % 10] * one[k % 10];
    coverage(&histogram, &(0..MODES).map(triple).collect::<Vec<_>>())
}

/// The mode of three digits, read as a number.
fn mode_of(triple: &[u8]) -> usize {
    triple.iter().fold(0, |k, &d| DIGITS * k + usize::from(d))
}

/// Coverage of single classes; `counts` is how often each occurs in the data.
///
/// # Errors
/// [`CoverageError`].
pub fn classes(labels: &[u8], counts: &[u32]) -> Result<Coverage, CoverageError> {
    check(labels, counts.len())?;
    let mut histogram = vec![0u64; counts.len()];
    for &label in labels {
        histogram[usize::from(label)] += 1;
    }
    coverage(&histogram, &shares(counts))
}

fn check(labels: &[u8], classes: usize) -> Result<(), CoverageError> {
    match labels
        .iter()
        .position(|&label| usize::from(label) >= classes)
    {
        Some(index) => Err(CoverageError::Label {
            index,
            label: labels[index],
            classes,
        }),
        None => Ok(()),
    }
}

fn shares(counts: &[u32]) -> Vec<f64> {
    let total: f64 = counts.iter().map(|&c| f64::from(c)).sum();
    counts.iter().map(|&c| f64::from(c) / total).collect()
}

fn coverage(histogram: &[u64], data: &[f64]) -> Result<Coverage, CoverageError> {
    let samples: u64 = histogram.iter().sum();
    if samples == 0 {
        return Err(CoverageError::NoSamples);
    }
    let of = histogram.len();
    let term = |&count: &u64| match count {
        0 => 0.0,
        _ => {
            let p = count as f64 / samples as f64;
            p * (p * of as f64).ln()
        }
    };
    Ok(Coverage {
        samples: samples as usize,
        modes: histogram.iter().filter(|&&count| count > 0).count(),
        of,
        kl: histogram.iter().map(term).sum(),
        kl_floor: floor(samples, data),
    })
}

/// The mean of `KL(p || u)` over histograms p of n draws by these probabilities, exactly: with c_k binomial,
///
///   E KL = ln K + sum_k E[(c_k / n) ln(c_k / n)]
pub fn floor(n: u64, probabilities: &[f64]) -> f64 {
    let sum: f64 = probabilities.iter().map(|&w| mean_term(n, w)).sum();
    (probabilities.len() as f64).ln() + sum
}

/// E[(c / n) ln(c / n)] for c binomial of n draws with probability w. The terms' logarithms come by recurrence from c = 0, where the
/// probability itself may be below the least f64.
fn mean_term(n: u64, w: f64) -> f64 {
    if w <= 0.0 || w >= 1.0 {
        return 0.0;
    }
    let (total, odds) = (n as f64, (w / (1.0 - w)).ln());
    let mut log_p = total * (-w).ln_1p();
    let mut sum = 0.0;
    for c in 1..=n {
        log_p += ((n - c + 1) as f64 / c as f64).ln() + odds;
        let share = c as f64 / total;
        sum += log_p.exp() * share * share.ln();
        // Behind the mean the terms only fall: what is left is beyond f64.
        if share > w && log_p < -60.0 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::{Stream, uniform01};

    /// `n` digits drawn as often as in MNIST.
    fn draws(n: usize, step: u32) -> Vec<u8> {
        let (stream, p) = (Stream::new(11, 5, step), shares(&MNIST_COUNTS));
        let digit = |i: u32| {
            let mut left = f64::from(uniform01(stream.block(i, 0)[0]));
            let found = p.iter().position(|&share| {
                left -= share;
                left < 0.0
            });
            found.unwrap_or(DIGITS - 1) as u8
        };
        (0..n as u32).map(digit).collect()
    }

    #[test]
    fn by_hand() {
        // Two of two modes of ten at 3 and 1: KL = .75 ln 7.5 + .25 ln 2.5.
        let found = classes(&[4, 4, 9, 4], &[1; 10]).unwrap();
        let kl = 0.75 * 7.5f64.ln() + 0.25 * 2.5f64.ln();
        assert_eq!((found.samples, found.modes, found.of), (4, 2, 10));
        assert!((found.kl - kl).abs() < 1e-12, "{}", found.kl);
        // One mode of a thousand: ln 1000.
        let one = stacked(&[7, 0, 3].repeat(50)).unwrap();
        assert_eq!((one.samples, one.modes, one.of), (50, 1, 1000));
        assert!((one.kl - 1000f64.ln()).abs() < 1e-12);
        // Every mode once: all of them, KL 0.
        let all: Vec<u8> = (0..1000u32)
            .flat_map(|k| [k / 100, k / 10 % 10, k % 10].map(|d| d as u8))
            .collect();
        let all = stacked(&all).unwrap();
        assert!(all.modes == 1000 && all.kl.abs() < 1e-12);
        // The order of the channels matters: 012 and 210 are two modes.
        assert_eq!(stacked(&[0, 1, 2, 2, 1, 0]).unwrap().modes, 2);
    }

    /// The floor against the published 0.0236 +- 0.0008 and against simulation, which an error in either would miss.
    #[test]
    fn the_floor_is_what_the_data_score() {
        let found: Vec<Coverage> = (0..6)
            .map(|step| stacked(&draws(3 * PROTOCOL_SAMPLES, step)).unwrap())
            .collect();
        let floor = found[0].kl_floor;
        assert!((floor - 0.0236).abs() < 0.0008, "{floor}");
        let mean = found.iter().map(|c| c.kl).sum::<f64>() / found.len() as f64;
        // The deviation of one is about .0009.
        assert!((mean - floor).abs() < 0.0015, "{mean} {floor}");
        assert!(found.iter().all(|c| c.modes == 1000));
        // One draw has KL ln K, whatever the data.
        assert!((super::floor(1, &[0.1; 10]) - 10f64.ln()).abs() < 1e-12);
        // Many draws: that of the data itself, .0014 for MNIST's digits.
        let many = super::floor(10_000_000, &shares(&MNIST_COUNTS));
        let p = shares(&MNIST_COUNTS);
        let kl: f64 = p.iter().map(|p| p * (10.0 * p).ln()).sum();
        assert!((many - kl).abs() < 1e-6, "{many} {kl}");
        // And without the digits' own frequencies it is (K - 1) / 2n, to first order.
        let even = super::floor(26_000, &[1e-3; 1000]);
        assert!((even - 999.0 / 52_000.0).abs() < 4e-4, "{even}");
    }

    #[test]
    fn bad_labels_are_named() {
        assert_eq!(stacked(&[]), Err(CoverageError::NoSamples));
        assert_eq!(classes(&[], &[1, 1]), Err(CoverageError::NoSamples));
        let error = stacked(&[1, 2, 3, 4]).unwrap_err();
        assert!(error.to_string().contains("4 labels"), "{error}");
        let error = stacked(&[1, 2, 10]).unwrap_err();
        assert!(error.to_string().contains("label 2 is 10"), "{error}");
        assert!(classes(&[2], &[1, 1]).is_err());
    }
}
