//! Named densities, and three ways to draw from one: inverse transform, rejection, Metropolis-Hastings.
//!
//! | name | density, up to its constant | drawn by |
//! |---|---|---|
//! | `exponential` | exp(-x), x > 0 | inverse transform |
//! | `logistic` | exp(-x) / (1 + exp(-x))^2 | inverse transform |
//! | `laplace` | exp(-abs(x)) | inverse transform |
//! | `cauchy` | 1 / (1 + x^2) | inverse transform |
//! | `triangular` | 1 - abs(x) on [-1, 1] | inverse transform, rejection under a constant |
//! | `kumaraswamy` | x (1 - x^2)^4 on [0, 1] (a = 2, b = 5) | inverse transform, rejection under a constant |
//! | `truncated_normal` | exp(-x^2 / 2) on [-2, 2] | rejection under a Gaussian |
//! | `semicircle` | sqrt(1 - x^2) on [-1, 1] (Wigner) | rejection under a constant |
//! | `doublewell` | exp(-4 (x^2 - 1)^2) | rejection under a Gaussian |
//! | `banana` | exp(-x^2 / 2 - 2 (y - x^2 + 1)^2) | Metropolis-Hastings |
//! | `twomoons` | energy U1 of Rezende and Mohamed (1505.05770, table 1): two arcs of a ring of radius 2 | Metropolis-Hastings, rejection under a constant |
//!
//! The first way named is the usual one. A 1-D density within bounds can also be drawn by inverse transform from a table of its
//! quantiles ([`TABLE_CELLS`]), and all but `cauchy` by Metropolis-Hastings (a random walk is slow to find such tails).
//!
//! The functions here are the reference in f64 of `kernels::{inverse_transform, inverse_table, rejection, metropolis}`: sample
//! `index` comes from the same Threefry blocks on both sides.
mod draw;
mod line;

use super::rng::{Stream, normal2};
pub use draw::{Draw, Drawer};
pub use line::Line;
use std::f64::consts::{LN_2, PI, TAU};
use std::fmt;
use std::str::FromStr;

/// Cells of a table of quantiles.
pub const TABLE_CELLS: usize = 4096;
/// A sample by rejection fails to find an acceptable proposal with a probability below 2 to the minus this: never, in practice. It is
/// NaN then, which no step of training and no metric lets pass, and not a proposal that was refused.
pub const EXHAUSTION_BITS: f64 = 64.0;
/// What is added to the logarithm of an envelope's bound, so that it holds under the device's rounding too.
const BOUND_SLACK: f64 = 1e-5;
/// Steps of numerical integration per axis, in one and in two dimensions.
const CELLS_1D: usize = 1 << 14;
const CELLS_2D: usize = 900;

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// x = F^-1(u), u uniform on (0, 1).
    Inverse,
    /// Proposals from an envelope, each kept with probability density / envelope.
    Rejection,
    /// The end of a random walk whose steps are accepted with probability min(1, density ratio): one independent chain per sample.
    Metropolis,
}

impl Method {
    pub const ALL: [Method; 3] = [Method::Inverse, Method::Rejection, Method::Metropolis];
    pub fn name(self) -> &'static str {
        match self {
            Method::Inverse => "inverse",
            Method::Rejection => "rejection",
            Method::Metropolis => "metropolis",
        }
    }
}

/// Where proposals come from, and a bound: log density <= log envelope + `log_bound` everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Envelope {
    pub shape: Shape,
    pub log_bound: f64,
}

/// The envelope's density, up to its constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// 1 on this interval of every axis.
    Constant { low: f64, high: f64 },
    /// exp(-|x|^2 / 2 sigma^2).
    Gaussian { sigma: f64 },
}

/// A random walk from N(0, start^2 I), mirrored where that is outside the support, with steps N(0, step^2 I).
/// `steps` of them are discarded but the last: so many that what is left
/// of the start does not show in 100,000 samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk {
    pub start: f64,
    pub step: f64,
    pub steps: u32,
}

macro_rules! densities {
    ($($variant:ident $name:literal $what:literal;)*) => {
        /// A named density.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Density { $($variant,)* }
        impl Density {
            pub const ALL: &'static [Density] = &[$(Density::$variant,)*];
            pub fn name(self) -> &'static str {
                match self { $(Density::$variant => $name,)* }
            }
            pub fn describe(self) -> &'static str {
                match self { $(Density::$variant => $what,)* }
            }
        }
    };
}

