//! What can go wrong between this program and a GPU, and what to do about it.
use super::shader::ShaderError;

/// Every failure of the `gpu` floor. Messages name the thing, its size and the limit it met.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GpuError {
    /// No adapter matches the choice. The command line ends with exit code 3.
    #[error("no usable adapter for `{wanted}`; {}", describe_available(.available))]
    NoAdapter {
        /// The choice, as the user would type it.
        wanted: String,
        /// One line per adapter there is, usable or not.
        available: Vec<String>,
    },
    #[error(
        "adapter `{adapter}` cannot run gan-gpu: {reason}; choose another with --adapter (`gan-gpu adapters` lists them)"
    )]
    AdapterUnusable { adapter: String, reason: String },
    #[error(
        "adapter `{adapter}` refused to open a device: {reason}; update its driver or choose another with --adapter"
    )]
    OpenDevice { adapter: String, reason: String },
    #[error("adapter `{adapter}` has no {feature}: {what_to_do}")]
    Unsupported {
        adapter: String,
        feature: &'static str,
        what_to_do: &'static str,
    },

    #[error("buffer `{label}` has no bytes; give it at least one element")]
    EmptyBuffer { label: String },
    #[error(
        "buffer `{label}` needs {bytes} bytes, but adapter `{adapter}` allows {limit} ({limit_name}); use a smaller batch or model, or another adapter"
    )]
    BufferTooLarge {
        label: String,
        adapter: String,
        bytes: u64,
        limit: u64,
        /// wgpu's name of the limit that was met.
        limit_name: &'static str,
    },
    #[error(
        "adapter `{adapter}` is out of memory while creating buffer `{label}` of {bytes} bytes ({current_bytes} bytes already in use); use a smaller batch or model"
    )]
    OutOfMemory {
        label: String,
        adapter: String,
        bytes: u64,
        current_bytes: u64,
    },
    #[error("bytes {start}..{end} are outside buffer `{label}` of {bytes} bytes")]
    OutOfRange {
        label: String,
        start: u64,
        end: u64,
        bytes: u64,
    },
    #[error(
        "writing bytes {start}..{end} of buffer `{label}`: a write starts at a multiple of 4 bytes and ends at one, or at the end of the buffer"
    )]
    Misaligned { label: String, start: u64, end: u64 },
    #[error(
        "buffer `{label}` belongs to another device than the one it is used with; create it with the same Gpu"
    )]
    ForeignBuffer { label: String },
    #[error("`{label}` was prepared by another device than the one it is submitted to")]
    ForeignDispatch { label: String },

    #[error("kernel `{kernel}`: {source}")]
    Shader { kernel: String, source: ShaderError },
    #[error("kernel `{kernel}`: the driver refused the pipeline: {message}")]
    PipelineRefused { kernel: String, message: String },
    #[error("kernel `{kernel}` binds {expected} buffers, but {got} were given")]
    BindingCount {
        kernel: String,
        expected: usize,
        got: usize,
    },
    #[error(
        "kernel `{kernel}`: buffer `{label}` is given as binding {first} and as binding {second}, and one of them is read_write; results would depend on timing"
    )]
    AliasedBuffer {
        kernel: String,
        label: String,
        first: u32,
        second: u32,
    },
    #[error(
        "kernel `{kernel}`: binding {binding} needs at least {needed} bytes, but buffer `{label}` has {bytes}"
    )]
    BindingTooSmall {
        kernel: String,
        label: String,
        binding: u32,
        needed: u64,
        bytes: u64,
    },
    #[error(
        "kernel `{kernel}` declares {expected} words of immediates (padding included), but {got} were given"
    )]
    ImmediateCount {
        kernel: String,
        expected: usize,
        got: usize,
    },
    #[error(
        "kernel `{kernel}` asks for {got} {what}, but adapter `{adapter}` allows {limit}; choose another variant of the kernel"
    )]
    KernelOverLimit {
        kernel: String,
        adapter: String,
        what: &'static str,
        got: u64,
        limit: u64,
    },
    #[error(
        "kernel `{kernel}`: grid {grid:?} has {got} workgroups along {axis}, the adapter allows 1 to {limit}; fold the excess into another axis or let one invocation do more"
    )]
    Grid {
        kernel: String,
        grid: [u32; 3],
        axis: char,
        got: u32,
        limit: u32,
    },

    /// The driver or wgpu reported an error that has no variant here. One that comes outside any call that could return it is kept: the
    /// device's contents are no longer to be trusted, so every later call returns it again.
    #[error("the device reported an error: {message}")]
    Device { message: String },
    #[error(
        "the device was lost: {message}; the driver reset it or it ran out of memory. Start again from the last checkpoint, with a smaller batch if it recurs"
    )]
    DeviceLost { message: String },
}

fn describe_available(available: &[String]) -> String {
    if available.is_empty() {
        "this machine has none that wgpu can see. Install a GPU driver, or the software one: on Debian and Ubuntu `apt-get install mesa-vulkan-drivers libvulkan1` (tools/quickstart does it)".into()
    } else {
        format!(
            "there {}: {}",
            if available.len() == 1 { "is" } else { "are" },
            available.join("; ")
        )
    }
}
