//! Copies a tensor between two buffers on the device (`shaders/copy.wgsl`).
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/copy.wgsl");

/// Copies `count` f32 from element `from` of binding 0 to element `to` of binding 1. The buffers must differ.
pub fn kernel(caps: &Caps, count: usize, from: usize, to: usize) -> Kernel {
    let groups = count.div_ceil(64).max(1);
    let x = groups.min(caps.max_workgroups_per_dim as usize);
    Kernel {
        label: "copy".into(),
        source: SOURCE.into(),
        grid: [x as u32, groups.div_ceil(x) as u32, 1],
        immediates: vec![count as u32, from as u32, to as u32],
    }
}
