//! Order of execution and the memory plan: outputs go straight to their regions where that is safe, everything else into a few
//! temporary buffers, whose parts are reused as soon as the last reader has run.
use super::contraction;
use super::lower::{Lowering, addresses_operands, is_contraction};
use super::pack::{Lent, Problem, Tensor, pack};
use super::precision::Storage;
use super::text::{Place, Region, read_in_fours};
use super::{Effect, Environment, Stage, order};
use crate::graph::{Expr, GraphError, Op, Result};
use crate::kernels::Scalar;
use std::cmp::Reverse;
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

/// Whose temporary memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A result of a kernel of the lowering.
    Result(usize, Expr),
    /// The f16 copy of an expression.
    Copy(Expr),
    /// What the passes of a kernel share.
    Scratch(usize),
}

/// A temporary buffer.
pub struct Slot {
    pub bytes: u64,
    /// The largest of what lies there, and its bytes.
    pub largest: Option<(u64, Owner)>,
}

/// The order of execution, and where every stored expression lies.
pub struct Schedule<'g> {
    pub items: Vec<Item>,
    /// Largest first.
    pub slots: Vec<Slot>,
    /// How everything is stored.
    pub storage: Storage,
    regions: HashMap<Expr, Region>,
    /// By expression: where its f16 copy lies.
    casts: HashMap<Expr, Region>,
    /// By kernel: the memory that its passes share.
    scratch: HashMap<usize, [Option<Region>; 2]>,
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
    pub fn copy(&self, e: Expr) -> Place {
        Place {
            region: self.casts[&e],
            scalar: Scalar::F16,
        }
    }

    /// Where kernel k's contraction reads its operand `e`.
    pub fn operand(&self, k: usize, e: Expr, env: &Environment) -> Place {
        match self.storage.copied(k).contains(&e) {
            true => self.copy(e),
            false => self.place(e, env),
        }
    }

    /// The memory that the passes of kernel `k` share, where its variant asks for any.
    pub fn scratch(&self, k: usize) -> [Option<Region>; 2] {
        self.scratch.get(&k).copied().unwrap_or_default()
    }
}

/// Orders kernels, copies and effects, and assigns memory.
pub fn schedule<'g>(
    lowering: &Lowering<'g>,
    stages: &[Stage],
    env: &Environment,
) -> Result<Schedule<'g>> {
    let graph = lowering.graph;
    let outputs = stages.iter().flat_map(|s| &s.outputs).map(|(e, _)| *e);
    let storage = Storage::new(lowering, &outputs.collect(), env.target.precision);
    check_leaves(lowering, stages, &storage, env)?;
    let kernel_at: HashMap<Expr, usize> = lowering
        .kernels
        .iter()
        .enumerate()
        .flat_map(|(k, n)| n.roots().map(move |root| (root, k)))
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
    let roots = lowering.kernels.iter().flat_map(|k| k.roots());
    let kept: HashSet<Expr> = roots.filter(|e| !direct.contains_key(e)).collect();
    let copied: Vec<Vec<Expr>> = copies
        .iter()
        .map(|list| list.iter().map(|c| c.0).collect())
        .collect();
    let orders = order::stages(lowering, stages.len(), &kept, &copied);
    let mut items = vec![];
    let mut cast: HashSet<Expr> = HashSet::new();
    for ((stage, order), copies) in stages.iter().zip(orders).zip(&copies) {
        for k in order {
            let new = storage.copied(k).iter().filter(|&&e| cast.insert(e));
            items.extend(new.map(|&e| Item::Cast(e)));
            items.push(Item::Kernel(k));
        }
        items.extend(copies.iter().map(|&(from, to)| Item::Copy { from, to }));
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
    let (mut tensors, mut owners) = (vec![], vec![]);
    let mut index_of: HashMap<Expr, usize> = HashMap::new();
    let mut scratch_of: HashMap<usize, [Option<usize>; 2]> = HashMap::new();
    let mut cast_of: HashMap<Expr, usize> = HashMap::new();
    // Whole vectors of four f32.
    let words = |elements: usize, scalar: Scalar| {
        let bytes = elements as u64 * scalar.bytes();
        bytes.div_ceil(4).next_multiple_of(4) as usize
    };
    for (at, item) in items.iter().enumerate() {
        if let Item::Kernel(k) = item {
            let parts = scratch_lens(lowering, *k, &storage, env)?;
            let parts = parts.map(|floats| {
                (floats > 0).then(|| {
                    owners.push(Owner::Scratch(*k));
                    tensors.push(Tensor {
                        words: words(floats as usize, Scalar::F32),
                        first: at,
                        last: at,
                    });
                    tensors.len() - 1
                })
            });
            scratch_of.insert(*k, parts);
            for root in lowering.kernels[*k].roots() {
                if !kept.contains(&root) {
                    continue;
                }
                index_of.insert(root, tensors.len());
                owners.push(Owner::Result(*k, root));
                tensors.push(Tensor {
                    words: words(graph.shape(root).numel(), storage.scalar(root)),
                    first: at,
                    last: last_read.get(&root).copied().unwrap_or(at),
                });
            }
        } else if let Item::Cast(e) = item {
            cast_of.insert(*e, tensors.len());
            owners.push(Owner::Copy(*e));
            tensors.push(Tensor {
                words: words(graph.shape(*e).numel(), Scalar::F16),
                first: at,
                last: last_read_copy.get(e).copied().unwrap_or(at),
            });
        }
    }
    let indices = Indices {
        root: &index_of,
        scratch: &scratch_of,
        cast: &cast_of,
    };
    let apart = apart(lowering, &storage, &indices, tensors.len());
    let lent: Vec<Lent> = env
        .lent
        .iter()
        .map(|&(buffer, words)| {
            let until = items
                .iter()
                .position(|item| touches(lowering, item, buffer, &direct, env));
            let until = until.unwrap_or(items.len());
            Lent { words, until }
        })
        .collect();
    let caps = &env.target.caps;
    let limit = (caps.max_binding_bytes.min(caps.max_buffer_bytes) / 16 * 4) as usize;
    let packed = pack(Problem {
        tensors: &tensors,
        apart: &apart,
        lent: &lent,
        limit,
    });
    let slots = packed.pool.iter().enumerate().map(|(slot, &words)| {
        let inside = (0..tensors.len()).filter(|&t| packed.places[t].0 == lent.len() + slot);
        let held = inside.map(|t| (tensors[t].words as u64 * 4, owners[t]));
        Slot {
            bytes: words as u64 * 4,
            // Of equal ones the result that is computed first.
            largest: held.max_by_key(|&(bytes, owner)| (bytes, Reverse(owner))),
        }
    });
    let slots = slots.collect();
    let mut regions = direct;
    let place = |t: usize, scalar: Scalar| {
        let (slot, word) = packed.places[t];
        let buffer = match env.lent.get(slot) {
            Some(&(buffer, _)) => buffer,
            None => env.bound_buffers + slot - lent.len(),
        };
        let offset = word * 4 / scalar.bytes() as usize;
        Region { buffer, offset }
    };
    let at = |(e, t): (Expr, usize)| (e, place(t, storage.scalar(e)));
    regions.extend(index_of.into_iter().map(at));
    let casts = cast_of.into_iter();
    let casts = casts.map(|(e, t)| (e, place(t, Scalar::F16))).collect();
    let scratch = scratch_of.into_iter();
    let scratch = scratch
        .map(|(k, parts)| (k, parts.map(|t| t.map(|t| place(t, Scalar::F32)))))
        .collect();
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

/// Floats of the parts of scratch memory that a kernel needs; within the adapter's limit, or the variant would be refused later.
fn scratch_lens(
    lowering: &Lowering,
    k: usize,
    storage: &Storage,
    env: &Environment,
) -> Result<[u64; 2]> {
    let graph = lowering.graph;
    let core = lowering.kernels[k].core;
    let Some(core) = core.filter(|&c| is_contraction(graph, c)) else {
        return Ok([0; 2]);
    };
    let chosen = contraction::choose(lowering, (k, core), storage, env)?;
    Ok(chosen.variant.scratch(&chosen.op))
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
            kernel.roots().any(|root| inside(&root)) || kernel.reads.iter().any(inside)
        }
        Item::Cast(from) => inside(from),
        Item::Copy { from, to } => to.buffer == buffer || inside(from),
        Item::Effect(effect) => effect.buffers.contains(&buffer),
    }
}

