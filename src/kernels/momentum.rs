//! The part that SGD and RMSprop share (`shaders/lib/momentum.wgsl`): a decaying sum of directions, or none.

const MOMENTUM: &str = include_str!("../../shaders/lib/momentum.wgsl");
const NO_MOMENTUM: &str = include_str!("../../shaders/lib/no_momentum.wgsl");

/// A momentum, and the first element of its arena in the buffer bound for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum {
    /// PyTorch's `momentum`, with dampening 0.
    pub momentum: f64,
    pub offset: u32,
}

/// WGSL of `velocity`; `binding` is the number of the arena's binding, behind the kernel's own.
pub(super) fn wgsl(momentum: Option<Momentum>, binding: u32) -> String {
    match momentum {
        None => NO_MOMENTUM.into(),
        Some(_) => format!(
            "@group(0) @binding({binding}) var<storage, read_write> buf: array<value>;\n{MOMENTUM}"
        ),
    }
}
