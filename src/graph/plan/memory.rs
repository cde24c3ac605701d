//! Order of execution and the memory plan: outputs go straight to their regions where that is safe, everything else into a few
//! temporary buffers, whose parts are reused as soon as the last reader has run.
use super::contraction;
use super::lower::{Lowering, is_contraction};
use super::pack::{Lent, Problem, Tensor, pack};
use super::text::Region;
use super::{Effect, Environment, Stage, order, too_large};
use crate::graph::{Expr, GraphError, Op, Result};
use std::collections::{HashMap, HashSet};

/// One thing to run.
pub enum Item {
    /// Index of a kernel of the lowering.
    Kernel(usize),
    Copy {
        from: Expr,
        to: Region,
    },
    Effect(Effect),
}

/// The order of execution, and where every stored expression lies.
pub struct Schedule<'g> {
    pub items: Vec<Item>,
    /// Elements of each temporary buffer, largest first.
    pub slots: Vec<usize>,
    regions: HashMap<Expr, Region>,
    /// By kernel: the memory that its passes share.
    scratch: HashMap<usize, Region>,
    graph: &'g crate::graph::Graph,
}

impl Schedule<'_> {
    /// Where a stored expression lies.
    pub fn place(&self, e: Expr, env: &Environment) -> Region {
        match self.graph.node(e).op {
            Op::Leaf(id) => env.leaves[&id],
            _ => self.regions[&e],
        }
    }

    /// The memory that the passes of kernel `k` share, where its variant asks for any.
    pub fn scratch(&self, k: usize) -> Option<Region> {
        self.scratch.get(&k).copied()
    }
}

/// Orders kernels, copies and effects, and assigns memory.
pub fn schedule<'g>(
    lowering: &Lowering<'g>,
    stages: &[Stage],
    env: &Environment,
) -> Result<Schedule<'g>> {
    let graph = lowering.graph;
    check_leaves(lowering, stages, env)?;
    let kernel_at: HashMap<Expr, usize> = lowering
        .kernels
        .iter()
        .enumerate()
        .map(|(k, n)| (n.root, k))
        .collect();
    // Outputs that can be written in place, and those that need a copy at the end of their stage.
    let mut direct: HashMap<Expr, Region> = HashMap::new();
    let mut copies: Vec<Vec<(Expr, Region)>> = vec![vec![]; stages.len()];
    // An expression that is wanted in several places is computed aside and copied to each.
    let wanted = |e: Expr| {
        let all = stages.iter().flat_map(|s| &s.outputs);
        all.filter(|(other, _)| *other == e).count()
    };
    for (s, stage) in stages.iter().enumerate() {
        for &(e, region) in &stage.outputs {
            let safe = kernel_at.get(&e).is_some_and(|&k| {
                wanted(e) == 1
                    && lowering.kernels[k].stage == s
                    && may_write(lowering, stages, k, region, env)
            });
            if safe {
                direct.insert(e, region);
            } else {
                copies[s].push((e, region));
            }
        }
    }
    let roots = lowering.kernels.iter().map(|k| k.root);
    let kept: HashSet<Expr> = roots.filter(|e| !direct.contains_key(e)).collect();
    let copied: Vec<Vec<Expr>> = copies
        .iter()
        .map(|list| list.iter().map(|c| c.0).collect())
        .collect();
    let orders = order::stages(lowering, stages.len(), &kept, &copied);
    let mut items = vec![];
    for ((stage, order), copies) in stages.iter().zip(orders).zip(&copies) {
        items.extend(order.into_iter().map(Item::Kernel));
        items.extend(copies.iter().map(|&(from, to)| Item::Copy { from, to }));
        items.extend(stage.effects.iter().cloned().map(Item::Effect));
    }
    let mut last_read: HashMap<Expr, usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        match item {
            Item::Kernel(k) => {
                for &r in &lowering.kernels[*k].reads {
                    last_read.insert(r, at);
                }
            }
            Item::Copy { from, .. } => {
                last_read.insert(*from, at);
            }
            Item::Effect(_) => {}
        }
    }
    let mut tensors = vec![];
    let mut index_of: HashMap<Expr, usize> = HashMap::new();
    let mut scratch_of: HashMap<usize, usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        if let Item::Kernel(k) = item {
            let elements = scratch_len(lowering, *k, env)?;
            if elements > 0 {
                scratch_of.insert(*k, tensors.len());
                tensors.push(Tensor {
                    elements: elements.next_multiple_of(4),
                    first: at,
                    last: at,
                });
            }
            let root = lowering.kernels[*k].root;
            if kept.contains(&root) {
                index_of.insert(root, tensors.len());
                tensors.push(Tensor {
                    elements: graph.shape(root).numel().next_multiple_of(4),
                    first: at,
                    last: last_read.get(&root).copied().unwrap_or(at),
                });
            }
        }
    }
    let apart = apart(lowering, &index_of, &scratch_of, tensors.len());
    let lent: Vec<Lent> = env
        .lent
        .iter()
        .map(|&(buffer, elements)| {
            let until = items
                .iter()
                .position(|item| touches(lowering, item, buffer, &direct, env));
            let until = until.unwrap_or(items.len());
            Lent { elements, until }
        })
        .collect();
    let limit = (env
        .target
        .caps
        .max_binding_bytes
        .min(env.target.caps.max_buffer_bytes)
        / 16
        * 4) as usize;
    let packed = pack(Problem {
        tensors: &tensors,
        apart: &apart,
        lent: &lent,
        limit,
    });
    let mut regions = direct;
    let place = |t: usize| {
        let (slot, offset) = packed.places[t];
        let buffer = match env.lent.get(slot) {
            Some(&(buffer, _)) => buffer,
            None => env.bound_buffers + slot - lent.len(),
        };
        Region { buffer, offset }
    };
    regions.extend(index_of.into_iter().map(|(e, t)| (e, place(t))));
    let scratch = scratch_of.into_iter().map(|(k, t)| (k, place(t))).collect();
    Ok(Schedule {
        items,
        slots: packed.pool,
        regions,
        scratch,
        graph,
    })
}

