//! The small dispatches around a product: packing weights before it, finishing what it left in scratch memory after it.
use super::immediates::Immediates;
use super::op::{ConvShape, Epilogue, GemmOp};
use super::problem::{PHASE_TAPS, packed_row};
use super::{Parts, bound_fours, element_types, fold};
use crate::gpu::{Caps, Kernel, shader};
use crate::kernels::{Form, Fours, KernelError, Scalar};
use std::ops::Range;

const PACK: &str = include_str!("../../../shaders/gemm_pack_phases.wgsl");
const PACK_WINDOW: &str = include_str!("../../../shaders/lib/pack_window.wgsl");
const PACK_FOURS: &str = include_str!("../../../shaders/lib/pack_fours.wgsl");
const SPLITS: &str = include_str!("../../../shaders/gemm_splits.wgsl");
const TAPS: &str = include_str!("../../../shaders/gemm_taps.wgsl");
const WALK: &str = include_str!("../../../shaders/lib/gemm_walk.wgsl");

/// Puts the weights of each stride phase in `range` together, [phase, ci, (co, jh, jw)], from `packed_offset` on.
pub(super) fn pack_phases(
    caps: &Caps,
    s: &ConvShape,
    range: Range<u32>,
    [w_offset, packed_offset]: [u32; 2],
    [w, packed]: [Scalar; 2],
) -> Result<Kernel, KernelError> {
    const NAME: &str = "conv2d_input_grad";
    let form = Form::of(caps.class);
    let (lanes, items) = walk_shape(form);
    let pairs = match form {
        Form::Cpu => {
            let blocks = s.ci.div_ceil(lanes) * s.co.div_ceil(items);
            u64::from(blocks) * u64::from(lanes * items)
        }
        Form::Gpu => u64::from(s.ci) * u64::from(s.co),
    };
    let (mut im, constants) = walk(caps, NAME, pairs)?;
    im.0.u32("first_phase", range.start)
        .u32("phases", range.end - range.start)
        .u32("ci", s.ci)
        .u32("co", s.co)
        .u32("kernel_h", s.kh)
        .u32("kernel_w", s.kw)
        .u32("stride_h", s.stride[0])
        .u32("stride_w", s.stride[1])
        .u32("a_row", packed_row(s))
        .u32("w_offset", w_offset)
        .u32("packed_offset", packed_offset);
    im.0.check(NAME)?;
    let types = element_types([("a_elem", w), ("c_elem", packed)], &Epilogue::default());
    let fours = bound_fours([("a", w), ("c", packed)]);
    let in_fours = [s.kh, s.kw] == [4, 4]
        && s.stride == [2, 2]
        && w_offset.is_multiple_of(4)
        && packed_offset.is_multiple_of(4);
    let lanes = format!("const LANES_ALONG_CI = {};\n", form == Form::Cpu);
    let declaration = im.0.declaration();
    let texts = [
        types.as_str(),
        Fours::of(form, caps).wgsl(),
        &fours,
        if in_fours { PACK_FOURS } else { PACK_WINDOW },
        &lanes,
        &declaration,
        &constants,
        WALK,
        PACK,
        PHASE_TAPS,
    ];
    Ok(Kernel {
        label: format!("gemm_pack_phases {NAME}"),
        source: shader::join(&texts).into(),
        grid: im.1,
        immediates: im.0.words(),
    })
}

/// Lanes and the elements of each.
fn walk_shape(form: Form) -> (u32, u32) {
    match form {
        Form::Cpu => (8, 16),
        Form::Gpu => (256, 1),
    }
}

/// A grid over `len` elements: immediates `len` and `grid_x` with the grid itself, and the constants WG and ITEMS.
fn walk(
    caps: &Caps,
    name: &'static str,
    len: u64,
) -> Result<((Immediates, [u32; 3]), String), KernelError> {
    let (lanes, items) = walk_shape(Form::of(caps.class));
    let workgroups = len.div_ceil(u64::from(lanes * items));
    let grid = fold(name, workgroups, caps.max_workgroups_per_dim)?;
    let mut im = Immediates::default();
    im.u32("len", len as u32).u32("grid_x", grid[0]);
    let constants = format!("const WG = {lanes}u;\nconst ITEMS = {items}u;\n");
    Ok(((im, grid), constants))
}

/// Adds the parts of a split k.
pub(super) fn splits(
    caps: &Caps,
    op: &GemmOp,
    parts: Parts,
    offsets: [u32; 2],
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
    let (mut im, constants) = walk(caps, op.name(), u64::from(len))?;
    im.0.u32("row_len", row_len)
        .u32("parts", parts.count)
        .u32("part_len", parts.stride);
    finish(
        "gemm_splits",
        &[SPLITS, &constants],
        op,
        im,
        (offsets, c),
        epilogue,
    )
}

/// Gathers the taps of each pixel of dx.
pub(super) fn taps(
    caps: &Caps,
    op: &GemmOp,
    offsets: [u32; 2],
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
    let (mut im, constants) = walk(caps, op.name(), op.lens()[2])?;
    im.0.u32("batch", s.n)
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
    finish(
        "gemm_taps",
        &[TAPS, &constants],
        op,
        im,
        (offsets, c),
        epilogue,
    )
}

fn finish(
    file: &str,
    texts: &[&str],
    op: &GemmOp,
    (mut im, grid): (Immediates, [u32; 3]),
    ([scratch_offset, c_offset], c): ([u32; 2], Scalar),
    epilogue: &Epilogue,
) -> Result<Kernel, KernelError> {
    im.u32("scratch_offset", scratch_offset)
        .u32("c_offset", c_offset)
        .epilogue(epilogue);
    im.check(op.name())?;
    let types = element_types([("c_elem", c)], epilogue);
    let declaration = im.declaration();
    let mut all = vec![
        types.as_str(),
        &declaration,
        "const E_BINDING = 2u;\n",
        WALK,
    ];
    all.extend_from_slice(texts);
    all.push(&epilogue.wgsl);
    Ok(Kernel {
        label: format!("{file} {}", op.name()),
        source: shader::join(&all).into(),
        grid,
        immediates: im.words(),
    })
}
