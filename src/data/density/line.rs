//! A density on a line as its distribution function.
use super::{CELLS_1D, Density};

/// Distribution function and quantiles of a 1-D density, exact where it has closed forms and from 16,384 cells elsewhere.
#[derive(Clone, Debug)]
pub struct Line {
    density: Density,
    /// Running sums of the cells' shares, from 0 to 1; empty with closed forms.
    cumulative: Vec<f64>,
}

impl Line {
    /// The first axis of `density`.
    pub fn new(density: Density) -> Line {
        let mut cumulative = vec![];
        let closed = density.closed_cdf(0.0).is_some() && density.inverse_cdf(0.5).is_some();
        if !closed {
            let cells = density.cells([CELLS_1D, 1]);
            let total: f64 = cells.iter().sum();
            let mut sum = 0.0;
            cumulative.push(0.0);
            cumulative.extend(cells.iter().map(|c| {
                sum += c / total;
                sum
            }));
        }
        Line {
            density,
            cumulative,
        }
    }
    /// F(x).
    pub fn cdf(&self, x: f64) -> f64 {
        if let Some(value) = self.density.closed_cdf(x) {
            return value;
        }
        let [low, high] = self.density.view()[0];
        let at = ((x - low) / (high - low) * CELLS_1D as f64).clamp(0.0, CELLS_1D as f64);
        let cell = (at as usize).min(CELLS_1D - 1);
        let [a, b] = [self.cumulative[cell], self.cumulative[cell + 1]];
        a + (b - a) * (at - cell as f64)
    }
    /// F^-1(p) for p in [0, 1]; at 0 and 1 the bounds.
    pub fn quantile(&self, p: f64) -> f64 {
        if let Some(x) = self.density.inverse_cdf(p) {
            return x;
        }
        let [low, high] = self.density.view()[0];
        let cell = self.cumulative.partition_point(|&c| c <= p).max(1) - 1;
        let cell = cell.min(CELLS_1D - 1);
        let [a, b] = [self.cumulative[cell], self.cumulative[cell + 1]];
        let within = if b > a {
            ((p - a) / (b - a)).clamp(0.0, 1.0)
        } else {
            0.0
        };
        low + (high - low) * (cell as f64 + within) / CELLS_1D as f64
    }
}
