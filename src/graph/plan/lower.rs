//! Which expressions get memory and which are recomputed inside their users; which kernel computes what, in which order.
//!
//! Contractions, sums, the closeness of samples, random numbers and sources have kernels of their own, sums and products of a few
//! terms (`terms`) have not. Elementwise operations and views are folded into the
//! kernels that use them unless recomputing costs more than storing. A contraction or sum whose only user is one elementwise
//! tree is folded into that tree's kernel as its core (an epilogue). Sums of the same elements share one kernel (`join`).
use super::super::view::{Domain, View};
use super::super::{Expr, Graph, GraphError, Op, Result};
use super::emit::{Emitter, Extents, Materialise, Memory};
use super::join::join;
use super::stored;
use crate::gpu::Caps;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// One kernel of the plan.
#[derive(Clone, Debug)]
pub struct KernelNode {
    /// The expression whose memory the kernel writes.
    pub root: Expr,
    /// The contraction, sum, closeness, source or random node at its heart; None for a purely elementwise kernel.
    pub core: Option<Expr>,
    /// What a kernel of sums computes besides, each after what it reads of the others.
    pub beside: Vec<Output>,
    pub stage: usize,
    /// Expressions with memory that the kernel reads, operands of the core included, its own results not.
    pub reads: Vec<Expr>,
}

/// A further result of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub root: Expr,
    /// Its own sum, over the same axes of a tensor of the same shape; without one it is a tree over the results before it.
    pub core: Option<Expr>,
}

impl KernelNode {
    /// All that the kernel writes.
    pub fn roots(&self) -> impl Iterator<Item = Expr> {
        std::iter::once(self.root).chain(self.beside.iter().map(|o| o.root))
    }
    /// The sums at its heart, if it is a kernel of sums.
    pub fn sums(&self) -> Vec<Expr> {
        let others = self.beside.iter().filter_map(|o| o.core);
        self.core.into_iter().chain(others).collect()
    }
}

/// What an adapter lets one kernel bind.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Storage buffers.
    pub buffers: usize,
    /// Words of immediates.
    pub immediates: usize,
}

impl Limits {
    pub fn of(caps: &Caps) -> Limits {
        Limits {
            buffers: caps.max_storage_buffers as usize,
            immediates: (caps.max_immediate_bytes / 4) as usize,
        }
    }

    /// Tensors that a kernel may read beside one result, which takes a buffer and three words (`bindings`).
    pub fn reads(self) -> usize {
        let buffers = self.buffers.saturating_sub(1);
        let words = self.immediates.saturating_sub(3);
        buffers.min(words)
    }
}

/// The decisions for one program.
pub struct Lowering<'g> {
    pub graph: &'g Graph,
    /// Expressions with memory of their own (leaves not included).
    pub stored: HashSet<Expr>,
    /// In order of execution.
    pub kernels: Vec<KernelNode>,
}

impl Memory for Lowering<'_> {
    fn stored(&self, e: Expr) -> bool {
        matches!(self.graph.node(e).op, Op::Leaf(_)) || self.stored.contains(&e)
    }
}

/// True for expressions that have a kernel of their own.
pub fn has_kernel(graph: &Graph, e: Expr) -> bool {
    is_core(graph, e)
        || addresses_operands(graph, e)
        || matches!(graph.node(e).op, Op::Source(_) | Op::Random { .. })
}
/// True where a kernel of its own reads whole operands, which need memory, and not the memory that it writes.
pub fn addresses_operands(graph: &Graph, e: Expr) -> bool {
    let closeness = matches!(
        graph.node(e).op,
        Op::Closeness { .. } | Op::ClosenessGrad { .. }
    );
    closeness || is_contraction(graph, e)
}
/// True for expressions that an elementwise tree can be fused onto.
fn is_core(graph: &Graph, e: Expr) -> bool {
    is_contraction(graph, e) || (is_sum(graph, e) && terms(graph, e).is_none())
}
/// True for matrix products and convolutions with a kernel of their own.
pub fn is_contraction(graph: &Graph, e: Expr) -> bool {
    match graph.node(e).op {
        Op::Matmul { .. } => terms(graph, e).is_none(),
        Op::Conv2d(_) | Op::Conv2dInputGrad(_) | Op::Conv2dWeightGrad(_) => true,
        _ => false,
    }
}
/// True for sums, short ones too.
pub fn is_sum(graph: &Graph, e: Expr) -> bool {
    matches!(graph.node(e).op, Op::Sum { .. })
}

