//! Which tensors of a program are kept as f16. A graph means f32 throughout, and all arithmetic is f32: precision is a property
//! of memory, decided here.
use super::contraction::{operands, work};
use super::lower::{KernelNode, Lowering, is_contraction};
use crate::graph::{Expr, Graph, Op};
use crate::kernels::Scalar;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// How large temporaries are stored. Leaves, outputs and small tensors are f32 in either case.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// f16 for activations and their gradients; matrix products and convolutions read f16 copies of weights.
    F16,
}

/// Tensors below this many elements stay f32: statistics, losses and per-sample norms are among them, and halving what is small
/// saves nothing.
const LEAST_ELEMENTS: usize = 4096;
/// Contractions of this many floating point operations read both operands as f16, copied where they are stored as f32. Below it
/// the dispatch of a copy costs more than the contraction could save.
const LEAST_FLOPS: u64 = 1 << 22;

/// How every tensor with memory is stored.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    half: HashSet<Expr>,
    /// By kernel: operands that its contraction reads from an f16 copy.
    copied: HashMap<usize, Vec<Expr>>,
}

impl Storage {
    /// Decides for one program with these outputs.
    pub fn new(lowering: &Lowering, outputs: &HashSet<Expr>, precision: Precision) -> Storage {
        let mut storage = Storage::default();
        if precision == Precision::F32 {
            return storage;
        }
        let graph = lowering.graph;
        let indices = indices(lowering);
        let summands = summands(lowering, outputs);
        for node in &lowering.kernels {
            for e in node.roots() {
                let kept = outputs.contains(&e) || indices.contains(&e) || summands.contains(&e);
                if !kept && large(graph.shape(e)) && !writes_f32(graph, node) {
                    storage.half.insert(e);
                }
            }
        }
        for (k, node) in lowering.kernels.iter().enumerate() {
            let Some(core) = node.core.filter(|&c| is_contraction(graph, c)) else {
                continue;
            };
            if work(graph, core) >= LEAST_FLOPS {
                let mut copied = operands(lowering, core).to_vec();
                copied.dedup();
                copied.retain(|&e| storage.scalar(e) == Scalar::F32);
                storage.copied.insert(k, copied);
            }
        }
        storage
    }

    /// How an expression's own memory is stored.
    pub fn scalar(&self, e: Expr) -> Scalar {
        match self.half.contains(&e) {
            true => Scalar::F16,
            false => Scalar::F32,
        }
    }

    /// Operands that kernel k reads from an f16 copy.
    pub fn copied(&self, k: usize) -> &[Expr] {
        self.copied.get(&k).map_or(&[], Vec::as_slice)
    }

    /// How operand `e` of kernel k's contraction is stored where the kernel reads it.
    pub fn operand(&self, k: usize, e: Expr) -> Scalar {
        match self.copied(k).contains(&e) {
            true => Scalar::F16,
            false => self.scalar(e),
        }
    }
}

/// Activations and their gradients extend along two axes or more; a statistic or a loss per sample along one.
fn large(shape: &[usize]) -> bool {
    let elements: usize = shape.iter().product();
    elements >= LEAST_ELEMENTS && shape.iter().filter(|&&n| n > 1).count() >= 2
}

/// Random numbers and sources have kernels that write f32.
fn writes_f32(graph: &Graph, node: &KernelNode) -> bool {
    matches!(graph.node(node.root).op, Op::Random { .. } | Op::Source(_))
}

/// What an output of the same size is made of element by element: a gradient that several passes add up to is rounded at no pass.
fn summands(lowering: &Lowering, outputs: &HashSet<Expr>) -> HashSet<Expr> {
    let size = |e: Expr| lowering.graph.shape(e).numel();
    let written = lowering.kernels.iter().flat_map(|n| {
        let outputs = n.roots().filter(|root| outputs.contains(root));
        outputs.map(move |root| (root, &n.reads))
    });
    written
        .flat_map(|(root, reads)| reads.iter().map(move |&r| (root, r)))
        .filter(|&(root, read)| size(root) == size(read))
        .map(|(_, read)| read)
        .collect()
}

