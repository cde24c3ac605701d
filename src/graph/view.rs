//! Index algebra: where an element of a tensor is found, as a sum of digits of a linear index.
//!
//! A kernel runs over one linear index per domain (outputs, and inside a reduction the reduced elements). Every coordinate
//! that views (broadcast, transpose, slice, pad, reshape) can produce from it is offset + sum of coef * ((index / div) % modulus).
//! Digits that belong together are merged again, so an untouched tensor is read at the plain index, without a division.

/// Which linear index a digit is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// The outputs of the kernel.
    Out,
    /// The elements that are summed into one output.
    Reduced,
}

/// (index / div) % modulus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit {
    pub domain: Domain,
    pub div: usize,
    pub modulus: usize,
}

/// offset + sum of coef * digit. Terms are sorted, merged and have modulus > 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Affine {
    pub terms: Vec<(Digit, usize)>,
    pub offset: i64,
}

impl Affine {
    /// The digit itself.
    pub fn digit(domain: Domain, div: usize, modulus: usize) -> Affine {
        let digit = Digit {
            domain,
            div,
            modulus,
        };
        Affine {
            terms: vec![(digit, 1)],
            offset: 0,
        }
        .normalised()
    }
    /// The same number at every index.
    pub fn constant(value: usize) -> Affine {
        Affine {
            terms: vec![],
            offset: value as i64,
        }
    }
    /// Sum of a * factor over all parts.
    pub fn weighted_sum<'a>(parts: impl IntoIterator<Item = (&'a Affine, usize)>) -> Affine {
        let mut sum = Affine::default();
        for (a, factor) in parts {
            sum.offset += a.offset * factor as i64;
            sum.terms
                .extend(a.terms.iter().map(|&(d, c)| (d, c * factor)));
        }
        sum.normalised()
    }
    /// The same, moved by a constant.
    pub fn shifted(&self, by: i64) -> Affine {
        Affine {
            terms: self.terms.clone(),
            offset: self.offset + by,
        }
    }
    /// Largest value, where no guard cuts it.
    pub fn max(&self) -> i64 {
        self.offset + span(&self.terms) as i64
    }

    fn normalised(mut self) -> Affine {
        self.terms.retain(|(d, c)| d.modulus > 1 && *c > 0);
        self.terms.sort_unstable();
        // Equal digits add up (a diagonal), neighbouring digits of matching weight are one digit.
        let mut merged: Vec<(Digit, usize)> = Vec::with_capacity(self.terms.len());
        for (digit, coef) in self.terms {
            match merged.last_mut() {
                Some((last, c)) if *last == digit => *c += coef,
                Some((last, c))
                    if last.domain == digit.domain
                        && digit.div == last.div * last.modulus
                        && coef == *c * last.modulus =>
                {
                    last.modulus *= digit.modulus;
                }
                _ => merged.push((digit, coef)),
            }
        }
        self.terms = merged;
        self
    }

    /// Quotient and remainder by `divisor`, if both are again sums of digits.
    pub fn div_rem(&self, divisor: usize) -> Option<(Affine, Affine)> {
        if divisor == 1 {
            return Some((self.clone(), Affine::default()));
        }
        if self.offset < 0 {
            return None;
        }
        let (mut high, mut low) = (Affine::default(), Affine::default());
        high.offset = self.offset / divisor as i64;
        low.offset = self.offset % divisor as i64;
        for &(digit, coef) in &self.terms {
            if coef.is_multiple_of(divisor) {
                high.terms.push((digit, coef / divisor));
            } else if coef * (digit.modulus - 1) < divisor {
                low.terms.push((digit, coef));
            } else if divisor.is_multiple_of(coef) && digit.modulus.is_multiple_of(divisor / coef) {
                let m = divisor / coef;
                let low_digit = Digit {
                    modulus: m,
                    ..digit
                };
                let high_digit = Digit {
                    div: digit.div * m,
                    modulus: digit.modulus / m,
                    ..digit
                };
                low.terms.push((low_digit, coef));
                high.terms.push((high_digit, 1));
            } else {
                return None;
            }
        }
        let (high, low) = (high.normalised(), low.normalised());
        (low.max() < divisor as i64).then_some((high, low))
    }
}

fn span(terms: &[(Digit, usize)]) -> usize {
    terms.iter().map(|(d, c)| c * (d.modulus - 1)).sum()
}

