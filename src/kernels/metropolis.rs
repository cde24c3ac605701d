//! Samples by Metropolis-Hastings, one chain each, drawn on the device (`shaders/metropolis.wgsl`, `shaders/density/`);
//! `data::density::Drawer` is the reference.
use super::density::{self, Params};
use super::{KernelError, flat};
use crate::gpu::{Caps, Kernel};

const NAME: &str = "metropolis";

/// Bindings: 0 counters (u32), 1 output `[dim, n]` (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch or a density without a walk, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    let walk = density::known(NAME, p, p.density.walk(), "one with a random walk")?;
    let dim = p.density.dim() as u32;
    flat::check_end(
        NAME,
        "output",
        p.out_offset,
        u64::from(p.n) * u64::from(dim),
    )?;
    let mut immediates = vec![p.n, dim, walk.steps];
    immediates.extend([walk.start, walk.step].map(|v| (v as f32).to_bits()));
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    let body = include_str!("../../shaders/metropolis.wgsl");
    let log_density = density::log_density(NAME, p)?;
    density::joined(
        NAME,
        caps,
        p,
        &[density::WGSL, log_density, body],
        immediates,
    )
}
