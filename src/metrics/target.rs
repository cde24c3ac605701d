//! What metrics are computed of: samples, and what they should have been.

use super::stacked::CoverageError;
use crate::data::rng::{Stream, uniform01};
use crate::data::toy::{Distribution, Mixture, ToySet, points};
use std::sync::OnceLock;

/// Random stream of the exact samples that a metric is also computed of; training draws from none of this seed.
const EXACT_SEED: u64 = 0x6578_6163_745f_6c61;
const EXACT_STREAM: u32 = 0x6c61_7773;

/// Why a metric could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    #[error("{metric} needs at least one sample on each side, got none")]
    NoSamples { metric: &'static str },
    #[error(
        "{metric}: sample {index} is {value}; a generator that makes non-finite points has diverged"
    )]
    NonFinite {
        metric: &'static str,
        index: usize,
        value: f32,
    },
    #[error("{set} has {dim} numbers per sample, but {len} numbers were given: pass [n, {dim}]")]
    Shape { set: ToySet, dim: usize, len: usize },
    #[error("{metric} is a metric of {domain}, these samples are not")]
    NotFor {
        metric: &'static str,
        domain: &'static str,
    },
    #[error(transparent)]
    Coverage(#[from] CoverageError),
}

/// What a generator was to learn.
#[derive(Clone, Debug)]
pub enum Target {
    /// A built-in point set, whose law is known exactly.
    Points(PointLaw),
    /// Images that a classifier tells apart: what is known of them is how often each class occurs.
    Classes(ClassLaw),
    /// Images, of which only samples are known.
    Images,
}

/// How often classes occur in images, or in each of their channels, independently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassLaw {
    /// Images that are classified per sample: 3 for Stacked-MNIST, whose channels are digits, else 1.
    pub per_sample: usize,
    /// Of each class.
    pub counts: Vec<u32>,
    /// False where nothing says how often classes occur: they are taken to be equally frequent.
    pub known: bool,
    /// What each sample is asked to show, where anything is.
    pub asked: Option<Asked>,
}

/// What a generator is told with each latent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One of the classes.
    Class,
    /// A value of InfoGAN's categorical code, of so many.
    Code(usize),
}

/// The exact law of a point set.
#[derive(Clone, Debug)]
pub struct PointLaw {
    pub set: ToySet,
    pub distribution: Distribution,
    /// Made at first use; see `sliced_w1`.
    pub(super) projections: OnceLock<Vec<Vec<f64>>>,
}

impl Target {
    pub fn points(set: ToySet) -> Self {
        Target::Points(PointLaw {
            set,
            distribution: set.distribution(),
            projections: OnceLock::new(),
        })
    }

    /// What the target is, in words.
    pub fn describe(&self) -> String {
        match self {
            Target::Points(law) => format!("{} ({})", law.set, law.set.describe()),
            Target::Classes(law) if law.per_sample > 1 => "stacked digits".into(),
            Target::Classes(law) => format!("images of {} classes", law.counts.len()),
            Target::Images => "images".into(),
        }
    }

    /// Samples that the published protocol draws; its figures hold for this number only. 2,500 points: VEEGAN (1705.07761) and
    /// PacGAN (1712.04086); 26,000 stacked digits.
    pub fn protocol_samples(&self) -> usize {
        match self {
            Target::Points(_) => super::PROTOCOL_SAMPLES,
            Target::Classes(law) if law.per_sample > 1 => super::stacked::PROTOCOL_SAMPLES,
            Target::Classes(_) | Target::Images => super::PROTOCOL_IMAGES,
        }
    }

