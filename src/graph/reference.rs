//! The meaning of every operation, as textbook loops in f64 on the CPU: what plans, kernels and gradient rules are tested against.
use super::{Distribution, Expr, Graph, GraphError, LeafId, Node, Op, Result, Shape, SourceId};
use super::{Scalar, Window};
use crate::kernels::{closeness, random};
use std::collections::HashMap;

/// Evaluates expressions in f64; row-major values, as many as the expression's shape has elements.
///
/// Only [`Op::Random`] is drawn in f32 words as on the device, so that a program sees the same latents in both.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// Values of the leaves that the expressions read.
    pub leaves: HashMap<LeafId, Vec<f64>>,
    /// Values of the sources that the expressions read.
    pub sources: HashMap<SourceId, Vec<f64>>,
    /// The run's seed, for [`Op::Random`].
    pub seed: u64,
    /// Which execution of the program this is, for [`Op::Random`].
    pub execution: u32,
}

impl Reference {
    /// Nothing bound, seed 0, execution 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds values to a leaf or source; other expressions are left alone.
    pub fn bind(&mut self, graph: &Graph, input: Expr, values: Vec<f64>) {
        match graph.node(input).op {
            Op::Leaf(id) => drop(self.leaves.insert(id, values)),
            Op::Source(id) => drop(self.sources.insert(id, values)),
            _ => {}
        }
    }

    /// The values of `exprs`, in their order.
    ///
    /// # Errors
    /// [`GraphError::Unbound`] for a leaf or source without values, [`GraphError::Shape`] where their count does not fit its
    /// shape, [`GraphError::Index`] where gather's indices are not whole numbers inside the axis.
    pub fn evaluate(&self, graph: &Graph, exprs: &[Expr]) -> Result<Vec<Vec<f64>>> {
        let end = exprs.iter().map(|e| e.index() + 1).max().unwrap_or(0);
        let mut needed = vec![false; end];
        for e in exprs {
            needed[e.index()] = true;
        }
        for e in graph.exprs().take(end).collect::<Vec<_>>().iter().rev() {
            if needed[e.index()] {
                for x in &graph.node(*e).inputs {
                    needed[x.index()] = true;
                }
            }
        }
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); end];
        for e in graph.exprs().take(end) {
            if needed[e.index()] {
                let value = self.node(graph, graph.node(e), &values)?;
                debug_assert_eq!(value.len(), graph.shape(e).numel());
                values[e.index()] = value;
            }
        }
        Ok(exprs.iter().map(|e| values[e.index()].clone()).collect())
    }

    fn node(&self, graph: &Graph, node: &Node, values: &[Vec<f64>]) -> Result<Vec<f64>> {
        let x = |slot: usize| values[node.inputs[slot].index()].as_slice();
        let shape = |slot: usize| graph.shape(node.inputs[slot]);
        let (to, count) = (&node.shape, node.shape.numel());
        Ok(match &node.op {
            Op::Leaf(id) => bound(&graph.leaf_info(*id).name, to, self.leaves.get(id))?,
            Op::Source(id) => bound(&graph.source_info(*id).0, to, self.sources.get(id))?,
            Op::Constant(v) => vec![v.0 as f64; count],
            Op::Iota { axis } => {
                let (stride, size) = (to.strides()[*axis], to[*axis]);
                (0..count).map(|i| (i / stride % size) as f64).collect()
            }
            Op::Random {
                distribution,
                stream,
            } => (0..count as u32)
                .map(|i| draw(*distribution, self.seed, *stream, self.execution, i))
                .collect(),
            Op::Unary(f) => x(0).iter().map(|&a| f.eval(a)).collect(),
            Op::Binary(f) => (0..count).map(|i| f.eval(x(0)[i], x(1)[i])).collect(),
            Op::Select => (0..count)
                .map(|i| if x(0)[i] != 0.0 { x(1)[i] } else { x(2)[i] })
                .collect(),
            Op::StopGradient | Op::Reshape => x(0).to_vec(),
            Op::Broadcast => pick(x(0), to, &repeating_strides(shape(0)), 0),
            Op::Transpose { perm } => {
                let strides = shape(0).strides();
                let strides: Vec<usize> = perm.iter().map(|&p| strides[p]).collect();
                pick(x(0), to, &strides, 0)
            }
            Op::Slice { start } => {
                let strides = shape(0).strides();
                let first = start.iter().zip(&strides).map(|(i, s)| i * s).sum();
                pick(x(0), to, &strides, first)
            }
            Op::Pad { before } => {
                let strides = to.strides();
                let first: usize = before.iter().zip(&strides).map(|(i, s)| i * s).sum();
                let mut y = vec![0.0; count];
                for (i, at) in offsets(shape(0), &strides).enumerate() {
                    y[first + at] = x(0)[i];
                }
                y
            }
            Op::Sum { .. } => {
                let mut y = vec![0.0; count];
                for (i, at) in offsets(shape(0), &repeating_strides(to)).enumerate() {
                    y[at] += x(0)[i];
                }
                y
            }
            Op::Gather { axis } => gather(x(0), x(1), shape(0), *axis)?,
            Op::Matmul { trans_a, trans_b } => matmul(x(0), x(1), shape(0), to, *trans_a, *trans_b),
            Op::Conv2d(window) => {
                let mut y = vec![0.0; count];
                each_tap(shape(0), shape(1), to, *window, |i, k, o| {
                    y[o] += x(0)[i] * x(1)[k]
                });
                y
            }
            Op::Conv2dInputGrad(window) => {
                let mut dx = vec![0.0; count];
                each_tap(to, shape(0), shape(1), *window, |i, k, o| {
                    dx[i] += x(0)[k] * x(1)[o]
                });
                dx
            }
            Op::Conv2dWeightGrad(window) => {
                let mut dw = vec![0.0; count];
                each_tap(shape(0), to, shape(1), *window, |i, k, o| {
                    dw[k] += x(0)[i] * x(1)[o]
                });
                dw
            }
            Op::Closeness { .. } => closeness::reference(to[0], to[1], x(0), None),
            Op::ClosenessGrad { dims } => {
                closeness::reference(to[0] / dims, to[1], x(0), Some(x(1)))
            }
        })
    }
}

