//! Which adapters there are, and what each can do.
use super::choice::preference;
use std::fmt;
use std::sync::OnceLock;

/// The graphics API through which an adapter is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuBackend {
    Vulkan,
    Metal,
    Dx12,
    Gl,
}

impl fmt::Display for GpuBackend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
            Self::Gl => "gl",
        })
    }
}

/// What kind of machine an adapter is, in the order in which [`AdapterChoice::Auto`](super::AdapterChoice::Auto) prefers them.
///
/// `Other` (a driver that does not say; GL reports most discrete GPUs so) is far more often a GPU than not,
/// so it stands before software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterClass {
    Discrete,
    Integrated,
    Virtual,
    Other,
    /// Runs on the CPU: llvmpipe/lavapipe, SwiftShader, WARP.
    Software,
}

impl fmt::Display for AdapterClass {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

/// Element type of a cooperative matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatrixScalar {
    F32,
    F16,
    I32,
    U32,
}

impl MatrixScalar {
    fn from_wgpu(scalar: wgpu::CooperativeScalarType) -> Self {
        match scalar {
            wgpu::CooperativeScalarType::F32 => Self::F32,
            wgpu::CooperativeScalarType::F16 => Self::F16,
            wgpu::CooperativeScalarType::I32 => Self::I32,
            wgpu::CooperativeScalarType::U32 => Self::U32,
        }
    }
}

/// One cooperative-matrix (tensor core) configuration: C[m,n] += A[m,k] B[k,n].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct MatrixTile {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Element type of A and B.
    pub ab: MatrixScalar,
    /// Element type of the accumulator C and of the result.
    pub c: MatrixScalar,
}

impl fmt::Display for MatrixTile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = |scalar| match scalar {
            MatrixScalar::F32 => "f32",
            MatrixScalar::F16 => "f16",
            MatrixScalar::I32 => "i32",
            MatrixScalar::U32 => "u32",
        };
        write!(
            f,
            "{}x{}x{} {}->{}",
            self.m,
            self.n,
            self.k,
            name(self.ab),
            name(self.c)
        )
    }
}

/// What an adapter can do, as far as kernels ask.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Caps {
    pub class: AdapterClass,
    /// Driver name and version, as [`AdapterReport::driver`] shows them: some compilers of drivers want other unrolling.
    #[serde(skip)]
    pub driver: String,
    pub subgroups: bool,
    pub subgroup_min_size: u32,
    pub subgroup_max_size: u32,
    /// The size of every subgroup, where the adapter has only one: `Some` only if minimum and maximum agree.
    pub subgroup_size: Option<u32>,
    pub f16: bool,
    /// 64-bit integers.
    pub int64: bool,
    /// Timestamps around each pass, for per-dispatch timing.
    pub timestamps: bool,
    pub pipeline_cache: bool,
    /// Storage buffers that one kernel may bind.
    pub max_storage_buffers: u32,
    /// Largest part of a buffer that a kernel may bind, bytes.
    pub max_binding_bytes: u64,
    pub max_buffer_bytes: u64,
    pub max_workgroups_per_dim: u32,
    pub max_immediate_bytes: u32,
    pub workgroup_storage_bytes: u32,
    /// Invocations in one workgroup.
    pub max_invocations: u32,
    pub max_workgroup_size: [u32; 3],
    pub cooperative_matrix: Vec<MatrixTile>,
}

impl Caps {
    /// Whether a workgroup of so many invocations is exactly one subgroup, so that broadcasts and shuffles reach all of it and a lane's
    /// number is its local index.
    pub fn subgroups_of(&self, lanes: u32) -> bool {
        self.subgroups && self.subgroup_size == Some(lanes)
    }