/// How many terms each element of a short sum or product has. Those are written out in the trees of their users, like any other
/// elementwise operation: a kernel of sums or a matrix product does more around so few terms than for them.
pub fn terms(graph: &Graph, e: Expr) -> Option<usize> {
    /// Of a sum.
    const SUMMED: usize = 8;
    /// Products of a matrix product: the outer products and the coordinates of points in networks for toy sets.
    const MULTIPLIED: usize = 4;
    let node = graph.node(e);
    match &node.op {
        Op::Sum { axes } => {
            let summed = graph.shape(node.inputs[0]);
            let terms = axes.iter().map(|&a| summed[a]).product();
            (terms <= SUMMED).then_some(terms)
        }
        Op::Matmul { trans_a, .. } => {
            let left = graph.shape(node.inputs[0]);
            let terms = left[left.rank() - if *trans_a { 2 } else { 1 }];
            (terms <= MULTIPLIED).then_some(terms)
        }
        _ => None,
    }
}
pub fn is_alias(op: &Op) -> bool {
    matches!(op, Op::Reshape | Op::StopGradient)
}

impl<'g> Lowering<'g> {
    /// Decides for the outputs of each stage; no kernel binds more than `limits`.
    ///
    /// # Errors
    /// [`GraphError::Stale`] where a leaf is read after the stage in which it held the value meant, [`GraphError::Kernel`] where a kernel
    /// that cannot be split binds too much.
    pub fn new(graph: &'g Graph, outputs: &[Vec<Expr>], limits: Limits) -> Result<Self> {
        let mut forced: HashSet<Expr> = outputs.iter().flatten().copied().collect();
        loop {
            match Self::attempt(graph, outputs, limits, &forced)? {
                Ok(lowering) => return Ok(lowering),
                Err(Materialise(e)) => {
                    assert!(
                        forced.insert(e),
                        "{} (expression {}) cannot be materialised any further",
                        graph.node(e).op.name(),
                        e.index()
                    );
                }
            }
        }
    }

    fn attempt(
        graph: &'g Graph,
        outputs: &[Vec<Expr>],
        limits: Limits,
        forced: &HashSet<Expr>,
    ) -> Result<std::result::Result<Self, Materialise>> {
        let needed = needed(graph, outputs);
        let home = home_stages(graph, &needed);
        let stored = stored::decide(graph, &needed, &home, forced);
        let mut lowering = Lowering {
            graph,
            stored,
            kernels: vec![],
        };
        let fused = match lowering.fuse(forced, &home) {
            Ok(f) => f,
            Err(m) => return Ok(Err(m)),
        };
        for core in fused.values() {
            lowering.stored.remove(core);
        }
        let mut roots: Vec<Expr> = lowering.stored.iter().copied().collect();
        roots.sort_unstable();
        let mut kernels = vec![];
        for root in roots {
            let own = has_kernel(graph, root).then_some(root);
            let core = fused.get(&root).copied().or(own);
            let reads = match lowering.reads(root, core) {
                Ok(r) => r,
                Err(m) => return Ok(Err(m)),
            };
            match lowering.crowded(root, core, &reads, limits) {
                Ok(false) => {}
                Ok(true) => match lowering.heaviest_inline(root, core) {
                    Some(e) => return Ok(Err(Materialise(e))),
                    None => return Err(lowering.too_crowded(root, core, &reads, limits)),
                },
                Err(m) => return Ok(Err(m)),
            }
            let stage = home[root.index()];
            for &r in &reads {
                if let Op::Leaf(id) = graph.node(r).op {
                    let leaf = graph.leaf_info(id);
                    if stage >= leaf.valid.end {
                        return Err(GraphError::Stale {
                            leaf: leaf.name.clone(),
                            stage,
                            last: leaf.valid.end - 1,
                        });
                    }
                }
            }
            kernels.push(KernelNode {
                root,
                core,
                beside: vec![],
                stage,
                reads,
            });
        }
        kernels.sort_by_key(|k| (k.stage, k.root));
        lowering.kernels = join(&lowering, kernels, limits.reads());
        Ok(Ok(lowering))
    }

