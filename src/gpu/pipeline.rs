//! Compute pipelines, one per WGSL text, made when first asked for and kept as long as the device.
use super::adapter::Caps;
use super::device::Gpu;
use super::error::GpuError;
use super::shader::{self, Access, Reflection, validate_for};
use std::cell::RefCell;
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
    /// Lets the driver share work between pipelines. In memory only.
    driver_cache: Option<wgpu::PipelineCache>,
}

impl PipelineStore {
    pub(super) fn new(device: &wgpu::Device, caps: &Caps) -> Self {
        let driver_cache = caps.pipeline_cache.then(|| {
            // SAFETY: no data of an earlier cache is passed.
            unsafe {
                device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                    label: Some("gan-gpu"),
                    data: None,
                    fallback: true,
                })
            }
        });
        Self {
            by_source: RefCell::default(),
            layouts: RefCell::default(),
            driver_cache,
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
            cache: self.inner.pipelines.driver_cache.as_ref(),
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