    /// The least that any adapter offers which this program runs on (WebGPU's default limits, 128 bytes of immediates,
    /// no optional feature). For shader tests on a machine without any adapter.
    pub fn baseline(class: AdapterClass) -> Self {
        Self {
            class,
            driver: String::new(),
            subgroups: false,
            subgroup_min_size: 4,
            subgroup_max_size: 128,
            subgroup_size: None,
            f16: false,
            int64: false,
            timestamps: false,
            pipeline_cache: false,
            max_storage_buffers: 8,
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_workgroups_per_dim: 65_535,
            max_immediate_bytes: 128,
            workgroup_storage_bytes: 16 << 10,
            max_invocations: 256,
            max_workgroup_size: [256, 256, 64],
            cooperative_matrix: Vec::new(),
        }
    }
}

/// One adapter, as `gan-gpu adapters` shows it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AdapterReport {
    /// Its place in the list it was found in. In that of [`list_adapters`] it is what `--adapter INDEX` takes, and 0 is the one that `Auto`
    /// would choose; a device may have been found in a list without GL's adapters, so none is opened by another's index.
    pub index: usize,
    pub name: String,
    /// Vendor and device as on the PCI bus, or what the API gives in their place.
    #[serde(skip)]
    pub ids: [u32; 2],
    pub backend: GpuBackend,
    /// Driver name and version, as it gives them.
    pub driver: String,
    #[serde(flatten)]
    pub caps: Caps,
    /// Why this program cannot use it, if it cannot.
    pub unusable: Option<String>,
}

impl AdapterReport {
    /// A name for files that are about this adapter and this version of its driver. Of its ids too: chips that differ share names.
    pub fn cache_key(&self) -> String {
        use sha2::{Digest, Sha256};
        let words = self.name.to_lowercase();
        let words: Vec<&str> = words
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let [vendor, device] = self.ids;
        let identity = format!("{}\n{}\n{vendor:x} {device:x}", self.name, self.driver);
        let hash = Sha256::digest(identity);
        let hash = super::hex(&hash[..4]);
        let name: String = words.join("-").chars().take(48).collect();
        format!("{}-{name}-{hash}", self.backend)
    }

    /// One line: index, name, backend, class.
    pub fn summary(&self) -> String {
        let unusable = match &self.unusable {
            Some(reason) => format!(", unusable: {reason}"),
            None => String::new(),
        };
        format!(
            "[{}] {} ({}, {}{unusable})",
            self.index, self.name, self.backend, self.caps.class
        )
    }
}

/// 22 of "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)".
fn mesa_major(driver: &str) -> Option<u32> {
    let version = driver.split("Mesa ").nth(1)?;
    version.split('.').next()?.parse().ok()
}

/// Whether a driver, by its name and version, is a Mesa whose compiler for processors other kernels suit than those of newer ones.
pub fn mesa_before_24(driver: &str) -> bool {
    mesa_major(driver).is_some_and(|major| major < 24)
}

/// Where a newer version of this driver is known to compute faster: by how much, and how to get it.
pub fn faster_driver(driver: &str) -> Option<&'static str> {
    (driver.contains("llvmpipe") && mesa_before_24(driver)).then_some(
        "this Mesa is old: 25.0 computes one and a half to three times as fast on a processor \
         (Debian 12: apt-get install -t bookworm-backports mesa-vulkan-drivers)",
    )
}

/// Every adapter that wgpu sees on this machine, best first.
pub fn list_adapters() -> Vec<AdapterReport> {
    let all = with_gl(enumerate_primary());
    all.into_iter().map(|(_, report)| report).collect()
}

/// Keeps Mesa's device-select layer from printing `XDG_RUNTIME_DIR is invalid` twice per device on machines without a
/// desktop session (servers, containers): it looks for a Wayland compositor there, to no end.
///
/// # Safety
/// Sets an environment variable: call it first thing in `main`, before any other thread exists.
pub unsafe fn hush_device_select_layer() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the caller promises that no other thread exists.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// The APIs beside GL.
const PRIMARY: wgpu::Backends = wgpu::Backends::all().difference(wgpu::Backends::GL);

