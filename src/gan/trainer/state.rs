//! The complete state of training, as named tensors: what a checkpoint holds and what the next round depends on.
use super::Trainer;
use super::table::{Table, counter};
use crate::gan::GanError;
use crate::kernels::scaler;
use crate::nn::{Init, Model, ParamSpec};
use std::sync::OnceLock;

/// One tensor of the state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    /// `g.<name>`, `d.<name>`, `g_ema.<name>`, `opt_g.m.<name>`, .. with the names of PyTorch's `state_dict`.
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Everything that the next round depends on, but for the configuration and the data.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub tensors: Vec<StateTensor>,
    /// Counters by name.
    pub counters: Vec<(&'static str, u64)>,
}

impl State {
    /// A counter's value.
    pub fn counter(&self, name: &str) -> Option<u64> {
        self.counters.iter().find(|(n, _)| *n == name).map(|c| c.1)
    }
}

/// Names of the counters in a checkpoint.
pub const COUNTERS: [&str; 6] = [
    "step",
    "images_seen",
    "executions",
    "batches_drawn",
    "optimiser_steps_d",
    "optimiser_steps_g",
];

/// One arena of the state: prefix of its names, tensors in it, table position.
pub type Arena<'a> = (&'static str, &'a [ParamSpec], usize);

/// The arenas that sampling needs.
pub fn generator_arenas<'a>(model: &'a Model, table: &Table) -> Vec<Arena<'a>> {
    let g = &model.generator;
    let mut arenas: Vec<Arena> = vec![
        ("g.", g.params(), table.g.params),
        ("g.", g.states(), table.g.state),
    ];
    if let Some([params, state]) = table.ema {
        arenas.push(("g_ema.", g.params(), params));
        arenas.push(("g_ema.", g.states(), state));
    }
    arenas
}

/// The arenas that judging needs.
pub fn discriminator_arenas<'a>(model: &'a Model, table: &Table) -> [Arena<'a>; 2] {
    let d = &model.discriminator;
    [
        ("d.", d.params(), table.d.params),
        ("d.", d.states(), table.d.state),
    ]
}

/// The content of an arena from the state's tensors; padding is 0.
///
/// # Errors
/// [`GanError::State`] where a tensor is missing or has another shape.
pub fn arena_values(
    state: &State,
    prefix: &str,
    specs: &[ParamSpec],
) -> Result<Vec<f32>, GanError> {
    let len = specs.last().map_or(0, |p| p.offset + p.shape.numel());
    let mut values = vec![0.0f32; len.next_multiple_of(4)];
    for p in specs {
        let name = format!("{prefix}{}", p.name);
        let found = state.tensors.iter().find(|t| t.name == name);
        let tensor = found.ok_or_else(|| GanError::State {
            what: name.clone(),
            expected: format!("a tensor of shape {}", p.shape),
            got: "nothing".into(),
        })?;
        if tensor.shape != p.shape.to_vec() || tensor.values.len() != p.shape.numel() {
            return Err(GanError::State {
                what: name,
                expected: format!("shape {}", p.shape),
                got: format!("shape {:?}", tensor.shape),
            });
        }
        values[p.offset..p.offset + tensor.values.len()].copy_from_slice(&tensor.values);
    }
    Ok(values)
}

/// A scaler's state as tensors of one number each.
fn scaler_specs() -> &'static [ParamSpec] {
    static SPECS: OnceLock<Vec<ParamSpec>> = OnceLock::new();
    SPECS.get_or_init(|| {
        let names = scaler::STATE_NAMES.into_iter().enumerate();
        let spec = |(offset, name): (usize, &str)| ParamSpec {
            name: name.into(),
            shape: [1].into(),
            init: Init::Constant(0.0),
            offset,
        };
        names.map(spec).collect()
    })
}

