//! Programs beside training: bound to the same weights, with memory of their own, and made only where someone asks for them, so
//! that ordinary training neither holds nor compiles anything for them.
use super::table::{Table, counter};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError};
use crate::graph::plan::{Effect, Environment, Plan, Target, pool_slots};
use crate::kernels::record;
use std::num::NonZeroU32;

/// A table of buffers that begins with a trainer's, so that its weights stand at the same positions. Counters are its own: random
/// numbers drawn here leave those of training as they are.
pub struct Beside {
    gpu: Gpu,
    buffers: Vec<Buffer>,
    counters: usize,
    /// Two buffers that the kernel which moves the counters binds for nothing.
    idle: [usize; 2],
}

impl Beside {
    /// Everything of `table` but its temporaries, which are training's own.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(gpu: &Gpu, table: &Table) -> Result<Beside, GpuError> {
        let buffers = table.buffers[..table.bound()].to_vec();
        let mut beside = Beside {
            gpu: gpu.clone(),
            counters: buffers.len(),
            idle: [buffers.len() + 1, buffers.len() + 2],
            buffers,
        };
        beside.push("own counters", counter::COUNT)?;
        beside.push("no scalars", 1)?;
        beside.push("no ring", 1)?;
        Ok(beside)
    }
    /// Appends a buffer of zeros and returns its position. Only before the first environment is taken.
    ///
    /// # Errors
    /// When the device has no room or the buffer exceeds its limits.
    pub fn push(&mut self, label: &str, floats: usize) -> Result<usize, GpuError> {
        let bytes = floats.max(1).next_multiple_of(4) as u64 * 4;
        self.buffers.push(self.gpu.buffer(label, bytes)?);
        Ok(self.buffers.len() - 1)
    }
    /// What programs are compiled against: by rule and in f32, however training is computed.
    pub fn environment(&self, seed: u64) -> Environment {
        let target = Target::of(self.gpu.caps());
        Environment::new(target, self.buffers.len(), self.counters, seed)
    }
    /// Binds plans that run one after the other; they share their temporaries.
    ///
    /// # Errors
    /// As for [`Plan::prepare`].
    pub fn bind(&self, plans: &[Plan]) -> Result<Vec<Vec<Dispatch>>, GpuError> {
        let mut buffers = self.buffers.clone();
        for (k, bytes) in pool_slots(plans).into_iter().enumerate() {
            buffers.push(self.gpu.buffer(&format!("own temporary {k}"), bytes)?);
        }
        let bound = plans.iter().map(|plan| plan.prepare(&self.gpu, &buffers));
        bound.collect()
    }
    /// What stands at the end of a program that draws random numbers: its next execution draws others.
    pub fn advance(&self) -> Effect {
        let mut increments = [record::Increment::default(); 4];
        increments[0] = record::Increment {
            index: counter::EXECUTION as u32,
            by: 1,
        };
        let params = record::Params {
            count: 0,
            scalars_offset: 0,
            rows: NonZeroU32::MIN,
            tick: counter::EXECUTION as u32,
            increments,
        };
        Effect {
            kernel: record::kernel(self.gpu.caps(), &params),
            buffers: vec![self.idle[0], self.idle[1], self.counters],
            scope: "results",
            bytes: 0,
        }
    }
    /// The number of executions that the next one counts as its predecessors.
    ///
    /// # Errors
    /// Those of the device.
    pub fn set_execution(&self, executions: u32) -> Result<(), GpuError> {
        let mut counters = [0u32; counter::COUNT];
        counters[counter::EXECUTION] = executions;
        let bytes = bytemuck::cast_slice(&counters);
        self.gpu.upload(&self.buffers[self.counters], 0, bytes)
    }
    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
    /// Writes `values` from the start of a buffer on.
    ///
    /// # Errors
    /// Those of the device.
    pub fn write(&self, buffer: usize, values: &[f32]) -> Result<(), GpuError> {
        let bytes = bytemuck::cast_slice(values);
        self.gpu.upload(&self.buffers[buffer], 0, bytes)
    }
    /// The first `floats` of a buffer.
    ///
    /// # Errors
    /// Those of the device.
    pub fn read(&self, buffer: usize, floats: usize) -> Result<Vec<f32>, GpuError> {
        let bytes = self
            .gpu
            .download(&self.buffers[buffer], 0..floats as u64 * 4)?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }
}