    /// The expression with memory behind a chain of reshapes.
    pub fn storage(&self, e: Expr) -> Expr {
        stored::strip(self.graph, e, |x| self.stored(x))
    }

    /// True when a kernel that reads `reads` would bind more than `limits` allow.
    fn crowded(
        &self,
        root: Expr,
        core: Option<Expr>,
        reads: &[Expr],
        limits: Limits,
    ) -> std::result::Result<bool, Materialise> {
        /// What a contraction binds: A, B and C.
        const OWN: usize = 3;
        if reads.len() > limits.reads() {
            return Ok(true);
        }
        let contracts = core.is_some_and(|c| is_contraction(self.graph, c));
        if !contracts || OWN + reads.len() <= limits.buffers {
            return Ok(false);
        }
        // A and B are bound as such, and once more where the tree around the product reads one of them.
        let tree = match core == Some(root) {
            true => 0,
            false => self.dry(root, core)?.0.len(),
        };
        Ok(OWN + tree > limits.buffers)
    }
    fn too_crowded(
        &self,
        root: Expr,
        core: Option<Expr>,
        reads: &[Expr],
        limits: Limits,
    ) -> GraphError {
        let node = self.graph.node(core.unwrap_or(root));
        GraphError::Kernel {
            op: node.op.name(),
            shape: node.shape.clone(),
            reason: format!(
                "it reads {} tensors, more than the adapter's {} storage buffers and {} words of immediates leave room for",
                reads.len(),
                limits.buffers,
                limits.immediates
            ),
        }
    }

    /// What a kernel reads: operands of its core, then what the trees around it load.
    fn reads(&self, root: Expr, core: Option<Expr>) -> std::result::Result<Vec<Expr>, Materialise> {
        let mut reads: Vec<Expr> = vec![];
        let mut add = |e: Expr| {
            if !reads.contains(&e) {
                reads.push(e);
            }
        };
        if let Some(c) = core {
            let node = self.graph.node(c);
            if addresses_operands(self.graph, c) {
                for &x in &node.inputs {
                    let s = self.storage(x);
                    if !self.stored(s) {
                        return Err(Materialise(s));
                    }
                    add(s);
                }
            } else if let Op::Sum { axes } = &node.op {
                let input = node.inputs[0];
                for r in self.dry_sum(input, axes)? {
                    add(r);
                }
            }
        }
        if core != Some(root) {
            for r in self.dry(root, core)?.0 {
                add(r);
            }
        }
        Ok(reads)
    }
    /// Reads of the elementwise tree of `root`, and whether its hole (if any) is only met at the plain index.
    fn dry(
        &self,
        root: Expr,
        hole: Option<Expr>,
    ) -> std::result::Result<(Vec<Expr>, bool), Materialise> {
        let shape = self.graph.shape(root);
        let extents = Extents {
            out: shape.numel(),
            reduced: 1,
        };
        let emitter = Emitter::new(self.graph, self, root, hole, None, extents);
        let view = View::identity(shape, Domain::Out);
        let done = emitter.finish(root, &view)?;
        Ok((
            done.reads.iter().map(|r| r.expr).collect(),
            done.hole_is_plain,
        ))
    }
    /// True when the elementwise kernel of `root` reads the tensors that `which` selects only at its own output index.
    pub fn reads_plainly(&self, root: Expr, which: impl Fn(Expr) -> bool) -> bool {
        let shape = self.graph.shape(root);
        let extents = Extents {
            out: shape.numel(),
            reduced: 1,
        };
        let view = View::identity(shape, Domain::Out);
        Emitter::new(self.graph, self, root, None, None, extents)
            .finish(root, &view)
            .is_ok_and(|done| done.reads.iter().all(|r| r.identity || !which(r.expr)))
    }
    fn dry_sum(&self, input: Expr, axes: &[usize]) -> std::result::Result<Vec<Expr>, Materialise> {
        let (view, extents) = sum_view(self.graph.shape(input), axes);
        let emitter = Emitter::new(self.graph, self, NOTHING, None, None, extents);
        let done = emitter.finish(input, &view)?;
        Ok(done.reads.iter().map(|r| r.expr).collect())
    }

