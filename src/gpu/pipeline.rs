//! Compute pipelines, one per WGSL text, made when first asked for and kept as long as the device; what the driver compiled for them
//! is kept on disk, where the device's options name a folder.
use super::adapter::AdapterReport;
use super::cache::CacheFolder;
use super::device::{Checks, DeviceOptions, Gpu, attempt};
use super::dispatch::Kernel;
use super::error::GpuError;
use super::shader::{self, Access, Reflection, validate_for};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub reflection: Reflection,
}

/// What distinguishes two bind group layouts: access and least bytes of each binding.
type LayoutKey = Vec<(Access, u64)>;

pub(super) struct PipelineStore {
    by_source: RefCell<HashMap<Arc<str>, Rc<Pipeline>>>,
    maker: Maker,
}

/// Makes pipelines, from any thread.
struct Maker {
    device: wgpu::Device,
    report: AdapterReport,
    checked: bool,
    layouts: Mutex<HashMap<LayoutKey, wgpu::BindGroupLayout>>,
    driver_cache: Option<DriverCache>,
}

/// What the driver has compiled, as wgpu gives it out. Drivers differ in what they put in: Mesa's software driver nothing (it has a
/// cache of its own, of machine code, in `mesa_shader_cache`), those of GPUs whole pipelines.
struct DriverCache {
    raw: wgpu::PipelineCache,
    folder: CacheFolder,
    file: String,
    /// Bytes of what the file holds and the driver can use.
    kept_bytes: AtomicUsize,
}

impl DriverCache {
    /// From the file, or empty where it is missing or refused; `None` if there can be no cache.
    fn open(device: &wgpu::Device, report: &AdapterReport, folder: &CacheFolder) -> Option<Self> {
        let file = format!("pipelines-{}", report.cache_key());
        let create = |data: Option<&[u8]>| {
            // wgpu's own `fallback` says nothing of what it drops, and does not cover data of another device.
            let descriptor = wgpu::PipelineCacheDescriptor {
                label: Some("gan-gpu"),
                data,
                fallback: false,
            };
            // SAFETY: the data comes from `get_data` of this program: its checksum is right. wgpu compares its own header with the
            // adapter and the driver's identity.
            attempt(device, |device| unsafe {
                device.create_pipeline_cache(&descriptor)
            })
            .inspect_err(|error| log::info!("cache file {file}: {}", shader::chain(error)))
            .ok()
        };
        let filled = folder
            .read_sealed(&file)
            .and_then(|data| create(Some(&data)));
        // Not the file's length: the driver may have dropped what wgpu let pass.
        let kept_bytes = filled
            .as_ref()
            .and_then(wgpu::PipelineCache::get_data)
            .map_or(0, |data| data.len());
        Some(Self {
            raw: filled.or_else(|| create(None))?,
            folder: folder.clone(),
            file,
            kept_bytes: AtomicUsize::new(kept_bytes),
        })
    }

    /// Writes the file if there is more to keep than it holds.
    fn save(&self) {
        let Some(data) = self.raw.get_data() else {
            return;
        };
        let kept = self.kept_bytes.load(Ordering::Relaxed);
        if data.len() > kept && self.folder.write_sealed(&self.file, &data) {
            self.kept_bytes.store(data.len(), Ordering::Relaxed);
        }
    }
}

impl Drop for DriverCache {
    fn drop(&mut self) {
        self.save();
    }
}

impl PipelineStore {
    pub(super) fn new(
        device: &wgpu::Device,
        report: &AdapterReport,
        options: &DeviceOptions,
    ) -> Self {
        let cache = || DriverCache::open(device, report, &options.cache);
        Self {
            by_source: RefCell::default(),
            maker: Maker {
                device: device.clone(),
                report: report.clone(),
                checked: options.checks == Checks::Shaders,
                layouts: Mutex::default(),
                driver_cache: report.caps.pipeline_cache.then(cache).flatten(),
            },
        }
    }
}

/// Threads that make pipelines at once, at most, and what is worth another thread.
const MAX_THREADS: usize = 8;
const PIPELINES_PER_THREAD: usize = 8;

impl Gpu {
    /// The pipeline of a complete WGSL text.
    pub(super) fn pipeline(
        &self,
        kernel: &str,
        source: &Arc<str>,
    ) -> Result<Rc<Pipeline>, GpuError> {
        let store = &self.inner.pipelines;
        if let Some(pipeline) = store.by_source.borrow().get(source) {
            return Ok(Rc::clone(pipeline));
        }
        let made = store.maker.create_pipeline(kernel, source)?;
        self.healthy()?;
        Ok(self.keep(source, made))
    }

    fn keep(&self, source: &Arc<str>, pipeline: Pipeline) -> Rc<Pipeline> {
        let pipeline = Rc::new(pipeline);
        self.inner.counters.update(|t| t.pipelines_created += 1);
        let mut known = self.inner.pipelines.by_source.borrow_mut();
        known.insert(Arc::clone(source), Rc::clone(&pipeline));
        pipeline
    }

