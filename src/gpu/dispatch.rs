//! From a kernel as plain data to work on the device: prepare once, submit many times.
use super::buffer::Buffer;
use super::device::{Gpu, Submission};
use super::error::GpuError;
use super::pipeline::Pipeline;
use super::shader::Access;
use std::rc::Rc;
use std::sync::Arc;

/// What to run, before it is bound to buffers: plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// WGSL file name and variant; also the label in errors, debuggers and timings.
    pub label: String,
    /// Complete WGSL. One pipeline is made per text, so sizes belong in the immediates.
    pub source: Arc<str>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// The words of `var<immediate>`, padding included.
    pub immediates: Vec<u32>,
}

/// A kernel bound to buffers, ready to be submitted any number of times. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    label: Rc<str>,
    pipeline: Rc<Pipeline>,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
    immediates: Vec<u8>,
    gpu_id: u64,
    /// Keeps the memory, and its count, alive.
    buffers: Rc<[Buffer]>,
}

impl Dispatch {
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Workgroups along x, y, z.
    pub fn grid(&self) -> [u32; 3] {
        self.grid
    }

    /// In binding order.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Whether the kernel may write binding `index`.
    pub fn writes(&self, index: usize) -> bool {
        self.pipeline
            .reflection
            .bindings
            .get(index)
            .is_some_and(|b| b.access == Access::ReadWrite)
    }

    /// Other constants for the submissions to come; creates nothing on the device.
    ///
    /// # Errors
    /// [`GpuError::ImmediateCount`].
    pub fn set_immediates(&mut self, words: &[u32]) -> Result<(), GpuError> {
        check_immediates(&self.label, &self.pipeline, words)?;
        self.immediates.clear();
        self.immediates
            .extend_from_slice(bytemuck::cast_slice(words));
        Ok(())
    }
}

impl std::fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "Dispatch({}, {:?}, {:?})",
            self.label, self.grid, self.buffers
        )
    }
}

fn check_immediates(kernel: &str, pipeline: &Pipeline, words: &[u32]) -> Result<(), GpuError> {
    let expected = pipeline.reflection.immediate_bytes as usize / 4;
    if words.len() == expected {
        return Ok(());
    }
    Err(GpuError::ImmediateCount {
        kernel: kernel.into(),
        expected,
        got: words.len(),
    })
}

