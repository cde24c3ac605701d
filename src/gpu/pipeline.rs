//! Compute pipelines, one per WGSL text, made when first asked for and kept as long as the device; what the driver compiled for them
//! is kept on disk, where the device's options name a folder.
use super::adapter::AdapterReport;
use super::cache::CacheFolder;
use super::device::Gpu;
use super::error::GpuError;
use super::shader::{self, Access, Reflection, validate_for};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

pub(super) struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub reflection: Reflection,
}

/// What distinguishes two bind group layouts: access and least bytes of each binding.
type LayoutKey = Vec<(Access, u64)>;

pub(super) struct PipelineStore {
    by_source: RefCell<HashMap<Arc<str>, Rc<Pipeline>>>,
    layouts: RefCell<HashMap<LayoutKey, wgpu::BindGroupLayout>>,
    driver_cache: Option<DriverCache>,
}

/// What the driver has compiled, as wgpu gives it out. Drivers differ in what they put in: Mesa's software driver nothing (it has a
/// cache of its own, of machine code, in `mesa_shader_cache`), those of GPUs whole pipelines.
struct DriverCache {
    raw: wgpu::PipelineCache,
    folder: CacheFolder,
    file: String,
    /// Bytes of the newest contents that were read or written.
    kept_bytes: Cell<usize>,
}

impl DriverCache {
    fn open(device: &wgpu::Device, report: &AdapterReport, folder: &CacheFolder) -> Self {
        let file = format!("pipelines-{}", report.cache_key());
        let data = folder.read_sealed(&file);
        // SAFETY: the data comes from `get_data` of this program: its checksum is right. wgpu compares its own header with the adapter
        // and the driver's identity, and with `fallback` starts an empty cache where they differ.
        let raw = unsafe {
            device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                label: Some("gan-gpu"),
                data: data.as_deref(),
                fallback: true,
            })
        };
        Self {
            raw,
            folder: folder.clone(),
            file,
            kept_bytes: Cell::new(data.map_or(0, |data| data.len())),
        }
    }

    /// Writes the file if there is more to keep than it holds.
    fn save(&self) {
        let Some(data) = self.raw.get_data() else {
            return;
        };
        if data.len() > self.kept_bytes.get() && self.folder.write_sealed(&self.file, &data) {
            self.kept_bytes.set(data.len());
        }
    }
}

impl Drop for DriverCache {
    fn drop(&mut self) {
        self.save();
    }
}

impl PipelineStore {
    pub(super) fn new(device: &wgpu::Device, report: &AdapterReport, folder: &CacheFolder) -> Self {
        let caps = &report.caps;
        Self {
            by_source: RefCell::default(),
            layouts: RefCell::default(),
            driver_cache: caps
                .pipeline_cache
                .then(|| DriverCache::open(device, report, folder)),
        }
    }
}

impl Gpu {
    /// The pipeline of a complete WGSL text.
    pub(super) fn pipeline(
        &self,
        kernel: &str,
        source: &Arc<str>,
    ) -> Result<Rc<Pipeline>, GpuError> {
        if let Some(pipeline) = self.inner.pipelines.by_source.borrow().get(source) {
            return Ok(Rc::clone(pipeline));
        }
        let pipeline = Rc::new(self.create_pipeline(kernel, source)?);
        self.inner.counters.update(|t| t.pipelines_created += 1);
        self.inner
            .pipelines
            .by_source
            .borrow_mut()
            .insert(Arc::clone(source), Rc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Keeps what the driver has compiled so far for the next process; also done when the device is closed.
    pub fn save_pipelines(&self) {
        if let Some(cache) = &self.inner.pipelines.driver_cache {
            cache.save();
        }
    }

    fn create_pipeline(&self, kernel: &str, source: &str) -> Result<Pipeline, GpuError> {
        let reflection = validate_for(source, self.caps()).map_err(|source| GpuError::Shader {
            kernel: kernel.into(),
            source,
        })?;
        self.check_limits(kernel, &reflection)?;

        let device = &self.inner.device;
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let inner_scope = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let layout = self.bind_group_layout(&reflection);
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: reflection.immediate_bytes,
        });
        let module = wgpu::ShaderModuleDescriptor {
            label: Some(kernel),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        let checked = self.inner.options.checked;
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
            cache: self.inner.pipelines.driver_cache.as_ref().map(|c| &c.raw),
        });
        let internal = pollster::block_on(inner_scope.pop());
        if let Some(error) = pollster::block_on(scope.pop()).or(internal) {
            return Err(GpuError::PipelineRefused {
                kernel: kernel.into(),
                message: shader::chain(&error),
            });
        }
        self.healthy()?;
        Ok(Pipeline {
            raw,
            layout,
            reflection,
        })
    }

    fn bind_group_layout(&self, reflection: &Reflection) -> wgpu::BindGroupLayout {
        let key: LayoutKey = reflection
            .bindings
            .iter()
            .map(|b| (b.access, b.min_bytes))
            .collect();
        let mut layouts = self.inner.pipelines.layouts.borrow_mut();
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
            self.inner
                .device
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
        let caps = self.caps();
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
                adapter: self.report().name.clone(),
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
    use crate::gpu::{AdapterChoice, DeviceOptions, Kernel};

    /// Opens the tests' adapter with this cache, runs one kernel and closes it; returns the bytes of the cache's file.
    fn visit(folder: &CacheFolder) -> Option<Vec<u8>> {
        let report = gpu().report().clone();
        let options = DeviceOptions {
            checked: true,
            cache: folder.clone(),
        };
        let device = Gpu::open(&AdapterChoice::Index(report.index), options).unwrap();
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
        folder.read(&format!("pipelines-{}", report.cache_key()))
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
        // Sealed by this program, but not what wgpu gave out: of another adapter or version, as far as it can tell.
        assert!(cache.write_sealed(&name, b"short"));
        assert!(visit(&cache).unwrap().len() >= written.len());
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        assert_eq!(visit(&CacheFolder::default()), None);
    }
}