densities! {
    Exponential "exponential" "exponential, rate 1";
    Logistic "logistic" "logistic, scale 1";
    Laplace "laplace" "Laplace, scale 1";
    Cauchy "cauchy" "Cauchy, scale 1";
    Triangular "triangular" "triangle on [-1, 1]";
    Kumaraswamy "kumaraswamy" "Kumaraswamy, a = 2, b = 5, on [0, 1]";
    TruncatedNormal "truncated_normal" "N(0, 1) within two standard deviations";
    Semicircle "semicircle" "Wigner's semicircle, radius 1";
    DoubleWell "doublewell" "two wells at -1 and 1";
    Banana "banana" "banana: N(0, 1) bent along a parabola";
    TwoMoons "twomoons" "two arcs of a ring of radius 2";
}

impl Density {
    /// Numbers per sample.
    pub fn dim(self) -> usize {
        match self {
            Density::Banana | Density::TwoMoons => 2,
            _ => 1,
        }
    }

    /// Logarithm of the density up to its constant; minus infinity outside its support. One dimension reads `x[0]` only.
    pub fn log_density(self, [x, y]: [f64; 2]) -> f64 {
        let inside = |within: bool, value: f64| if within { value } else { f64::NEG_INFINITY };
        match self {
            Density::Exponential => inside(x > 0.0, -x),
            Density::Logistic => -x.abs() - 2.0 * (-x.abs()).exp().ln_1p(),
            Density::Laplace => -x.abs(),
            Density::Cauchy => -(x * x).ln_1p(),
            Density::Triangular => inside(x.abs() < 1.0, (1.0 - x.abs()).ln()),
            Density::Kumaraswamy => inside(x > 0.0 && x < 1.0, x.ln() + 4.0 * (1.0 - x * x).ln()),
            Density::TruncatedNormal => inside(x.abs() <= 2.0, -0.5 * x * x),
            Density::Semicircle => inside(x.abs() < 1.0, 0.5 * (1.0 - x * x).ln()),
            Density::DoubleWell => -4.0 * (x * x - 1.0).powi(2),
            Density::Banana => -0.5 * x * x - 2.0 * (y - x * x + 1.0).powi(2),
            Density::TwoMoons => {
                let (ring, side) = ((x.hypot(y) - 2.0) / 0.4, (x.abs() - 2.0) / 0.6);
                // log(exp(-(x-2)^2/.72) + exp(-(x+2)^2/.72)) without cancellation.
                -0.5 * (ring * ring + side * side) + (-4.0 * x.abs() / 0.36).exp().ln_1p()
            }
        }
    }

    /// The quantile at u in (0, 1), where it has a closed form.
    pub fn inverse_cdf(self, u: f64) -> Option<f64> {
        let outer = u.min(1.0 - u);
        let mirrored = |magnitude: f64| if u < 0.5 { -magnitude } else { magnitude };
        Some(match self {
            Density::Exponential => -(1.0 - u).ln(),
            Density::Logistic => u.ln() - (1.0 - u).ln(),
            Density::Laplace => mirrored(-(2.0 * outer).ln()),
            Density::Cauchy => mirrored((PI * outer).cos() / (PI * outer).sin()),
            Density::Triangular => mirrored(1.0 - (2.0 * outer).sqrt()),
            Density::Kumaraswamy => (1.0 - (1.0 - u).powf(0.2)).sqrt(),
            _ => return None,
        })
    }

    /// The distribution function, where it has a closed form.
    pub fn closed_cdf(self, x: f64) -> Option<f64> {
        Some(match self {
            Density::Exponential => 1.0 - (-x.max(0.0)).exp(),
            Density::Logistic => 1.0 / (1.0 + (-x).exp()),
            Density::Laplace if x < 0.0 => 0.5 * x.exp(),
            Density::Laplace => 1.0 - 0.5 * (-x).exp(),
            Density::Cauchy => 0.5 + x.atan() / PI,
            Density::Triangular => {
                let x = x.clamp(-1.0, 1.0);
                0.5 + x - 0.5 * x * x.abs()
            }
            Density::Kumaraswamy => 1.0 - (1.0 - x.clamp(0.0, 1.0).powi(2)).powi(5),
            Density::Semicircle => {
                let x = x.clamp(-1.0, 1.0);
                0.5 + (x * (1.0 - x * x).sqrt() + x.asin()) / PI
            }
            _ => return None,
        })
    }

