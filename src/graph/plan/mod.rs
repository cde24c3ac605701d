//! From expressions to a plan: a list of kernels with the buffers they are bound to, and a memory plan. Plain data until
//! [`Plan::prepare`] binds it.
//!
//! A program is a list of stages. A stage computes its outputs into bound regions, then runs its effects (an optimiser step, which
//! overwrites parameters). A leaf says in which stages its memory holds the value meant, so one graph can use the same weights
//! before and after an update, and share everything else between the two.
mod attribution;
mod bindings;
mod contraction;
mod emit;
pub mod evaluate;
mod functions;
mod join;
mod lower;
mod memory;
mod order;
mod pack;
mod precision;
mod stored;
mod text;

use super::{Expr, Graph, GraphError, LeafId, Op, Result, SourceId};
use crate::gpu::{Buffer, Caps, Dispatch, Gpu, GpuError, Kernel};
use crate::kernels;
pub use crate::kernels::Form;
use crate::kernels::Scalar;
use crate::kernels::gemm::{Choices, GemmOp, Variant, Work};
pub use attribution::{Attribution, Pass};
use lower::{KernelNode, Limits, Lowering, addresses_operands, is_contraction};
pub use precision::Precision;
use precision::Storage;
use std::collections::HashMap;
use text::Place;
pub use text::{Bound, Region};

/// Work between stages that is not an expression: optimiser, moving average, counters.
#[derive(Clone)]
pub struct Effect {
    pub kernel: Kernel,
    /// Buffers of the table, in binding order.
    pub buffers: Vec<usize>,
    /// Whose work it is in profiles, e.g. `d` for an optimiser step of D.
    pub scope: &'static str,
    /// Bytes read and written.
    pub bytes: u64,
}

/// Outputs, then effects.
#[derive(Clone, Default)]
pub struct Stage {
    /// Each expression is written to its region before the effects of this stage run.
    pub outputs: Vec<(Expr, Region)>,
    pub effects: Vec<Effect>,
}

/// Makes the kernel that fills a region with a source's next tensor.
pub type SourceKernel = Box<dyn Fn(Region) -> std::result::Result<Effect, String>>;

/// What kernels are made for: an adapter, and the choices among variants that were measured on it.
#[derive(Clone, Debug)]
pub struct Target {
    pub caps: Caps,
    pub form: Form,
    pub precision: Precision,
    pub choices: Choices,
}

impl Target {
    /// The form follows the adapter's class, every variant its rule.
    pub fn of(caps: &Caps) -> Target {
        Target::with_form(caps, Form::of(caps.class))
    }

    /// Kernels of this form whatever the adapter's class: the form for GPUs runs on a CPU adapter too, only slowly.
    pub fn with_form(caps: &Caps, form: Form) -> Target {
        Target {
            caps: caps.clone(),
            form,
            precision: Precision::F32,
            choices: Choices::default(),
        }
    }

    /// The same with temporaries stored so. Only for adapters with f16 (`Caps::f16`): others refuse the kernels.
    pub fn with_precision(self, precision: Precision) -> Target {
        Target { precision, ..self }
    }
}

/// What a program is compiled against.
pub struct Environment {
    pub target: Target,
    /// Where each leaf lies.
    pub leaves: HashMap<LeafId, Region>,
    pub sources: HashMap<SourceId, SourceKernel>,
    /// Buffers of the table, and how many of their elements, whose contents do not matter until the program first touches them:
    /// temporaries may lie there before.
    pub lent: Vec<(usize, usize)>,
    /// Number of buffers in the table that are bound by the caller; the pool's slots come after them.
    pub bound_buffers: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Buffer of u32 counters, and the index in it of the execution number that random numbers depend on.
    pub counters: usize,
    pub execution_counter: usize,
}

impl Environment {
    /// An environment without leaves.
    pub fn new(target: Target, bound_buffers: usize, counters: usize, seed: u64) -> Self {
        Environment {
            target,
            leaves: HashMap::new(),
            sources: HashMap::new(),
            lent: vec![],
            bound_buffers,
            seed,
            counters,
            execution_counter: 0,
        }
    }
}

/// One dispatch of a plan.
#[derive(Clone, Debug)]
pub struct Step {
    pub kernel: Kernel,
    /// Buffers of the table, in binding order.
    pub buffers: Vec<usize>,
    /// Floating point operations: 2 per multiply-add of contractions with a kernel of their own, 0 for the rest.
    pub flops: u64,
    /// Bytes read and written if every operand moves once.
    pub bytes: u64,
    pub attribution: Attribution,
}

