//! The built-in point sets of the 1-D and 2-D benchmarks, by name.
//!
//! | name | what | source |
//! |---|---|---|
//! | `gauss1d` | one Gaussian, N(3, 0.5^2) | a column of the closed-form table the metrics are tested on |
//! | `mixture1d` | three Gaussians at -3, 0, 3, sigma 0.3, equal weights | ours |
//! | `bimodal1d` | two Gaussians at -2 and 2, sigma 0.3, equal weights | ours, after Theis et al. (1511.01844), figure 1 |
//! | `ring8` | eight Gaussians on a circle of radius 1, sigma 0.01 | PacGAN (1712.04086) |
//! | `ring8-wgan` | eight Gaussians on a circle of radius 2, sigma 0.02, all over 1.414 | WGAN-GP (1704.00028) |
//! | `grid25` | 5x5 Gaussians at -4..4 step 2, sigma 0.05 | PacGAN (1712.04086) |
//! | `grid25-wgan` | the same grid, all over 2.828 | WGAN-GP (1704.00028) |
//! | `grid25-drs` | 5x5 Gaussians at -2..2 step 1, sigma 0.05: twice as wide for their distance | DRS (1810.06758), DDLS (2003.06060) |
//! | `swissroll` | scikit-learn's `make_swiss_roll(noise=0.25)`, columns 0 and 2, over 7.5 | WGAN-GP (1704.00028) |
//!
//! The samplers here are the reference for the device's (`kernels::mixture_batch`, `kernels::swissroll_batch`): sample
//! `index` of a batch comes from the same Threefry blocks on both sides.

use super::rng::{Stream, normal2, uniform01};
use std::f32::consts::TAU;
use std::fmt;
use std::str::FromStr;

/// Isotropic Gaussians of one common width: `sum_k weights[k] N(centres[k], sigma^2 I)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture<const D: usize> {
    pub centres: Vec<[f32; D]>,
    pub sigma: f32,
    /// One per centre; they sum to 1.
    pub weights: Vec<f32>,
}

impl<const D: usize> Mixture<D> {
    /// Every centre equally likely.
    pub fn equal(centres: Vec<[f32; D]>, sigma: f32) -> Self {
        let weights = vec![1.0 / centres.len() as f32; centres.len()];
        Self {
            centres,
            sigma,
            weights,
        }
    }

    /// What the device sampler reads: `K` cumulative weights (the last exactly 1), then the `K x D` centres, row-major.
    pub fn table(&self) -> Vec<f32> {
        let mut table = self.cumulative_weights();
        table.extend(self.centres.iter().flatten());
        table
    }

    /// Running sums of the weights, the last set to exactly 1 so that every uniform draw finds a component.
    fn cumulative_weights(&self) -> Vec<f32> {
        let mut sum = 0f64;
        let mut cumulative: Vec<f32> = self
            .weights
            .iter()
            .map(|&w| {
                sum += f64::from(w);
                sum as f32
            })
            .collect();
        if let Some(last) = cumulative.last_mut() {
            *last = 1.0;
        }
        cumulative
    }

    /// Which component sample `index` comes from: the first whose cumulative weight exceeds the draw of block (index, 0).
    pub fn component(&self, stream: &Stream, index: u32) -> usize {
        component(&self.cumulative_weights(), stream, index)
    }

    /// `n` samples. Block (index, 0) picks the component, blocks (index, 1..) give two coordinates each.
    pub fn sample(&self, stream: &Stream, n: usize) -> Vec<[f32; D]> {
        let cumulative = self.cumulative_weights();
        (0..n as u32)
            .map(|index| {
                let mut point = self.centres[component(&cumulative, stream, index)];
                for (pair, coordinates) in point.chunks_mut(2).enumerate() {
                    let noise = normal2(stream.block(index, pair as u32 + 1));
                    for (x, z) in coordinates.iter_mut().zip(noise) {
                        *x += self.sigma * z;
                    }
                }
                point
            })
            .collect()
    }
}

fn component(cumulative: &[f32], stream: &Stream, index: u32) -> usize {
    let u = uniform01(stream.block(index, 0)[0]);
    cumulative.partition_point(|&c| c <= u)
}

/// scikit-learn's swiss roll seen from the side: with `t = 1.5 pi (1 + 2u)`, the point is
/// `((t cos t, t sin t) + noise N(0, I)) / scale`. `noise` is in the roll's own units, before the division.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwissRoll {
    pub noise: f32,
    pub scale: f32,
}

