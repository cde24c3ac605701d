//! The order in which the kernels of one stage run. Any order that computes before it reads gives the same values; this one is
//! chosen for how much has to be kept at a time.
use super::lower::{KernelNode, Lowering};
use crate::graph::Expr;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Tensors this much smaller than the stage's largest are computed as soon as they can be.
const SMALL: usize = 256;

/// Kernels of each stage in order of execution. `kept` says which results need temporary memory, and `copied` which are read
/// at the end of a stage besides.
pub fn stages(
    lowering: &Lowering,
    count: usize,
    kept: &HashSet<Expr>,
    copied: &[Vec<Expr>],
) -> Vec<Vec<usize>> {
    let kernels = &lowering.kernels;
    (0..count)
        .map(|s| {
            let own: Vec<usize> = (0..kernels.len())
                .filter(|&k| kernels[k].stage == s)
                .collect();
            let later = kernels.iter().filter(|k| k.stage > s);
            let later = later.flat_map(|k| k.reads.iter().copied());
            let copies = copied[s..].iter().flatten().copied();
            let made: HashMap<Expr, usize> = own
                .iter()
                .flat_map(|&k| kernels[k].roots().map(move |root| (root, k)))
                .collect();
            let mut readers: HashMap<usize, Vec<usize>> = HashMap::new();
            for &k in &own {
                let makers = kernels[k].reads.iter().filter_map(|r| made.get(r));
                for &maker in makers.collect::<HashSet<_>>() {
                    readers.entry(maker).or_default().push(k);
                }
            }
            let stage = Stage {
                lowering,
                kept,
                made,
                readers,
                outlive: later.chain(copies).collect(),
                earlier: kernels
                    .iter()
                    .filter(|k| k.stage < s)
                    .flat_map(|k| k.roots())
                    .collect(),
                own,
            };
            stage.best()
        })
        .collect()
}

/// One stage whose kernels are to be put in order.
struct Stage<'a, 'g> {
    lowering: &'a Lowering<'g>,
    kept: &'a HashSet<Expr>,
    /// Its kernels as the graph was built.
    own: Vec<usize>,
    /// Which of them makes what.
    made: HashMap<Expr, usize>,
    /// Those that read what each one makes, each once.
    readers: HashMap<usize, Vec<usize>>,
    /// What earlier stages have made.
    earlier: HashSet<Expr>,
    /// What is read after the stage.
    outlive: HashSet<Expr>,
}

/// Which of several operands is computed first.
#[derive(Clone, Copy)]
enum Operands {
    First,
    Last,
    Deepest,
    Shallowest,
}

/// What is left to do.
struct Progress {
    order: Vec<usize>,
    done: HashSet<usize>,
    /// Kernels of the stage that have yet to read each expression.
    readers: HashMap<Expr, usize>,
    /// Kernels of the stage that must run before each one, and have not.
    waits_for: HashMap<usize, usize>,
    /// Those that wait for none.
    ready: BTreeSet<usize>,
}