/// Whole numbers that select rows: f16 has no odd ones above 2048.
fn indices(lowering: &Lowering) -> HashSet<Expr> {
    let graph = lowering.graph;
    let mut found = HashSet::new();
    let mut stack: Vec<Expr> = graph
        .exprs()
        .filter(|&e| matches!(graph.node(e).op, Op::Gather { .. }))
        .map(|e| graph.node(e).inputs[1])
        .collect();
    while let Some(e) = stack.pop() {
        if found.insert(e) {
            stack.extend(&graph.node(e).inputs);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::lower::Limits;
    use super::*;

    #[test]
    fn vectors_and_small_tensors_are_not_large() {
        assert!(large(&[64, 64]) && large(&[1, 64, 28, 28]));
        for small in [
            &[63, 65][..],
            &[1, 1 << 20],
            &[1 << 20, 1, 1, 1],
            &[1 << 20],
        ] {
            assert!(!large(small), "{small:?}");
        }
    }

    fn storage(graph: &Graph, outputs: &[Expr], precision: Precision) -> (Vec<Expr>, Storage) {
        let limits = Limits {
            buffers: 9,
            immediates: 32,
        };
        let lowering = Lowering::new(graph, &[outputs.to_vec()], limits).unwrap();
        let kernels = lowering.kernels.iter().map(|k| k.root).collect();
        let outputs = outputs.iter().copied().collect();
        (kernels, Storage::new(&lowering, &outputs, precision))
    }

    #[test]
    fn activations_are_f16_and_what_must_be_exact_is_not() {
        let mut g = Graph::new();
        let x = g.random(crate::graph::Distribution::Normal, [64, 128]);
        let w = g.leaf("w", [256, 64]);
        let y = g.matmul(w, x).unwrap();
        let mean = g.mean(y, &[1]).unwrap();
        let centred = g.sub(y, mean).unwrap();
        let loss = g.square(centred).unwrap();
        let loss = g.mean_all(loss).unwrap();
        // Two passes that add up to one output of its size.
        let first = g.matmul_t(y, x, false, true).unwrap();
        let second = g.matmul_t(centred, x, false, true).unwrap();
        let sum = g.add(first, second).unwrap();
        let outputs = [loss, sum];
        let (kernels, half) = storage(&g, &outputs, Precision::F16);
        assert_eq!(half.scalar(y), Scalar::F16, "an activation");
        assert_eq!(half.scalar(x), Scalar::F32, "random numbers");
        assert_eq!(half.scalar(w), Scalar::F32, "a leaf");
        let at = |e: Expr| kernels.iter().position(|&k| k == e).unwrap();
        assert_eq!(half.copied(at(y)), [w, x]);
        assert_eq!(half.operand(at(y), w), Scalar::F16);
        let alone = kernels.iter().find(|&&k| k == first || k == second);
        assert_eq!(half.scalar(*alone.unwrap()), Scalar::F32, "a summand");
        assert_eq!(half.scalar(sum), Scalar::F32, "an output");
        let statistic = kernels.iter().filter(|&&k| g.shape(k).numel() == 256);
        assert!(statistic.clone().count() > 0);
        assert!(
            statistic
                .into_iter()
                .all(|&k| half.scalar(k) == Scalar::F32)
        );

        let (_, none) = storage(&g, &outputs, Precision::F32);
        assert_eq!(none.scalar(y), Scalar::F32);
        assert!((0..kernels.len()).all(|k| none.copied(k).is_empty()));
    }

    #[test]
    fn indices_stay_f32() {
        let mut g = Graph::new();
        let table = g.leaf("table", [5000, 3]);
        let noise = g.leaf("noise", [5000, 2]);
        let scaled = g.scale(noise, 5000.0).unwrap();
        let rows = g.floor(scaled);
        let rows = g.exp(rows);
        let again = g.tanh(rows);
        let one = g.slice(rows, &[0, 0], &[5000, 1]).unwrap();
        let one = g.reshape(one, [5000]).unwrap();
        let picked = g.gather(table, one, 0).unwrap();
        let other = g.sqrt(rows);
        let (kernels, half) = storage(&g, &[picked, again, other], Precision::F16);
        assert!(kernels.contains(&rows), "stored, as it has three readers");
        assert_eq!(half.scalar(rows), Scalar::F32);
    }
}