impl Gpu {
    /// Binds `kernel` to `buffers`, in the order of its bindings. Makes the pipeline if its text is new, and a bind group.
    ///
    /// # Errors
    /// [`GpuError::Shader`], [`GpuError::PipelineRefused`], [`GpuError::KernelOverLimit`], [`GpuError::Grid`],
    /// [`GpuError::BindingCount`], [`GpuError::BindingTooSmall`], [`GpuError::AliasedBuffer`], [`GpuError::ImmediateCount`],
    /// [`GpuError::ForeignBuffer`].
    pub fn prepare(&self, kernel: &Kernel, buffers: &[&Buffer]) -> Result<Dispatch, GpuError> {
        self.healthy()?;
        let limit = self.caps().max_workgroups_per_dim;
        for (axis, got) in ['x', 'y', 'z'].into_iter().zip(kernel.grid) {
            if got == 0 || got > limit {
                return Err(GpuError::Grid {
                    kernel: kernel.label.clone(),
                    grid: kernel.grid,
                    axis,
                    got,
                    limit,
                });
            }
        }
        let pipeline = self.pipeline(&kernel.label, &kernel.source)?;
        check_immediates(&kernel.label, &pipeline, &kernel.immediates)?;
        self.check_bindings(&kernel.label, &pipeline, buffers)?;

        let scope = self
            .inner
            .device
            .push_error_scope(wgpu::ErrorFilter::Validation);
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.inner.raw.as_entire_binding(),
            })
            .collect();
        let bind_group = self
            .inner
            .device
            .create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&kernel.label),
                layout: &pipeline.layout,
                entries: &entries,
            });
        if let Some(error) = pollster::block_on(scope.pop()) {
            let message = super::shader::chain(&error);
            return Err(GpuError::PipelineRefused {
                kernel: kernel.label.clone(),
                message,
            });
        }
        self.healthy()?;
        self.inner.counters.update(|t| t.bind_groups_created += 1);
        Ok(Dispatch {
            label: kernel.label.as_str().into(),
            pipeline,
            bind_group,
            grid: kernel.grid,
            immediates: bytemuck::cast_slice(&kernel.immediates).to_vec(),
            gpu_id: self.inner.id,
            buffers: buffers.iter().map(|&buffer| buffer.clone()).collect(),
        })
    }

    fn check_bindings(
        &self,
        kernel: &str,
        pipeline: &Pipeline,
        buffers: &[&Buffer],
    ) -> Result<(), GpuError> {
        let bindings = &pipeline.reflection.bindings;
        if bindings.len() != buffers.len() {
            return Err(GpuError::BindingCount {
                kernel: kernel.into(),
                expected: bindings.len(),
                got: buffers.len(),
            });
        }
        for (index, (binding, buffer)) in bindings.iter().zip(buffers).enumerate() {
            self.owns(buffer)?;
            let label = || buffer.label().to_string();
            // Against the memory, which is rounded up: a kernel that reads vec4s may bind one float.
            if buffer.inner.raw.size() < binding.min_bytes {
                return Err(GpuError::BindingTooSmall {
                    kernel: kernel.into(),
                    label: label(),
                    binding: index as u32,
                    needed: binding.min_bytes,
                    bytes: buffer.bytes(),
                });
            }
            let alias = bindings[..index]
                .iter()
                .zip(buffers)
                .position(|(earlier, other)| {
                    buffer.same(other)
                        && (binding.access == Access::ReadWrite
                            || earlier.access == Access::ReadWrite)
                });
            if let Some(first) = alias {
                return Err(GpuError::AliasedBuffer {
                    kernel: kernel.into(),
                    label: label(),
                    first: first as u32,
                    second: index as u32,
                });
            }
        }
        Ok(())
    }

    /// Runs `dispatches` in order: each sees what those before it wrote. One encoder, one pass, one submit; creates
    /// neither buffers nor bind groups.
    ///
    /// # Errors
    /// [`GpuError::ForeignDispatch`], and what the device reported.
    pub fn submit<'a>(
        &self,
        dispatches: impl IntoIterator<Item = &'a Dispatch>,
    ) -> Result<Submission, GpuError> {
        let mut recorder = self.record()?;
        for dispatch in dispatches {
            recorder.dispatch(dispatch)?;
        }
        recorder.submit()
    }

    /// Starts a list of dispatches, for those who want other immediates at each.
    ///
    /// # Errors
    /// What the device reported.
    pub fn record(&self) -> Result<Recorder, GpuError> {
        self.healthy()?;
        let mut encoder = self
            .inner
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        let pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor::default())
            .forget_lifetime();
        Ok(Recorder {
            gpu: self.clone(),
            encoder,
            pass,
            last: None,
            dispatches: 0,
            immediate_bytes: 0,
        })
    }
}

/// A list of dispatches being recorded into one pass.
pub struct Recorder {
    gpu: Gpu,
    encoder: wgpu::CommandEncoder,
    pass: wgpu::ComputePass<'static>,
    /// The pipeline that is set.
    last: Option<Rc<Pipeline>>,
    dispatches: u64,
    immediate_bytes: u64,
}

impl Recorder {
    /// Appends a dispatch with its own immediates.
    ///
    /// # Errors
    /// [`GpuError::ForeignDispatch`].
    pub fn dispatch(&mut self, dispatch: &Dispatch) -> Result<(), GpuError> {
        self.append(dispatch, &dispatch.immediates)
    }

    /// Appends a dispatch with `words` in place of its immediates.
    ///
    /// # Errors
    /// [`GpuError::ForeignDispatch`], [`GpuError::ImmediateCount`].
    pub fn dispatch_with(&mut self, dispatch: &Dispatch, words: &[u32]) -> Result<(), GpuError> {
        check_immediates(&dispatch.label, &dispatch.pipeline, words)?;
        self.append(dispatch, bytemuck::cast_slice(words))
    }

    fn append(&mut self, dispatch: &Dispatch, immediates: &[u8]) -> Result<(), GpuError> {
        check_owner(&self.gpu, dispatch)?;
        let is_set = self
            .last
            .as_ref()
            .is_some_and(|last| Rc::ptr_eq(last, &dispatch.pipeline));
        encode(&mut self.pass, dispatch, immediates, is_set);
        if !is_set {
            self.last = Some(Rc::clone(&dispatch.pipeline));
        }
        self.dispatches += 1;
        self.immediate_bytes += immediates.len() as u64;
        Ok(())
    }