impl Stage<'_, '_> {
    /// As the graph was built, or depth first, whichever keeps less. Depth first finishes the passes of D on real and on generated
    /// samples one after the other, where building order has both forward passes before any backward pass.
    fn best(&self) -> Vec<usize> {
        let depth = self.depth();
        let operands = [
            Operands::Deepest,
            Operands::Shallowest,
            Operands::First,
            Operands::Last,
        ];
        let depth_first = operands.map(|operands| self.depth_first(&depth, operands));
        let candidates = std::iter::once(self.own.clone()).chain(depth_first);
        candidates
            .min_by_key(|order| self.peak(order))
            .unwrap_or_default()
    }
    /// How many kernels of the stage each one needs before it, by kernel.
    fn depth(&self) -> HashMap<usize, usize> {
        let positions: HashMap<usize, usize> =
            self.own.iter().enumerate().map(|(i, &k)| (k, i)).collect();
        // Of each kernel those before it, a bit each.
        let words = self.own.len().div_ceil(64);
        let mut below: Vec<Vec<u64>> = Vec::with_capacity(self.own.len());
        for &k in &self.own {
            let mut all = vec![0; words];
            for m in self.makers(k) {
                let m = positions[&m];
                all.iter_mut().zip(&below[m]).for_each(|(a, b)| *a |= b);
                all[m / 64] |= 1 << (m % 64);
            }
            below.push(all);
        }
        let count = |all: &Vec<u64>| all.iter().map(|w| w.count_ones() as usize).sum();
        self.own
            .iter()
            .copied()
            .zip(below.iter().map(count))
            .collect()
    }
    /// The kernels of the stage that make what k reads.
    fn makers(&self, k: usize) -> impl Iterator<Item = usize> {
        let reads = self.kernel(k).reads.iter();
        reads.filter_map(|r| self.made.get(r).copied())
    }
    fn kernel(&self, k: usize) -> &KernelNode {
        &self.lowering.kernels[k]
    }
    /// Elements of temporary memory that the expression takes.
    fn size(&self, e: Expr) -> usize {
        match self.kept.contains(&e) {
            true => self.lowering.graph.shape(e).numel(),
            false => 0,
        }
    }
    /// Elements that kernel k's results take.
    fn taken(&self, k: usize) -> usize {
        self.kernel(k).roots().map(|root| self.size(root)).sum()
    }
    fn start(&self) -> Progress {
        let mut readers = HashMap::new();
        let mut waits_for = HashMap::new();
        for &k in &self.own {
            for &r in &self.kernel(k).reads {
                *readers.entry(r).or_default() += 1;
            }
            waits_for.insert(k, self.makers(k).collect::<HashSet<_>>().len());
        }
        let ready = self.own.iter().copied().filter(|k| waits_for[k] == 0);
        Progress {
            order: vec![],
            done: HashSet::new(),
            readers,
            ready: ready.collect(),
            waits_for,
        }
    }
    fn run(&self, k: usize, at: &mut Progress) {
        at.order.push(k);
        at.done.insert(k);
        at.ready.remove(&k);
        for reader in self.readers.get(&k).into_iter().flatten() {
            if let Some(left) = at.waits_for.get_mut(reader) {
                *left -= 1;
                if *left == 0 {
                    at.ready.insert(*reader);
                }
            }
        }
        for r in &self.kernel(k).reads {
            at.readers.entry(*r).and_modify(|n| *n -= 1);
        }
    }
    /// Elements that kernel k would free.
    fn freed(&self, k: usize, at: &Progress) -> usize {
        let reads = self.kernel(k).reads.iter();
        let last = reads.filter(|r| at.readers[*r] == 1 && !self.outlive.contains(*r));
        last.map(|&r| self.size(r)).sum()
    }
    /// Most elements alive while any kernel runs.
    fn peak(&self, order: &[usize]) -> usize {
        let mut at = self.start();
        let inherited = at.readers.keys().chain(&self.outlive);
        let inherited: HashSet<&Expr> = inherited.filter(|e| self.earlier.contains(*e)).collect();
        let mut live: usize = inherited.into_iter().map(|&e| self.size(e)).sum();
        let mut peak = live;
        for &k in order {
            live += self.taken(k);
            peak = peak.max(live);
            live -= self.freed(k, &at);
            self.run(k, &mut at);
        }
        peak
    }
    /// What a result needs, then the result, the deepest result first. Whatever frees as much as it takes, or takes next to nothing,
    /// runs as soon as it can.
    fn depth_first(&self, depth: &HashMap<usize, usize>, operands: Operands) -> Vec<usize> {
        let mut at = self.start();
        let read = |root: Expr| at.readers.contains_key(&root);
        let ends = |k: &usize| !self.kernel(*k).roots().any(read);
        let mut stack: Vec<usize> = self.own.iter().copied().filter(ends).collect();
        stack.sort_by_key(|k| depth[k]);
        let largest = self.own.iter().map(|&k| self.taken(k));
        let small = largest.max().unwrap_or(0) / SMALL;
        while let Some(&k) = stack.last() {
            if at.done.contains(&k) {
                stack.pop();
                continue;
            }
            let mut missing = self.missing(k, &at);
            if missing.is_empty() {
                self.run(k, &mut at);
                while let Some(eager) = self.eager(small, &at) {
                    self.run(eager, &mut at);
                }
                continue;
            }
            // The top of the stack comes first.
            match operands {
                Operands::First => missing.reverse(),
                Operands::Last => {}
                Operands::Deepest => missing.sort_by_key(|m| depth[m]),
                Operands::Shallowest => missing.sort_by_key(|m| Reverse(depth[m])),
            }
            stack.extend(missing);
        }
        at.order
    }
    /// Kernels that must run before k.
    fn missing(&self, k: usize, at: &Progress) -> Vec<usize> {
        self.makers(k).filter(|m| !at.done.contains(m)).collect()
    }
    /// The first kernel that can run and takes next to nothing, or no more than it frees.
    fn eager(&self, small: usize, at: &Progress) -> Option<usize> {
        at.ready.iter().copied().find(|&k| {
            let takes = self.taken(k);
            takes <= small || takes <= self.freed(k, at)
        })
    }
}