/// Coordinates of an element of some tensor, and the conditions under which it exists (inside a padded tensor).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// One coordinate per axis.
    pub coords: Vec<Affine>,
    /// `value < size`, in wrapping u32 arithmetic, must hold for each; otherwise the element is a padding zero.
    pub guards: Vec<(Affine, usize)>,
}

impl View {
    /// The identity view of a tensor of this shape, over one domain.
    pub fn identity(shape: &[usize], domain: Domain) -> View {
        let axes: Vec<usize> = (0..shape.len()).collect();
        View::of_axes(shape, &axes, domain)
    }
    /// Coordinates for `axes` of `shape` from the linear index over just those axes; the others are 0.
    pub fn of_axes(shape: &[usize], axes: &[usize], domain: Domain) -> View {
        let mut coords = vec![Affine::default(); shape.len()];
        let mut div = 1;
        for &axis in axes.iter().rev() {
            coords[axis] = Affine::digit(domain, div, shape[axis]);
            div *= shape[axis];
        }
        View {
            coords,
            guards: vec![],
        }
    }
    /// Position in row-major memory of a tensor of this shape.
    pub fn linear(&self, strides: &[usize]) -> Affine {
        Affine::weighted_sum(self.coords.iter().zip(strides.iter().copied()))
    }
    /// The same element under another shape of as many elements; None if its coordinates are no sums of digits.
    pub fn reshaped(&self, from_strides: &[usize], to_shape: &[usize]) -> Option<View> {
        let mut rest = self.linear(from_strides);
        let mut coords = Vec::with_capacity(to_shape.len());
        let mut stride: usize = to_shape.iter().product();
        for &size in to_shape {
            stride /= size;
            let (q, r) = rest.div_rem(stride)?;
            coords.push(q);
            rest = r;
        }
        Some(View {
            coords,
            guards: self.guards.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(a: &Affine, index: usize) -> i64 {
        let sum: usize = a
            .terms
            .iter()
            .map(|(d, c)| c * ((index / d.div) % d.modulus))
            .sum();
        a.offset + sum as i64
    }

    #[test]
    fn identity_is_the_plain_index() {
        let shape = [3, 4, 5];
        let lin = View::identity(&shape, Domain::Out).linear(&[20, 5, 1]);
        assert_eq!(lin, Affine::digit(Domain::Out, 1, 60));
    }

    #[test]
    fn reshape_splits_and_merges_digits() {
        // [2, 3, 4, 6] transposed to [2, 4, 3, 6], then seen as [8, 18].
        let view = View::identity(&[8, 18], Domain::Out);
        let inner = view.reshaped(&[18, 1], &[2, 4, 3, 6]).unwrap();
        let lin = Affine::weighted_sum([
            (&inner.coords[0], 72),
            (&inner.coords[2], 24),
            (&inner.coords[1], 6),
            (&inner.coords[3], 1),
        ]);
        for i in 0..144 {
            let (a, b, c, d) = (i / 72, i / 18 % 4, i / 6 % 3, i % 6);
            assert_eq!(value(&lin, i), (a * 72 + c * 24 + b * 6 + d) as i64);
        }
        assert_eq!(lin.terms.len(), 4);
    }

    #[test]
    fn a_split_that_is_no_sum_of_digits_is_refused() {
        let view = View::identity(&[6, 5], Domain::Out);
        // Coordinates of the transpose [5, 6] seen as [2, 15]: 6 * (i % 5) + i / 5 does not divide by 15.
        let t = View {
            coords: vec![view.coords[1].clone(), view.coords[0].clone()],
            guards: vec![],
        };
        assert!(t.reshaped(&[6, 1], &[2, 15]).is_none());
        assert!(t.shifted_negative().reshaped(&[6, 1], &[30]).is_some());
    }

    impl View {
        fn shifted_negative(&self) -> View {
            View {
                coords: self.coords.iter().map(|c| c.shifted(-1)).collect(),
                guards: vec![],
            }
        }
    }

    #[test]
    fn sizes_of_one_leave_no_terms() {
        let v = View::identity(&[1, 7, 1], Domain::Out);
        assert!(v.coords[0].terms.is_empty() && v.coords[2].terms.is_empty());
        let r = v.reshaped(&[7, 1, 1], &[7]).unwrap();
        assert_eq!(r.coords[0], Affine::digit(Domain::Out, 1, 7));
    }
}