impl SwissRoll {
    /// `n` samples. Block (index, 0) gives u, block (index, 1) the noise.
    pub fn sample(&self, stream: &Stream, n: usize) -> Vec<[f32; 2]> {
        (0..n as u32)
            .map(|index| {
                // t / (2 pi) in turns; reduced to half a turn either way, where WGSL bounds the error of sin and cos.
                let turns = 0.75 + 1.5 * uniform01(stream.block(index, 0)[0]);
                let (t, angle) = (TAU * turns, TAU * (turns - turns.round()));
                let [a, b] = normal2(stream.block(index, 1));
                [
                    (t * angle.cos() + self.noise * a) / self.scale,
                    (t * angle.sin() + self.noise * b) / self.scale,
                ]
            })
            .collect()
    }
}

/// A built-in point set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToySet {
    Gauss1d,
    Mixture1d,
    Bimodal1d,
    Ring8,
    Ring8Wgan,
    Grid25,
    Grid25Wgan,
    Grid25Drs,
    SwissRoll,
}

/// Eight Gaussians on a circle. Angles go from 0 in steps of an eighth turn: with the end point included there would be seven.
fn ring(radius: f64, sigma: f64) -> Distribution {
    let centre = |i: u32| {
        let angle = std::f64::consts::TAU * f64::from(i) / 8.0;
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    };
    Distribution::Mixture2(Mixture::equal((0..8).map(centre).collect(), sigma as f32))
}

/// 5x5 Gaussians around the origin.
fn grid(spacing: f64, sigma: f64) -> Distribution {
    let place = |i: u32| (spacing * (f64::from(i) - 2.0)) as f32;
    let centre = |i: u32| [place(i / 5), place(i % 5)];
    Distribution::Mixture2(Mixture::equal((0..25).map(centre).collect(), sigma as f32))
}

/// What a point set is made of: the tables of a sampler and the target of its metrics.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    Mixture1(Mixture<1>),
    Mixture2(Mixture<2>),
    SwissRoll(SwissRoll),
}

impl ToySet {
    pub const ALL: [ToySet; 9] = [
        ToySet::Gauss1d,
        ToySet::Mixture1d,
        ToySet::Bimodal1d,
        ToySet::Ring8,
        ToySet::Ring8Wgan,
        ToySet::Grid25,
        ToySet::Grid25Wgan,
        ToySet::Grid25Drs,
        ToySet::SwissRoll,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ToySet::Gauss1d => "gauss1d",
            ToySet::Mixture1d => "mixture1d",
            ToySet::Bimodal1d => "bimodal1d",
            ToySet::Ring8 => "ring8",
            ToySet::Ring8Wgan => "ring8-wgan",
            ToySet::Grid25 => "grid25",
            ToySet::Grid25Wgan => "grid25-wgan",
            ToySet::Grid25Drs => "grid25-drs",
            ToySet::SwissRoll => "swissroll",
        }
    }

    pub fn describe(self) -> &'static str {
        match self {
            ToySet::Gauss1d => "one Gaussian, mean 3, standard deviation 0.5",
            ToySet::Mixture1d => "three Gaussians at -3, 0 and 3, standard deviation 0.3",
            ToySet::Bimodal1d => "two Gaussians at -2 and 2, standard deviation 0.3",
            ToySet::Ring8 => "ring of 8 Gaussians, radius 1, standard deviation 0.01",
            ToySet::Ring8Wgan => {
                "ring of 8 Gaussians, radius 2, standard deviation 0.02, divided by 1.414"
            }
            ToySet::Grid25 => "5x5 grid of Gaussians, spacing 2, standard deviation 0.05",
            ToySet::Grid25Wgan => {
                "5x5 grid of Gaussians, spacing 2, standard deviation 0.05, divided by 2.828"
            }
            ToySet::Grid25Drs => "5x5 grid of Gaussians, spacing 1, standard deviation 0.05",
            ToySet::SwissRoll => "swiss roll, noise 0.25, divided by 7.5",
        }
    }

    /// Numbers per sample.
    pub fn dim(self) -> usize {
        match self {
            ToySet::Gauss1d | ToySet::Mixture1d | ToySet::Bimodal1d => 1,
            ToySet::Ring8
            | ToySet::Ring8Wgan
            | ToySet::Grid25
            | ToySet::Grid25Wgan
            | ToySet::Grid25Drs
            | ToySet::SwissRoll => 2,
        }
    }

    pub fn distribution(self) -> Distribution {
        match self {
            ToySet::Gauss1d => Distribution::Mixture1(Mixture::equal(vec![[3.0]], 0.5)),
            ToySet::Mixture1d => {
                Distribution::Mixture1(Mixture::equal(vec![[-3.0], [0.0], [3.0]], 0.3))
            }
            ToySet::Bimodal1d => Distribution::Mixture1(Mixture::equal(vec![[-2.0], [2.0]], 0.3)),
            ToySet::Ring8 => ring(1.0, 0.01),
            ToySet::Ring8Wgan => ring(2.0 / 1.414, 0.02 / 1.414),
            ToySet::Grid25 => grid(2.0, 0.05),
            ToySet::Grid25Wgan => grid(2.0 / 2.828, 0.05 / 2.828),
            ToySet::Grid25Drs => grid(1.0, 0.05),
            ToySet::SwissRoll => Distribution::SwissRoll(SwissRoll {
                noise: 0.25,
                scale: 7.5,
            }),
        }
    }

    /// `n` reference samples as `[dim, n]`, the layout of the device's batches.
    pub fn sample_features_first(self, stream: &Stream, n: usize) -> Vec<f32> {
        match self.distribution() {
            Distribution::Mixture1(mixture) => features_first(&mixture.sample(stream, n)),
            Distribution::Mixture2(mixture) => features_first(&mixture.sample(stream, n)),
            Distribution::SwissRoll(roll) => features_first(&roll.sample(stream, n)),
        }
    }
}

