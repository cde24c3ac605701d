//! For every operation: graphs whose derivatives are compared with finite differences.
use crate::checker::Values;
use gan_gpu::graph::{
    Binary, Distribution, Expr, Graph, LeafId, Op, Reference, Result, Scalar, SourceId, Unary,
    Window,
};

/// Where an operand's values lie.
#[derive(Clone, Copy, Debug)]
pub enum Domain {
    /// Uniform on [-1.5, 1.5].
    Any,
    /// [0.4, 1.6]
    Positive,
    /// Both signs, at least 0.2 from zero: functions with a kink or a pole there.
    AwayFromZero,
    /// 0.3 k + jitter of 0.05 for the first of two operands, 0.3 k + 0.15 + jitter for the second: never near a tie.
    Lattice(f64),
    /// Any four that follow one another at least 0.3 apart.
    Apart,
}
use Domain::*;

type Build = Box<dyn Fn(&mut Graph, &[Expr]) -> Result<Expr>>;

/// One graph of one operation.
pub struct Case {
    pub operands: Vec<(Vec<usize>, Domain)>,
    pub build: Build,
}

fn case(
    operands: &[(&[usize], Domain)],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Expr> + 'static,
) -> Case {
    Case {
        operands: operands.iter().map(|(s, d)| (s.to_vec(), *d)).collect(),
        build: Box::new(build),
    }
}

impl Case {
    /// The graph, the leaves with values, and the result.
    pub fn instantiate(&self) -> (Graph, Reference, Vec<Expr>, Expr) {
        let (mut g, mut at, mut values) = (Graph::new(), Reference::new(), Values::new(5));
        let mut leaves = vec![];
        for (i, (shape, domain)) in self.operands.iter().enumerate() {
            let leaf = g.leaf(&format!("x{i}"), shape.clone());
            let n = g.shape(leaf).numel();
            let v = match domain {
                Any => values.vec(n, -1.5, 1.5),
                Positive => values.vec(n, 0.4, 1.6),
                AwayFromZero => values
                    .vec(n, -1.3, 1.3)
                    .iter()
                    .map(|v| v + 0.2 * v.signum())
                    .collect(),
                Lattice(offset) => (0..n)
                    .map(|_| {
                        0.3 * values.uniform(-4.0, 4.0).floor() + offset + values.uniform(0.0, 0.05)
                    })
                    .collect(),
                Apart => (0..n)
                    .map(|k| 0.35 * (3 * k % 4) as f64 + values.uniform(0.0, 0.05))
                    .collect(),
            };
            at.bind(&g, leaf, v);
            leaves.push(leaf);
        }
        let y = (self.build)(&mut g, &leaves).unwrap();
        (g, at, leaves, y)
    }
}

/// The operations one after another, each once. Exhaustive: a new operation does not compile before it stands here.
fn successor(op: &Op) -> Option<Op> {
    let window = Window {
        stride: [1, 1],
        pad: [0, 0],
    };
    Some(match op {
        Op::Leaf(_) => Op::Source(SourceId(0)),
        Op::Source(_) => Op::Constant(Scalar(2.0)),
        Op::Constant(_) => Op::Iota { axis: 0 },
        Op::Iota { .. } => Op::Random {
            distribution: Distribution::Normal,
            stream: 0,
        },
        Op::Random { .. } => Op::Unary(Unary::Neg),
        Op::Unary(f) => match f {
            Unary::Neg => Op::Unary(Unary::Exp),
            Unary::Exp => Op::Unary(Unary::Log),
            Unary::Log => Op::Unary(Unary::Sqrt),
            Unary::Sqrt => Op::Unary(Unary::Abs),
            Unary::Abs => Op::Unary(Unary::Tanh),
            Unary::Tanh => Op::Unary(Unary::Sigmoid),
            Unary::Sigmoid => Op::Unary(Unary::Softplus),
            Unary::Softplus => Op::Unary(Unary::Relu),
            Unary::Relu => Op::Unary(Unary::LeakyRelu(Scalar(0.2))),
            Unary::LeakyRelu(_) => Op::Unary(Unary::Sin),
            Unary::Sin => Op::Unary(Unary::Cos),
            Unary::Cos => Op::Unary(Unary::Floor),
            Unary::Floor => Op::Unary(Unary::Sign),
            Unary::Sign => Op::Binary(Binary::Add),
        },
        Op::Binary(f) => match f {
            Binary::Add => Op::Binary(Binary::Sub),
            Binary::Sub => Op::Binary(Binary::Mul),
            Binary::Mul => Op::Binary(Binary::Div),
            Binary::Div => Op::Binary(Binary::Min),
            Binary::Min => Op::Binary(Binary::Max),
            Binary::Max => Op::Binary(Binary::Less),
            Binary::Less => Op::Binary(Binary::LessEqual),
            Binary::LessEqual => Op::Binary(Binary::Equal),
            Binary::Equal => Op::Select,
        },
        Op::Select => Op::StopGradient,
        Op::StopGradient => Op::Broadcast,
        Op::Broadcast => Op::Reshape,
        Op::Reshape => Op::Transpose { perm: vec![] },
        Op::Transpose { .. } => Op::Slice { start: vec![] },
        Op::Slice { .. } => Op::Pad { before: vec![] },
        Op::Pad { .. } => Op::Sum { axes: vec![] },
        Op::Sum { .. } => Op::Gather { axis: 0 },
        Op::Gather { .. } => Op::Matmul {
            trans_a: false,
            trans_b: false,
        },
        Op::Matmul { .. } => Op::Conv2d(window),
        Op::Conv2d(_) => Op::Conv2dInputGrad(window),
        Op::Conv2dInputGrad(_) => Op::Conv2dWeightGrad(window),
        Op::Conv2dWeightGrad(_) => Op::Closeness { dims: 1 },
        Op::Closeness { .. } => Op::ClosenessGrad { dims: 1 },
        Op::ClosenessGrad { .. } => return None,
    })
}

