//! From a kernel as plain data to work on the device: prepare once, submit many times.
use super::buffer::Buffer;
use super::device::{Gpu, Submission, attempt};
use super::error::GpuError;
use super::pipeline::Pipeline;
use super::shader::{Access, chain};
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
    pub(super) grid: [u32; 3],
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

        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.inner.raw.as_entire_binding(),
            })
            .collect();
        let descriptor = wgpu::BindGroupDescriptor {
            label: Some(&kernel.label),
            layout: &pipeline.layout,
            entries: &entries,
        };
        let bind_group = attempt(&self.inner.device, |device| {
            device.create_bind_group(&descriptor)
        })
        .map_err(|error| GpuError::PipelineRefused {
            kernel: kernel.label.clone(),
            message: chain(&error),
        })?;
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
mod tests;
