//! Sums over the same axes that read the same tensors become one kernel with several results: batch norm's two statistics, the two
//! sums of its backward pass. What is computed from those totals alone, element by element, is computed there as well.
use super::super::{Expr, Op};
use super::lower::{KernelNode, Lowering, Output, is_sum};
use super::text::{finish_emitter, finish_trees};
use std::collections::{BTreeSet, HashMap};

/// Joins what can be joined and returns the kernels in an order of execution. `max_reads` bounds what one kernel reads beside one
/// result.
pub fn join(lowering: &Lowering, kernels: Vec<KernelNode>, max_reads: usize) -> Vec<KernelNode> {
    let mut joining = Joining {
        lowering,
        max_reads,
        made: HashMap::new(),
        kernels: kernels.iter().cloned().map(Some).collect(),
    };
    for (k, kernel) in kernels.iter().enumerate() {
        joining.made.insert(kernel.root, k);
    }
    for k in 0..kernels.len() {
        let found = (0..k).find_map(|into| Some((into, joining.joined(into, k)?)));
        if let Some((into, joined)) = found {
            joining.made.insert(kernels[k].root, into);
            joining.kernels[into] = Some(joined);
            joining.kernels[k] = None;
        }
    }
    joining.in_order()
}

struct Joining<'a, 'g> {
    lowering: &'a Lowering<'g>,
    max_reads: usize,
    /// Which kernel makes each result.
    made: HashMap<Expr, usize>,
    /// None once it has gone into another.
    kernels: Vec<Option<KernelNode>>,
}

impl Joining<'_, '_> {
    /// Kernel `into` with the result of kernel k, if that is possible and keeps no large tensor longer.
    fn joined(&self, into: usize, k: usize) -> Option<KernelNode> {
        let (into, k) = (self.kernels[into].as_ref()?, self.kernels[k].as_ref()?);
        let fits = into.stage == k.stage
            && match k.core {
                Some(_) => self.sums_alike(into, k),
                None => self.is_tree_over(into, k),
            };
        if !fits {
            return None;
        }
        let mut joined = into.clone();
        joined.beside.push(Output {
            root: k.root,
            core: k.core,
        });
        let own: Vec<Expr> = joined.roots().collect();
        for &r in &k.reads {
            if !joined.reads.contains(&r) {
                joined.reads.push(r);
            }
        }
        joined.reads.retain(|r| !own.contains(r));
        let bindings = joined.reads.len() + own.len();
        if bindings > self.max_reads + 1 || !self.reads_itself_plainly(&joined) {
            return None;
        }
        // Neither may wait for the other through a third.
        let waits = |one: &KernelNode, other: &KernelNode| {
            let direct = |r: &&Expr| other.roots().all(|root| root != **r);
            self.need(one.reads.iter().filter(direct), other)
        };
        (!waits(k, into) && !waits(into, k)).then_some(joined)
    }

    /// Both are sums over the same axes of tensors of one shape, and one reads no large tensor that the other does not: joining them
    /// would keep such a tensor until the other's are there.
    fn sums_alike(&self, a: &KernelNode, b: &KernelNode) -> bool {
        let graph = self.lowering.graph;
        let summed = |k: &KernelNode| match &graph.node(k.core?).op {
            Op::Sum { axes } => {
                let input = graph.node(k.core?).inputs[0];
                Some((axes.clone(), graph.shape(input).clone()))
            }
            _ => None,
        };
        let (Some(a_sums), Some(b_sums)) = (summed(a), summed(b)) else {
            return false;
        };
        let large = |k: &KernelNode| -> BTreeSet<Expr> {
            let results = graph.shape(k.root).numel();
            let large = k.reads.iter().copied();
            large
                .filter(|&r| graph.shape(r).numel() > results)
                .collect()
        };
        let (a_reads, b_reads) = (large(a), large(b));
        let alike = a_reads.is_subset(&b_reads) || b_reads.is_subset(&a_reads);
        let nothing = a_reads.is_empty() || b_reads.is_empty();
        // What is summed must not depend on the other's total.
        let independent = |x: &KernelNode, y: &KernelNode| {
            let reads = self.lowering.summed_reads(x);
            y.roots().all(|root| !reads.contains(&root))
        };
        a_sums == b_sums && alike && !nothing && independent(a, b) && independent(b, a)
    }

    /// k is elementwise and as large as the results of `sums`, reads one of them, and nothing that `sums` does not wait for anyway.
    fn is_tree_over(&self, sums: &KernelNode, k: &KernelNode) -> bool {
        let graph = self.lowering.graph;
        let size = |e: Expr| graph.shape(e).numel();
        let is_sums = sums.core.is_some_and(|c| is_sum(graph, c));
        let elementwise = !matches!(graph.node(k.root).op, Op::Random { .. } | Op::Source(_));
        let own = |r: &Expr| sums.roots().any(|root| root == *r);
        let known = |r: &Expr| match self.made.get(r) {
            None => true,
            Some(&m) => own(r) || self.waits_for(sums, m),
        };
        is_sums
            && elementwise
            && size(k.root) == size(sums.root)
            && k.reads.iter().any(own)
            && k.reads.iter().all(|r| size(*r) <= size(k.root) && known(r))
    }

    /// True when the kernel can only run after kernel m.
    fn waits_for(&self, kernel: &KernelNode, m: usize) -> bool {
        let maker = self.kernels[m].as_ref();
        maker.is_some_and(|maker| self.need(kernel.reads.iter(), maker))
    }

    /// True when any of these expressions is a result of `kernel` or computed from one.
    fn need<'e>(&self, of: impl Iterator<Item = &'e Expr>, kernel: &KernelNode) -> bool {
        let mut stack: Vec<usize> = of.filter_map(|r| self.made.get(r).copied()).collect();
        let mut seen = BTreeSet::new();
        while let Some(m) = stack.pop() {
            if !seen.insert(m) {
                continue;
            }
            let Some(maker) = &self.kernels[m] else {
                continue;
            };
            if maker.root == kernel.root {
                return true;
            }
            stack.extend(maker.reads.iter().filter_map(|r| self.made.get(r)));
        }
        false
    }

    /// True when totals are read by the results beside them at the same index only.
    fn reads_itself_plainly(&self, kernel: &KernelNode) -> bool {
        let trees = finish_trees(self.lowering.graph, kernel);
        let done = finish_emitter(self.lowering, kernel, None).finish_all(&trees);
        done.is_ok_and(|done| done.hole_is_plain)
    }

    /// Every kernel after those that it reads from; otherwise as the graph was built.
    fn in_order(self) -> Vec<KernelNode> {
        let place = |k: &KernelNode| (k.stage, k.roots().max());
        let mut left: Vec<usize> = (0..self.kernels.len()).collect();
        left.retain(|&k| self.kernels[k].is_some());
        left.sort_by_key(|&k| self.kernels[k].as_ref().map(place));
        let mut done: BTreeSet<usize> = BTreeSet::new();
        let mut order = vec![];
        while !left.is_empty() {
            let ready = |&k: &usize| {
                let kernel = self.kernels[k].as_ref();
                let reads = kernel.into_iter().flat_map(|k| &k.reads);
                let mut makers = reads.filter_map(|r| self.made.get(r));
                makers.all(|m| done.contains(m))
            };
            let Some(at) = left.iter().position(ready) else {
                unreachable!("joining made no circle");
            };
            let k = left.remove(at);
            done.insert(k);
            order.extend(self.kernels[k].clone());
        }
        order
    }
}