impl Trainer {
    /// Every arena that belongs to the state: prefix, tensors in it, table position.
    fn arenas(&self) -> Vec<Arena<'_>> {
        let (g, d, t) = (
            &self.model.generator,
            &self.model.discriminator,
            &self.table,
        );
        let mut all = generator_arenas(&self.model, t);
        all.extend([
            ("opt_g.m.", g.params(), t.g.moments[0]),
            ("opt_g.v.", g.params(), t.g.moments[1]),
        ]);
        all.extend(discriminator_arenas(&self.model, t));
        all.extend([
            ("opt_d.m.", d.params(), t.d.moments[0]),
            ("opt_d.v.", d.params(), t.d.moments[1]),
        ]);
        if let (Some(e), Some(arenas)) = (&self.model.encoder, &t.e) {
            all.extend([
                ("e.", e.params(), arenas.params),
                ("e.", e.states(), arenas.state),
                ("opt_e.m.", e.params(), arenas.moments[0]),
                ("opt_e.v.", e.params(), arenas.moments[1]),
            ]);
        }
        let scalers = [("scaler_g.", t.g.scaler), ("scaler_d.", t.d.scaler)];
        let scalers = scalers.into_iter().filter_map(|(name, b)| Some((name, b?)));
        all.extend(scalers.map(|(name, buffer)| (name, scaler_specs(), buffer)));
        all
    }

    fn tensors_of(
        &self,
        prefix: &str,
        specs: &[ParamSpec],
        buffer: usize,
    ) -> Result<Vec<StateTensor>, GanError> {
        let Some(last) = specs.last() else {
            return Ok(vec![]);
        };
        let end = (last.offset + last.shape.numel()) as u64 * 4;
        let bytes = self.gpu.download(&self.table.buffers[buffer], 0..end)?;
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        Ok(specs
            .iter()
            .map(|p| StateTensor {
                name: format!("{prefix}{}", p.name),
                shape: p.shape.to_vec(),
                values: values[p.offset..p.offset + p.shape.numel()].to_vec(),
            })
            .collect())
    }

    /// Reads the state back.
    ///
    /// # Errors
    /// Those of the device.
    pub fn state(&self) -> Result<State, GanError> {
        let mut tensors = vec![];
        for (prefix, specs, buffer) in self.arenas() {
            tensors.extend(self.tensors_of(prefix, specs, buffer)?);
        }
        let bytes = counter::COUNT as u64 * 4;
        let counters = self
            .gpu
            .download(&self.table.buffers[self.table.counters], 0..bytes)?;
        let on_device: Vec<u32> = bytemuck::pod_collect_to_vec(&counters);
        let values = [
            self.step,
            self.images_seen,
            self.executions,
            u64::from(on_device[counter::BATCH]),
            u64::from(on_device[counter::STEP_D]),
            u64::from(on_device[counter::STEP_G]),
        ];
        Ok(State {
            tensors,
            counters: COUNTERS.into_iter().zip(values).collect(),
        })
    }

    /// Takes a state over, as if this trainer had come to it.
    ///
    /// # Errors
    /// [`GanError::State`] where a tensor or counter is missing or has another shape; the trainer is unchanged then.
    pub fn restore(&mut self, state: &State) -> Result<(), GanError> {
        let mut arenas = vec![];
        for (prefix, specs, buffer) in self.arenas() {
            arenas.push((buffer, arena_values(state, prefix, specs)?));
        }
        let mut counters = [0u64; COUNTERS.len()];
        for (slot, name) in counters.iter_mut().zip(COUNTERS) {
            *slot = state.counter(name).ok_or_else(|| GanError::State {
                what: name.into(),
                expected: "a counter".into(),
                got: "nothing".into(),
            })?;
        }
        let [step, images_seen, executions, batches, steps_d, steps_g] = counters;
        let mut on_device = [0u32; counter::COUNT];
        on_device[counter::EXECUTION] = executions as u32;
        on_device[counter::BATCH] = batches as u32;
        on_device[counter::STEP_D] = steps_d as u32;
        on_device[counter::STEP_G] = steps_g as u32;
        for (buffer, values) in arenas {
            self.write(buffer, &values)?;
        }
        let buffer = &self.table.buffers[self.table.counters];
        self.gpu
            .upload(buffer, 0, bytemuck::cast_slice(&on_device))?;
        (self.step, self.images_seen, self.executions) = (step, images_seen, executions);
        Ok(())
    }

    /// The gradients of the last updates, as named tensors (`g.<name>`, `d.<name>`).
    ///
    /// # Errors
    /// Those of the device.
    pub fn gradients(&self) -> Result<Vec<StateTensor>, GanError> {
        let (g, d, t) = (
            &self.model.generator,
            &self.model.discriminator,
            &self.table,
        );
        let mut all = self.tensors_of("d.", d.params(), t.d.grads)?;
        all.extend(self.tensors_of("g.", g.params(), t.g.grads)?);
        if let (Some(e), Some(arenas)) = (&self.model.encoder, &t.e) {
            all.extend(self.tensors_of("e.", e.params(), arenas.grads)?);
        }
        Ok(all)
    }
}
