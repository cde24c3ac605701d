//! Samples by rejection under a constant or a Gaussian envelope, drawn on the device (`shaders/rejection.wgsl`, `shaders/density/`,
//! `shaders/envelope/`); `data::density::Drawer` is the reference.
use super::density::{self, Params};
use super::{KernelError, flat};
use crate::data::density::Shape;
use crate::gpu::{Caps, Kernel};

const NAME: &str = "rejection";

/// Bindings: 0 counters (u32), 1 output `[dim, n]` (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch or a density without an envelope, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    let envelope = p.density.envelope().zip(p.density.tries());
    let (envelope, tries) = density::known(NAME, p, envelope, "one with an envelope")?;
    let dim = p.density.dim() as u32;
    flat::check_end(
        NAME,
        "output",
        p.out_offset,
        u64::from(p.n) * u64::from(dim),
    )?;
    let (shape, low, high) = match envelope.shape {
        Shape::Constant { low, high } => (
            include_str!("../../shaders/envelope/constant.wgsl"),
            low,
            high,
        ),
        Shape::Gaussian { sigma } => (
            include_str!("../../shaders/envelope/gaussian.wgsl"),
            0.0,
            sigma,
        ),
    };
    let floats = [low, high, envelope.log_bound].map(|v| (v as f32).to_bits());
    let mut immediates = vec![p.n, dim, tries];
    immediates.extend(floats);
    immediates.push(f32::NAN.to_bits());
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    let body = include_str!("../../shaders/rejection.wgsl");
    let log_density = density::log_density(NAME, p)?;
    let parts = [density::WGSL, log_density, shape, body];
    density::joined(NAME, caps, p, &parts, immediates)
}
