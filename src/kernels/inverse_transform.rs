//! Samples by inverse transform, drawn on the device (`shaders/inverse_transform.wgsl`, `shaders/inverse/`);
//! `data::density::Drawer` is the reference.
use super::density::{self, Params};
use super::{KernelError, flat};
use crate::data::density::Density;
use crate::gpu::{Caps, Kernel};

const NAME: &str = "inverse_transform";

/// The quantile function, where the density has a closed one.
fn function(density: Density) -> Option<&'static str> {
    Some(match density {
        Density::Exponential => include_str!("../../shaders/inverse/exponential.wgsl"),
        Density::Logistic => include_str!("../../shaders/inverse/logistic.wgsl"),
        Density::Laplace => include_str!("../../shaders/inverse/laplace.wgsl"),
        Density::Cauchy => include_str!("../../shaders/inverse/cauchy.wgsl"),
        Density::Triangular => include_str!("../../shaders/inverse/triangular.wgsl"),
        Density::Kumaraswamy => include_str!("../../shaders/inverse/kumaraswamy.wgsl"),
        _ => return None,
    })
}

/// Bindings: 0 counters (u32), 1 output `[n]` (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch or a density without a closed quantile function, [`KernelError::TooLarge`],
/// [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    let function = density::known(NAME, p, function(p.density), "one with closed quantiles")?;
    flat::check_end(NAME, "output", p.out_offset, p.n.into())?;
    let mut immediates = vec![p.n];
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    let body = include_str!("../../shaders/inverse_transform.wgsl");
    density::joined(NAME, caps, p, &[function, body], immediates)
}
