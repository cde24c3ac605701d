//! What can be wrong with a kernel's parameters.

/// A kernel that cannot be built as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A parameter has a value that the operation does not have a meaning for.
    #[error("{kernel}: {what} is {got}, it must be {expected}")]
    Parameter {
        kernel: &'static str,
        what: &'static str,
        got: String,
        expected: String,
    },
    /// An operand is too large to be indexed with 32 bits.
    #[error(
        "{kernel}: {what} ends at element {end}, a kernel reaches {limit}: split the batch or the layer"
    )]
    TooLarge {
        kernel: &'static str,
        what: &'static str,
        end: u64,
        limit: u64,
    },
    /// More workgroups than the adapter's grid has, even folded into two dimensions.
    #[error("{kernel}: {workgroups} workgroups, the adapter takes {limit}: split the batch")]
    Grid {
        kernel: &'static str,
        workgroups: u64,
        limit: u64,
    },
    /// More constants than the 128 bytes of immediates hold.
    #[error(
        "{kernel}: {words} words of immediates, {limit} are available: pass fewer to the epilogue"
    )]
    Immediates {
        kernel: &'static str,
        words: usize,
        limit: usize,
    },
}
