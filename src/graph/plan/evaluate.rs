//! Evaluates expressions once on the device: for tests, tools and small questions. Training compiles its programs once instead.
use super::{Environment, Form, Plan, Precision, Region, Stage, Target};
use crate::gpu::{Buffer, Gpu, GpuError};
use crate::graph::{Expr, Graph, GraphError};

/// What can go wrong in [`evaluate`].
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// How to evaluate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Kernels of this form, whatever the adapter's class; None follows the class.
    pub form: Option<Form>,
    /// How large temporaries are stored.
    pub precision: Precision,
    /// Seed and execution number of random tensors.
    pub seed: u64,
    pub execution: u32,
}

/// Tensors one after the other in one buffer, each at a multiple of 4 elements.
pub struct Layout {
    pub offsets: Vec<usize>,
    pub elements: usize,
}

/// Lays tensors of these sizes out in one buffer.
pub fn layout(sizes: impl IntoIterator<Item = usize>) -> Layout {
    let (mut offsets, mut elements) = (vec![], 0);
    for size in sizes {
        offsets.push(elements);
        elements += size.next_multiple_of(4);
    }
    Layout { offsets, elements }
}

/// Values of `outputs`, with `inputs` bound to leaves. Outputs and temporaries are filled with NaN first, so an element that no
/// kernel writes shows.
///
/// # Errors
/// Those of compilation and of the device.
pub fn evaluate(
    gpu: &Gpu,
    graph: &Graph,
    inputs: &[(Expr, &[f32])],
    outputs: &[Expr],
    options: Options,
) -> Result<Vec<Vec<f32>>, EvaluateError> {
    let size = |e: Expr| graph.shape(e).numel();
    let ins = layout(inputs.iter().map(|(e, _)| size(*e)));
    let outs = layout(outputs.iter().map(|e| size(*e)));
    let (input_buffer, output_buffer, counter_buffer) = (0, 1, 2);
    let form = options.form.unwrap_or(Form::of(gpu.caps().class));
    let target = Target::with_form(gpu.caps(), form).with_precision(options.precision);
    let mut env = Environment::new(target, 3, counter_buffer, options.seed);
    for ((e, _), &offset) in inputs.iter().zip(&ins.offsets) {
        if let Some(id) = graph.leaf_id(*e) {
            let buffer = input_buffer;
            env.leaves.insert(id, Region { buffer, offset });
        }
    }
    let stage = Stage {
        outputs: outputs
            .iter()
            .zip(&outs.offsets)
            .map(|(&e, &offset)| {
                let buffer = output_buffer;
                (e, Region { buffer, offset })
            })
            .collect(),
        effects: vec![],
    };
    let plan = Plan::compile(graph, &[stage], &env)?;
    let mut host = vec![f32::NAN; ins.elements.max(4)];
    for ((_, values), &offset) in inputs.iter().zip(&ins.offsets) {
        host[offset..offset + values.len()].copy_from_slice(values);
    }
    let nan = |label: &str, elements: usize| -> Result<Buffer, GpuError> {
        gpu.buffer_from(
            label,
            bytemuck::cast_slice(&vec![f32::NAN; elements.max(4)]),
        )
    };
    let mut table = vec![
        gpu.buffer_from("inputs", bytemuck::cast_slice(&host))?,
        nan("outputs", outs.elements)?,
        gpu.buffer_from(
            "counters",
            bytemuck::cast_slice(&[options.execution, 0, 0, 0]),
        )?,
    ];
    for (k, &bytes) in plan.slots.iter().enumerate() {
        // All ones are NaN in either precision.
        table.push(gpu.buffer_from(&format!("slot {k}"), &vec![0xff; bytes as usize])?);
    }
    let dispatches = plan.prepare(gpu, &table)?;
    gpu.submit(&dispatches)?;
    let bytes = gpu.download(&table[output_buffer], 0..outs.elements as u64 * 4)?;
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
    Ok(outputs
        .iter()
        .zip(&outs.offsets)
        .map(|(&e, &offset)| values[offset..offset + size(e)].to_vec())
        .collect())
}
