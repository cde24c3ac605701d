//! The closed set of primitive operations.
//!
//! Everything else (concatenation, up-sampling, pooling, scatter-add, batch norm, losses) is built from these
//! in `build.rs` and `compose.rs`, so that a gradient is again an expression of the same set.
use super::Shape;

/// An f32 that compares and hashes by its bits, so that operations can be interned.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(pub f32);
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}
impl Eq for Scalar {}
impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state)
    }
}

/// Elementwise functions of one operand. Of NaN each is NaN, but for [`Unary::Sign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    Neg,
    Exp,
    Log,
    Sqrt,
    Abs,
    Tanh,
    Sigmoid,
    /// ln(1 + e^x), evaluated without overflow.
    Softplus,
    /// max(x, 0).
    Relu,
    /// x for x > 0, slope * x otherwise.
    LeakyRelu(Scalar),
    Sin,
    Cos,
    /// Not differentiable.
    Floor,
    /// -1, 0 or 1, of NaN 0; not differentiable.
    Sign,
}

/// Elementwise functions of two operands of one shape. Comparisons give 1.0 or 0.0, with NaN 0.0, and are not differentiable; all else
/// is NaN where either operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// Of equal operands the first.
    Min,
    /// Of equal operands the first.
    Max,
    Less,
    LessEqual,
    Equal,
}

/// What a random tensor is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Uniform on [0, 1), 24 bits.
    Uniform,
    /// N(0, 1) by Box-Muller.
    Normal,
    /// 1.0 with probability p, else 0.0.
    Bernoulli(Scalar),
}

/// Stride and zero padding of a two-dimensional convolution (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub stride: [usize; 2],
    pub pad: [usize; 2],
}

/// Identity of a leaf: a tensor whose memory is given by whoever compiles the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeafId(pub u32);

/// Identity of a source: a tensor that a kernel of its own produces at each execution (a data batch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// A primitive operation. Operand order is given as `(a, b, ..)`; y is the result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A region of device memory: parameter, state or input.
    Leaf(LeafId),
    /// A tensor made by its own kernel at each execution.
    Source(SourceId),
    /// Every element has this value.
    Constant(Scalar),
    /// y[i0, i1, ..] = i_axis.
    Iota { axis: usize },
    /// Counter-based random numbers: a pure function of (seed, stream, execution, linear index).
    Random {
        distribution: Distribution,
        stream: u32,
    },
    /// y = f(a).
    Unary(Unary),
    /// y = f(a, b).
    Binary(Binary),
    /// y = b where a != 0, c elsewhere. Not differentiable in a.
    Select,
    /// The value passes, the gradient does not.
    StopGradient,
    /// Axes of size 1 are repeated; the rank stays.
    Broadcast,
    /// The same elements in row-major order under another shape.
    Reshape,
    /// y's axis i is a's axis perm[i].
    Transpose { perm: Vec<usize> },
    /// y[i..] = a[start + i..]; the extent is y's shape.
    Slice { start: Vec<usize> },
    /// Zeros around a: a begins at `before` in y.
    Pad { before: Vec<usize> },
    /// Sum over axes, which stay with size 1.
    Sum { axes: Vec<usize> },
    /// y[.., i, ..] = a[.., b[i], ..] along `axis`; b is [n] of integral values. Not differentiable in b.
    Gather { axis: usize },
    /// op(a) op(b) over the last two axes; rank 2, or 3 with one batch axis. op transposes if the flag is set.
    Matmul { trans_a: bool, trans_b: bool },
    /// (x [ci, n, h, w], w [co, ci, kh, kw]) -> [co, n, oh, ow], oh = (h + 2 pad - kh) / stride + 1 (cross-correlation, as in PyTorch).
    Conv2d(Window),
    /// (w [co, ci, kh, kw], dy [co, n, oh, ow]) -> [ci, n, h, w]; h and w are y's shape. The adjoint of Conv2d in x.
    Conv2dInputGrad(Window),
    /// (x [ci, n, h, w], dy [co, n, oh, ow]) -> [co, ci, kh, kw]; kh and kw are y's shape. The adjoint of Conv2d in w.
    Conv2dWeightGrad(Window),
    /// How close each sample of a batch is to the others, for x [b dims, n]: y[b, i] = sum over j != i of
    /// exp(-sum over dims of |x[b, :, i] - x[b, :, j]|).
    Closeness { dims: usize },
    /// (x [b dims, n], dy [b, n]) -> [b dims, n]. The adjoint of Closeness.
    ClosenessGrad { dims: usize },
}

