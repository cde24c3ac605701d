//! Matrix products and convolutions of a plan: shapes to the GEMM family's parameters.
use super::lower::Lowering;
use super::text::{Bound, Region, epilogue};
use super::{Contraction, Environment, Target};
use crate::graph::{Expr, Graph, GraphError, Op, Result, Window};
use crate::kernels::gemm::{self, Call, ConvShape, GemmOp, Operand};
use crate::kernels::{KernelError, Scalar};

/// The operation that contraction `core` asks for, and the expressions that are its operands A and B.
fn operation(graph: &Graph, core: Expr) -> (GemmOp, Expr, Expr) {
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
    match &node.op {
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
    }
}

/// Which variant computes `core`.
///
/// # Errors
/// [`GraphError::Kernel`] where none does.
pub fn choose(graph: &Graph, core: Expr, env: &Environment) -> Result<Contraction> {
    let (op, ..) = operation(graph, core);
    let formats = [Scalar::F32; 3];
    let Target {
        caps,
        form,
        choices,
    } = &env.target;
    let variant = choices
        .get(caps, *form, &op, formats)
        .map_err(|e| kernel_error(graph, core, &e))?;
    Ok(Contraction {
        op,
        formats,
        variant,
    })
}

fn kernel_error(graph: &Graph, core: Expr, error: &KernelError) -> GraphError {
    let node = graph.node(core);
    GraphError::Kernel {
        op: node.op.name(),
        shape: node.shape.clone(),
        reason: error.to_string(),
    }
}

/// The dispatches of contraction `core`, with the tree of `root` as its epilogue where that is another expression. `scratch`: where
/// the variant's scratch memory lies, if it needs any. With each dispatch comes whether it is the one that multiplies.
///
/// # Errors
/// [`GraphError::Kernel`].
pub fn passes(
    lowering: &Lowering,
    root: Expr,
    core: Expr,
    place: &dyn Fn(Expr) -> Region,
    scratch: Option<Region>,
    env: &Environment,
) -> Result<(Contraction, Vec<(Bound, bool)>)> {
    let graph = lowering.graph;
    let contraction = choose(graph, core, env)?;
    let (op, a, b) = operation(graph, core);
    let (pa, pb, pc) = (
        place(lowering.storage(a)),
        place(lowering.storage(b)),
        place(root),
    );
    // Rows of C are output features or channels; batches of matrices have no single row number.
    let rows = match &op {
        GemmOp::Matmul { batch, .. } if *batch > 1 => None,
        _ => graph.shape(core).first().copied(),
    };
    let hook = (root != core).then(|| epilogue(lowering, root, core, place, rows));
    let (hook, extra) = hook.unzip();
    let extra = extra.unwrap_or_default();
    let call = Call {
        op: &op,
        formats: contraction.formats,
        offsets: [pa, pb, pc].map(|p| p.offset as u32),
        epilogue: hook.as_ref(),
    };
    let passes = gemm::lower(&env.target.caps, contraction.variant, &call)
        .map_err(|e| kernel_error(graph, core, &e))?;
    let buffer = |operand: &Operand| match *operand {
        Operand::A => pa.buffer,
        Operand::B => pb.buffer,
        Operand::C => pc.buffer,
        Operand::Scratch => match scratch {
            Some(region) => region.buffer,
            None => unreachable!("the schedule gives scratch memory to every variant that asks"),
        },
        Operand::Extra(k) => extra[k],
    };
    let bind = |pass: gemm::Pass| {
        let multiplies = pass.operands.contains(&Operand::B);
        let buffers = pass.operands.iter().map(buffer).collect();
        let kernel = pass.kernel;
        (Bound { kernel, buffers }, multiplies)
    };
    Ok((contraction, passes.into_iter().map(bind).collect()))
}
