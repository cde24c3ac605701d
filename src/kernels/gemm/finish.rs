//! The second dispatch of the schemes that multiply into scratch memory.
use super::immediates::Immediates;
use super::op::{Epilogue, GemmOp};
use super::{Parts, element_types, fold};
use crate::gpu::{AdapterClass, Caps, Kernel, shader};
use crate::kernels::{KernelError, Scalar};

const SPLITS: &str = include_str!("../../../shaders/gemm_splits.wgsl");
const TAPS: &str = include_str!("../../../shaders/gemm_taps.wgsl");

/// Adds the parts of a split k.
pub(super) fn splits(
    caps: &Caps,
    op: &GemmOp,
    parts: Parts,
    c_offset: u32,
    c: Scalar,
    epilogue: &Epilogue,
) -> Result<Kernel, KernelError> {
    let len = op.lens()[2] as u32;
    let row_len = match op {
        GemmOp::Matmul { n, .. } => *n,
        GemmOp::Conv2d(s) => len / s.co,
        GemmOp::Conv2dInputGrad(s) => len / s.ci,
        GemmOp::Conv2dWeightGrad(s) => len / s.co,
    };
    let mut im = Immediates::default();
    im.u32("row_len", row_len)
        .u32("parts", parts.count)
        .u32("part_len", parts.stride);
    assemble(caps, "gemm_splits", SPLITS, op, im, c_offset, c, epilogue)
}

/// Gathers the taps of each pixel of dx.
pub(super) fn taps(
    caps: &Caps,
    op: &GemmOp,
    c_offset: u32,
    c: Scalar,
    epilogue: &Epilogue,
) -> Result<Kernel, KernelError> {
    let GemmOp::Conv2dInputGrad(s) = op else {
        return Err(KernelError::Parameter {
            kernel: op.name(),
            what: "the scheme",
            got: "taps first".into(),
            expected: "used with conv2d_input_grad alone".into(),
        });
    };
    let mut im = Immediates::default();
    im.u32("batch", s.n)
        .u32("h", s.h)
        .u32("w", s.w)
        .u32("oh", s.oh())
        .u32("ow", s.ow())
        .u32("kernel_h", s.kh)
        .u32("kernel_w", s.kw)
        .u32("stride_h", s.stride[0])
        .u32("stride_w", s.stride[1])
        .u32("pad_h", s.pad[0])
        .u32("pad_w", s.pad[1]);
    assemble(caps, "gemm_taps", TAPS, op, im, c_offset, c, epilogue)
}

#[allow(clippy::too_many_arguments)]
fn assemble(
    caps: &Caps,
    file: &str,
    body: &str,
    op: &GemmOp,
    mut im: Immediates,
    c_offset: u32,
    c: Scalar,
    epilogue: &Epilogue,
) -> Result<Kernel, KernelError> {
    let len = op.lens()[2];
    let [lanes, items]: [u32; 2] = match caps.class {
        AdapterClass::Software => [8, 16],
        _ => [256, 1],
    };
    let grid = fold(
        op.name(),
        len.div_ceil(u64::from(lanes * items)),
        caps.max_workgroups_per_dim,
    )?;
    im.u32("len", len as u32)
        .u32("c_offset", c_offset)
        .u32("grid_x", grid[0])
        .epilogue(epilogue);
    im.check(op.name())?;
    let types = element_types([("c_elem", c)], epilogue);
    let constants =
        format!("const WG = {lanes}u;\nconst ITEMS = {items}u;\nconst E_BINDING = 2u;\n");
    let declaration = im.declaration();
    let texts = [&types, &declaration, &constants, body, &epilogue.wgsl];
    Ok(Kernel {
        label: format!("{file} {}", op.name()),
        source: shader::join(&texts).into(),
        grid,
        immediates: im.words(),
    })
}