    /// What a kernel of sums reads to compute the elements that it sums.
    pub fn summed_reads(&self, node: &KernelNode) -> Vec<Expr> {
        let reads = node.sums().into_iter().flat_map(|sum| {
            let summed = self.graph.node(sum);
            match &summed.op {
                Op::Sum { axes } => self.dry_sum(summed.inputs[0], axes).unwrap_or_default(),
                _ => vec![],
            }
        });
        reads.collect()
    }

    /// root -> core: the contraction or sum that is computed inside each root's kernel.
    fn fuse(
        &self,
        forced: &HashSet<Expr>,
        home: &[usize],
    ) -> std::result::Result<BTreeMap<Expr, Expr>, Materialise> {
        let graph = self.graph;
        // Which kernels use each stored expression.
        let mut users: BTreeMap<Expr, BTreeSet<Expr>> = BTreeMap::new();
        let mut roots: Vec<Expr> = self.stored.iter().copied().collect();
        roots.sort_unstable();
        for &root in &roots {
            let own = has_kernel(graph, root).then_some(root);
            for r in self.reads(root, own)? {
                users.entry(r).or_default().insert(root);
            }
        }
        // The last contraction, sum or closeness that each expression depends on.
        let mut work = vec![0; graph.len()];
        for e in graph.exprs() {
            let node = graph.node(e);
            work[e.index()] = match is_core(graph, e) || addresses_operands(graph, e) {
                true => e.index(),
                false => node
                    .inputs
                    .iter()
                    .map(|x| work[x.index()])
                    .max()
                    .unwrap_or(0),
            };
        }
        let mut fused = BTreeMap::new();
        for &root in &roots {
            if has_kernel(graph, root) {
                continue;
            }
            let mut best: Option<(bool, usize, Expr)> = None;
            for core in self.dry(root, None)?.0 {
                let only_user = users.get(&core).is_some_and(|u| u.len() == 1);
                let fits = is_core(graph, core)
                    && only_user
                    && !forced.contains(&core)
                    && home[core.index()] == home[root.index()]
                    && graph.shape(core).numel() == graph.shape(root).numel();
                if !fits {
                    continue;
                }
                let (beside, plain) = self.dry(root, Some(core))?;
                // What waits for work after the core would keep the core's operands alive until then: a gradient from generated
                // samples shall wait for the one from real samples, not the activations of both.
                if !plain || beside.iter().any(|r| work[r.index()] > core.index()) {
                    continue;
                }
                let work = graph.shape(graph.node(core).inputs[0]).numel();
                let rank = (is_contraction(graph, core), work, core);
                if best.is_none_or(|b| b < rank) {
                    best = Some(rank);
                }
            }
            if let Some((_, _, core)) = best {
                fused.insert(root, core);
            }
        }
        Ok(fused)
    }