impl Op {
    /// Public name, for messages and timing labels.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Leaf(_) => "leaf",
            Op::Source(_) => "source",
            Op::Constant(_) => "constant",
            Op::Iota { .. } => "iota",
            Op::Random { .. } => "random",
            Op::Unary(u) => match u {
                Unary::Neg => "neg",
                Unary::Exp => "exp",
                Unary::Log => "log",
                Unary::Sqrt => "sqrt",
                Unary::Abs => "abs",
                Unary::Tanh => "tanh",
                Unary::Sigmoid => "sigmoid",
                Unary::Softplus => "softplus",
                Unary::Relu => "relu",
                Unary::LeakyRelu(_) => "leaky_relu",
                Unary::Sin => "sin",
                Unary::Cos => "cos",
                Unary::Floor => "floor",
                Unary::Sign => "sign",
            },
            Op::Binary(b) => match b {
                Binary::Add => "add",
                Binary::Sub => "sub",
                Binary::Mul => "mul",
                Binary::Div => "div",
                Binary::Min => "min",
                Binary::Max => "max",
                Binary::Less => "less",
                Binary::LessEqual => "less_equal",
                Binary::Equal => "equal",
            },
            Op::Select => "select",
            Op::StopGradient => "stop_gradient",
            Op::Broadcast => "broadcast",
            Op::Reshape => "reshape",
            Op::Transpose { .. } => "transpose",
            Op::Slice { .. } => "slice",
            Op::Pad { .. } => "pad",
            Op::Sum { .. } => "sum",
            Op::Gather { .. } => "gather",
            Op::Matmul { .. } => "matmul",
            Op::Conv2d(_) => "conv2d",
            Op::Conv2dInputGrad(_) => "conv2d_input_grad",
            Op::Conv2dWeightGrad(_) => "conv2d_weight_grad",
            Op::Closeness { .. } => "closeness",
            Op::ClosenessGrad { .. } => "closeness_grad",
        }
    }
}

/// One interned expression.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<super::Expr>,
    pub shape: Shape,
}

impl Unary {
    /// The function in f64: the reference that kernels are tested against.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Exp => x.exp(),
            Unary::Log => x.ln(),
            Unary::Sqrt => x.sqrt(),
            Unary::Abs => x.abs(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            // The second term is NaN where x is.
            Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            // Not max, which drops NaN.
            Unary::Relu => {
                if x <= 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Unary::LeakyRelu(s) => {
                if x > 0.0 {
                    x
                } else {
                    s.0 as f64 * x
                }
            }
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Floor => x.floor(),
            Unary::Sign => {
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            }
        }
    }
}
impl Binary {
    /// The function in f64: the reference that kernels are tested against.
    pub fn eval(self, a: f64, b: f64) -> f64 {
        let truth = |t: bool| if t { 1.0 } else { 0.0 };
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            // Not f64::min and max, which drop NaN.
            Binary::Min => {
                if b < a || b.is_nan() {
                    b
                } else {
                    a
                }
            }
            Binary::Max => {
                if a < b || b.is_nan() {
                    b
                } else {
                    a
                }
            }
            Binary::Less => truth(a < b),
            Binary::LessEqual => truth(a <= b),
            Binary::Equal => truth(a == b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_comes_through() {
        let unary = [
            Unary::Neg,
            Unary::Exp,
            Unary::Log,
            Unary::Sqrt,
            Unary::Abs,
            Unary::Tanh,
            Unary::Sigmoid,
            Unary::Softplus,
            Unary::Relu,
            Unary::LeakyRelu(Scalar(0.0)),
            Unary::Sin,
            Unary::Cos,
            Unary::Floor,
        ];
        for f in unary {
            assert!(f.eval(f64::NAN).is_nan(), "{f:?}");
        }
        let binary = [
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Div,
            Binary::Min,
            Binary::Max,
        ];
        for f in binary {
            for (a, b) in [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::NAN, f64::INFINITY)] {
                assert!(f.eval(a, b).is_nan(), "{f:?} of {a} and {b}");
            }
        }
        for f in [Binary::Less, Binary::LessEqual, Binary::Equal] {
            assert_eq!(f.eval(f64::NAN, f64::NAN), 0.0, "{f:?}");
        }
    }

    #[test]
    fn the_larger_and_the_smaller() {
        for (a, b, least, most) in [
            (1.0, 2.0, 1.0, 2.0),
            (2.0, 1.0, 1.0, 2.0),
            (-1.0, f64::INFINITY, -1.0, f64::INFINITY),
            (f64::NEG_INFINITY, 3.0, f64::NEG_INFINITY, 3.0),
        ] {
            assert_eq!(Binary::Min.eval(a, b), least);
            assert_eq!(Binary::Max.eval(a, b), most);
        }
        assert_eq!(
            [-1.0, 0.0, 2.0].map(|x| Unary::Relu.eval(x)),
            [0.0, 0.0, 2.0]
        );
    }
}
