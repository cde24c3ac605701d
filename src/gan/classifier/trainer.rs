//! The training loop of a classifier.
use super::batches::{Batches, Labelled};
use super::program::{COUNTERS, Places, RING_ROWS, SCALARS, STRIDE, training};
use super::{Result, SCHEDULE, Settings, classes};
use crate::data::rng;
use crate::gan::trainer::StateTensor;
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Kernel};
use crate::graph::plan::{Plan, Target, pool_slots};
use crate::nn::{Network, ParamSpec};
use std::rc::Rc;

/// Steps that are recorded into one submission.
const STEPS_PER_SUBMIT: u64 = 4;

/// The scalars of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps made, this one included.
    pub step: u64,
    pub loss: f32,
    /// Share of the batch that was classified as labelled, with dropout on.
    pub right: f32,
}

/// A buffer before it is made: label, bytes, and what it starts with if not zeros.
type Planned = (String, u64, Option<Vec<u8>>);

/// Positions of a classifier's arenas, counters and results, in this order from 0 on.
pub(super) fn places(network: &Network, planned: &mut Vec<Planned>) -> Places {
    let mut add = |label: &str, floats: usize| {
        let bytes = 4 * floats.max(4) as u64;
        planned.push((label.into(), bytes, None));
        planned.len() - 1
    };
    let (arena, row) = (network.arena_len(), SCALARS * STRIDE);
    Places {
        counters: add("counters", COUNTERS),
        scalars: add("scalars", row),
        ring: add("ring", row * RING_ROWS),
        params: add("c.parameters", arena),
        grads: add("c.gradients", arena),
        moments: [add("c.moment1", arena), add("c.moment2", arena)],
        state: add("c.state", network.state_len()),
        bound: 0,
    }
}

/// The buffers, and behind them the temporaries that these plans share.
pub(super) fn allocate(
    gpu: &Gpu,
    planned: Vec<Planned>,
    plans: &[Plan],
) -> std::result::Result<Vec<Buffer>, GpuError> {
    let mut buffers = vec![];
    for (label, bytes, contents) in planned {
        buffers.push(match contents {
            Some(contents) => gpu.buffer_from(&label, &contents)?,
            None => gpu.buffer(&label, bytes)?,
        });
    }
    for (k, bytes) in pool_slots(plans).into_iter().enumerate() {
        buffers.push(gpu.buffer(&format!("temporary {k}"), bytes)?);
    }
    Ok(buffers)
}

/// Plans of all phases, with the buffers that they are compiled against.
fn compile(
    target: &Target,
    network: &Network,
    data: &Labelled,
    settings: &Settings,
) -> Result<(Places, Vec<Planned>, Vec<Plan>)> {
    settings.validate()?;
    let classes = classes(network)?;
    let mut planned = vec![];
    let mut places = places(network, &mut planned);
    let batches = Batches::new(
        &target.caps,
        data,
        (network.input(), classes),
        settings.batch,
        (
            settings.seed,
            places.counters,
            super::program::EXECUTION as u32,
        ),
        &mut |label, contents| {
            planned.push((label.into(), contents.len() as u64, Some(contents)));
            planned.len() - 1
        },
    )?;
    places.bound = planned.len();
    let batches = Rc::new(batches);
    let plans = (0..SCHEDULE.len())
        .map(|phase| training(target, network, settings, &batches, &places, phase))
        .collect::<Result<Vec<_>>>()?;
    Ok((places, planned, plans))
}

/// The kernels of a training step in the order of their use: what `target` would have to compile. Takes no device.
///
/// # Errors
/// As for [`ClassifierTrainer::new`], those of the device left out.
pub fn kernels(
    target: &Target,
    network: &Network,
    data: &Labelled,
    settings: &Settings,
) -> Result<Vec<Kernel>> {
    let (_, _, plans) = compile(target, network, data, settings)?;
    let steps = plans.into_iter().flat_map(|p| p.steps);
    Ok(steps.map(|s| s.kernel).collect())
}

/// A classifier on a device, with everything that trains it.
pub struct ClassifierTrainer {
    gpu: Gpu,
    network: Network,
    settings: Settings,
    places: Places,
    buffers: Vec<Buffer>,
    /// One program per entry of the schedule.
    programs: Vec<Vec<Dispatch>>,
    kernels: Vec<Kernel>,
    step: u64,
}

