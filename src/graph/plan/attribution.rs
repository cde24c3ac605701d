//! Whose work a dispatch is: the layer, the pass and the kind of kernel, for profiles.
use super::super::{Expr, Graph, Op};
use super::lower::{KernelNode, Lowering};
use super::memory::Schedule;
use super::{Effect, Environment};
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
pub(super) fn slot_tensors(
    lowering: &Lowering,
    schedule: &Schedule,
    env: &Environment,
) -> Vec<String> {
    let graph = lowering.graph;
    let mut largest: Vec<Option<Expr>> = vec![None; schedule.slots.len()];
    for root in lowering.kernels.iter().flat_map(|k| k.roots()) {
        let buffer = schedule.place(root, env).region.buffer;
        let Some(slot) = buffer.checked_sub(env.bound_buffers) else {
            continue;
        };
        let size = |e: Expr| graph.shape(e).numel();
        if largest[slot].is_none_or(|other| size(other) < size(root)) {
            largest[slot] = Some(root);
        }
    }
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
    let named = largest.into_iter().zip(&schedule.slots).map(|(e, &slot)| {
        let e = e?;
        let bytes = graph.shape(e).numel() as u64 * schedule.storage.scalar(e).bytes();
        Some(match bytes.next_multiple_of(16) == slot {
            true => describe(e),
            false => format!("temporaries, the largest {}", describe(e)),
        })
    });
    named.map(Option::unwrap_or_default).collect()
}

fn pass_of(graph: &Graph, e: Expr) -> Pass {
    match graph.origin(e).order {
        0 => Pass::Forward,
        1 => Pass::Backward,
        _ => Pass::SecondOrder,
    }
}