/// An instance of some APIs.
fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // Validation layers are a debugging aid that may not be installed: ask for them with WGPU_VALIDATION=1.
    descriptor.flags = wgpu::InstanceFlags::empty();
    let mut descriptor = descriptor.with_env();
    descriptor.backends &= backends;
    wgpu::Instance::new(descriptor)
}

/// Adapters of every API but GL and their reports, best first, indices set.
///
/// Of one instance for the whole process: NVIDIA's Vulkan driver (580) finds no device any more after some instances.
pub(super) fn enumerate_primary() -> Vec<(wgpu::Adapter, AdapterReport)> {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    let instance = INSTANCE.get_or_init(|| instance(PRIMARY));
    sorted(adapters(instance, PRIMARY))
}

/// Those and GL's, best first, indices set.
pub(super) fn with_gl(
    primary: Vec<(wgpu::Adapter, AdapterReport)>,
) -> Vec<(wgpu::Adapter, AdapterReport)> {
    let mut all = primary;
    // A new instance each time: all GL adapters of one instance share one EGL context, and wgpu-hal 30 panics when devices on
    // two threads use it. Only where GL is asked for: NVIDIA's EGL blocks for good when a process opens it again and again.
    all.extend(adapters(&instance(wgpu::Backends::GL), wgpu::Backends::GL));
    sorted(all)
}

fn adapters(
    instance: &wgpu::Instance,
    backends: wgpu::Backends,
) -> Vec<(wgpu::Adapter, AdapterReport)> {
    let all = pollster::block_on(instance.enumerate_adapters(backends));
    all.into_iter()
        .filter_map(|adapter| report(&adapter).map(|report| (adapter, report)))
        .collect()
}

fn sorted(
    mut adapters: Vec<(wgpu::Adapter, AdapterReport)>,
) -> Vec<(wgpu::Adapter, AdapterReport)> {
    adapters.sort_by_key(|(_, report)| preference(report));
    for (index, (_, report)) in adapters.iter_mut().enumerate() {
        report.index = index;
    }
    adapters
}