    /// Hands the list to the device.
    ///
    /// # Errors
    /// What the device reported.
    pub fn submit(self) -> Result<Submission, GpuError> {
        let Self {
            gpu,
            encoder,
            pass,
            last: _,
            dispatches,
            immediate_bytes,
        } = self;
        drop(pass); // ends the pass
        gpu.inner.counters.update(|t| {
            t.dispatches += dispatches;
            t.immediate_bytes += immediate_bytes;
        });
        gpu.submit_commands(encoder.finish())
    }
}

pub(super) fn check_owner(gpu: &Gpu, dispatch: &Dispatch) -> Result<(), GpuError> {
    if dispatch.gpu_id == gpu.inner.id {
        return Ok(());
    }
    Err(GpuError::ForeignDispatch {
        label: dispatch.label.to_string(),
    })
}

/// Records one dispatch; `is_set` says that its pipeline is the one in force.
fn encode(pass: &mut wgpu::ComputePass, dispatch: &Dispatch, immediates: &[u8], is_set: bool) {
    if !is_set {
        pass.set_pipeline(&dispatch.pipeline.raw);
    }
    pass.set_bind_group(0, &dispatch.bind_group, &[]);
    if !immediates.is_empty() {
        pass.set_immediates(0, immediates);
    }
    let [x, y, z] = dispatch.grid;
    pass.dispatch_workgroups(x, y, z);
}

