//! Construction of expressions: shape checks, interning (equal expressions are one node) and local simplification.
use super::origin::Origins;
use super::{Binary, Distribution, Expr, GraphError, LeafId, Node, Op, Result, Scalar, Shape};
use super::{SourceId, Unary, Window};
use std::collections::HashMap;
use std::ops::Range;

/// A leaf's description.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Name for messages, e.g. `d.0.weight`.
    pub name: String,
    pub shape: Shape,
    /// Stages of the compiled program in which the memory holds this value (see `plan`); `0..usize::MAX` when it is never overwritten.
    pub valid: Range<usize>,
}

/// An arena of interned expressions. Operands always precede the nodes that use them.
#[derive(Default)]
pub struct Graph {
    nodes: Vec<Node>,
    interned: HashMap<(Op, Vec<Expr>, Shape), Expr>,
    leaves: Vec<Leaf>,
    sources: Vec<(String, Shape)>,
    next_stream: u32,
    pub(super) origins: Origins,
}

pub(super) fn shape_error<T>(
    op: &'static str,
    expected: impl Into<String>,
    got: impl std::fmt::Display,
) -> Result<T> {
    Err(GraphError::Shape {
        op,
        expected: expected.into(),
        got: got.to_string(),
    })
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }
    /// The node behind an expression.
    pub fn node(&self, e: Expr) -> &Node {
        &self.nodes[e.index()]
    }
    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
    /// True when nothing was built yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
    /// Shape of an expression.
    pub fn shape(&self, e: Expr) -> &Shape {
        &self.nodes[e.index()].shape
    }
    /// Description of a leaf.
    pub fn leaf_info(&self, id: LeafId) -> &Leaf {
        &self.leaves[id.0 as usize]
    }
    /// Name and shape of a source.
    pub fn source_info(&self, id: SourceId) -> &(String, Shape) {
        &self.sources[id.0 as usize]
    }
    /// All expressions, operands first.
    pub fn exprs(&self) -> impl Iterator<Item = Expr> + use<> {
        (0..self.nodes.len() as u32).map(Expr)
    }

    pub(super) fn push(&mut self, op: Op, inputs: Vec<Expr>, shape: Shape) -> Expr {
        let key = (op, inputs, shape);
        if let Some(&e) = self.interned.get(&key) {
            return e;
        }
        let e = Expr(self.nodes.len() as u32);
        let (op, inputs, shape) = key.clone();
        self.nodes.push(Node { op, inputs, shape });
        self.origins.note();
        self.interned.insert(key, e);
        e
    }
    /// The value of every element, if the expression is a constant.
    pub fn constant_value(&self, e: Expr) -> Option<f32> {
        match self.node(e).op {
            Op::Constant(v) => Some(v.0),
            _ => None,
        }
    }

    // ---- leaves -------------------------------------------------------------------------------------------------

    /// A tensor whose memory is bound at compilation: a parameter, a state or an input.
    pub fn leaf(&mut self, name: &str, shape: impl Into<Shape>) -> Expr {
        self.leaf_during(name, shape, 0..usize::MAX)
    }
    /// A leaf that holds this value only during some stages of the program, e.g. weights before an optimiser step.
    pub fn leaf_during(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        valid: Range<usize>,
    ) -> Expr {
        let shape = shape.into();
        let id = LeafId(self.leaves.len() as u32);
        self.leaves.push(Leaf {
            name: name.into(),
            shape: shape.clone(),
            valid,
        });
        self.push(Op::Leaf(id), vec![], shape)
    }
    /// The leaf's identity, if the expression is one.
    pub fn leaf_id(&self, e: Expr) -> Option<LeafId> {
        match self.node(e).op {
            Op::Leaf(id) => Some(id),
            _ => None,
        }
    }
    /// A tensor that a kernel of its own makes at each execution, e.g. a batch of the data set.
    pub fn source(&mut self, name: &str, shape: impl Into<Shape>) -> Expr {
        let shape = shape.into();
        let id = SourceId(self.sources.len() as u32);
        self.sources.push((name.into(), shape.clone()));
        self.push(Op::Source(id), vec![], shape)
    }
    /// The source's identity, if the expression is one.
    pub fn source_id(&self, e: Expr) -> Option<SourceId> {
        match self.node(e).op {
            Op::Source(id) => Some(id),
            _ => None,
        }
    }
    /// Every element is `value`.
    pub fn constant(&mut self, value: f32, shape: impl Into<Shape>) -> Expr {
        self.push(Op::Constant(Scalar(value)), vec![], shape.into())
    }
    /// A scalar constant.
    pub fn scalar(&mut self, value: f32) -> Expr {
        self.constant(value, [])
    }
    /// y[i0, i1, ..] = i_axis as f32.
    pub fn iota(&mut self, shape: impl Into<Shape>, axis: usize) -> Result<Expr> {
        let shape = shape.into();
        if axis >= shape.rank() {
            return shape_error("iota", format!("an axis below {}", shape.rank()), axis);
        }
        Ok(self.push(Op::Iota { axis }, vec![], shape))
    }
    /// A fresh random tensor; each call gets its own stream, in order of construction, from [`Graph::FIRST_OWN_STREAM`] on.
    pub fn random(&mut self, distribution: Distribution, shape: impl Into<Shape>) -> Expr {
        let stream = Self::FIRST_OWN_STREAM + self.next_stream;
        self.next_stream += 1;
        self.random_stream(distribution, shape, stream)
    }
    /// A random tensor of a named stream: the same (seed, stream, execution) always gives the same numbers.
    pub fn random_stream(
        &mut self,
        distribution: Distribution,
        shape: impl Into<Shape>,
        stream: u32,
    ) -> Expr {
        let op = Op::Random {
            distribution,
            stream,
        };
        self.push(op, vec![], shape.into())
    }
    /// Streams below this one are for [`Graph::random_stream`]: a mask that a network draws never repeats a program's latents.
    pub const FIRST_OWN_STREAM: u32 = 1 << 16;

    // ---- elementwise --------------------------------------------------------------------------------------------

    /// y = f(a).
    pub fn unary(&mut self, f: Unary, a: Expr) -> Expr {
        let shape = self.shape(a).clone();
        if let Some(v) = self.constant_value(a) {
            return self.constant(f.eval(v as f64) as f32, shape);
        }
        if f == Unary::Neg
            && let Op::Unary(Unary::Neg) = self.node(a).op
        {
            return self.node(a).inputs[0];
        }
        self.push(Op::Unary(f), vec![a], shape)
    }
    /// y = f(a, b), with NumPy broadcasting of size-1 axes between operands of equal rank, and of scalars.
    pub fn binary(&mut self, f: Binary, a: Expr, b: Expr) -> Result<Expr> {
        let (a, b) = self.broadcast_pair(Op::Binary(f).name(), a, b)?;
        let shape = self.shape(a).clone();
        let (ca, cb) = (self.constant_value(a), self.constant_value(b));
        if let (Some(x), Some(y)) = (ca, cb) {
            return Ok(self.constant(f.eval(x as f64, y as f64) as f32, shape));
        }
        Ok(match (f, ca, cb) {
            (Binary::Add, Some(0.0), _) | (Binary::Mul, Some(1.0), _) => b,
            (Binary::Add | Binary::Sub, _, Some(0.0))
            | (Binary::Mul | Binary::Div, _, Some(1.0)) => a,
            (Binary::Mul, _, Some(-1.0)) => self.unary(Unary::Neg, a),
            (Binary::Mul, Some(-1.0), _) => self.unary(Unary::Neg, b),
            // One order for commutative operations, so that equal expressions meet.
            // Min and max keep theirs: it decides who gets the gradient at a tie.
            (Binary::Add | Binary::Mul | Binary::Equal, _, _) if a > b => {
                self.push(Op::Binary(f), vec![b, a], shape)
            }
            _ => self.push(Op::Binary(f), vec![a, b], shape),
        })
    }
    /// y = b where a != 0, c elsewhere.
    pub fn select(&mut self, a: Expr, b: Expr, c: Expr) -> Result<Expr> {
        let (b, c) = self.broadcast_pair("select", b, c)?;
        let (a, b) = self.broadcast_pair("select", a, b)?;
        let (b, c) = self.broadcast_pair("select", b, c)?;
        let shape = self.shape(b).clone();
        Ok(self.push(Op::Select, vec![a, b, c], shape))
    }
    /// The value passes, the gradient does not. Sources and random tensors are wrapped too: R1 differentiates with respect to a batch.
    pub fn stop_gradient(&mut self, a: Expr) -> Expr {
        match self.node(a).op {
            Op::StopGradient | Op::Constant(_) | Op::Iota { .. } => a,
            _ => {
                let shape = self.shape(a).clone();
                self.push(Op::StopGradient, vec![a], shape)
            }
        }
    }
    fn broadcast_pair(&mut self, op: &'static str, a: Expr, b: Expr) -> Result<(Expr, Expr)> {
        let (sa, sb) = (self.shape(a).clone(), self.shape(b).clone());
        if sa == sb {
            return Ok((a, b));
        }
        if sa.rank() == 0 || sb.rank() == 0 {
            let target = if sa.rank() == 0 { sb } else { sa };
            return Ok((self.expand(a, &target)?, self.expand(b, &target)?));
        }
        let fits = sa.rank() == sb.rank()
            && sa
                .iter()
                .zip(sb.iter())
                .all(|(&x, &y)| x == y || x == 1 || y == 1);
        if !fits {
            return shape_error(
                op,
                format!("a shape that broadcasts with {sa} (equal ranks; sizes equal or 1)"),
                &sb,
            );
        }
        let target: Vec<usize> = sa.iter().zip(sb.iter()).map(|(&x, &y)| x.max(y)).collect();
        let target = Shape::new(target);
        Ok((self.expand(a, &target)?, self.expand(b, &target)?))
    }
    /// Broadcasts a scalar or size-1 axes to `target`.
    pub fn expand(&mut self, a: Expr, target: &Shape) -> Result<Expr> {
        let shape = self.shape(a).clone();
        if &shape == target {
            return Ok(a);
        }
        if let Some(v) = self.constant_value(a) {
            return Ok(self.constant(v, target.clone()));
        }
        if shape.rank() == 0 {
            let ones = self.reshape(a, vec![1; target.rank()])?;
            return self.expand(ones, target);
        }
        let fits = shape.rank() == target.rank()
            && shape
                .iter()
                .zip(target.iter())
                .all(|(&x, &y)| x == y || x == 1);
        if !fits {
            return shape_error(
                "broadcast",
                format!("a shape that expands to {target}"),
                &shape,
            );
        }
        Ok(self.push(Op::Broadcast, vec![a], target.clone()))
    }

    // ---- movement -----------------------------------------------------------------------------------------------

    /// The same elements under another shape of as many elements.
    pub fn reshape(&mut self, a: Expr, shape: impl Into<Shape>) -> Result<Expr> {
        let (from, to) = (self.shape(a).clone(), shape.into());
        if from == to {
            return Ok(a);
        }
        if from.numel() != to.numel() {
            return shape_error("reshape", format!("{} elements", from.numel()), &to);
        }
        if let Some(v) = self.constant_value(a) {
            return Ok(self.constant(v, to));
        }
        if let Op::Reshape = self.node(a).op {
            let inner = self.node(a).inputs[0];
            return self.reshape(inner, to);
        }
        Ok(self.push(Op::Reshape, vec![a], to))
    }
    /// Axis i of the result is axis `perm[i]` of `a`.
    pub fn transpose(&mut self, a: Expr, perm: &[usize]) -> Result<Expr> {
        let from = self.shape(a).clone();
        let mut seen = perm.to_vec();
        seen.sort_unstable();
        if seen != (0..from.rank()).collect::<Vec<_>>() {
            return shape_error(
                "transpose",
                format!("a permutation of {} axes", from.rank()),
                format!("{perm:?}"),
            );
        }
        let to = Shape::new(perm.iter().map(|&p| from[p]).collect::<Vec<_>>());
        if let Some(v) = self.constant_value(a) {
            return Ok(self.constant(v, to));
        }
        // Moving only axes of size 1 keeps the order of the elements.
        let moved: Vec<usize> = perm.iter().copied().filter(|&p| from[p] != 1).collect();
        if moved.is_sorted() {
            return self.reshape(a, to);
        }
        let op = Op::Transpose {
            perm: perm.to_vec(),
        };
        Ok(self.push(op, vec![a], to))
    }
    /// The elements from `start` on, `size` of them, per axis.
    pub fn slice(&mut self, a: Expr, start: &[usize], size: &[usize]) -> Result<Expr> {
        let from = self.shape(a).clone();
        let fits = start.len() == from.rank()
            && size.len() == from.rank()
            && (0..from.rank())
                .all(|i| size[i] > 0 && size[i] <= from[i] && start[i] <= from[i] - size[i]);
        if !fits {
            return shape_error(
                "slice",
                format!("a range inside {from}"),
                format!("start {start:?}, size {size:?}"),
            );
        }
        let to = Shape::from(size);
        if to == from {
            return Ok(a);
        }
        if let Some(v) = self.constant_value(a) {
            return Ok(self.constant(v, to));
        }
        let op = Op::Slice {
            start: start.to_vec(),
        };
        Ok(self.push(op, vec![a], to))
    }
    /// Zeros before and after, per axis.
    pub fn pad(&mut self, a: Expr, before: &[usize], after: &[usize]) -> Result<Expr> {
        let from = self.shape(a).clone();
        if before.len() != from.rank() || after.len() != from.rank() {
            return shape_error(
                "pad",
                format!("{} sizes before and after", from.rank()),
                format!("{before:?}, {after:?}"),
            );
        }
        let to: Vec<usize> = (0..from.rank())
            .map(|i| before[i] + from[i] + after[i])
            .collect();
        let to = Shape::new(to);
        if to == from {
            return Ok(a);
        }
        let op = Op::Pad {
            before: before.to_vec(),
        };
        Ok(self.push(op, vec![a], to))
    }

    // ---- reduction and indexing -------------------------------------------------------------------------------------

    /// Sum over `axes`, which stay with size 1.
    pub fn sum(&mut self, a: Expr, axes: &[usize]) -> Result<Expr> {
        let from = self.shape(a).clone();
        let mut axes: Vec<usize> = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        if axes.iter().any(|&x| x >= from.rank()) {
            return shape_error(
                "sum",
                format!("axes below {}", from.rank()),
                format!("{axes:?}"),
            );
        }
        let to = from.keep_reduced(&axes);
        axes.retain(|&x| from[x] != 1);
        if axes.is_empty() {
            return Ok(a);
        }
        if let Some(v) = self.constant_value(a) {
            let count: usize = axes.iter().map(|&x| from[x]).product();
            return Ok(self.constant((v as f64 * count as f64) as f32, to));
        }
        Ok(self.push(Op::Sum { axes }, vec![a], to))
    }
    /// y[.., i, ..] = a[.., indices[i], ..] along `axis`; `indices` is [n] and holds whole numbers below the axis' size.
    pub fn gather(&mut self, a: Expr, indices: Expr, axis: usize) -> Result<Expr> {
        let (from, idx) = (self.shape(a).clone(), self.shape(indices).clone());
        if axis >= from.rank() || idx.rank() != 1 {
            return shape_error(
                "gather",
                format!("an axis below {} and indices of rank 1", from.rank()),
                format!("axis {axis}, indices {idx}"),
            );
        }
        let mut to = from.to_vec();
        to[axis] = idx[0];
        Ok(self.push(Op::Gather { axis }, vec![a, indices], to.into()))
    }

    // ---- contraction ------------------------------------------------------------------------------------------------

    /// op(a) op(b), where op transposes the last two axes if its flag is set; rank 2, or rank 3 with one equal batch axis.
    pub fn matmul_t(&mut self, a: Expr, b: Expr, trans_a: bool, trans_b: bool) -> Result<Expr> {
        let (sa, sb) = (self.shape(a).clone(), self.shape(b).clone());
        let rank = sa.rank();
        let ok_rank = rank == sb.rank() && (rank == 2 || (rank == 3 && sa[0] == sb[0]));
        if !ok_rank {
            return shape_error(
                "matmul",
                "two matrices, or two batches of as many matrices",
                format!("{sa} and {sb}"),
            );
        }
        let pick = |s: &Shape, t: bool| {
            if t {
                (s[rank - 1], s[rank - 2])
            } else {
                (s[rank - 2], s[rank - 1])
            }
        };
        let ((m, k), (k2, n)) = (pick(&sa, trans_a), pick(&sb, trans_b));
        if k != k2 {
            return shape_error(
                "matmul",
                format!("equal inner sizes ({k} from the left operand {sa})"),
                format!("{k2} from the right operand {sb}"),
            );
        }
        let mut to = vec![m, n];
        if rank == 3 {
            to.insert(0, sa[0]);
        }
        Ok(self.push(Op::Matmul { trans_a, trans_b }, vec![a, b], to.into()))
    }
    /// The matrix product a b.
    pub fn matmul(&mut self, a: Expr, b: Expr) -> Result<Expr> {
        self.matmul_t(a, b, false, false)
    }
    /// Cross-correlation of x [ci, n, h, w] with w [co, ci, kh, kw] -> [co, n, oh, ow].
    pub fn conv2d(&mut self, x: Expr, w: Expr, window: Window) -> Result<Expr> {
        let (sx, sw) = (self.shape(x).clone(), self.shape(w).clone());
        if sx.rank() != 4 || sw.rank() != 4 || sx[0] != sw[1] {
            return shape_error(
                "conv2d",
                format!("x [ci, n, h, w] and weight [co, ci, kh, kw] (x is {sx})"),
                &sw,
            );
        }
        let out = |i: usize| conv_size(sx[2 + i], sw[2 + i], window.stride[i], window.pad[i]);
        match (out(0), out(1)) {
            (Some(oh), Some(ow)) => {
                let to = [sw[0], sx[1], oh, ow];
                Ok(self.push(Op::Conv2d(window), vec![x, w], to.into()))
            }
            _ => shape_error(
                "conv2d",
                format!(
                    "a kernel no larger than the padded image {sx} (padding {:?}) and a stride of at least 1",
                    window.pad
                ),
                format!("kernel {sw}, stride {:?}", window.stride),
            ),
        }
    }
    /// Adjoint of [`Graph::conv2d`] in x: (w [co, ci, kh, kw], dy [co, n, oh, ow]) -> [ci, n, h, w] with h, w = `size`.
    /// This is the forward pass of a transposed convolution.
    pub fn conv2d_input_grad(
        &mut self,
        w: Expr,
        dy: Expr,
        window: Window,
        size: [usize; 2],
    ) -> Result<Expr> {
        let (sw, sy) = (self.shape(w).clone(), self.shape(dy).clone());
        let fits = sw.rank() == 4
            && sy.rank() == 4
            && sw[0] == sy[0]
            && (0..2).all(|i| {
                conv_size(size[i], sw[2 + i], window.stride[i], window.pad[i]) == Some(sy[2 + i])
            });
        if !fits {
            return shape_error(
                "conv2d_input_grad",
                format!(
                    "weight [co, ci, kh, kw] and dy [co, n, oh, ow] of a convolution of a {size:?} image (weight is {sw}, window {window:?})"
                ),
                &sy,
            );
        }
        let to = [sw[1], sy[1], size[0], size[1]];
        Ok(self.push(Op::Conv2dInputGrad(window), vec![w, dy], to.into()))
    }
    /// Adjoint of [`Graph::conv2d`] in w: (x [ci, n, h, w], dy [co, n, oh, ow]) -> [co, ci, kh, kw] with kh, kw = `kernel`.
    pub fn conv2d_weight_grad(
        &mut self,
        x: Expr,
        dy: Expr,
        window: Window,
        kernel: [usize; 2],
    ) -> Result<Expr> {
        let (sx, sy) = (self.shape(x).clone(), self.shape(dy).clone());
        let fits = sx.rank() == 4
            && sy.rank() == 4
            && sx[1] == sy[1]
            && (0..2).all(|i| {
                conv_size(sx[2 + i], kernel[i], window.stride[i], window.pad[i]) == Some(sy[2 + i])
            });
        if !fits {
            return shape_error(
                "conv2d_weight_grad",
                format!(
                    "x [ci, n, h, w] and dy [co, n, oh, ow] of a convolution with a {kernel:?} kernel (x is {sx}, window {window:?})"
                ),
                &sy,
            );
        }
        let to = [sy[0], sx[0], kernel[0], kernel[1]];
        Ok(self.push(Op::Conv2dWeightGrad(window), vec![x, dy], to.into()))
    }
    /// How close each sample is to the others: x [b dims, n] -> [b, n], the sums over j != i of exp(-|x[b, :, i] - x[b, :, j]|_1), as
    /// minibatch discrimination wants them (Salimans et al., arXiv 1606.03498, section 3.2).
    pub fn closeness(&mut self, x: Expr, dims: usize) -> Result<Expr> {
        let s = self.shape(x).clone();
        if s.rank() != 2 || dims == 0 || !s[0].is_multiple_of(dims) {
            return shape_error("closeness", format!("x [kernels * {dims}, n]"), &s);
        }
        let to = [s[0] / dims, s[1]];
        Ok(self.push(Op::Closeness { dims }, vec![x], to.into()))
    }
    /// Adjoint of [`Graph::closeness`]: (x [b dims, n], dy [b, n]) -> [b dims, n].
    pub fn closeness_grad(&mut self, x: Expr, dy: Expr, dims: usize) -> Result<Expr> {
        let (sx, sy) = (self.shape(x).clone(), self.shape(dy).clone());
        if sx.rank() != 2 || sy.rank() != 2 || sx[0] != sy[0] * dims || sx[1] != sy[1] {
            return shape_error(
                "closeness_grad",
                format!("x [kernels * {dims}, n] and dy [kernels, n] (x is {sx})"),
                &sy,
            );
        }
        Ok(self.push(Op::ClosenessGrad { dims }, vec![x, dy], sx))
    }
}

/// Output size of a convolution along one axis, or None where the window does not fit.
pub fn conv_size(size: usize, kernel: usize, stride: usize, pad: usize) -> Option<usize> {
    if stride == 0 || kernel == 0 || size == 0 {
        return None;
    }
    let padded = size.checked_add(pad.checked_mul(2)?)?;
    padded.checked_sub(kernel).map(|d| d / stride + 1)
}