/// The tensors that are packed: of each kernel's root and scratch memory, and of each f16 copy.
struct Indices<'a> {
    root: &'a HashMap<Expr, usize>,
    scratch: &'a HashMap<usize, [Option<usize>; 2]>,
    cast: &'a HashMap<Expr, usize>,
}

/// For each tensor those that must lie in other buffers: what a contraction or closeness reads is bound beside what it writes, and no
/// buffer may be bound for both; a part of its scratch memory is written by one pass and read by the next. Elementwise kernels and sums
/// read what lies in their result's buffer through that binding, as long as it has the result's type and is not read in fours where
/// results are written one by one.
fn apart(
    lowering: &Lowering,
    storage: &Storage,
    indices: &Indices,
    count: usize,
) -> Vec<Vec<usize>> {
    let graph = lowering.graph;
    let mut apart = vec![vec![]; count];
    let mut separate = |one: usize, other: usize| {
        apart[one].push(other);
        apart[other].push(one);
    };
    for (e, &copy) in indices.cast {
        if let Some(&original) = indices.root.get(e) {
            separate(copy, original);
        }
    }
    for (k, kernel) in lowering.kernels.iter().enumerate() {
        let addresses = kernel.core.is_some_and(|c| addresses_operands(graph, c));
        let in_fours = read_in_fours(lowering, kernel);
        let scratch = indices.scratch.get(&k).copied().unwrap_or_default();
        if let [Some(one), Some(other)] = scratch {
            separate(one, other);
        }
        let scratch: Vec<usize> = scratch.into_iter().flatten().collect();
        for root in kernel.roots() {
            let written = indices.root.get(&root);
            for r in &kernel.reads {
                let clash =
                    addresses || in_fours.contains(r) || storage.scalar(*r) != storage.scalar(root);
                let copy = storage.copied(k).contains(r).then(|| indices.cast.get(r));
                let read = [indices.root.get(r), copy.flatten()];
                for &read in read.into_iter().flatten().filter(|_| clash) {
                    written.into_iter().for_each(|&w| separate(w, read));
                    scratch.iter().for_each(|&s| separate(s, read));
                }
            }
            if let Some(&written) = written {
                scratch.iter().for_each(|&s| separate(written, s));
            }
            let others = kernel.roots().take_while(|other| *other != root);
            let others = others.filter(|o| storage.scalar(*o) != storage.scalar(root));
            for other in others.filter_map(|o| indices.root.get(&o)) {
                written.into_iter().for_each(|&w| separate(w, *other));
            }
        }
    }
    apart
}

/// Every leaf is bound, and every tensor fits one binding as it is stored.
fn check_leaves(
    lowering: &Lowering,
    stages: &[Stage],
    storage: &Storage,
    env: &Environment,
) -> Result<()> {
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
        let bytes = node.shape.numel() as u64 * storage.scalar(e).bytes();
        if bytes > limit {
            return Err(GraphError::TooLarge {
                what: node.op.name().into(),
                shape: node.shape.clone(),
                bytes,
                limit,
            });
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