/// What is asked of a device besides the features without which nothing runs.
pub(super) const WANTED: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::SUBGROUP_BARRIER)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES)
    .union(wgpu::Features::PIPELINE_CACHE)
    .union(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
pub(super) const REQUIRED: wgpu::Features = wgpu::Features::IMMEDIATES;

/// The least bytes of immediates that kernels may count on.
const LEAST_IMMEDIATE_BYTES: u32 = 128;

fn report(adapter: &wgpu::Adapter) -> Option<AdapterReport> {
    let info = adapter.get_info();
    let backend = match info.backend {
        wgpu::Backend::Vulkan => GpuBackend::Vulkan,
        wgpu::Backend::Metal => GpuBackend::Metal,
        wgpu::Backend::Dx12 => GpuBackend::Dx12,
        wgpu::Backend::Gl => GpuBackend::Gl,
        wgpu::Backend::Noop | wgpu::Backend::BrowserWebGpu => return None,
    };
    let class = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterClass::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterClass::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterClass::Virtual,
        wgpu::DeviceType::Cpu => AdapterClass::Software,
        wgpu::DeviceType::Other => AdapterClass::Other,
    };
    let limits = adapter.limits();
    let features = adapter.features();
    let subgroups = features.contains(wgpu::Features::SUBGROUP);
    let cooperative_matrix = if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        let tile = |p: wgpu::CooperativeMatrixProperties| MatrixTile {
            m: p.m_size,
            n: p.n_size,
            k: p.k_size,
            ab: MatrixScalar::from_wgpu(p.ab_type),
            c: MatrixScalar::from_wgpu(p.cr_type),
        };
        adapter
            .cooperative_matrix_properties()
            .into_iter()
            .map(tile)
            .collect()
    } else {
        Vec::new()
    };
    let driver = match (info.driver.as_str(), info.driver_info.as_str()) {
        ("", driver_info) => driver_info.to_string(),
        (driver, "") => driver.to_string(),
        (driver, driver_info) => format!("{driver} {driver_info}"),
    };
    let caps = Caps {
        class,
        driver: driver.clone(),
        subgroups,
        subgroup_min_size: info.subgroup_min_size,
        subgroup_max_size: info.subgroup_max_size,
        subgroup_size: (subgroups && info.subgroup_min_size == info.subgroup_max_size)
            .then_some(info.subgroup_min_size),
        f16: features.contains(wgpu::Features::SHADER_F16),
        int64: features.contains(wgpu::Features::SHADER_INT64),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        pipeline_cache: features.contains(wgpu::Features::PIPELINE_CACHE),
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_workgroups_per_dim: limits.max_compute_workgroups_per_dimension,
        max_immediate_bytes: limits.max_immediate_size,
        workgroup_storage_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_size: [
            limits.max_compute_workgroup_size_x,
            limits.max_compute_workgroup_size_y,
            limits.max_compute_workgroup_size_z,
        ],
        cooperative_matrix,
    };
    let downlevel = adapter.get_downlevel_capabilities();
    let unusable = if !downlevel
        .flags
        .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
    {
        Some("it has no compute shaders".to_string())
    } else if !features.contains(REQUIRED) {
        Some("it has no immediates (push constants)".to_string())
    } else if caps.max_immediate_bytes < LEAST_IMMEDIATE_BYTES {
        Some(format!(
            "it has {} bytes of immediates (push constants), {LEAST_IMMEDIATE_BYTES} are needed",
            caps.max_immediate_bytes
        ))
    } else {
        None
    };
    Some(AdapterReport {
        index: 0,
        name: info.name,
        ids: [info.vendor, info.device],
        backend,
        driver,
        caps,
        unusable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing;

    #[test]
    fn old_versions_of_mesa_are_told_from_new_ones() {
        assert_eq!(mesa_major("llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"), Some(22));
        assert_eq!(mesa_major("Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)"), Some(25));
        assert_eq!(mesa_major("NVIDIA 570.86"), None);
        assert_eq!(mesa_major(""), None);
        assert!(faster_driver("llvmpipe Mesa 22.3.6 (LLVM 15.0.6)").is_some());
        // What holds of the software driver was not measured of others.
        for driver in ["llvmpipe Mesa 25.0.7", "radv Mesa 22.3.6", "NVIDIA 570.86"] {
            assert_eq!(faster_driver(driver), None, "{driver}");
        }
    }

    #[test]
    fn this_machines_adapters_are_listed_best_first_with_their_limits() {
        let open = testing::gpu().report().clone();
        let reports = list_adapters();
        assert!(reports.iter().map(|r| r.index).eq(0..reports.len()));
        assert!(reports.is_sorted_by_key(preference));
        let listed = reports
            .iter()
            .find(|r| (r.backend, &r.name, r.ids) == (open.backend, &open.name, open.ids))
            .unwrap();
        let index = listed.index;
        assert_eq!(listed, &AdapterReport { index, ..open });
        assert!(
            listed.caps.max_binding_bytes >= 128 << 20 && listed.caps.max_immediate_bytes >= 128
        );
        if let Some(size) = listed.caps.subgroup_size {
            assert_eq!(
                [listed.caps.subgroup_min_size, listed.caps.subgroup_max_size],
                [size; 2]
            );
        }
    }

    #[test]
    fn adapters_that_share_a_name_do_not_share_files() {
        let open = testing::gpu().report().clone();
        let [vendor, device] = open.ids;
        let key = open.cache_key();
        let other = |ids| {
            let open = open.clone();
            AdapterReport { ids, ..open }.cache_key()
        };
        assert_eq!(other([vendor, device]), key);
        assert_ne!(other([vendor, device ^ 1]), key);
        assert_ne!(other([vendor ^ 1, device]), key);
    }
}