/// One of every operation, with arbitrary attributes.
pub fn every_op() -> Vec<Op> {
    std::iter::successors(Some(Op::Leaf(LeafId(0))), successor).collect()
}

fn unary(f: Unary, domain: Domain) -> Vec<Case> {
    [&[][..], &[1], &[7], &[3, 5]]
        .into_iter()
        .map(|shape| case(&[(shape, domain)], move |g, x| Ok(g.unary(f, x[0]))))
        .collect()
}
fn binary(f: Binary, a: Domain, b: Domain) -> Vec<Case> {
    let mut cases: Vec<Case> = [
        (&[][..], &[][..]),
        (&[5], &[5]),
        (&[3, 4], &[3, 1]),
        (&[1, 3], &[2, 1]),
        (&[2, 1, 3], &[]),
    ]
    .into_iter()
    .map(|(sa, sb)| case(&[(sa, a), (sb, b)], move |g, x| g.binary(f, x[0], x[1])))
    .collect();
    // One operand on both sides, through different paths: contributions must add up.
    cases.push(case(&[(&[4], a), (&[4], b)], move |g, x| {
        let y = g.binary(f, x[0], x[1])?;
        g.mul(y, x[0])
    }));
    cases
}

/// (ci, n, h, w), (co, kh, kw), stride, padding: stride above kernel, kernel above stride, taps that the last rows leave out,
/// padding as wide as the kernel, single pixels.
type ConvSizes = ([usize; 4], [usize; 3], [usize; 2], [usize; 2]);
const CONVOLUTIONS: [ConvSizes; 6] = [
    ([1, 1, 3, 4], [1, 2, 2], [1, 1], [0, 0]),
    ([2, 3, 4, 4], [3, 4, 4], [2, 2], [1, 1]),
    ([2, 1, 5, 4], [2, 3, 2], [2, 3], [0, 1]),
    ([3, 2, 1, 1], [2, 1, 1], [1, 1], [0, 0]),
    ([1, 2, 3, 6], [2, 1, 2], [2, 4], [1, 2]),
    ([2, 1, 2, 3], [1, 5, 4], [1, 1], [2, 3]),
];