/// Records one dispatch as the only one of a pass, for timing. Returns the bytes of its immediates.
pub(super) fn encode_alone(pass: &mut wgpu::ComputePass, dispatch: &Dispatch) -> u64 {
    encode(pass, dispatch, &dispatch.immediates, false);
    dispatch.immediates.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::{buffer_of, gpu, nan_buffer, read_f32};
    use crate::gpu::{AdapterChoice, DeviceOptions, ShaderError};

    const SCALE: &str = "
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        struct Params { n: u32, scale: f32 }
        var<immediate> im: Params;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if id.x < im.n { y[id.x] = x[id.x] * im.scale; }
        }";

    fn scale(n: u32, by: f32) -> Kernel {
        Kernel {
            label: "scale".into(),
            source: SCALE.into(),
            grid: [n.div_ceil(64), 1, 1],
            immediates: vec![n, by.to_bits()],
        }
    }

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| i as f32).collect()
    }

    #[test]
    fn immediates_reach_the_kernel_and_can_differ_within_one_submit() {
        let gpu = gpu();
        let (n, x) = (1000, ramp(1000));
        let (a, b, c) = (
            buffer_of(&gpu, "a", &x),
            nan_buffer(&gpu, "b", n),
            nan_buffer(&gpu, "c", n),
        );
        let first = gpu.prepare(&scale(n as u32, 2.5), &[&a, &b]).unwrap();
        let second = gpu.prepare(&scale(n as u32, -1.0), &[&b, &c]).unwrap();
        gpu.submit([&first, &second]).unwrap();
        // The second sees what the first wrote.
        assert_eq!(
            read_f32(&gpu, &c),
            x.iter().map(|x| x * -2.5).collect::<Vec<_>>()
        );

        let mut recorder = gpu.record().unwrap();
        recorder
            .dispatch_with(&first, &[999, 3f32.to_bits()])
            .unwrap();
        recorder
            .dispatch_with(&first, &[500, 4f32.to_bits()])
            .unwrap();
        recorder.submit().unwrap();
        let b = read_f32(&gpu, &b);
        assert_eq!(
            [b[499], b[500], b[998], b[999]],
            [4. * 499., 3. * 500., 3. * 998., 2.5 * 999.]
        );
    }

    #[test]
    fn set_immediates_lasts_and_makes_nothing() {
        let gpu = gpu();
        let (a, b) = (buffer_of(&gpu, "a", &ramp(17)), nan_buffer(&gpu, "b", 17));
        let mut dispatch = gpu.prepare(&scale(17, 1.0), &[&a, &b]).unwrap();
        let before = gpu.traffic();
        dispatch.set_immediates(&[17, 7f32.to_bits()]).unwrap();
        gpu.submit([&dispatch]).unwrap();
        assert_eq!(
            gpu.traffic().bind_groups_created,
            before.bind_groups_created
        );
        assert_eq!(read_f32(&gpu, &b)[16], 7. * 16.);
        let error = dispatch.set_immediates(&[17]).unwrap_err();
        assert!(
            matches!(
                error,
                GpuError::ImmediateCount {
                    expected: 2,
                    got: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn repeated_submits_create_nothing_and_are_counted() {
        let gpu = gpu();
        let (a, b) = (buffer_of(&gpu, "a", &ramp(100)), nan_buffer(&gpu, "b", 100));
        let kernel = scale(100, 2.0);
        let dispatches = [
            gpu.prepare(&kernel, &[&a, &b]).unwrap(),
            gpu.prepare(&kernel, &[&a, &b]).unwrap(),
        ];
        let before = gpu.traffic();
        assert_eq!(
            (before.pipelines_created, before.bind_groups_created),
            (1, 2)
        );
        for _ in 0..20 {
            gpu.submit(&dispatches).unwrap();
        }
        gpu.wait_idle().unwrap();
        let after = gpu.traffic();
        let expected = super::super::Traffic {
            submits: before.submits + 20,
            dispatches: before.dispatches + 40,
            immediate_bytes: before.immediate_bytes + 40 * 8,
            ..before
        };
        assert_eq!(after, expected);
    }

    #[test]
    fn one_pipeline_per_text_whatever_the_sizes() {
        let gpu = gpu();
        let (a, b) = (nan_buffer(&gpu, "a", 100), nan_buffer(&gpu, "b", 100));
        for n in [1, 33, 100] {
            gpu.prepare(&scale(n, 1.0), &[&a, &b]).unwrap();
        }
        assert_eq!(gpu.traffic().pipelines_created, 1);
    }

    #[test]
    fn dispatches_know_what_they_write() {
        let gpu = gpu();
        let (a, b) = (nan_buffer(&gpu, "a", 4), nan_buffer(&gpu, "b", 4));
        let dispatch = gpu.prepare(&scale(4, 1.0), &[&a, &b]).unwrap();
        assert_eq!(
            [dispatch.writes(0), dispatch.writes(1), dispatch.writes(2)],
            [false, true, false]
        );
        assert!(dispatch.buffers()[1].same(&b));
    }

    #[test]
    fn grids_outside_the_limit_are_refused() {
        let gpu = gpu();
        let (a, b) = (nan_buffer(&gpu, "a", 4), nan_buffer(&gpu, "b", 4));
        let limit = gpu.caps().max_workgroups_per_dim;
        for (grid, bad_axis) in [
            ([limit + 1, 1, 1], 'x'),
            ([1, limit + 1, 1], 'y'),
            ([1, 1, 0], 'z'),
        ] {
            let kernel = Kernel {
                grid,
                ..scale(4, 1.0)
            };
            let error = gpu.prepare(&kernel, &[&a, &b]).unwrap_err();
            assert!(
                matches!(error, GpuError::Grid { axis, .. } if axis == bad_axis),
                "{error}"
            );
        }
    }

    #[test]
    fn wrong_bindings_are_typed_errors() {
        let gpu = gpu();
        let (a, b) = (nan_buffer(&gpu, "a", 4), nan_buffer(&gpu, "b", 4));
        let kernel = scale(4, 1.0);
        let error = gpu.prepare(&kernel, &[&a]).unwrap_err();
        assert!(
            matches!(
                error,
                GpuError::BindingCount {
                    expected: 2,
                    got: 1,
                    ..
                }
            ),
            "{error}"
        );
        let error = gpu.prepare(&kernel, &[&a, &a]).unwrap_err();
        assert!(
            matches!(
                error,
                GpuError::AliasedBuffer {
                    first: 0,
                    second: 1,
                    ..
                }
            ),
            "{error}"
        );
        let error = gpu
            .prepare(
                &Kernel {
                    immediates: vec![4],
                    ..kernel.clone()
                },
                &[&a, &b],
            )
            .unwrap_err();
        assert!(
            matches!(
                error,
                GpuError::ImmediateCount {
                    expected: 2,
                    got: 1,
                    ..
                }
            ),
            "{error}"
        );

        let wide = SCALE.replacen("array<f32>", "array<f32, 64>", 1);
        let error = gpu
            .prepare(
                &Kernel {
                    source: wide.into(),
                    ..kernel.clone()
                },
                &[&a, &b],
            )
            .unwrap_err();
        assert!(
            matches!(
                error,
                GpuError::BindingTooSmall {
                    binding: 0,
                    needed: 256,
                    bytes: 16,
                    ..
                }
            ),
            "{error}"
        );

        let other = Gpu::open(
            &AdapterChoice::Index(gpu.report().index),
            DeviceOptions::default(),
        )
        .unwrap();
        let error = other.prepare(&kernel, &[&a, &b]).unwrap_err();
        assert!(matches!(error, GpuError::ForeignBuffer { .. }), "{error}");
        let dispatch = gpu.prepare(&kernel, &[&a, &b]).unwrap();
        let error = other.submit([&dispatch]).unwrap_err();
        assert!(matches!(error, GpuError::ForeignDispatch { .. }), "{error}");
    }

    #[test]
    fn two_readers_of_one_buffer_are_fine() {
        let gpu = gpu();
        let source = "
            @group(0) @binding(0) var<storage, read> a: array<f32>;
            @group(0) @binding(1) var<storage, read> b: array<f32>;
            @group(0) @binding(2) var<storage, read_write> c: array<f32>;
            @compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) { c[id.x] = a[id.x] + b[id.x]; }";
        let (a, c) = (buffer_of(&gpu, "a", &ramp(5)), nan_buffer(&gpu, "c", 5));
        let kernel = Kernel {
            label: "sum".into(),
            source: source.into(),
            grid: [5, 1, 1],
            immediates: vec![],
        };
        gpu.submit([&gpu.prepare(&kernel, &[&a, &a, &c]).unwrap()])
            .unwrap();
        assert_eq!(read_f32(&gpu, &c), [0., 2., 4., 6., 8.]);
    }

    #[test]
    fn an_invalid_shader_names_kernel_and_line() {
        let gpu = gpu();
        let kernel = Kernel {
            source: SCALE.replace("im.scale;", "im.scael;").into(),
            ..scale(4, 1.0)
        };
        let error = gpu.prepare(&kernel, &[]).unwrap_err();
        let GpuError::Shader {
            kernel,
            source: ShaderError::Invalid { line, .. },
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((kernel.as_str(), *line), ("scale", 7), "{error}");
        assert!(error.to_string().contains("scael"), "{error}");
        // A refused shader is no fault of the device.
        gpu.wait_idle().unwrap();
    }

    #[test]
    fn a_workgroup_over_the_limits_is_refused_before_the_driver_sees_it() {
        let gpu = gpu();
        let too_many = gpu.caps().max_workgroup_size[0] + 1;
        let kernel = Kernel {
            source: SCALE.replace("(64)", &format!("({too_many})")).into(),
            ..scale(4, 1.0)
        };
        let error = gpu.prepare(&kernel, &[]).unwrap_err();
        assert!(matches!(error, GpuError::KernelOverLimit { .. }), "{error}");
        let floats = gpu.caps().workgroup_storage_bytes / 4 + 1;
        let source = SCALE
            .replace(
                "@compute",
                &format!("var<workgroup> w: array<f32, {floats}>; @compute"),
            )
            .replace("* im.scale", "* w[id.x]");
        let error = gpu
            .prepare(
                &Kernel {
                    source: source.into(),
                    ..scale(4, 1.0)
                },
                &[],
            )
            .unwrap_err();
        assert!(
            matches!(
                error,
                GpuError::KernelOverLimit {
                    what: "bytes of workgroup memory",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn unchecked_devices_compute_the_same() {
        let index = gpu().report().index;
        let gpu = Gpu::open(
            &AdapterChoice::Index(index),
            DeviceOptions { checked: false },
        )
        .unwrap();
        let (a, b) = (buffer_of(&gpu, "a", &ramp(130)), nan_buffer(&gpu, "b", 130));
        gpu.submit([&gpu.prepare(&scale(130, 0.5), &[&a, &b]).unwrap()])
            .unwrap();
        assert_eq!(
            read_f32(&gpu, &b),
            ramp(130).iter().map(|x| x * 0.5).collect::<Vec<_>>()
        );
    }
}