/// `[n][D]` to `[D, n]`.
pub fn features_first<const D: usize>(points: &[[f32; D]]) -> Vec<f32> {
    (0..D)
        .flat_map(|d| points.iter().map(move |p| p[d]))
        .collect()
}

/// `[D, n]` to `[n][D]`; `None` if the length is no multiple of `D`.
pub fn points<const D: usize>(features_first: &[f32]) -> Option<Vec<[f32; D]>> {
    if D == 0 || !features_first.len().is_multiple_of(D) {
        return None;
    }
    let n = features_first.len() / D;
    Some(
        (0..n)
            .map(|i| std::array::from_fn(|d| features_first[d * n + i]))
            .collect(),
    )
}

impl fmt::Display for ToySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No built-in point set has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown point set {name:?}; the built-in ones are {}", ToySet::ALL.map(ToySet::name).join(", "))]
pub struct UnknownToySet {
    pub name: String,
}

impl FromStr for ToySet {
    type Err = UnknownToySet;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        ToySet::ALL
            .into_iter()
            .find(|set| set.name() == name)
            .ok_or_else(|| UnknownToySet { name: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture2(set: ToySet) -> Mixture<2> {
        match set.distribution() {
            Distribution::Mixture2(mixture) => mixture,
            other => panic!("{set} is {other:?}"),
        }
    }

    #[test]
    fn names_round_trip_and_the_error_lists_them_all() {
        for set in ToySet::ALL {
            assert_eq!(set.name().parse(), Ok(set));
            assert!(
                UnknownToySet {
                    name: String::new()
                }
                .to_string()
                .contains(set.name())
            );
        }
        assert!("ring".parse::<ToySet>().is_err());
    }

    #[test]
    fn the_ring_has_eight_distinct_centres_on_the_unit_circle() {
        let ring = mixture2(ToySet::Ring8);
        assert_eq!(ring.centres.len(), 8);
        for (i, a) in ring.centres.iter().enumerate() {
            assert!((a[0].hypot(a[1]) - 1.0).abs() < 1e-6);
            for b in &ring.centres[..i] {
                // Neighbours are 2 sin(pi/8) = 0.765 apart.
                assert!((a[0] - b[0]).hypot(a[1] - b[1]) > 0.76);
            }
        }
    }

    #[test]
    fn the_grid_spans_minus_four_to_four() {
        let grid = mixture2(ToySet::Grid25);
        assert_eq!(
            (grid.centres.len(), grid.centres[0], grid.centres[24]),
            (25, [-4.0; 2], [4.0; 2])
        );
        assert_eq!(grid.centres[7], [-2.0, 0.0]);
    }

    /// The papers' scripts: `scale * (cos, sin)` over 1.414 with noise .02 / 1.414; `2 (i - 2)` over 2.828 with .05 / 2.828; `i - 2`.
    #[test]
    fn each_paper_s_benchmark_has_its_own_scale() {
        for (set, corner, sigma) in [
            (ToySet::Ring8Wgan, [1.414_427_2, 0.0], 0.014_144_272),
            (ToySet::Grid25Wgan, [-1.414_427_2; 2], 0.017_680_34),
            (ToySet::Grid25Drs, [-2.0; 2], 0.05),
        ] {
            let mixture = mixture2(set);
            let [x, y] = mixture.centres[0];
            assert!((x - corner[0] as f32).abs() < 1e-6, "{set}: {x}");
            assert!((y - corner[1] as f32).abs() < 1e-6, "{set}: {y}");
            assert!((mixture.sigma - sigma).abs() < 1e-8, "{set}");
        }
    }

    #[test]
    fn samples_have_the_mixture_s_moments() {
        let n = 200_000;
        let mixture = Mixture {
            centres: vec![[-1.0, 2.0], [4.0, 0.5]],
            sigma: 0.5,
            weights: vec![0.25, 0.75],
        };
        let points = mixture.sample(&Stream::new(3, 1, 0), n);
        let mean = |d: usize| points.iter().map(|p| f64::from(p[d])).sum::<f64>() / n as f64;
        let (mx, my) = (mean(0), mean(1));
        let variance = points
            .iter()
            .map(|p| (f64::from(p[0]) - mx).powi(2))
            .sum::<f64>()
            / n as f64;
        // Mean .25(-1) + .75(4) = 2.75; variance sigma^2 + .25 .75 5^2 = 4.9375 (standard error of the mean .005).
        assert!((mx - 2.75).abs() < 0.02, "{mx}");
        assert!((my - 0.875).abs() < 0.01, "{my}");
        assert!((variance - 4.9375).abs() < 0.05, "{variance}");
    }

    #[test]
    fn every_component_gets_its_share() {
        let grid = mixture2(ToySet::Grid25);
        let n = 25_000;
        let mut counts = [0u32; 25];
        for p in grid.sample(&Stream::new(5, 0, 0), n) {
            let cell = p.map(|v| ((v + 4.0) / 2.0).round() as usize);
            counts[cell[0] * 5 + cell[1]] += 1;
        }
        let chi2: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0)
            .sum();
        assert!(
            chi2 < 51.2,
            "chi-square {chi2} over 24 degrees of freedom exceeds the 0.1 % point"
        );
    }

    /// E x = (1/3pi) int t cos t dt over [1.5 pi, 4.5 pi] = 2, E z = 2/(3 pi) in the roll's units.
    #[test]
    fn the_roll_has_scikit_learn_s_moments() {
        let n = 200_000;
        let roll = SwissRoll {
            noise: 0.25,
            scale: 7.5,
        };
        let points = roll.sample(&Stream::new(9, 0, 0), n);
        let mean = |d: usize| points.iter().map(|p| f64::from(p[d])).sum::<f64>() / n as f64 * 7.5;
        let integral = |f: fn(f64) -> f64| {
            (0..30_000)
                .map(|i| f(1.5 * std::f64::consts::PI * (1.0 + 2.0 * (f64::from(i) + 0.5) / 3e4)))
                .sum::<f64>()
                / 3e4
        };
        assert!(
            (mean(0) - integral(|t| t * t.cos())).abs() < 0.07,
            "{}",
            mean(0)
        );
        assert!(
            (mean(1) - integral(|t| t * t.sin())).abs() < 0.07,
            "{}",
            mean(1)
        );
        let radius = points
            .iter()
            .map(|p| f64::from(p[0].hypot(p[1])))
            .fold(0.0, f64::max)
            * 7.5;
        assert!(
            radius > 13.5 && radius < 4.5 * std::f64::consts::PI + 0.25 * 6.0,
            "{radius}"
        );
    }

    #[test]
    fn layouts_convert_both_ways() {
        let p = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        assert_eq!(features_first(&p), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
        assert_eq!(points::<2>(&features_first(&p)), Some(p.to_vec()));
        assert_eq!(points::<2>(&[1.0; 3]), None);
    }

    #[test]
    fn a_sample_depends_on_its_index_only() {
        for set in ToySet::ALL {
            let few = set.sample_features_first(&Stream::new(1, 2, 3), 5);
            let many = set.sample_features_first(&Stream::new(1, 2, 3), 9);
            for d in 0..set.dim() {
                assert_eq!(few[d * 5..d * 5 + 5], many[d * 9..d * 9 + 5], "{set}");
            }
        }
    }
}