/// What is differentiated for `op`; empty where it has no differentiable operand (those are in [`no_derivative`]).
pub fn cases(op: &Op) -> Vec<Case> {
    match op {
        // Nothing goes in. Leaves are the operands of every case; a constant's neighbours must get their gradient.
        Op::Leaf(_) => vec![case(&[(&[2, 3], Any)], |_, x| Ok(x[0]))],
        Op::Source(_) => vec![], // tests/gradients/stories.rs: R1 with respect to a source
        Op::Constant(_) => vec![case(&[(&[3], Any)], |g, x| {
            let c = g.constant(1.75, [3]);
            g.mul(x[0], c)
        })],
        Op::Iota { .. } => vec![case(&[(&[2, 3], Any)], |g, x| {
            let i = g.iota([2, 3], 1)?;
            g.mul(x[0], i)
        })],
        Op::Random { .. } => [
            Distribution::Uniform,
            Distribution::Normal,
            Distribution::Bernoulli(Scalar(0.6)),
        ]
        .into_iter()
        .map(|d| {
            case(&[(&[4, 3], Any)], move |g, x| {
                let r = g.random(d, [4, 3]);
                g.mul(x[0], r)
            })
        })
        .collect(),
        Op::Unary(f) => match f {
            Unary::Neg
            | Unary::Exp
            | Unary::Tanh
            | Unary::Sigmoid
            | Unary::Softplus
            | Unary::Sin
            | Unary::Cos => unary(*f, Any),
            Unary::Log | Unary::Sqrt => unary(*f, Positive),
            Unary::Abs | Unary::Relu => unary(*f, AwayFromZero),
            Unary::LeakyRelu(_) => [0.2, 1.5, 0.0, -0.5]
                .into_iter()
                .flat_map(|slope| unary(Unary::LeakyRelu(Scalar(slope)), AwayFromZero))
                .collect(),
            Unary::Floor | Unary::Sign => vec![],
        },
        Op::Binary(f) => match f {
            Binary::Add | Binary::Sub | Binary::Mul => binary(*f, Any, Any),
            Binary::Div => binary(*f, Any, AwayFromZero),
            Binary::Min | Binary::Max => binary(*f, Lattice(0.0), Lattice(0.15)),
            Binary::Less | Binary::LessEqual | Binary::Equal => vec![],
        },
        Op::Select => [
            (&[6][..], &[6][..], &[6][..]),
            (&[2, 1], &[2, 3], &[1, 3]),
            (&[2, 3], &[], &[2, 1]),
        ]
        .into_iter()
        .map(|(sa, sb, sc)| {
            case(&[(sb, Any), (sc, Any)], move |g, x| {
                let coin = g.random(Distribution::Bernoulli(Scalar(0.5)), sa);
                g.select(coin, x[0], x[1])
            })
        })
        .collect(),
        Op::StopGradient => vec![], // tests/gradients/stories.rs
        Op::Broadcast => [
            (&[][..], &[3, 2][..]),
            (&[2, 1, 3], &[2, 4, 3]),
            (&[1, 1], &[3, 5]),
        ]
        .into_iter()
        .map(|(from, to)| case(&[(from, Any)], move |g, x| g.expand(x[0], &to.into())))
        .collect(),
        Op::Reshape => vec![
            case(&[(&[2, 6], Any)], |g, x| g.reshape(x[0], [3, 1, 4])),
            case(&[(&[1], Any)], |g, x| g.reshape(x[0], [])),
        ],
        Op::Transpose { .. } => [
            (&[2, 3][..], &[1, 0][..]),
            (&[2, 3, 4], &[2, 0, 1]),
            (&[2, 1, 3, 2], &[3, 1, 2, 0]),
        ]
        .into_iter()
        .map(|(shape, perm)| case(&[(shape, Any)], move |g, x| g.transpose(x[0], perm)))
        .collect(),
        Op::Slice { .. } => vec![
            case(&[(&[5], Any)], |g, x| g.slice(x[0], &[1], &[3])),
            case(&[(&[3, 4, 2], Any)], |g, x| {
                g.slice(x[0], &[2, 0, 1], &[1, 3, 1])
            }),
        ],
        Op::Pad { .. } => vec![
            case(&[(&[3], Any)], |g, x| g.pad(x[0], &[2], &[0])),
            case(&[(&[2, 3], Any)], |g, x| g.pad(x[0], &[1, 0], &[0, 2])),
            case(&[(&[1, 2, 1], Any)], |g, x| {
                g.pad(x[0], &[0, 3, 1], &[1, 1, 1])
            }),
        ],
        Op::Sum { .. } => [
            (&[5][..], &[0][..]),
            (&[3, 4], &[1]),
            (&[2, 3, 4, 2], &[0, 2, 3]),
            (&[2, 3, 2], &[1]),
        ]
        .into_iter()
        .map(|(shape, axes)| case(&[(shape, Any)], move |g, x| g.sum(x[0], axes)))
        .collect(),
        Op::Gather { .. } => [
            (&[4][..], 0, 6),
            (&[3, 5], 1, 4),
            (&[2, 3, 2], 1, 2),
            (&[5, 2], 0, 1),
        ]
        .into_iter()
        .map(|(shape, axis, picks): (&[usize], usize, usize)| {
            let size = shape[axis];
            case(&[(shape, Any)], move |g, x| {
                // Repeats, and not in order: 1, 4, 7, .. modulo the size.
                let i = g.iota([picks], 0)?;
                let i = g.scale(i, 3.0)?;
                let i = g.shift(i, 1.0)?;
                let turns = g.scale(i, 1.0 / size as f32)?;
                let turns = g.floor(turns);
                let whole = g.scale(turns, size as f32)?;
                let i = g.sub(i, whole)?;
                g.gather(x[0], i, axis)
            })
        })
        .collect(),
        Op::Matmul { .. } => {
            let mut cases = vec![];
            for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
                for (batch, m, n, k) in [
                    (None, 2, 3, 4),
                    (None, 1, 5, 1),
                    (None, 4, 1, 3),
                    (Some(3), 2, 1, 3),
                ] {
                    let with = |rows, columns, flip| {
                        let mut s = if flip {
                            vec![columns, rows]
                        } else {
                            vec![rows, columns]
                        };
                        batch.inspect(|&b| s.insert(0, b));
                        s
                    };
                    let (sa, sb) = (with(m, k, trans_a), with(k, n, trans_b));
                    cases.push(case(&[(&sa, Any), (&sb, Any)], move |g, x| {
                        g.matmul_t(x[0], x[1], trans_a, trans_b)
                    }));
                }
            }
            cases.push(case(&[(&[3, 3], Any)], |g, x| {
                g.matmul_t(x[0], x[0], false, true)
            }));
            cases
        }
        Op::Conv2d(_) => convolutions(|s| {
            let window = s.window;
            case(&[(&s.x, Any), (&s.w, Any)], move |g, x| {
                g.conv2d(x[0], x[1], window)
            })
        }),
        Op::Conv2dInputGrad(_) => convolutions(|s| {
            let (window, size) = (s.window, [s.x[2], s.x[3]]);
            case(&[(&s.w, Any), (&s.y, Any)], move |g, x| {
                g.conv2d_input_grad(x[0], x[1], window, size)
            })
        }),
        Op::Conv2dWeightGrad(_) => convolutions(|s| {
            let (window, kernel) = (s.window, [s.w[2], s.w[3]]);
            case(&[(&s.x, Any), (&s.y, Any)], move |g, x| {
                g.conv2d_weight_grad(x[0], x[1], window, kernel)
            })
        }),
        Op::Closeness { .. } => [(2, 3, 3), (3, 2, 4), (1, 1, 3), (2, 5, 2)]
            .into_iter()
            .map(|(kernels, dims, n)| {
                case(&[(&[kernels * dims, n], Apart)], move |g, x| {
                    g.closeness(x[0], dims)
                })
            })
            .collect(),
        Op::ClosenessGrad { .. } => [(2, 3, 3), (3, 2, 4), (1, 1, 3), (2, 5, 2)]
            .into_iter()
            .map(|(kernels, dims, n)| {
                let shapes: [(&[usize], _); 2] =
                    [(&[kernels * dims, n], Apart), (&[kernels, n], Any)];
                case(&shapes, move |g, x| g.closeness_grad(x[0], x[1], dims))
            })
            .collect(),
    }
}

