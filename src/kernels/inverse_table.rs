//! Samples by inverse transform from a table of quantiles, drawn on the device (`shaders/inverse_table.wgsl`);
//! `data::density::Drawer` is the reference.
use super::density::{self, Params};
use super::{KernelError, flat};
use crate::data::density::TABLE_CELLS;
use crate::gpu::{Caps, Kernel};

const NAME: &str = "inverse_table";

/// Bindings: 0 counters (u32), 1 the quantiles (`Density::table`, f32), 2 output `[n]` (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    flat::check_end(NAME, "output", p.out_offset, p.n.into())?;
    let mut immediates = vec![p.n, TABLE_CELLS as u32];
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    let body = include_str!("../../shaders/inverse_table.wgsl");
    density::joined(NAME, caps, p, &[body], immediates)
}