    /// Set `index` of `n` exact samples; `None` where the law is not known.
    pub fn exact(&self, n: usize, index: u32) -> Option<Samples> {
        let stream = Stream::new(EXACT_SEED, EXACT_STREAM, index);
        let law = match self {
            Target::Points(law) => law,
            Target::Classes(law) => return Some(law.draw(&stream, n)),
            Target::Images => return None,
        };
        Some(match &law.distribution {
            Distribution::Mixture1(mixture) => Samples::Line(mixture.sample(&stream, n).concat()),
            Distribution::Mixture2(mixture) => Samples::Plane(mixture.sample(&stream, n)),
            Distribution::SwissRoll(roll) => Samples::Plane(roll.sample(&stream, n)),
            Distribution::Density(density) => {
                let drawn = law.set.sample_features_first(&stream, n);
                match density.dim() {
                    1 => Samples::Line(drawn),
                    _ => Samples::Plane(points(&drawn)?),
                }
            }
        })
    }
}

impl Target {
    /// The sets of `n` exact samples that floors are measured on; none where the law is not known.
    pub fn exact_sets(&self, n: usize) -> Vec<Samples> {
        (0..super::EXACT_SETS)
            .map_while(|index| self.exact(n, index))
            .collect()
    }
}

/// Generated samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    Line(Vec<f32>),
    Plane(Vec<[f32; 2]>),
    /// What a classifier takes them for, `[n, per_sample]`.
    Labels {
        per_sample: usize,
        labels: Vec<u8>,
        /// What each was asked to show, `[n]`; empty where nothing was, or nothing is known of it.
        asked: Vec<u32>,
    },
}

impl ClassLaw {
    /// Labels of `n` samples, each drawn as often as its class occurs.
    fn draw(&self, stream: &Stream, n: usize) -> Samples {
        let mut sum = 0;
        let up_to: Vec<u64> = self
            .counts
            .iter()
            .map(|&count| {
                sum += u64::from(count);
                sum
            })
            .collect();
        let draw = |i: u32| {
            let at = (f64::from(uniform01(stream.block(i, 0)[0])) * sum as f64) as u64;
            up_to.partition_point(|&end| end <= at) as u8
        };
        let labels: Vec<u8> = (0..(n * self.per_sample) as u32).map(draw).collect();
        let asked = match self.asked {
            Some(Asked::Code(codes)) if codes != self.counts.len() => vec![],
            Some(_) => labels.iter().map(|&label| label.into()).collect(),
            None => vec![],
        };
        Samples::Labels {
            per_sample: self.per_sample,
            labels,
            asked,
        }
    }
}