impl ClassifierTrainer {
    /// Compiles and binds the programs and initialises the weights from the settings' seed.
    ///
    /// # Errors
    /// Where data, network, settings or the adapter's limits do not fit together.
    pub fn new(
        gpu: &Gpu,
        network: Network,
        data: &Labelled,
        settings: Settings,
    ) -> Result<ClassifierTrainer> {
        let target = Target::of(gpu.caps());
        let (places, planned, plans) = compile(&target, &network, data, &settings)?;
        let buffers = allocate(gpu, planned, &plans)?;
        let programs = plans
            .iter()
            .map(|plan| plan.prepare(gpu, &buffers))
            .collect::<std::result::Result<_, _>>()?;
        // All phases are the same kernels with another rate.
        let first = plans.into_iter().next().unwrap_or_default();
        let trainer = ClassifierTrainer {
            gpu: gpu.clone(),
            network,
            settings,
            places,
            buffers,
            programs,
            kernels: first.steps.into_iter().map(|s| s.kernel).collect(),
            step: 0,
        };
        trainer.initialise()?;
        Ok(trainer)
    }

    fn initialise(&self) -> Result<()> {
        let key = rng::threefry2x32(rng::seed_words(self.settings.seed), [0, 0xc1a5]);
        for (buffer, values) in [
            (self.places.params, self.network.initialise(key)),
            (self.places.state, self.network.initial_state()),
        ] {
            if !values.is_empty() {
                let bytes = bytemuck::cast_slice(&values);
                self.gpu.upload(&self.buffers[buffer], 0, bytes)?;
            }
        }
        Ok(())
    }

    /// Steps made.
    pub fn step(&self) -> u64 {
        self.step
    }
    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }
    /// The kernels of a step in the order of their use.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// Makes `steps` steps and returns their scalars. How steps are grouped into blocks never changes a result.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step_block(&mut self, steps: u64) -> Result<Vec<Progress>> {
        let mut out = vec![];
        let mut left = steps;
        while left > 0 {
            let now = left.min(RING_ROWS as u64 / 2);
            out.extend(self.ring_block(now)?);
            left -= now;
        }
        Ok(out)
    }

    /// At most as many steps as the ring has rows for.
    fn ring_block(&mut self, steps: u64) -> Result<Vec<Progress>> {
        let (first, end) = (self.step, self.step + steps);
        let mut under_way = None;
        for start in (first..end).step_by(STEPS_PER_SUBMIT as usize) {
            let chunk = start..(start + STEPS_PER_SUBMIT).min(end);
            let dispatches = chunk.flat_map(|s| &self.programs[self.settings.phase(s)]);
            let submitted = self.gpu.submit(dispatches)?;
            // One submission computes while the next is recorded.
            if let Some(before) = under_way.replace(submitted) {
                self.gpu.wait(&before)?;
            }
        }
        self.step = end;
        let row_bytes = (SCALARS * STRIDE * 4) as u64;
        let mut reports = vec![];
        let mut from = first;
        while from < end {
            let row = from % RING_ROWS as u64;
            let count = (RING_ROWS as u64 - row).min(end - from);
            let range = row * row_bytes..(row + count) * row_bytes;
            let bytes = self.gpu.download(&self.buffers[self.places.ring], range)?;
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
            let rows = values.chunks_exact(SCALARS * STRIDE);
            reports.extend(rows.zip(from + 1..).map(|(row, step)| Progress {
                step,
                loss: row[0],
                right: row[STRIDE],
            }));
            from += count;
        }
        Ok(reports)
    }

    fn tensors_of(&self, specs: &[ParamSpec], buffer: usize) -> Result<Vec<StateTensor>> {
        let Some(last) = specs.last() else {
            return Ok(vec![]);
        };
        let end = (last.offset + last.shape.numel()) as u64 * 4;
        let bytes = self.gpu.download(&self.buffers[buffer], 0..end)?;
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        let tensor = |p: &ParamSpec| StateTensor {
            name: p.name.clone(),
            shape: p.shape.to_vec(),
            values: values[p.offset..p.offset + p.shape.numel()].to_vec(),
        };
        Ok(specs.iter().map(tensor).collect())
    }

    /// The network's tensors by the names of PyTorch's `state_dict`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn tensors(&self) -> Result<Vec<StateTensor>> {
        let mut all = self.tensors_of(self.network.params(), self.places.params)?;
        all.extend(self.tensors_of(self.network.states(), self.places.state)?);
        Ok(all)
    }
}
