//! Matrix products and convolutions of a plan: shapes to the GEMM family's parameters.
use super::lower::Lowering;
use super::memory::Schedule;
use super::precision::Storage;
use super::text::{Bound, epilogue};
use super::{Contraction, Environment, Target};
use crate::graph::{Expr, Graph, GraphError, Op, Result, Window};
use crate::kernels::KernelError;
use crate::kernels::gemm::{self, Call, ConvShape, GemmOp, Operand, Work};

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

/// Floating point operations of contraction `core`.
pub fn work(graph: &Graph, core: Expr) -> u64 {
    operation(graph, core).0.flops()
}

/// The expressions whose memory holds the operands A and B of contraction `core`.
pub fn operands(lowering: &Lowering, core: Expr) -> [Expr; 2] {
    let (_, a, b) = operation(lowering.graph, core);
    [a, b].map(|e| lowering.storage(e))
}

/// Which variant computes the contraction `core` of kernel k.
///
/// # Errors
/// [`GraphError::Kernel`] where none does.
pub fn choose(
    lowering: &Lowering,
    (k, core): (usize, Expr),
    storage: &Storage,
    env: &Environment,
) -> Result<Contraction> {
    let graph = lowering.graph;
    let (op, ..) = operation(graph, core);
    let [a, b] = operands(lowering, core).map(|e| storage.operand(k, e));
    let formats = [a, b, storage.scalar(lowering.kernels[k].root)];
    let Target {
        caps,
        form,
        choices,
        ..
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

/// The dispatches of the contraction `core` of kernel k, with the kernel's tree as its epilogue where that is another expression. With
/// each comes what it is for.
///
/// # Errors
/// [`GraphError::Kernel`].
pub fn passes(
    lowering: &Lowering,
    (k, core): (usize, Expr),
    schedule: &Schedule,
    env: &Environment,
) -> Result<(Contraction, Vec<(Bound, Work)>)> {
    let graph = lowering.graph;
    let root = lowering.kernels[k].root;
    let contraction = choose(lowering, (k, core), &schedule.storage, env)?;
    let op = contraction.op;
    let place = |e: Expr| schedule.place(e, env);
    let [pa, pb] = operands(lowering, core).map(|e| schedule.operand(k, e, env).region);
    let pc = place(root).region;
    // Rows of C are output features or channels; batches of matrices have no single row number.
    let rows = match &op {
        GemmOp::Matmul { batch, .. } if *batch > 1 => None,
        _ => graph.shape(core).first().copied(),
    };
    let hook = (root != core).then(|| epilogue(lowering, root, core, &place, rows));
    let (hook, extra) = hook.unzip();
    let extra = extra.unwrap_or_default();
    let scratch = schedule.scratch(k);
    let call = Call {
        op: &op,
        formats: contraction.formats,
        offsets: [pa, pb, pc].map(|p| p.offset as u32),
        scratch: scratch.map(|part| part.map_or(0, |s| s.offset as u32)),
        epilogue: hook.as_ref(),
    };
    let passes = gemm::lower(&env.target.caps, contraction.variant, &call)
        .map_err(|e| kernel_error(graph, core, &e))?;
    let buffer = |operand: &Operand| match *operand {
        Operand::A => pa.buffer,
        Operand::B => pb.buffer,
        Operand::C => pc.buffer,
        Operand::Scratch(part) => match scratch[part] {
            Some(region) => region.buffer,
            None => unreachable!("the schedule gives scratch memory to every variant that asks"),
        },
        Operand::Extra(k) => extra[k],
    };
    let bind = |pass: gemm::Pass| {
        let buffers = pass.operands.iter().map(buffer).collect();
        let kernel = pass.kernel;
        (Bound { kernel, buffers }, pass.work)
    };
    Ok((contraction, passes.into_iter().map(bind).collect()))
}
