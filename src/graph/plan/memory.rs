//! Order of execution and the memory plan: outputs go straight to their regions where that is safe, everything else to
//! temporary slots that are reused as soon as the last reader has run.
use super::contraction;
use super::lower::{Lowering, is_contraction};
use super::precision::Storage;
use super::text::{Place, Region};
use super::{Effect, Environment, Stage, too_large};
use crate::graph::{Expr, GraphError, Op, Result};
use crate::kernels::Scalar;
use std::collections::{HashMap, HashSet};

/// One thing to run.
pub enum Item {
    /// Index of a kernel of the lowering.
    Kernel(usize),
    /// Makes the f16 copy of an expression that contractions read.
    Cast(Expr),
    Copy {
        from: Expr,
        to: Region,
    },
    Effect(Effect),
}

/// The order of execution, and where every stored expression lies.
pub struct Schedule<'g> {
    pub items: Vec<Item>,
    /// Bytes of each temporary slot, largest first.
    pub slots: Vec<u64>,
    /// How everything is stored.
    pub storage: Storage,
    regions: HashMap<Expr, Region>,
    /// By expression: the slot of its f16 copy.
    casts: HashMap<Expr, usize>,
    /// By kernel: the slot that its passes share.
    scratch: HashMap<usize, usize>,
    graph: &'g crate::graph::Graph,
}

impl Schedule<'_> {
    /// Where a stored expression lies.
    pub fn place(&self, e: Expr, env: &Environment) -> Place {
        let region = match self.graph.node(e).op {
            Op::Leaf(id) => env.leaves[&id],
            _ => self.regions[&e],
        };
        let scalar = self.storage.scalar(e);
        Place { region, scalar }
    }

    /// Where the f16 copy of an expression lies.
    pub fn copy(&self, e: Expr, env: &Environment) -> Place {
        let buffer = env.bound_buffers + self.casts[&e];
        Place {
            region: Region { buffer, offset: 0 },
            scalar: Scalar::F16,
        }
    }

    /// Where kernel k's contraction reads its operand `e`.
    pub fn operand(&self, k: usize, e: Expr, env: &Environment) -> Place {
        match self.storage.copied(k).contains(&e) {
            true => self.copy(e, env),
            false => self.place(e, env),
        }
    }

    /// The memory that the passes of kernel `k` share, where its variant asks for any.
    pub fn scratch(&self, k: usize, env: &Environment) -> Option<Region> {
        self.scratch.get(&k).map(|slot| Region {
            buffer: env.bound_buffers + slot,
            offset: 0,
        })
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
    let outputs = stages.iter().flat_map(|s| &s.outputs).map(|(e, _)| *e);
    let storage = Storage::new(lowering, &outputs.collect(), env.target.precision);
    let mut items = vec![];
    let mut cast: HashSet<Expr> = HashSet::new();
    for (s, stage) in stages.iter().enumerate() {
        for k in (0..lowering.kernels.len()).filter(|&k| lowering.kernels[k].stage == s) {
            let new = storage.copied(k).iter().filter(|&&e| cast.insert(e));
            items.extend(new.map(|&e| Item::Cast(e)));
            items.push(Item::Kernel(k));
        }
        items.extend(copies[s].iter().map(|&(from, to)| Item::Copy { from, to }));
        items.extend(stage.effects.iter().cloned().map(Item::Effect));
    }
    let mut last_read: HashMap<Expr, usize> = HashMap::new();
    let mut last_read_copy: HashMap<Expr, usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        match item {
            Item::Kernel(k) => {
                for &r in &lowering.kernels[*k].reads {
                    last_read.insert(r, at);
                }
                let copied = storage.copied(*k).iter();
                last_read_copy.extend(copied.map(|&e| (e, at)));
            }
            Item::Copy { from, .. } | Item::Cast(from) => {
                last_read.insert(*from, at);
            }
            Item::Effect(_) => {}
        }
    }
    let mut regions = direct;
    let mut slots: Vec<u64> = vec![];
    let mut free: Vec<usize> = vec![];
    let mut expiring: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut slot_of: HashMap<Expr, usize> = HashMap::new();
    let mut scratch: HashMap<usize, usize> = HashMap::new();
    let mut casts: HashMap<Expr, usize> = HashMap::new();
    let bytes = |e: Expr, scalar: Scalar| graph.shape(e).numel() as u64 * scalar.bytes();
    for (at, item) in items.iter().enumerate() {
        if let Item::Kernel(k) = item {
            let floats = scratch_len(lowering, *k, &storage, env)?;
            if floats > 0 {
                let slot = take_slot(&mut slots, &mut free, 4 * floats);
                scratch.insert(*k, slot);
                expiring.entry(at).or_default().push(slot);
            }
            let root = lowering.kernels[*k].root;
            if !regions.contains_key(&root) {
                let bytes = bytes(root, storage.scalar(root));
                let slot = take_slot(&mut slots, &mut free, bytes);
                slot_of.insert(root, slot);
                let end = last_read.get(&root).copied().unwrap_or(at);
                expiring.entry(end).or_default().push(slot);
            }
        } else if let Item::Cast(e) = item {
            let slot = take_slot(&mut slots, &mut free, bytes(*e, Scalar::F16));
            casts.insert(*e, slot);
            let end = last_read_copy.get(e).copied().unwrap_or(at);
            expiring.entry(end).or_default().push(slot);
        }
        free.extend(expiring.remove(&at).unwrap_or_default());
    }
    // Largest first, so that programs that share a pool agree about its slots.
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_by_key(|&k| (std::cmp::Reverse(slots[k]), k));
    let mut rank = vec![0; slots.len()];
    for (r, &k) in order.iter().enumerate() {
        rank[k] = r;
    }
    for (e, slot) in slot_of {
        let buffer = env.bound_buffers + rank[slot];
        regions.insert(e, Region { buffer, offset: 0 });
    }
    for slot in scratch.values_mut().chain(casts.values_mut()) {
        *slot = rank[*slot];
    }
    let slots = order.iter().map(|&k| slots[k]).collect();
    Ok(Schedule {
        items,
        slots,
        storage,
        regions,
        casts,
        scratch,
        graph,
    })
}

/// Floats of scratch memory that a kernel needs; within the adapter's limit, or the variant would be refused later.
fn scratch_len(lowering: &Lowering, k: usize, storage: &Storage, env: &Environment) -> Result<u64> {
    let graph = lowering.graph;
    let core = lowering.kernels[k].core;
    let Some(core) = core.filter(|&c| is_contraction(&graph.node(c).op)) else {
        return Ok(0);
    };
    let chosen = contraction::choose(lowering, (k, core), storage, env)?;
    Ok(chosen.variant.scratch(&chosen.op))
}

/// The smallest free slot that is large enough; else the largest free one, grown; else a new one.
/// Whole vectors of four f32.
fn take_slot(slots: &mut Vec<u64>, free: &mut Vec<usize>, bytes: u64) -> usize {
    let bytes = bytes.next_multiple_of(16);
    let fitting = (0..free.len())
        .filter(|&f| slots[free[f]] >= bytes)
        .min_by_key(|&f| (slots[free[f]], free[f]));
    let growing = || (0..free.len()).max_by_key(|&f| (slots[free[f]], free[f]));
    match fitting.or_else(growing) {
        Some(f) => {
            let slot = free.swap_remove(f);
            slots[slot] = slots[slot].max(bytes);
            slot
        }
        None => {
            slots.push(bytes);
            slots.len() - 1
        }
    }
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