    /// Per axis an interval that holds the density, for pictures and for numerical integration. All of it within bounds, but for
    /// less than 1e-9 of its mass; of the four with long tails what is worth looking at.
    pub fn view(self) -> [[f64; 2]; 2] {
        let one = |low: f64, high: f64| [[low, high], [0.0, 1.0]];
        match self {
            Density::Exponential => one(0.0, 8.0),
            Density::Logistic | Density::Laplace | Density::Cauchy => one(-8.0, 8.0),
            Density::Triangular | Density::Semicircle => one(-1.0, 1.0),
            Density::Kumaraswamy => one(0.0, 1.0),
            Density::TruncatedNormal => one(-2.0, 2.0),
            Density::DoubleWell => one(-2.0, 2.0),
            Density::Banana => [[-5.0, 5.0], [-4.0, 24.0]],
            Density::TwoMoons => [[-4.5, 4.5]; 2],
        }
    }

    fn bounded(self) -> bool {
        let unbounded = [
            Density::Exponential,
            Density::Logistic,
            Density::Laplace,
            Density::Cauchy,
        ];
        !unbounded.contains(&self)
    }

    /// The envelope of rejection, where there is one.
    pub fn envelope(self) -> Option<Envelope> {
        let constant = |low, high| Shape::Constant { low, high };
        let (shape, log_bound) = match self {
            Density::Triangular | Density::Semicircle => (constant(-1.0, 1.0), 0.0),
            // The mode is at 1/3.
            Density::Kumaraswamy => (
                constant(0.0, 1.0),
                (1f64 / 3.0).ln() + 4.0 * (8f64 / 9.0).ln(),
            ),
            Density::TruncatedNormal => (Shape::Gaussian { sigma: 1.0 }, 0.0),
            // max over t = x^2 of t/2 - 4 (t - 1)^2 is at t = 1 + 1/16: 1/2 + 1/64.
            Density::DoubleWell => (Shape::Gaussian { sigma: 1.0 }, 0.5 + 1.0 / 64.0),
            Density::TwoMoons => (constant(-4.5, 4.5), 0.0),
            _ => return None,
        };
        Some(Envelope {
            shape,
            log_bound: log_bound + BOUND_SLACK,
        })
    }

    /// The random walk of Metropolis-Hastings, where there is one.
    pub fn walk(self) -> Option<Walk> {
        let (start, step, steps) = match self {
            Density::Cauchy => return None,
            Density::Exponential | Density::Laplace => (1.0, 2.5, 128),
            Density::Logistic => (2.0, 4.0, 128),
            Density::Triangular | Density::Semicircle => (0.2, 0.9, 64),
            Density::Kumaraswamy => (0.2, 0.4, 64),
            Density::TruncatedNormal => (0.4, 1.8, 64),
            Density::DoubleWell => (1.0, 1.6, 96),
            Density::Banana => (1.0, 1.0, 768),
            Density::TwoMoons => (2.0, 0.9, 384),
        };
        Some(Walk { start, step, steps })
    }

    /// How it can be drawn, the usual way first.
    pub fn methods(self) -> Vec<Method> {
        let mut all = vec![];
        if self.inverse_cdf(0.5).is_some() {
            all.push(Method::Inverse);
        }
        // Rejection in two dimensions wastes more than a walk does.
        if self.envelope().is_some() && self.dim() == 1 {
            all.push(Method::Rejection);
        }
        if self.walk().is_some() {
            all.push(Method::Metropolis);
        }
        if self.envelope().is_some() && self.dim() == 2 {
            all.push(Method::Rejection);
        }
        if self.dim() == 1 && self.bounded() && !all.contains(&Method::Inverse) {
            all.push(Method::Inverse);
        }
        all
    }

    /// The first of [`Density::methods`].
    pub fn usual_method(self) -> Method {
        match self {
            Density::Banana | Density::TwoMoons => Method::Metropolis,
            _ if self.inverse_cdf(0.5).is_some() => Method::Inverse,
            _ => Method::Rejection,
        }
    }