/// Elements of scratch memory that a kernel needs; within the adapter's limit, or the variant would be refused later.
fn scratch_len(lowering: &Lowering, k: usize, env: &Environment) -> Result<usize> {
    let graph = lowering.graph;
    let core = lowering.kernels[k].core;
    let Some(core) = core.filter(|&c| is_contraction(&graph.node(c).op)) else {
        return Ok(0);
    };
    let chosen = contraction::choose(graph, core, env)?;
    Ok(chosen.variant.scratch(&chosen.op) as usize)
}

/// True when the item reads or writes what belongs in a buffer of the caller's.
fn touches(
    lowering: &Lowering,
    item: &Item,
    buffer: usize,
    direct: &HashMap<Expr, Region>,
    env: &Environment,
) -> bool {
    let leaf = |e: &Expr| {
        let id = lowering.graph.leaf_id(*e);
        id.and_then(|id| env.leaves.get(&id))
    };
    let inside = |e: &Expr| {
        let region = leaf(e).or_else(|| direct.get(e));
        region.is_some_and(|r| r.buffer == buffer)
    };
    match item {
        Item::Kernel(k) => {
            let kernel = &lowering.kernels[*k];
            inside(&kernel.root) || kernel.reads.iter().any(inside)
        }
        Item::Copy { from, to } => to.buffer == buffer || inside(from),
        Item::Effect(effect) => effect.buffers.contains(&buffer),
    }
}

/// For each tensor those that must lie in other buffers: what a contraction reads is bound beside what it writes, and no buffer may
/// be bound for both; its scratch memory is written by one pass and read by the next. Elementwise kernels and sums read what lies in
/// their result's buffer through that binding.
fn apart(
    lowering: &Lowering,
    index_of: &HashMap<Expr, usize>,
    scratch_of: &HashMap<usize, usize>,
    count: usize,
) -> Vec<Vec<usize>> {
    let graph = lowering.graph;
    let mut apart = vec![vec![]; count];
    let mut separate = |one: usize, other: usize| {
        apart[one].push(other);
        apart[other].push(one);
    };
    for (k, kernel) in lowering.kernels.iter().enumerate() {
        let contraction = kernel
            .core
            .is_some_and(|c| is_contraction(&graph.node(c).op));
        if !contraction {
            continue;
        }
        let written = index_of.get(&kernel.root);
        let scratch = scratch_of.get(&k);
        let read = kernel.reads.iter().filter_map(|r| index_of.get(r));
        for &read in read {
            written.into_iter().for_each(|&w| separate(w, read));
            scratch.into_iter().for_each(|&s| separate(s, read));
        }
        if let (Some(&written), Some(&scratch)) = (written, scratch) {
            separate(written, scratch);
        }
    }
    apart
}

fn check_leaves(lowering: &Lowering, stages: &[Stage], env: &Environment) -> Result<()> {
    let graph = lowering.graph;
    let limit = env.target.caps.max_binding_bytes;
    let outputs = stages
        .iter()
        .flat_map(|s| s.outputs.iter().map(|(e, _)| *e));
    let reads = lowering
        .kernels
        .iter()
        .flat_map(|k| k.reads.iter().copied());
    for e in reads.chain(outputs) {
        let node = graph.node(e);
        if let Op::Leaf(id) = node.op
            && !env.leaves.contains_key(&id)
        {
            let name = graph.leaf_info(id).name.clone();
            return Err(GraphError::Unbound { name });
        }
        if node.shape.numel() as u64 * 4 > limit {
            return Err(too_large(node.op.name(), &node.shape, limit));
        }
    }
    Ok(())
}

/// True when kernel k may write `region` itself: nobody else still needs what lies there, and the kernel does not read from
/// the same buffer in a way that would clash with writing it.
fn may_write(
    lowering: &Lowering,
    stages: &[Stage],
    k: usize,
    region: Region,
    env: &Environment,
) -> bool {
    let graph = lowering.graph;
    let outputs = || stages.iter().flat_map(|s| &s.outputs);
    let region_of = |e: Expr| match graph.node(e).op {
        Op::Leaf(id) => env.leaves.get(&id).copied(),
        _ => None,
    };
    let others_read = lowering
        .kernels
        .iter()
        .enumerate()
        .any(|(other, n)| other != k && n.reads.iter().any(|&r| region_of(r) == Some(region)));
    let node = &lowering.kernels[k];
    // What is read may lie in the buffer that is written: a leaf, or another output.
    let same_buffer = |e: &Expr| {
        region_of(*e).is_some_and(|r| r.buffer == region.buffer)
            || outputs().any(|(other, r)| other == e && r.buffer == region.buffer)
    };
    let clash = match node.core {
        Some(_) => node.reads.iter().any(same_buffer),
        // Elementwise kernels may update in place.
        None => !lowering.reads_plainly(node.root, |e| region_of(e) == Some(region)),
    };
    !others_read && !clash
}
