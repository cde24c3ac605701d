//! The three ways to draw from a density, in f64.
use super::{Density, Envelope, Method, Shape, TABLE_CELLS, Walk};
use crate::data::rng::{Stream, normal2, uniform_open, uniform01};

/// One sample of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The second is 0 in one dimension.
    pub x: [f64; 2],
    /// The smallest distance, in logarithms, of any decision on the way from being the other one: below the device's rounding the two
    /// sides may go different ways.
    pub margin: f64,
    /// Proposals that were made; 1 for inverse transform.
    pub proposals: u32,
    /// Proposals that were accepted.
    pub accepted: u32,
}

/// A density with what one method needs to draw from it.
#[derive(Clone, Debug)]
pub struct Drawer {
    density: Density,
    means: Means,
}

#[derive(Clone, Debug)]
enum Means {
    Closed,
    Table(Vec<f32>),
    Rejection { envelope: Envelope, tries: u32 },
    Walk(Walk),
}

impl Drawer {
    /// None where the density cannot be drawn so.
    pub fn new(density: Density, method: Method) -> Option<Drawer> {
        let means = match method {
            Method::Inverse if density.inverse_cdf(0.5).is_some() => Means::Closed,
            Method::Inverse => Means::Table(density.table()?),
            Method::Rejection => Means::Rejection {
                envelope: density.envelope()?,
                tries: density.tries()?,
            },
            Method::Metropolis => Means::Walk(density.walk()?),
        };
        Some(Drawer { density, means })
    }

    /// The usual way.
    pub fn usual(density: Density) -> Option<Drawer> {
        Drawer::new(density, density.usual_method())
    }

    /// Sample `index` of `stream`.
    pub fn draw(&self, stream: &Stream, index: u32) -> Draw {
        match &self.means {
            Means::Closed => {
                let u = f64::from(uniform_open(stream.block(index, 0)[0]));
                Draw::at(self.density.inverse_cdf(u).unwrap_or(f64::NAN))
            }
            Means::Table(table) => {
                let u = f64::from(uniform_open(stream.block(index, 0)[0]));
                Draw::at(interpolate(table, u).unwrap_or(f64::NAN))
            }
            Means::Rejection { envelope, tries } => self.reject(*envelope, *tries, stream, index),
            Means::Walk(walk) => self.walk(*walk, stream, index),
        }
    }

    /// `n` samples, `[dim, n]`.
    pub fn features_first(&self, stream: &Stream, n: usize) -> Vec<f32> {
        let draws: Vec<Draw> = (0..n as u32).map(|i| self.draw(stream, i)).collect();
        let axes = 0..self.density.dim();
        axes.flat_map(|d| draws.iter().map(move |draw| draw.x[d] as f32))
            .collect()
    }

    /// Try t: block (index, 2t) proposes, block (index, 2t + 1) decides.
    fn reject(&self, envelope: Envelope, tries: u32, stream: &Stream, index: u32) -> Draw {
        let mut draw = Draw {
            x: [f64::NAN; 2],
            margin: f64::INFINITY,
            proposals: 0,
            accepted: 0,
        };
        for t in 0..tries {
            let bits = stream.block(index, 2 * t);
            let (mut x, log_envelope) = match envelope.shape {
                Shape::Constant { low, high } => {
                    let at = |b: u32| low + (high - low) * f64::from(uniform01(b));
                    (bits.map(at), 0.0)
                }
                Shape::Gaussian { sigma } => {
                    let z = normal2(bits).map(f64::from);
                    let used = &z[..self.density.dim()];
                    let square: f64 = used.iter().map(|z| z * z).sum();
                    (z.map(|z| sigma * z), -0.5 * square)
                }
            };
            if self.density.dim() == 1 {
                x[1] = 0.0;
            }
            let ratio = self.density.log_density(x) - log_envelope - envelope.log_bound;
            draw.proposals += 1;
            if draw.decide(stream.block(index, 2 * t + 1)[0], ratio) {
                draw.x = x;
                break;
            }
        }
        draw
    }

    /// Block (index, 0) gives the start; step t (from 1): block (index, 2t - 1) proposes, block (index, 2t) decides.
    fn walk(&self, walk: Walk, stream: &Stream, index: u32) -> Draw {
        let dim = self.density.dim();
        let step = |from: [f64; 2], size: f64, draw: u32| {
            let z = normal2(stream.block(index, draw));
            let mut to = [0, 1].map(|d| from[d] + size * f64::from(z[d]));
            to[dim..].fill(0.0);
            to
        };
        let mut draw = Draw {
            x: step([0.0; 2], walk.start, 0),
            margin: f64::INFINITY,
            proposals: walk.steps,
            accepted: 0,
        };
        if self.density.log_density(draw.x) == f64::NEG_INFINITY {
            draw.x = draw.x.map(|v| -v);
        }
        let mut log_density = self.density.log_density(draw.x).max(f64::from(f32::MIN));
        for t in 1..=walk.steps {
            let x = step(draw.x, walk.step, 2 * t - 1);
            let proposed = self.density.log_density(x).max(f64::from(f32::MIN));
            if draw.decide(stream.block(index, 2 * t)[0], proposed - log_density) {
                (draw.x, log_density) = (x, proposed);
            }
        }
        draw
    }
}

impl Draw {
    /// Of an inverse transform.
    fn at(x: f64) -> Draw {
        Draw {
            x: [x, 0.0],
            margin: f64::INFINITY,
            proposals: 1,
            accepted: 1,
        }
    }
    /// True with probability min(1, exp(log ratio)).
    fn decide(&mut self, bits: u32, log_ratio: f64) -> bool {
        let threshold = (1.0 - f64::from(uniform01(bits))).ln();
        self.margin = self.margin.min((log_ratio - threshold).abs());
        let accept = threshold <= log_ratio;
        self.accepted += u32::from(accept);
        accept
    }
}

/// Between the quantiles of a table, linearly.
fn interpolate(table: &[f32], u: f64) -> Option<f64> {
    let at = u * TABLE_CELLS as f64;
    let cell = (at as usize).min(TABLE_CELLS - 1);
    let [low, high] = [table.get(cell)?, table.get(cell + 1)?].map(|&v| f64::from(v));
    Some(low + (high - low) * (at - cell as f64))
}