impl Samples {
    /// Of points `[n, dim]`, row-major.
    ///
    /// # Errors
    /// [`MetricError::Shape`] where they do not fill whole rows.
    pub fn of_points(set: ToySet, values: &[f32]) -> Result<Self, MetricError> {
        let dim = set.dim();
        match dim {
            1 => Ok(Samples::Line(values.to_vec())),
            2 if values.len().is_multiple_of(2) => Ok(Samples::Plane(
                values.chunks_exact(2).map(|p| [p[0], p[1]]).collect(),
            )),
            _ => Err(MetricError::Shape {
                set,
                dim,
                len: values.len(),
            }),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Samples::Line(values) => values.len(),
            Samples::Plane(points) => points.len(),
            Samples::Labels {
                per_sample, labels, ..
            } => labels.len() / per_sample.max(&1),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The data that a metric is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    Mixtures2d,
    Points2d,
    Mixtures1d,
    Points1d,
    /// Stacked-MNIST.
    Triples,
    Classes,
    /// Of a generator that is told the class.
    AskedClasses,
    /// Of a generator with a categorical code.
    AskedCodes,
}

impl Domain {
    pub fn describe(self) -> &'static str {
        match self {
            Domain::Mixtures2d => "2-D Gaussian mixtures (the rings and grids)",
            Domain::Points2d => "2-D point sets",
            Domain::Mixtures1d => "1-D Gaussian mixtures",
            Domain::Points1d => "1-D point sets",
            Domain::Triples => "stacked digits that a classifier judges (--classifier FILE)",
            Domain::Classes => "images that a classifier judges (--classifier FILE)",
            Domain::AskedClasses => {
                "images by class, of as many classes as the classifier knows (--classifier FILE)"
            }
            Domain::AskedCodes => "InfoGAN's images that a classifier judges (--classifier FILE)",
        }
    }

    pub fn holds(self, target: &Target) -> bool {
        match (self, target) {
            (Domain::Mixtures2d, Target::Points(law)) => {
                matches!(law.distribution, Distribution::Mixture2(_))
            }
            (Domain::Points2d, Target::Points(law)) => law.set.dim() == 2,
            (Domain::Mixtures1d, Target::Points(law)) => {
                matches!(law.distribution, Distribution::Mixture1(_))
            }
            (Domain::Points1d, Target::Points(law)) => law.set.dim() == 1,
            (Domain::Triples, Target::Classes(law)) => law.per_sample == 3,
            (Domain::Classes, Target::Classes(law)) => law.per_sample == 1,
            (Domain::AskedClasses, Target::Classes(law)) => law.asked == Some(Asked::Class),
            (Domain::AskedCodes, Target::Classes(law)) => {
                matches!(law.asked, Some(Asked::Code(_)))
            }
            _ => false,
        }
    }

    fn refuse<T>(self, metric: &'static str) -> Result<T, MetricError> {
        Err(MetricError::NotFor {
            metric,
            domain: self.describe(),
        })
    }
}

/// Mixture and points of a metric of [`Domain::Mixtures2d`]; at least one point.
pub(super) fn mixture2<'a>(
    metric: &'static str,
    target: &'a Target,
    samples: &'a Samples,
) -> Result<(&'a Mixture<2>, &'a [[f32; 2]]), MetricError> {
    match (target, samples) {
        (Target::Points(law), Samples::Plane(points)) => match &law.distribution {
            Distribution::Mixture2(mixture) if !points.is_empty() => Ok((mixture, points)),
            Distribution::Mixture2(_) => Err(MetricError::NoSamples { metric }),
            _ => Domain::Mixtures2d.refuse(metric),
        },
        _ => Domain::Mixtures2d.refuse(metric),
    }
}

/// Law and points of a metric of [`Domain::Points2d`].
pub(super) fn points2<'a>(
    metric: &'static str,
    target: &'a Target,
    samples: &'a Samples,
) -> Result<(&'a PointLaw, &'a [[f32; 2]]), MetricError> {
    match (target, samples) {
        (Target::Points(law), Samples::Plane(points)) => Ok((law, points)),
        _ => Domain::Points2d.refuse(metric),
    }
}

/// Law and points of a metric of [`Domain::Points1d`].
pub(super) fn points1<'a>(
    metric: &'static str,
    target: &'a Target,
    samples: &'a Samples,
) -> Result<(&'a PointLaw, &'a [f32]), MetricError> {
    match (target, samples) {
        (Target::Points(law), Samples::Line(values)) => Ok((law, values)),
        _ => Domain::Points1d.refuse(metric),
    }
}

/// Mixture and points of a metric of [`Domain::Mixtures1d`].
pub(super) fn mixture1<'a>(
    metric: &'static str,
    target: &'a Target,
    samples: &'a Samples,
) -> Result<(&'a Mixture<1>, &'a [f32]), MetricError> {
    match (target, samples) {
        (Target::Points(law), Samples::Line(values)) => match &law.distribution {
            Distribution::Mixture1(mixture) => Ok((mixture, values)),
            _ => Domain::Mixtures1d.refuse(metric),
        },
        _ => Domain::Mixtures1d.refuse(metric),
    }
}

/// Law and labels of a metric of what a classifier judges.
pub(super) fn labels<'a>(
    metric: &'static str,
    domain: Domain,
    target: &'a Target,
    samples: &'a Samples,
) -> Result<(&'a ClassLaw, &'a [u8]), MetricError> {
    match (target, samples) {
        (
            Target::Classes(law),
            Samples::Labels {
                per_sample, labels, ..
            },
        ) if domain.holds(target) && *per_sample == law.per_sample => Ok((law, labels)),
        _ => domain.refuse(metric),
    }
}
