//! Whose work a dispatch is: the layer, the pass and the kind of kernel, for profiles.
use super::super::{Expr, Graph, Op};
use super::Effect;
use super::lower::{KernelNode, Lowering};
use super::memory::{Owner, Schedule};
use serde::Serialize;

/// Which part of a training step a dispatch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Batches and random numbers.
    Data,
    Forward,
    Backward,
    /// A derivative of a derivative.
    SecondOrder,
    /// Optimiser steps, moving averages and counters.
    Optimiser,
}

impl Pass {
    /// As in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Data => "data",
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::SecondOrder => "second_order",
            Pass::Optimiser => "optimiser",
        }
    }
}

/// Whose work a dispatch is. A kernel that computes several fused expressions belongs to the heaviest: its contraction, sum or
/// closeness, or else its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribution {
    /// The scope of the graph, e.g. `d.2 conv2d`.
    pub layer: String,
    pub pass: Pass,
    /// The operation (`conv2d_input_grad`, `sum`, `elementwise`, ..) or the kernel's name (`adam`, ..).
    pub kind: String,
}

/// Of the kernel that computes `node`.
pub(super) fn of_kernel(graph: &Graph, node: &KernelNode) -> Attribution {
    let heart = node.core.unwrap_or(node.root);
    let op = &graph.node(heart).op;
    let (pass, kind) = match op {
        Op::Random { .. } | Op::Source(_) => (Pass::Data, op.name()),
        _ if node.core.is_some() => (pass_of(graph, heart), op.name()),
        _ => (pass_of(graph, heart), "elementwise"),
    };
    Attribution {
        layer: graph.scope(heart).to_string(),
        pass,
        kind: kind.to_string(),
    }
}

/// Of a copy of `from`.
pub(super) fn of_copy(graph: &Graph, from: Expr) -> Attribution {
    moving(graph, from, "copy")
}

/// Of the copy of `from` as f16.
pub(super) fn of_cast(graph: &Graph, from: Expr) -> Attribution {
    moving(graph, from, "cast")
}

fn moving(graph: &Graph, from: Expr, kind: &str) -> Attribution {
    Attribution {
        layer: graph.scope(from).to_string(),
        pass: pass_of(graph, from),
        kind: kind.to_string(),
    }
}

/// Of an effect: its kernel's name without the form, which stands behind it (`adam_vec4`).
pub(super) fn of_effect(effect: &Effect) -> Attribution {
    let label = &effect.kernel.label;
    let form = label.find("_vec4").or_else(|| label.find("_scalar"));
    Attribution {
        layer: effect.scope.to_string(),
        pass: Pass::Optimiser,
        kind: label[..form.unwrap_or(label.len())].to_string(),
    }
}

/// The largest tensor of each temporary slot: operation, shape and layer.
pub(super) fn slot_tensors(lowering: &Lowering, schedule: &Schedule) -> Vec<String> {
    let graph = lowering.graph;
    let describe = |e: Expr| {
        let (what, shape, scope) = (graph.node(e).op.name(), graph.shape(e), graph.scope(e));
        let of = if graph.origin(e).order == 0 {
            "in"
        } else {
            "in the backward pass of"
        };
        match scope {
            "" => format!("{what} {shape}"),
            scope => format!("{what} {shape} {of} {scope}"),
        }
    };
    let name = |owner: Owner| match owner {
        Owner::Result(_, e) => describe(e),
        Owner::Copy(e) => format!("f16 copy of {}", describe(e)),
        Owner::Scratch(k) => {
            let kernel = &lowering.kernels[k];
            let heart = kernel.core.unwrap_or(kernel.root);
            format!("scratch memory of {}", describe(heart))
        }
    };
    let named = schedule.slots.iter().map(|slot| match slot.largest {
        Some((bytes, owner)) if bytes == slot.bytes => name(owner),
        Some((_, owner)) => format!("temporaries, the largest {}", name(owner)),
        None => "temporaries".into(),
    });
    named.collect()
}

fn pass_of(graph: &Graph, e: Expr) -> Pass {
    match graph.origin(e).order {
        0 => Pass::Forward,
        1 => Pass::Backward,
        _ => Pass::SecondOrder,
    }
}