/// A matrix product or convolution of a plan, and how it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contraction {
    pub op: GemmOp,
    /// How A, B and C are stored.
    pub formats: [Scalar; 3],
    pub variant: Variant,
}

/// A compiled program: plain data.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// One per product with a kernel of its own, in order of execution.
    pub contractions: Vec<Contraction>,
    /// Bytes of each temporary slot, largest first; slot k is buffer `bound_buffers + k` of the table.
    pub slots: Vec<u64>,
    /// The largest tensor of each slot, in words, for messages about memory.
    pub slot_tensors: Vec<String>,
}

impl Plan {
    /// Compiles the stages of one program.
    ///
    /// # Errors
    /// [`GraphError::Unbound`], [`GraphError::Stale`], [`GraphError::TooLarge`], [`GraphError::Kernel`].
    pub fn compile(graph: &Graph, stages: &[Stage], env: &Environment) -> Result<Plan> {
        let outputs: Vec<Vec<Expr>> = stages
            .iter()
            .map(|s| {
                let computed = s.outputs.iter().map(|(e, _)| *e);
                computed.filter(|&e| graph.leaf_id(e).is_none()).collect()
            })
            .collect();
        let lowering = Lowering::new(graph, &outputs, Limits::of(&env.target.caps))?;
        let schedule = memory::schedule(&lowering, stages, env)?;
        let mut plan = Plan {
            steps: vec![],
            contractions: vec![],
            slots: schedule.slots.iter().map(|s| s.bytes).collect(),
            slot_tensors: attribution::slot_tensors(&lowering, &schedule),
        };
        let place = |e: Expr| schedule.place(e, env);
        for item in &schedule.items {
            match item {
                memory::Item::Kernel(k) => {
                    let node = &lowering.kernels[*k];
                    let attribution = attribution::of_kernel(graph, node);
                    let mut step = |bound: Bound, flops: u64, bytes: u64| {
                        plan.steps.push(Step {
                            flops,
                            bytes,
                            attribution: attribution.clone(),
                            kernel: bound.kernel,
                            buffers: bound.buffers,
                        });
                    };
                    let bytes = bytes(&lowering, *k, &schedule.storage);
                    match node.core.filter(|&c| is_contraction(graph, c)) {
                        Some(core) => {
                            let (contraction, passes) =
                                contraction::passes(&lowering, (*k, core), &schedule, env)?;
                            let products = passes.iter().filter(|p| p.1 == Work::Product);
                            let products = products.count() as u64;
                            let flops = contraction.op.flops();
                            for (bound, work) in passes {
                                match work {
                                    Work::Product => {
                                        step(bound, flops / products, bytes / products);
                                    }
                                    Work::Around { floats } => step(bound, 0, 8 * floats),
                                }
                            }
                            plan.contractions.push(contraction);
                        }
                        None => step(kernel_of(&lowering, node, &place, env)?, 0, bytes),
                    }
                }
                memory::Item::Cast(e) => {
                    let to = schedule.copy(*e);
                    let bound = text::cast(&lowering, *e, place(*e), to, &env.target);
                    plan.steps.push(Step {
                        kernel: bound.kernel,
                        buffers: bound.buffers,
                        flops: 0,
                        bytes: 6 * graph.shape(*e).numel() as u64,
                        attribution: attribution::of_cast(graph, *e),
                    });
                }
                memory::Item::Copy { from, to } => {
                    let elements = graph.shape(*from).numel();
                    let source = place(*from).region;
                    let kernel =
                        kernels::copy::kernel(&env.target.caps, elements, source.offset, to.offset);
                    plan.steps.push(Step {
                        kernel,
                        buffers: vec![source.buffer, to.buffer],
                        flops: 0,
                        bytes: 8 * elements as u64,
                        attribution: attribution::of_copy(graph, *from),
                    });
                }
                memory::Item::Effect(effect) => plan.steps.push(Step {
                    kernel: effect.kernel.clone(),
                    buffers: effect.buffers.clone(),
                    flops: 0,
                    bytes: effect.bytes,
                    attribution: attribution::of_effect(effect),
                }),
            }
        }
        Ok(plan)
    }