    /// Makes the pipelines that `kernels` will need, on several threads where there are many: drivers of GPUs compile while a pipeline
    /// is made. [`prepare`](Gpu::prepare) finds them then.
    ///
    /// # Errors
    /// Those of [`prepare`](Gpu::prepare) about the kernel itself; of several the first in order.
    pub fn prepare_pipelines<'a>(
        &self,
        kernels: impl IntoIterator<Item = &'a Kernel>,
    ) -> Result<(), GpuError> {
        let mut seen = HashSet::new();
        let mut missing: Vec<&Kernel> = kernels.into_iter().collect();
        missing.retain(|kernel| {
            let known = self.inner.pipelines.by_source.borrow();
            !known.contains_key(&kernel.source) && seen.insert(&kernel.source)
        });
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = (missing.len() / PIPELINES_PER_THREAD)
            .min(cores)
            .min(MAX_THREADS);
        let (maker, next) = (&self.inner.pipelines.maker, AtomicUsize::new(0));
        let work = || {
            let take = || missing.get(next.fetch_add(1, Ordering::Relaxed)).copied();
            std::iter::from_fn(take)
                .map(|kernel| (kernel, maker.create_pipeline(&kernel.label, &kernel.source)))
                .collect::<Vec<_>>()
        };
        let made = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut made = work();
            for other in others {
                made.extend(
                    other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                );
            }
            made
        });
        let mut made: HashMap<_, _> = made
            .into_iter()
            .map(|(kernel, pipeline)| (&kernel.source, pipeline))
            .collect();
        for kernel in missing {
            if let Some(pipeline) = made.remove(&kernel.source) {
                self.keep(&kernel.source, pipeline?);
            }
        }
        self.healthy()
    }

    /// Keeps what the driver has compiled so far for the next process; also done when the device is closed.
    pub fn save_pipelines(&self) {
        if let Some(cache) = &self.inner.pipelines.maker.driver_cache {
            cache.save();
        }
    }
}

impl Maker {
    fn create_pipeline(&self, kernel: &str, source: &str) -> Result<Pipeline, GpuError> {
        let reflection =
            validate_for(source, &self.report.caps).map_err(|source| GpuError::Shader {
                kernel: kernel.into(),
                source,
            })?;
        self.check_limits(kernel, &reflection)?;

        let made = attempt(&self.device, |device| {
            self.compile(device, kernel, source, &reflection)
        });
        let (raw, layout) = made.map_err(|error| GpuError::PipelineRefused {
            kernel: kernel.into(),
            message: shader::chain(&error),
        })?;
        Ok(Pipeline {
            raw,
            layout,
            reflection,
        })
    }

