//! The matrices of F(m, r).

/// Where the polynomials behind F(m, r) are evaluated, the first m + r - 2 of them; the last point is at infinity. Their order keeps
/// rounding low: on random data F(4, 2) errs 3.2 times as much as the sum over taps (with 2 for -2, or halves: 3.2 to 3.5),
/// F(4, 3) 2.4 times (with -2 and 2: 3.8), F(2, r) and F(3, 2) no more than the sum.
const EVALUATED_AT: [f64; 5] = [0.0, 1.0, -1.0, -2.0, 0.5];

/// F(outputs, taps) in one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    pub outputs: u32,
    pub taps: u32,
}

/// Row by row.
pub type Matrix = Vec<Vec<f64>>;

impl Filter {
    pub fn points(self) -> u32 {
        self.outputs + self.taps - 1
    }

    fn finite(self) -> &'static [f64] {
        &EVALUATED_AT[..self.points() as usize - 1]
    }

    /// A^t, [outputs, points].
    pub fn output(self) -> Matrix {
        let row = |i: u32| {
            let last = f64::from(u8::from(i + 1 == self.outputs));
            let powers = self.finite().iter().map(|a| a.powi(i as i32));
            powers.chain([last]).collect()
        };
        (0..self.outputs).map(row).collect()
    }

    /// G, [points, taps].
    pub fn weights(self) -> Matrix {
        let others = |j: usize| {
            let all = self.finite().iter().enumerate();
            all.filter(move |&(l, _)| l != j).map(|(_, a)| a)
        };
        let mut rows: Matrix = self
            .finite()
            .iter()
            .enumerate()
            .map(|(j, a)| {
                let scale: f64 = others(j).map(|other| a - other).product();
                (0..self.taps).map(|i| a.powi(i as i32) / scale).collect()
            })
            .collect();
        rows.push(
            (0..self.taps)
                .map(|i| f64::from(u8::from(i + 1 == self.taps)))
                .collect(),
        );
        rows
    }

    /// B^t, [points, points].
    pub fn input(self) -> Matrix {
        // Coefficients of the product of (x - a), lowest first.
        let polynomial = |skip: Option<usize>| {
            let mut of = vec![1.0];
            for (l, a) in self.finite().iter().enumerate() {
                if Some(l) == skip {
                    continue;
                }
                let mut next = vec![0.0; of.len() + 1];
                for (i, c) in of.iter().enumerate() {
                    next[i] -= a * c;
                    next[i + 1] += c;
                }
                of = next;
            }
            of.resize(self.points() as usize, 0.0);
            of
        };
        let finite = (0..self.finite().len()).map(|j| polynomial(Some(j)));
        finite.chain([polynomial(None)]).collect()
    }
}

pub fn transposed(of: &Matrix) -> Matrix {
    (0..of[0].len())
        .map(|j| of.iter().map(|row| row[j]).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A^t [(G g) * (B^t d)] is the sum over taps, and its transposes are the two gradients.
    #[test]
    fn filters_compute_sums_over_taps() {
        for outputs in [2, 4] {
            for taps in [2, 3] {
                let filter = Filter { outputs, taps };
                let of = |m: &Matrix, v: &[f64]| -> Vec<f64> {
                    m.iter()
                        .map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
                        .collect()
                };
                let d: Vec<f64> = (0..filter.points())
                    .map(|i| f64::from(i * i % 7) - 2.5)
                    .collect();
                let g: Vec<f64> = (0..taps).map(|i| 1.5 - f64::from(i)).collect();
                let products: Vec<f64> = of(&filter.input(), &d)
                    .iter()
                    .zip(of(&filter.weights(), &g))
                    .map(|(a, b)| a * b)
                    .collect();
                let got = of(&filter.output(), &products);
                for (i, got) in got.iter().enumerate() {
                    let want: f64 = g.iter().zip(&d[i..]).map(|(a, b)| a * b).sum();
                    assert!(
                        (got - want).abs() < 1e-12,
                        "F({outputs}, {taps}) {i}: {got} {want}"
                    );
                }
            }
        }
    }
}