    /// Binds every step to the table of buffers. Everything the device needs is created here, once.
    ///
    /// # Errors
    /// As for [`Gpu::prepare`].
    pub fn prepare(
        &self,
        gpu: &Gpu,
        table: &[Buffer],
    ) -> std::result::Result<Vec<Dispatch>, GpuError> {
        gpu.prepare_pipelines(self.steps.iter().map(|s| &s.kernel))?;
        self.steps
            .iter()
            .map(|s| {
                let buffers: Vec<&Buffer> = s.buffers.iter().map(|&b| &table[b]).collect();
                gpu.prepare(&s.kernel, &buffers)
            })
            .collect()
    }
    /// Floating point operations of one execution (contractions only).
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|s| s.flops).sum()
    }
    /// The steps as text: position, kernel, grid, buffers.
    pub fn listing(&self) -> String {
        let mut text = String::new();
        for (k, s) in self.steps.iter().enumerate() {
            text += &format!(
                "{k:4} {:60} grid {:?} buffers {:?} {:.3} MFLOP {:.1} KiB\n",
                s.kernel.label,
                s.kernel.grid,
                s.buffers,
                s.flops as f64 / 1e6,
                s.bytes as f64 / 1024.0
            );
        }
        text
    }
}

/// Bytes of the pool's slots that serve several plans in turn: slot by slot the largest.
pub fn pool_slots<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Vec<u64> {
    let mut slots: Vec<u64> = vec![];
    for plan in plans {
        for (k, &size) in plan.slots.iter().enumerate() {
            match slots.get_mut(k) {
                Some(s) => *s = size.max(*s),
                None => slots.push(size),
            }
        }
    }
    slots
}

fn kernel_of(
    lowering: &Lowering,
    node: &KernelNode,
    place: &dyn Fn(Expr) -> Place,
    env: &Environment,
) -> Result<Bound> {
    let graph = lowering.graph;
    let root = node.root;
    let Some(core) = node.core else {
        return Ok(text::elementwise(lowering, root, place, &env.target));
    };
    let op = &graph.node(core).op;
    match op {
        Op::Sum { .. } => Ok(text::reduce(lowering, node, place, &env.target)),
        Op::Random {
            distribution,
            stream,
        } => {
            let region = place(root).region;
            let params = kernels::random::Params {
                distribution: match distribution {
                    super::Distribution::Uniform => kernels::random::Distribution::Uniform,
                    super::Distribution::Normal => kernels::random::Distribution::Normal,
                    super::Distribution::Bernoulli(p) => {
                        kernels::random::Distribution::Bernoulli(p.0)
                    }
                },
                count: graph.shape(root).numel() as u32,
                offset: region.offset as u32,
                seed: env.seed,
                stream: *stream,
                execution_counter: env.execution_counter as u32,
            };
            Ok(Bound {
                kernel: kernels::random::kernel(&env.target.caps, &params),
                buffers: vec![env.counters, region.buffer],
            })
        }
        Op::Source(id) => {
            let (name, shape) = graph.source_info(*id);
            let make = env
                .sources
                .get(id)
                .ok_or_else(|| GraphError::Unbound { name: name.clone() })?;
            let effect = make(place(root).region).map_err(|reason| GraphError::Kernel {
                op: "source",
                shape: shape.clone(),
                reason: format!("{name}: {reason}"),
            })?;
            Ok(Bound {
                kernel: effect.kernel,
                buffers: effect.buffers,
            })
        }
        Op::Closeness { dims } | Op::ClosenessGrad { dims } => {
            let inputs = &graph.node(core).inputs;
            let places: Vec<Place> = inputs.iter().map(|&x| place(lowering.storage(x))).collect();
            let stored = |place: &Place| (place.region.offset as u32, place.scalar);
            let shape = graph.shape(inputs[0]);
            let params = kernels::closeness::Params {
                kernels: shape[0] / dims,
                dims: *dims,
                n: shape[1],
                x: stored(&places[0]),
                g: places.get(1).map(stored),
                y: stored(&place(root)),
            };
            let mut buffers: Vec<usize> = places.iter().map(|p| p.region.buffer).collect();
            buffers.push(place(root).region.buffer);
            Ok(Bound {
                kernel: kernels::closeness::kernel(&env.target.caps, env.target.form, &params),
                buffers,
            })
        }
        other => unreachable!("{} has no kernel of its own", other.name()),
    }
}

fn bytes(lowering: &Lowering, k: usize, storage: &Storage) -> u64 {
    let node = &lowering.kernels[k];
    let of = |e: Expr, scalar: Scalar| lowering.graph.shape(e).numel() as u64 * scalar.bytes();
    // A kernel of expressions may read a part of a tensor: not more than it computes elements from.
    let whole = |c: Expr| addresses_operands(lowering.graph, c);
    let most = match node.core.is_some_and(whole) {
        true => usize::MAX,
        false => lowering.elements(node),
    };
    let reads = node.reads.iter().map(|&r| {
        let (whole, scalar) = (of(r, storage.operand(k, r)), storage.operand(k, r));
        whole.min((most as u64).saturating_mul(scalar.bytes()))
    });
    let writes = node.roots().map(|e| of(e, storage.scalar(e)));
    writes.sum::<u64>() + reads.sum::<u64>()
}