    /// `n` samples as `[dim, n]` by the cheapest way that is exact: never by a walk.
    pub fn reference(self, stream: &Stream, n: usize) -> Vec<f32> {
        if self == Density::Banana {
            // x is N(0, 1); y given x is N(x^2 - 1, 1/4).
            let normals = (0..n as u32).map(|i| normal2(stream.block(i, 0)));
            let normals: Vec<[f32; 2]> = normals.collect();
            let bent = normals.iter().map(|[x, z]| x * x - 1.0 + 0.5 * z);
            return normals.iter().map(|z| z[0]).chain(bent).collect();
        }
        let method = match self.usual_method() {
            Method::Metropolis => Method::Rejection,
            exact => exact,
        };
        // Every other density has an envelope or closed quantiles.
        let drawer = Drawer::new(self, method);
        drawer.map_or(vec![], |d| d.features_first(stream, n))
    }

    /// Proposals after which a sample by rejection gives up: see [`EXHAUSTION_BITS`]. None without an envelope.
    pub fn tries(self) -> Option<u32> {
        let refused = 1.0 - self.acceptance()?;
        Some((EXHAUSTION_BITS * LN_2 / -refused.ln()).ceil().max(1.0) as u32)
    }

    /// Share of the envelope's proposals that are accepted; none without an envelope.
    pub fn acceptance(self) -> Option<f64> {
        let envelope = self.envelope()?;
        let dim = self.dim() as i32;
        let mass = match envelope.shape {
            Shape::Constant { low, high } => (high - low).powi(dim),
            Shape::Gaussian { sigma } => (TAU.sqrt() * sigma).powi(dim),
        };
        Some(self.mass() / (mass * envelope.log_bound.exp()))
    }

    /// Integral of exp(log density): over the whole line where there is a closed form, else over [`Density::view`].
    pub fn mass(self) -> f64 {
        match self {
            Density::Exponential | Density::Logistic | Density::Triangular => 1.0,
            Density::Laplace => 2.0,
            Density::Cauchy => PI,
            Density::Kumaraswamy => 0.1,
            Density::Semicircle => 0.5 * PI,
            // Of x: sqrt(2 pi); of y given x: a Gaussian with standard deviation 1/2.
            Density::Banana => PI,
            _ => self
                .cells(if self.dim() == 1 {
                    [CELLS_1D, 1]
                } else {
                    [CELLS_2D; 2]
                })
                .iter()
                .sum(),
        }
    }

    /// Mass (not normalised) of the cells of an even grid over [`Density::view`], x fastest, by the midpoint rule.
    pub fn cells(self, [columns, rows]: [usize; 2]) -> Vec<f64> {
        let [[x0, x1], [y0, y1]] = self.view();
        let (dx, dy) = ((x1 - x0) / columns as f64, (y1 - y0) / rows as f64);
        let area = if self.dim() == 1 { dx } else { dx * dy };
        let centres = (0..rows).flat_map(|j| (0..columns).map(move |i| (i, j)));
        let at = |(i, j): (usize, usize)| {
            let x = [x0 + (i as f64 + 0.5) * dx, y0 + (j as f64 + 0.5) * dy];
            area * self.log_density(x).exp()
        };
        centres.map(at).collect()
    }

    /// The normalised density.
    pub fn pdf(self, x: [f64; 2]) -> f64 {
        self.log_density(x).exp() / self.mass()
    }

    /// What the device reads to draw by inverse transform where there is no closed form: the quantiles at i / [`TABLE_CELLS`]. None for
    /// densities with a closed form, without bounds, or in two dimensions.
    pub fn table(self) -> Option<Vec<f32>> {
        if self.dim() == 2 || !self.bounded() || self.inverse_cdf(0.5).is_some() {
            return None;
        }
        let line = Line::new(self);
        let at = |i: usize| line.quantile(i as f64 / TABLE_CELLS as f64) as f32;
        Some((0..=TABLE_CELLS).map(at).collect())
    }
}

impl fmt::Display for Density {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No density has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown density {name:?}; there are {known}")]
pub struct UnknownDensity {
    pub name: String,
    known: String,
}

impl FromStr for Density {
    type Err = UnknownDensity;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = Density::ALL.iter();
        all.copied()
            .find(|d| d.name() == name.replace('-', "_"))
            .ok_or_else(|| UnknownDensity {
                name: name.into(),
                known: Density::ALL
                    .iter()
                    .map(|d| d.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}