fn bound(name: &str, shape: &Shape, values: Option<&Vec<f64>>) -> Result<Vec<f64>> {
    match values {
        None => Err(GraphError::Unbound { name: name.into() }),
        Some(v) if v.len() != shape.numel() => super::build::shape_error(
            "leaf",
            format!("{} values for `{name}` {shape}", shape.numel()),
            v.len(),
        ),
        Some(v) => Ok(v.clone()),
    }
}

/// One element of [`Op::Random`].
fn draw(distribution: Distribution, seed: u64, stream: u32, execution: u32, index: u32) -> f64 {
    let distribution = match distribution {
        Distribution::Uniform => random::Distribution::Uniform,
        Distribution::Normal => random::Distribution::Normal,
        Distribution::Bernoulli(Scalar(p)) => random::Distribution::Bernoulli(p),
    };
    random::draw(distribution, seed, stream, execution, index).into()
}

/// Strides that stay in place along axes of size 1.
fn repeating_strides(shape: &Shape) -> Vec<usize> {
    let mut strides = shape.strides();
    for (stride, &size) in strides.iter_mut().zip(shape.iter()) {
        if size == 1 {
            *stride = 0;
        }
    }
    strides
}
/// sum_i index_i strides_i for every index of `shape`, in row-major order.
fn offsets<'a>(shape: &'a Shape, strides: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    let rows = shape.strides();
    (0..shape.numel()).map(move |linear| {
        (0..shape.rank())
            .map(|axis| linear / rows[axis] % shape[axis] * strides[axis])
            .sum()
    })
}
fn pick(x: &[f64], to: &Shape, strides: &[usize], first: usize) -> Vec<f64> {
    offsets(to, strides).map(|at| x[first + at]).collect()
}

fn gather(x: &[f64], indices: &[f64], shape: &Shape, axis: usize) -> Result<Vec<f64>> {
    let size = shape[axis];
    for (position, &index) in indices.iter().enumerate() {
        if index.fract() != 0.0 || !(0.0..size as f64).contains(&index) {
            return Err(GraphError::Index {
                op: "gather",
                position,
                index,
                size,
            });
        }
    }
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let mut y = Vec::with_capacity(outer * indices.len() * inner);
    for o in 0..outer {
        for &index in indices {
            let row = (o * size + index as usize) * inner;
            y.extend_from_slice(&x[row..row + inner]);
        }
    }
    Ok(y)
}

fn matmul(a: &[f64], b: &[f64], sa: &Shape, to: &Shape, ta: bool, tb: bool) -> Vec<f64> {
    let rank = to.rank();
    let (m, n) = (to[rank - 2], to[rank - 1]);
    let k = sa[if ta { rank - 2 } else { rank - 1 }];
    let batches = to.numel() / (m * n);
    let mut y = Vec::with_capacity(to.numel());
    for batch in 0..batches {
        let (a, b) = (&a[batch * m * k..], &b[batch * k * n..]);
        for i in 0..m {
            for j in 0..n {
                let at = |l: usize| if ta { a[l * m + i] } else { a[i * k + l] };
                let bt = |l: usize| if tb { b[j * k + l] } else { b[l * n + j] };
                y.push((0..k).map(|l| at(l) * bt(l)).sum());
            }
        }
    }
    y
}

/// Every product of a convolution, as linear indices into x [ci, n, h, w], the kernel [co, ci, kh, kw] and y [co, n, oh, ow].
fn each_tap(
    x: &Shape,
    kernel: &Shape,
    y: &Shape,
    window: Window,
    mut tap: impl FnMut(usize, usize, usize),
) {
    let [ci, n, h, w] = [x[0], x[1], x[2], x[3]];
    let [co, kh, kw] = [kernel[0], kernel[2], kernel[3]];
    let [oh, ow] = [y[2], y[3]];
    // Position in the image, or None in the padding.
    let inside = |o: usize, k: usize, axis: usize, size: usize| {
        (o * window.stride[axis] + k)
            .checked_sub(window.pad[axis])
            .filter(|&i| i < size)
    };
    for c_out in 0..co {
        for image in 0..n {
            for (r, s) in (0..oh).flat_map(|r| (0..ow).map(move |s| (r, s))) {
                let o = ((c_out * n + image) * oh + r) * ow + s;
                for c_in in 0..ci {
                    for (p, q) in (0..kh).flat_map(|p| (0..kw).map(move |q| (p, q))) {
                        if let (Some(i), Some(j)) = (inside(r, p, 0, h), inside(s, q, 1, w)) {
                            let at = ((c_in * n + image) * h + i) * w + j;
                            tap(at, ((c_out * ci + c_in) * kh + p) * kw + q, o);
                        }
                    }
                }
            }
        }
    }
}
