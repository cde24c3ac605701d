//! Matrix products and convolutions of a plan: shapes to the GEMM family's parameters.
use super::lower::Lowering;
use super::text::{Bound, Region, epilogue};
use super::{Environment, Form};
use crate::graph::{Expr, GraphError, Op, Result, Window};
use crate::kernels::gemm::{self, ConvShape, GemmOp, Variant};

/// The kernel of contraction `core`, with the tree of `root` as its epilogue where that is another expression.
pub fn kernel(
    lowering: &Lowering,
    root: Expr,
    core: Expr,
    place: &dyn Fn(Expr) -> Region,
    env: &Environment,
) -> Result<Bound> {
    let graph = lowering.graph;
    let node = graph.node(core);
    let (left, right) = (node.inputs[0], node.inputs[1]);
    let (sl, sr) = (graph.shape(left), graph.shape(right));
    let conv = |w: &[usize], x: &[usize], window: &Window| ConvShape {
        n: x[1] as u32,
        ci: w[1] as u32,
        h: x[2] as u32,
        w: x[3] as u32,
        co: w[0] as u32,
        kh: w[2] as u32,
        kw: w[3] as u32,
        stride: window.stride.map(|v| v as u32),
        pad: window.pad.map(|v| v as u32),
    };
    // (operation, left GEMM operand, right GEMM operand)
    let (op, a, b) = match &node.op {
        Op::Matmul { trans_a, trans_b } => {
            let (rank, out) = (sl.rank(), &node.shape);
            let op = GemmOp::Matmul {
                m: out[rank - 2] as u32,
                n: out[rank - 1] as u32,
                k: sl[rank - if *trans_a { 2 } else { 1 }] as u32,
                batch: if rank == 3 { sl[0] as u32 } else { 1 },
                trans_a: *trans_a,
                trans_b: *trans_b,
            };
            (op, left, right)
        }
        Op::Conv2d(window) => (GemmOp::Conv2d(conv(sr, sl, window)), right, left),
        Op::Conv2dInputGrad(window) => {
            let shape = conv(sl, &node.shape, window);
            (GemmOp::Conv2dInputGrad(shape), left, right)
        }
        Op::Conv2dWeightGrad(window) => {
            let shape = conv(&node.shape, sl, window);
            (GemmOp::Conv2dWeightGrad(shape), right, left)
        }
        other => unreachable!("{} is no contraction", other.name()),
    };
    let (pa, pb, pc) = (
        place(lowering.storage(a)),
        place(lowering.storage(b)),
        place(root),
    );
    // Rows of C are output features or channels; batches of matrices have no single row number.
    let rows = match &op {
        GemmOp::Matmul { batch, .. } if *batch > 1 => None,
        _ => node.shape.first().copied(),
    };
    let hook = (root != core).then(|| epilogue(lowering, root, core, place, rows));
    let (hook, extra) = hook.unzip();
    let variant = match env.form {
        Form::Cpu => Variant::Cpu,
        Form::Gpu => Variant::Tiled,
    };
    let offsets = [pa, pb, pc].map(|p| p.offset as u32);
    let kernel = gemm::kernel(&env.caps, variant, &op, offsets, hook.as_ref()).map_err(|e| {
        GraphError::Kernel {
            op: node.op.name(),
            shape: node.shape.clone(),
            reason: e.to_string(),
        }
    })?;
    let mut buffers = vec![pa.buffer, pb.buffer, pc.buffer];
    buffers.extend(extra.into_iter().flatten());
    Ok(Bound { kernel, buffers })
}
