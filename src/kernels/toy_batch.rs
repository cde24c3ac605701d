//! Samples of a built-in point set, drawn on the device by the kernel of its distribution: a mixture, the swiss roll or a density.
use super::random_source::RandomSource;
use super::{KernelError, density, mixture_batch, swissroll_batch};
use crate::data::toy::{Distribution, Mixture, ToySet};
use crate::gpu::{Caps, Kernel};

/// `n` samples of a set, `[dim, n]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    pub set: ToySet,
    pub n: u32,
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Bindings: the table where there is one ([`table`]), then counters (u32), then output (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    let Params {
        set,
        n,
        random,
        out_offset,
    } = *p;
    match set.distribution() {
        Distribution::Mixture1(m) => mixture_batch::kernel(caps, &mixture(&m, p)),
        Distribution::Mixture2(m) => mixture_batch::kernel(caps, &mixture(&m, p)),
        Distribution::SwissRoll(roll) => {
            let params = swissroll_batch::Params {
                n,
                noise: roll.noise,
                scale: roll.scale,
                random,
                out_offset,
            };
            swissroll_batch::kernel(caps, &params)
        }
        Distribution::Density(density) => {
            let params = density::Params {
                density,
                n,
                random,
                out_offset,
            };
            density::kernel(caps, density.usual_method(), &params)
        }
    }
}

/// What the kernel reads: the table of a mixture (`data::toy::Mixture::table()`); the other sets need none.
pub fn table(set: ToySet) -> Option<Vec<f32>> {
    match set.distribution() {
        Distribution::Mixture1(m) => Some(m.table()),
        Distribution::Mixture2(m) => Some(m.table()),
        Distribution::SwissRoll(_) | Distribution::Density(_) => None,
    }
}

/// Gaussians of a mixture, which are its classes; the other sets have none.
pub fn components(set: ToySet) -> Option<u32> {
    match set.distribution() {
        Distribution::Mixture1(m) => Some(m.centres.len() as u32),
        Distribution::Mixture2(m) => Some(m.centres.len() as u32),
        Distribution::SwissRoll(_) | Distribution::Density(_) => None,
    }
}

fn mixture<const D: usize>(m: &Mixture<D>, p: &Params) -> mixture_batch::Params {
    mixture_batch::Params {
        n: p.n,
        dim: D as u32,
        components: m.centres.len() as u32,
        sigma: m.sigma,
        random: p.random,
        out_offset: p.out_offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of densities are bound elsewhere; no set may be one that needs its own.
    #[test]
    fn no_set_is_drawn_from_a_density_s_table() {
        for set in &ToySet::ALL {
            if let Distribution::Density(drawn) = set.distribution() {
                assert!(!density::needs_table(drawn, drawn.usual_method()), "{set}");
            }
            assert_eq!(table(*set).is_some(), components(*set).is_some(), "{set}");
        }
    }
}