    fn compile(
        &self,
        device: &wgpu::Device,
        kernel: &str,
        source: &str,
        reflection: &Reflection,
    ) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
        let layout = self.bind_group_layout(reflection);
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: reflection.immediate_bytes,
        });
        let module = wgpu::ShaderModuleDescriptor {
            label: Some(kernel),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        let checked = self.checked;
        let module = if checked {
            device.create_shader_module(module)
        } else {
            // SAFETY: kernels index inside their buffers, end their loops, never divide by zero and write workgroup
            // memory before they read it; the tests run every one of them with the checks on.
            unsafe {
                device.create_shader_module_trusted(module, wgpu::ShaderRuntimeChecks::unchecked())
            }
        };
        let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(&reflection.entry_point),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: checked,
                ..Default::default()
            },
            cache: self.driver_cache.as_ref().map(|c| &c.raw),
        });
        (raw, layout)
    }

    fn bind_group_layout(&self, reflection: &Reflection) -> wgpu::BindGroupLayout {
        let key: LayoutKey = reflection
            .bindings
            .iter()
            .map(|b| (b.access, b.min_bytes))
            .collect();
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        let make = |key: &LayoutKey| {
            let entry =
                |(index, &(access, bytes)): (usize, &(Access, u64))| wgpu::BindGroupLayoutEntry {
                    binding: index as u32,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Storage {
                            read_only: access == Access::Read,
                        },
                        has_dynamic_offset: false,
                        // Checked once when the bind group is made, instead of at every dispatch.
                        min_binding_size: wgpu::BufferSize::new(bytes),
                    },
                    count: None,
                };
            let entries: Vec<_> = key.iter().enumerate().map(entry).collect();
            self.device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: None,
                    entries: &entries,
                })
        };
        if let Some(layout) = layouts.get(&key) {
            return layout.clone();
        }
        let layout = make(&key);
        layouts.insert(key, layout.clone());
        layout
    }

    fn check_limits(&self, kernel: &str, reflection: &Reflection) -> Result<(), GpuError> {
        let caps = &self.report.caps;
        let [x, y, z] = reflection.workgroup_size;
        let invocations = u64::from(x) * u64::from(y) * u64::from(z);
        let limits = [
            (
                "storage buffers",
                reflection.bindings.len() as u64,
                u64::from(caps.max_storage_buffers),
            ),
            (
                "bytes of immediates",
                reflection.immediate_bytes.into(),
                caps.max_immediate_bytes.into(),
            ),
            (
                "bytes of workgroup memory",
                reflection.workgroup_bytes.into(),
                caps.workgroup_storage_bytes.into(),
            ),
            (
                "invocations per workgroup",
                invocations,
                caps.max_invocations.into(),
            ),
            (
                "invocations along x",
                x.into(),
                caps.max_workgroup_size[0].into(),
            ),
            (
                "invocations along y",
                y.into(),
                caps.max_workgroup_size[1].into(),
            ),
            (
                "invocations along z",
                z.into(),
                caps.max_workgroup_size[2].into(),
            ),
        ];
        match limits.into_iter().find(|(_, got, limit)| got > limit) {
            Some((what, got, limit)) => Err(GpuError::KernelOverLimit {
                kernel: kernel.into(),
                adapter: self.report.name.clone(),
                what,
                got,
                limit,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::{gpu, nan_buffer, read_f32};

    /// Opens the tests' adapter with this cache, runs one kernel and closes it; returns the bytes of the cache's file.
    fn visit(folder: &CacheFolder) -> Option<Vec<u8>> {
        let first = gpu();
        let options = DeviceOptions {
            checks: Checks::Shaders,
            cache: folder.clone(),
        };
        let device = first.another(options)().unwrap();
        let y = nan_buffer(&device, "y", 8);
        let source = "
            @group(0) @binding(0) var<storage, read_write> y: array<f32>;
            @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) { y[i] = f32(i); }";
        let kernel = Kernel {
            label: "count".into(),
            source: source.into(),
            grid: [1, 1, 1],
            immediates: vec![],
        };
        let dispatch = device.prepare(&kernel, &[&y]).unwrap();
        device.submit([&dispatch]).unwrap();
        assert_eq!(read_f32(&device, &y)[7], 7.0);
        drop((dispatch, y, device));
        folder.read(&format!("pipelines-{}", first.report().cache_key()))
    }

    #[test]
    fn pipelines_are_kept_on_disk_and_damaged_files_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheFolder::at(folder.path());
        let written = visit(&cache);
        assert_eq!(written.is_some(), gpu().caps().pipeline_cache);
        let Some(written) = written else { return };
        assert_eq!(
            visit(&cache).unwrap(),
            written,
            "nothing new, nothing written"
        );

        let name = format!("pipelines-{}", gpu().report().cache_key());
        let mut damaged = written.clone();
        *damaged.last_mut().unwrap() ^= 0x40;
        for bytes in [&damaged[..], &written[..20], b"", b"not ours at all"] {
            assert!(cache.write(&name, bytes));
            assert_eq!(visit(&cache).unwrap().len(), written.len());
            assert!(cache.read_sealed(&name).is_some());
        }

        // Sealed by this program, but not what wgpu gave out, or for another device: wgpu's header has its id in bytes 24..28, and ends
        // with what the driver is known by at 48.
        let contents = cache.read_sealed(&name).unwrap();
        let mut foreign = contents.clone();
        foreign[27] ^= 1;
        let long = vec![0x5a_u8; 2 * contents.len()];
        for refused in [&long[..], &foreign, b"short"] {
            assert!(cache.write_sealed(&name, refused));
            visit(&cache);
            let replaced = cache.read_sealed(&name).unwrap();
            assert!(replaced.len() >= contents.len());
            assert_eq!(replaced[..48], contents[..48]);
        }
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        assert_eq!(visit(&CacheFolder::default()), None);
    }

    fn numbered(k: usize) -> Kernel {
        let source = format!(
            "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
            @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {{ y[i] = f32(i) + {k}.0; }}"
        );
        Kernel {
            label: format!("count from {k}"),
            source: source.into(),
            grid: [1, 1, 1],
            immediates: vec![],
        }
    }

    #[test]
    fn pipelines_made_on_several_threads_are_found_later() {
        let gpu = gpu();
        // Numbers that no other test of this thread's device uses; each twice.
        let kernels: Vec<Kernel> = (0..80).map(|k| numbered(5000 + k / 2)).collect();
        let before = gpu.traffic().pipelines_created;
        gpu.prepare_pipelines(&kernels).unwrap();
        assert_eq!(gpu.traffic().pipelines_created - before, 40);
        for k in [0, 41, 79] {
            let y = nan_buffer(&gpu, "y", 8);
            gpu.submit([&gpu.prepare(&kernels[k], &[&y]).unwrap()])
                .unwrap();
            assert_eq!(read_f32(&gpu, &y)[3], 5003.0 + (k / 2) as f32);
        }
        assert_eq!(gpu.traffic().pipelines_created - before, 40);
    }

    #[test]
    fn of_several_broken_kernels_the_first_is_named() {
        let gpu = gpu();
        let mut kernels: Vec<Kernel> = (0..60).map(|k| numbered(6000 + k)).collect();
        for broken in [17, 18, 55] {
            kernels[broken].source = kernels[broken].source.replace("f32(i)", "g32(i)").into();
        }
        let error = gpu.prepare_pipelines(&kernels).unwrap_err();
        assert!(
            matches!(&error, GpuError::Shader { kernel, .. } if kernel == "count from 6017"),
            "{error}"
        );
    }
}
