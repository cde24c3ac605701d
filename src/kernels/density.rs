//! Samples of a named density by any of the three methods, drawn on the device; `data::density` is the reference. What the kernels
//! share, and the choice among them.
use super::random_source::{self, RandomSource};
use super::{KernelError, flat, inverse_table, inverse_transform, metropolis, rejection};
use crate::data::density::{Density, Method};
use crate::gpu::{Caps, Kernel, shader};

pub(super) const WGSL: &str = include_str!("../../shaders/lib/density.wgsl");

/// `n` samples, `[dim, n]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    pub density: Density,
    pub n: u32,
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Whether `density` needs a table ([`Density::table`]) to be drawn so, bound between counters and output.
pub fn needs_table(density: Density, method: Method) -> bool {
    method == Method::Inverse && density.inverse_cdf(0.5).is_none()
}

/// Bindings: 0 counters (u32), then the table where [`needs_table`], then output (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch or a density that cannot be drawn so, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, method: Method, p: &Params) -> Result<Kernel, KernelError> {
    match method {
        Method::Inverse if needs_table(p.density, method) => {
            let table = p.density.methods().contains(&method).then_some(());
            known("inverse_table", p, table, "one within bounds")?;
            inverse_table::kernel(caps, p)
        }
        Method::Inverse => inverse_transform::kernel(caps, p),
        Method::Rejection => rejection::kernel(caps, p),
        Method::Metropolis => metropolis::kernel(caps, p),
    }
}

/// `what`, or an error that says which densities have it.
pub(super) fn known<T>(
    kernel: &'static str,
    p: &Params,
    what: Option<T>,
    expected: &str,
) -> Result<T, KernelError> {
    what.ok_or_else(|| KernelError::Parameter {
        kernel,
        what: "density",
        got: p.density.name().into(),
        expected: expected.into(),
    })
}

/// `fn log_density` of the density.
pub(super) fn log_density(kernel: &'static str, p: &Params) -> Result<&'static str, KernelError> {
    let text = match p.density {
        Density::Exponential => include_str!("../../shaders/density/exponential.wgsl"),
        Density::Logistic => include_str!("../../shaders/density/logistic.wgsl"),
        Density::Laplace => include_str!("../../shaders/density/laplace.wgsl"),
        // No kernel evaluates it: neither envelope nor walk.
        Density::Cauchy => return known(kernel, p, None, "one with an envelope or a walk"),
        Density::Triangular => include_str!("../../shaders/density/triangular.wgsl"),
        Density::Kumaraswamy => include_str!("../../shaders/density/kumaraswamy.wgsl"),
        Density::TruncatedNormal => include_str!("../../shaders/density/truncated_normal.wgsl"),
        Density::Semicircle => include_str!("../../shaders/density/semicircle.wgsl"),
        Density::DoubleWell => include_str!("../../shaders/density/doublewell.wgsl"),
        Density::Banana => include_str!("../../shaders/density/banana.wgsl"),
        Density::TwoMoons => include_str!("../../shaders/density/twomoons.wgsl"),
    };
    Ok(text)
}

/// The kernel of these parts, one invocation per sample.
pub(super) fn joined(
    name: &'static str,
    caps: &Caps,
    p: &Params,
    parts: &[&str],
    immediates: Vec<u32>,
) -> Result<Kernel, KernelError> {
    flat::check_positive(name, &[("n", p.n)])?;
    let all = [&[random_source::WGSL, flat::WGSL], parts].concat();
    Ok(Kernel {
        label: format!("{name} {}", p.density),
        source: shader::join(&all).into(),
        grid: flat::grid(name, caps, p.n.into())?,
        immediates,
    })
}

#[cfg(test)]
mod tests;