struct ConvCase {
    x: [usize; 4],
    w: [usize; 4],
    y: [usize; 4],
    window: Window,
}
fn convolutions(case: impl Fn(ConvCase) -> Case) -> Vec<Case> {
    CONVOLUTIONS
        .into_iter()
        .map(|(x, [co, kh, kw], stride, pad)| {
            let out = |i: usize, k: usize| (x[2 + i] + 2 * pad[i] - k) / stride[i] + 1;
            case(ConvCase {
                x,
                w: [co, x[0], kh, kw],
                y: [co, x[1], out(0, kh), out(1, kw)],
                window: Window { stride, pad },
            })
        })
        .collect()
}

type Ask = fn(&mut Graph, Expr) -> Result<Expr>;

/// A path from x [3] to a result through an operand in which `op` has no derivative, and that operand's name in the error.
/// `None` for operations that are differentiable in every operand, or have none.
pub fn no_derivative(op: &Op) -> Option<(Ask, &'static str)> {
    Some(match op {
        Op::Unary(Unary::Floor) => (|g, x| Ok(g.floor(x)), "operand"),
        Op::Unary(Unary::Sign) => (|g, x| Ok(g.unary(Unary::Sign, x)), "operand"),
        Op::Binary(Binary::Less) => (
            |g, x| {
                let one = g.scalar(1.0);
                g.less(x, one)
            },
            "operands",
        ),
        Op::Binary(Binary::LessEqual) => (
            |g, x| {
                let one = g.scalar(1.0);
                g.less_equal(one, x)
            },
            "operands",
        ),
        Op::Binary(Binary::Equal) => (
            |g, x| {
                let one = g.scalar(1.0);
                g.equal(x, one)
            },
            "operands",
        ),
        Op::Select => (
            |g, x| {
                let (a, b) = (g.scalar(1.0), g.scalar(2.0));
                g.select(x, a, b)
            },
            "condition",
        ),
        Op::Gather { .. } => (
            |g, x| {
                let table = g.iota([4], 0)?;
                g.gather(table, x, 0)
            },
            "indices",
        ),
        Op::Leaf(_)
        | Op::Source(_)
        | Op::Constant(_)
        | Op::Iota { .. }
        | Op::Random { .. }
        | Op::StopGradient => return None,
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Broadcast
        | Op::Reshape
        | Op::Transpose { .. }
        | Op::Slice { .. }
        | Op::Pad { .. } => return None,
        Op::Sum { .. }
        | Op::Matmul { .. }
        | Op::Conv2d(_)
        | Op::Conv2dInputGrad(_)
        | Op::Conv2dWeightGrad(_)
        | Op::Closeness { .. }
        | Op::ClosenessGrad { .. } => return None,
    })
}
