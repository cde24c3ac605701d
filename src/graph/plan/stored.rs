//! Which expressions get memory, by what it would cost to compute them anew in every kernel that uses them.
use super::super::{Expr, Graph, Op, Unary};
use super::lower::{addresses_operands, has_kernel, is_alias, terms};
use std::collections::HashSet;

/// Relative cost of recomputing a tree: loads of full size, plus what is spent on slow functions.
#[derive(Clone, Copy, Default)]
struct Cost {
    loads: f64,
    operations: f64,
}

impl Cost {
    /// Of an expression with memory.
    const STORED: Cost = Cost {
        loads: 1.0,
        operations: 0.0,
    };
}

/// Operations of an exponential, a logarithm and the like.
const TRANSCENDENTAL: f64 = 4.0;
/// Of a square root.
const ROOT: f64 = 2.0;
/// Of anything else.
const PLAIN: f64 = 0.25;
/// Operations that take as long as a load of full size.
const PER_LOAD: f64 = 4.0;
/// So many repetitions of a broadcast are worth storing the tree below it.
const MANY: usize = 4;
/// Loads that a value costs which so many read: it stays in the cache.
const REPEATED: f64 = 0.1;
/// Of a short sum that is written out every term is a copy of the tree below; together they may cost so much.
const WRITTEN_OUT: f64 = 32.0;

/// Through reshapes and the like to what has memory, or the first that computes something.
pub fn strip(graph: &Graph, mut e: Expr, stored: impl Fn(Expr) -> bool) -> Expr {
    while !stored(e) && is_alias(&graph.node(e).op) {
        e = graph.node(e).inputs[0];
    }
    e
}

/// The expressions that get memory: `forced` ones, what has a kernel of its own, what kernels address themselves, and what costs less to
/// store than to compute anew in every user.
pub fn decide(
    graph: &Graph,
    needed: &[bool],
    home: &[usize],
    forced: &HashSet<Expr>,
) -> HashSet<Expr> {
    let mut stored: HashSet<Expr> = forced.clone();
    // Users of each expression, looking through reshapes.
    let mut users: Vec<Vec<Expr>> = vec![vec![]; graph.len()];
    for e in graph.exprs().filter(|e| needed[e.index()]) {
        let node = graph.node(e);
        if has_kernel(graph, e) {
            stored.insert(e);
        }
        if is_alias(&node.op) && !stored.contains(&e) {
            continue;
        }
        for &x in &node.inputs {
            let x = strip(graph, x, |y| stored.contains(&y));
            users[x.index()].push(e);
            // Operands that a kernel addresses itself need memory, and those of a product that is written out are read for each row.
            let addressed = matches!(node.op, Op::Matmul { .. })
                || addresses_operands(graph, e)
                || (matches!(node.op, Op::Gather { .. })
                    && x == strip(graph, node.inputs[0], |y| stored.contains(&y)));
            if addressed && !matches!(graph.node(x).op, Op::Leaf(_)) {
                stored.insert(x);
            }
        }
    }
    for list in &mut users {
        list.sort_unstable();
        list.dedup();
    }
    let mut cost = vec![Cost::default(); graph.len()];
    // The last stage in which each expression can be computed: what it reads may be overwritten later.
    let mut until = vec![usize::MAX; graph.len()];
    for e in graph.exprs().filter(|e| needed[e.index()]) {
        let node = graph.node(e);
        if let Op::Leaf(id) = node.op {
            until[e.index()] = graph.leaf_info(id).valid.end - 1;
        }
        if let Some(terms) = terms(graph, e) {
            let below = node.inputs[0];
            let tree = cost[below.index()];
            if terms as f64 * (tree.loads + tree.operations) > WRITTEN_OUT {
                stored.insert(strip(graph, below, |y| stored.contains(&y)));
                cost[below.index()] = Cost::STORED;
            }
        }
        if matches!(node.op, Op::Leaf(_)) || stored.contains(&e) {
            cost[e.index()] = Cost::STORED;
            continue;
        }
        let mut c = Cost::default();
        let last = node.inputs.iter().map(|x| until[x.index()]).min();
        let last = last.unwrap_or(usize::MAX);
        until[e.index()] = last;
        for (k, &x) in node.inputs.iter().enumerate() {
            if node.inputs[..k].contains(&x) {
                continue;
            }
            c.loads += cost[x.index()].loads;
            c.operations += cost[x.index()].operations;
        }
        match &node.op {
            Op::Constant(_) | Op::Iota { .. } => {}
            Op::Broadcast => {
                let from = node.inputs[0];
                let factor = node.shape.numel() / graph.shape(from).numel();
                // Recomputing a tree for every repetition: store it once instead, unless it is next to nothing.
                if factor >= MANY && (c.operations > 1.0 || c.loads > 1.0) {
                    let at = strip(graph, from, |y| stored.contains(&y));
                    stored.insert(at);
                    c = Cost {
                        loads: REPEATED,
                        operations: 0.0,
                    };
                } else if factor >= MANY {
                    c.loads *= REPEATED;
                }
            }
            Op::Unary(
                Unary::Exp
                | Unary::Log
                | Unary::Tanh
                | Unary::Sigmoid
                | Unary::Softplus
                | Unary::Sin
                | Unary::Cos,
            ) => c.operations += TRANSCENDENTAL,
            Op::Unary(Unary::Sqrt) => c.operations += ROOT,
            op if is_alias(op) => {}
            _ => c.operations += PLAIN,
        }
        if let Some(terms) = terms(graph, e) {
            c.loads *= terms as f64;
            c.operations *= terms as f64;
        }
        // Wanted when it can no longer be computed. A later stage that still can does so: keeping every centred and every
        // broadcast tensor of G for its backward pass took 126 MB more for DCGAN 64x64 at batch 128.
        let outlived = users[e.index()].iter().any(|u| home[u.index()] > last);
        let uses = users[e.index()].len() as f64;
        let weight = c.loads + c.operations / PER_LOAD;
        let worth = uses >= 2.0 && weight * uses > weight + 1.0 + uses;
        if !is_alias(&node.op)
            && !matches!(node.op, Op::Constant(_) | Op::Iota { .. })
            && (outlived || worth)
        {
            stored.insert(e);
            until[e.index()] = usize::MAX;
            c = Cost::STORED;
        }
        cost[e.index()] = c;
    }
    stored
}