    /// The folded expression below `root` with the most distinct reads, to be stored when a kernel has too many bindings.
    fn heaviest_inline(&self, root: Expr, core: Option<Expr>) -> Option<Expr> {
        let start = match core {
            Some(c) if is_sum(self.graph, c) => {
                vec![root, self.graph.node(c).inputs[0]]
            }
            _ => vec![root],
        };
        let mut seen: BTreeSet<Expr> = BTreeSet::new();
        let mut stack = start.clone();
        while let Some(e) = stack.pop() {
            for &x in &self.graph.node(e).inputs {
                if Some(x) != core && !self.stored(x) && seen.insert(x) {
                    stack.push(x);
                }
            }
        }
        seen.extend(start.into_iter().filter(|&e| e != root && !self.stored(e)));
        seen.into_iter()
            .filter(|&e| !matches!(self.graph.node(e).op, Op::Constant(_) | Op::Iota { .. }))
            .max_by_key(|&e| (self.leaves_below(e), std::cmp::Reverse(e)))
    }
    /// The most elements that anything in a kernel is computed from at once: its results, what it sums, and operands of what is written
    /// out in it.
    pub fn elements(&self, node: &KernelNode) -> usize {
        let graph = self.graph;
        let size = |e: Expr| graph.shape(e).numel();
        let sums = node.sums();
        let mut stack: Vec<Expr> = node.roots().chain(sums.iter().copied()).collect();
        let (mut seen, mut most) = (HashSet::new(), 0);
        while let Some(e) = stack.pop() {
            if !seen.insert(e) {
                continue;
            }
            most = most.max(size(e));
            let inputs = graph.node(e).inputs.iter().copied();
            if sums.contains(&e) || terms(graph, e).is_some() {
                most = inputs.clone().map(size).fold(most, usize::max);
            }
            stack.extend(inputs.filter(|&x| !self.stored(x)));
        }
        most
    }
    fn leaves_below(&self, e: Expr) -> usize {
        let (mut seen, mut stack, mut count) = (HashSet::new(), vec![e], 0);
        while let Some(e) = stack.pop() {
            for &x in &self.graph.node(e).inputs {
                if seen.insert(x) {
                    if self.stored(x) {
                        count += 1;
                    } else {
                        stack.push(x);
                    }
                }
            }
        }
        count
    }
}

/// A root that matches no expression: everything stored is read.
pub const NOTHING: Expr = Expr(u32::MAX);

/// The view of a summed tensor from its two domains, and their sizes.
pub fn sum_view(shape: &[usize], axes: &[usize]) -> (View, Extents) {
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let mut view = View::of_axes(shape, &kept, Domain::Out);
    let reduced = View::of_axes(shape, axes, Domain::Reduced);
    for &a in axes {
        view.coords[a] = reduced.coords[a].clone();
    }
    let size = |list: &[usize]| list.iter().map(|&a| shape[a]).product();
    let extents = Extents {
        out: size(&kept),
        reduced: size(axes),
    };
    (view, extents)
}

fn needed(graph: &Graph, outputs: &[Vec<Expr>]) -> Vec<bool> {
    let mut needed = vec![false; graph.len()];
    let mut stack: Vec<Expr> = outputs.iter().flatten().copied().collect();
    while let Some(e) = stack.pop() {
        if !std::mem::replace(&mut needed[e.index()], true) {
            stack.extend(&graph.node(e).inputs);
        }
    }
    needed
}

/// The earliest stage in which each expression can be computed.
fn home_stages(graph: &Graph, needed: &[bool]) -> Vec<usize> {
    let mut home = vec![0; graph.len()];
    for e in graph.exprs().filter(|e| needed[e.index()]) {
        let node = graph.node(e);
        home[e.index()] = match node.op {
            Op::Leaf(id) => graph.leaf_info(id).valid.start,
            _ => node
                .inputs
                .iter()
                .map(|x| home[x.index()])
                .max()
                .unwrap_or(0),
        };
    }
    home
}
