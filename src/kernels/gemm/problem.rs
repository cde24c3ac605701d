//! From an operation to the loaders and immediates of its product C[m,n] = A[m,k] B[k,n].
use super::immediates::Immediates;
use super::op::{ConvShape, GemmOp, check_sizes};
use crate::kernels::KernelError;
use std::ops::Range;

const PROBLEM_MATMUL: &str = include_str!("../../../shaders/lib/problem_matmul.wgsl");
const PROBLEM_CONV: &str = include_str!("../../../shaders/lib/problem_conv.wgsl");
const PROBLEM_PHASE: &str = include_str!("../../../shaders/lib/problem_phase.wgsl");
pub const PHASE_TAPS: &str = include_str!("../../../shaders/lib/phase_taps.wgsl");
const GATHER: &str = include_str!("../../../shaders/lib/gather.wgsl");

/// Elements that one operand may reach to: gathers compute with signed indices.
const INDEX_LIMIT: u64 = 1 << 31;

/// A file of shaders/operand. A 4 in the name: reads or writes vec4, sizes and offset are multiples of 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    APlain4,
    APlain1,
    ATrans4,
    ATrans1,
    BPlain4,
    BPlain1,
    BTrans4,
    BTrans1,
    BGather,
    /// For bodies that load blocks of 4 x 4 alone: see [`Problem::window`].
    BWindow,
    BWindowTaps,
    BWindowPhase,
    /// For the body for CPUs alone: see [`Problem::slide`].
    BSlide,
    BSlideTwo,
    BSlideTaps,
    BSlideBack,
    CPlain4,
    CPlain1,
    /// For products that go on with a sum: instead of [`Loader::CPlain4`], without an epilogue.
    CAdd4,
    CRows,
    CPhase,
}

impl Loader {
    /// Whether one `a_raw` is four rows at one k, rather than four k of one row.
    pub fn along_m(self) -> bool {
        matches!(self, Self::ATrans4 | Self::ATrans1)
    }

    /// Whether one `b_raw` is four k of one column, rather than four columns at one k.
    pub fn along_k(self) -> bool {
        matches!(self, Self::BTrans4 | Self::BTrans1)
    }

    /// Whether it is of lib/slide.wgsl, which wants rows of columns in fours.
    pub fn slides(self) -> bool {
        matches!(
            self,
            Self::BSlide | Self::BSlideTwo | Self::BSlideTaps | Self::BSlideBack
        )
    }

    pub fn name(self) -> &'static str {
        self.file().0
    }

    pub fn wgsl(self) -> &'static str {
        self.file().1
    }

    fn file(self) -> (&'static str, &'static str) {
        macro_rules! file {
            ($name:literal $(, $library:literal)?) => {
                (
                    $name,
                    concat!(
                        include_str!(concat!("../../../shaders/operand/", $name, ".wgsl")),
                        $(include_str!(concat!("../../../shaders/lib/", $library, ".wgsl")))?
                    ),
                )
            };
        }
        match self {
            Self::APlain4 => file!("a_plain4"),
            Self::APlain1 => file!("a_plain1"),
            Self::ATrans4 => file!("a_trans4"),
            Self::ATrans1 => file!("a_trans1"),
            Self::BPlain4 => file!("b_plain4"),
            Self::BPlain1 => file!("b_plain1"),
            Self::BTrans4 => file!("b_trans4"),
            Self::BTrans1 => file!("b_trans1"),
            Self::BGather => file!("b_gather"),
            Self::BWindow => file!("b_window", "window"),
            Self::BWindowTaps => file!("b_window_taps", "window"),
            Self::BWindowPhase => file!("b_window_phase"),
            Self::BSlide => file!("b_slide", "slide"),
            Self::BSlideTwo => file!("b_slide_two", "slide"),
            Self::BSlideTaps => file!("b_slide_taps", "slide"),
            Self::BSlideBack => file!("b_slide_back", "slide"),
            Self::CPlain4 => file!("c_plain4"),
            Self::CPlain1 => file!("c_plain1"),
            Self::CAdd4 => file!("c_add4"),
            Self::CRows => file!("c_rows"),
            Self::CPhase => file!("c_phase"),
        }
    }
}

/// A product with everything that the bodies need to know about it.
#[derive(Debug, Clone)]
pub struct Problem {
    pub name: &'static str,
    pub m: u32,
    /// Of the largest z.
    pub n: u32,
    /// Of the largest z.
    pub k: u32,
    /// k of every stride phase, or the one that all z have.
    pub ks: Vec<u32>,
    /// Products in the dispatch: batch, or stride phases.
    pub depth: u32,
    pub a: Loader,
    pub b: Loader,
    /// A faster way to load blocks of 4 x 4 of B.
    pub window: Option<Loader>,
    /// A way for the body for CPUs to read less of B.
    pub slide: Option<Slide>,
    pub c: Loader,
    /// Files of shaders/lib that define `gemm_begin` and what the loaders share.
    pub libraries: &'static [&'static str],
    pub immediates: Immediates,
}

/// lib/slide.wgsl: columns lie in rows of `columns`, of which there are as many as in `n`, rounded up to fours.
#[derive(Debug, Clone, Copy)]
pub struct Slide {
    b: Loader,
    c: Loader,
    columns: u32,
}

impl Slide {
    /// `b` for a product of m rows whose columns lie in rows of `columns`, where it pays: rounding up is arithmetic for nothing, which
    /// only products of few rows, that spend their time in reading B, have to spare.
    fn new(m: u32, columns: u32, b: Loader, c: Loader) -> Option<Self> {
        const FEW_ROWS: u32 = 16;
        let waste = columns.next_multiple_of(4) - columns;
        let pays = waste == 0 || (m <= FEW_ROWS && 3 * waste <= columns);
        let c = match c {
            Loader::CPhase => c,
            _ if waste > 0 => Loader::CRows,
            _ => c,
        };
        pays.then_some(Self { b, c, columns })
    }
}

impl Problem {
    /// Reads B and lays columns out as `slide`, its own, does.
    pub fn slide_by(&mut self, slide: Slide) {
        self.b = slide.b;
        self.c = slide.c;
        self.n = self.n / slide.columns * slide.columns.next_multiple_of(4);
    }

    pub fn new(op: &GemmOp, offsets: [u32; 3]) -> Result<Self, KernelError> {
        let name = op.name();
        match op {
            &GemmOp::Matmul { m, n, k, batch, .. } => {
                check_sizes(name, &[("m", m), ("n", n), ("k", k), ("the batch", batch)])?
            }
            GemmOp::Conv2d(s) | GemmOp::Conv2dInputGrad(s) | GemmOp::Conv2dWeightGrad(s) => {
                s.check(name)?;
            }
        }
        for ((what, len), offset) in ["A", "B", "C"].into_iter().zip(op.lens()).zip(offsets) {
            let end = len.saturating_add(u64::from(offset));
            if end > INDEX_LIMIT {
                return Err(KernelError::TooLarge {
                    kernel: name,
                    what,
                    end,
                    limit: INDEX_LIMIT,
                });
            }
        }
        Ok(match op {
            &GemmOp::Matmul {
                m,
                n,
                k,
                batch,
                trans_a,
                trans_b,
            } => matmul([m, n, k], batch, [trans_a, trans_b], offsets),
            GemmOp::Conv2d(s) => conv2d(s, offsets),
            GemmOp::Conv2dWeightGrad(s) => conv2d_weight_grad(s, offsets),
            GemmOp::Conv2dInputGrad(s) => conv2d_input_grad(s, 0..phases(s), offsets),
        })
    }
}

/// `four` if rows of `inner` elements from `offset` on can be read as vec4, else `one`.
fn aligned(inner: u32, offset: u32, four: Loader, one: Loader) -> Loader {
    if inner.is_multiple_of(4) && offset.is_multiple_of(4) {
        four
    } else {
        one
    }
}

fn offsets_of([a, b, c]: [u32; 3]) -> Immediates {
    let mut im = Immediates::default();
    im.u32("a_offset", a).u32("b_offset", b).u32("c_offset", c);
    im
}

fn matmul(
    [m, n, k]: [u32; 3],
    batch: u32,
    [trans_a, trans_b]: [bool; 2],
    offsets: [u32; 3],
) -> Problem {
    let mut immediates = offsets_of(offsets);
    immediates.u32("m", m).u32("n", n).u32("k", k);
    Problem {
        name: "matmul",
        m,
        n,
        k,
        ks: vec![k],
        depth: batch,
        a: if trans_a {
            aligned(m, offsets[0], Loader::ATrans4, Loader::ATrans1)
        } else {
            aligned(k, offsets[0], Loader::APlain4, Loader::APlain1)
        },
        b: if trans_b {
            aligned(k, offsets[1], Loader::BTrans4, Loader::BTrans1)
        } else {
            aligned(n, offsets[1], Loader::BPlain4, Loader::BPlain1)
        },
        window: None,
        slide: None,
        c: aligned(n, offsets[2], Loader::CPlain4, Loader::CPlain1),
        libraries: &[PROBLEM_MATMUL],
        immediates,
    }
}

/// (outer, i, j) of the columns or of k in lib/gather.wgsl.
struct Axis {
    count: [u32; 2],
    step: [u32; 2],
    outer: u32,
}

fn conv_product(
    name: &'static str,
    s: &ConvShape,
    [m, n, k]: [u32; 3],
    col: &Axis,
    along_k: &Axis,
    offsets: [u32; 3],
    (window, slide): (Loader, Option<Loader>),
) -> Problem {
    let c = aligned(n, offsets[2], Loader::CPlain4, Loader::CPlain1);
    let mut immediates = offsets_of(offsets);
    immediates
        .u32("m", m)
        .u32("n", n)
        .u32("k", k)
        .u32("height", s.h)
        .u32("width", s.w)
        .u32("col_count_h", col.count[0])
        .u32("col_count_w", col.count[1])
        .i32("col_step_h", col.step[0].cast_signed())
        .i32("col_step_w", col.step[1].cast_signed())
        .i32("col_start_h", s.pad[0].cast_signed().wrapping_neg())
        .i32("col_start_w", s.pad[1].cast_signed().wrapping_neg())
        .i32("col_outer", col.outer.cast_signed())
        .u32("k_count_h", along_k.count[0])
        .u32("k_count_w", along_k.count[1])
        .i32("k_step_h", along_k.step[0].cast_signed())
        .i32("k_step_w", along_k.step[1].cast_signed())
        .i32("k_outer", along_k.outer.cast_signed());
    Problem {
        name,
        m,
        n,
        k,
        ks: vec![k],
        depth: 1,
        a: aligned(k, offsets[0], Loader::APlain4, Loader::APlain1),
        b: Loader::BGather,
        window: (windows_lie_in_rows(s) && offsets[1].is_multiple_of(4)).then_some(window),
        slide: slide.and_then(|b| Slide::new(m, col.count[1], b, c)),
        c,
        libraries: &[PROBLEM_CONV, GATHER],
        immediates,
    }
}

/// What operand/b_window*.wgsl want of a convolution: a DCGAN's windows, four taps wide at stride 2 with a padding of 1, in rows whose
/// vec4 are whole in x and in y.
fn windows_lie_in_rows(s: &ConvShape) -> bool {
    (s.kw, s.stride[1], s.pad[1]) == (4, 2, 1) && s.w.is_multiple_of(8)
}

/// The windows of x: (n, oh, ow).
fn windows(s: &ConvShape) -> Axis {
    Axis {
        count: [s.oh(), s.ow()],
        step: s.stride,
        outer: s.h * s.w,
    }
}

/// The taps of the kernel: (ci, kh, kw).
fn taps(s: &ConvShape) -> Axis {
    Axis {
        count: [s.kh, s.kw],
        step: [1, 1],
        outer: s.n * s.h * s.w,
    }
}

fn conv2d(s: &ConvShape, offsets: [u32; 3]) -> Problem {
    let size = [s.co, s.n * s.oh() * s.ow(), s.ci * s.kh * s.kw];
    let [cols, k] = [&windows(s), &taps(s)];
    // Up to its stride a window shares nothing with its neighbour.
    let slide = match s.stride[1] {
        1 if s.kw > 1 => Some(Loader::BSlide),
        2 if s.kw > 2 => Some(Loader::BSlideTwo),
        _ => None,
    };
    let loaders = (Loader::BWindow, slide);
    conv_product("conv2d", s, size, cols, k, offsets, loaders)
}

fn conv2d_weight_grad(s: &ConvShape, offsets: [u32; 3]) -> Problem {
    let size = [s.co, s.ci * s.kh * s.kw, s.n * s.oh() * s.ow()];
    let slide = match s.stride[1] {
        1 => Some(Loader::BSlide),
        2 => Some(Loader::BSlideTaps),
        _ => None,
    };
    conv_product(
        "conv2d_weight_grad",
        s,
        size,
        &taps(s),
        &windows(s),
        offsets,
        (Loader::BWindowTaps, slide),
    )
}

/// Elements of a row of the packed weights: the most that a stride phase has.
pub fn packed_row(s: &ConvShape) -> u32 {
    let [stride_h, stride_w] = s.stride;
    s.co * s.kh.div_ceil(stride_h) * s.kw.div_ceil(stride_w)
}

/// k of a stride phase: (co, jh, jw).
fn phase_k(s: &ConvShape, phase: u32) -> u32 {
    let [stride_h, stride_w] = s.stride;
    let taps = |kernel: u32, stride: u32, phase: u32| kernel.saturating_sub(phase).div_ceil(stride);
    s.co * taps(s.kh, stride_h, phase / stride_w) * taps(s.kw, stride_w, phase % stride_w)
}

/// Stride phases.
pub fn phases(s: &ConvShape) -> u32 {
    s.stride[0] * s.stride[1]
}

/// How many phases one dispatch computes: all, or with large weights one after the other, so that few of them are packed at a time
/// (8.4 MB less at the peak of DCGAN 64x64). Large weights belong to many channels, which keep a machine busy by themselves.
pub fn phases_at_once(s: &ConvShape) -> u32 {
    const LARGE: u64 = 1 << 20;
    match packed_len(s, phases(s)) {
        LARGE.. => 1,
        _ => phases(s),
    }
}

/// Elements of the packed weights of so many phases, [phase, ci, packed_row].
pub fn packed_len(s: &ConvShape, phases: u32) -> u64 {
    u64::from(phases) * u64::from(s.ci) * u64::from(packed_row(s))
}

/// The phases in `range`. A is their packed weights, from a multiple of 4 on.
pub fn conv2d_input_grad(s: &ConvShape, range: Range<u32>, offsets: [u32; 3]) -> Problem {
    let [stride_h, stride_w] = s.stride;
    let phase = windows_lie_in_rows(s)
        && (s.kh, stride_h, s.pad[0]) == (4, 2, 1)
        && s.h.is_multiple_of(2)
        && offsets[1].is_multiple_of(4);
    // Where every phase has rows of one length, and some phase more than one tap.
    let slide = match s.kw > stride_w && s.w.is_multiple_of(stride_w) {
        true => Slide::new(s.ci, s.w / stride_w, Loader::BSlideBack, Loader::CPhase),
        false => None,
    };
    let mut immediates = offsets_of(offsets);
    immediates
        .u32("m", s.ci)
        .u32("a_row", packed_row(s))
        .u32("first_phase", range.start)
        .u32("co", s.co)
        .u32("batch", s.n)
        .u32("h", s.h)
        .u32("w", s.w)
        .u32("oh", s.oh())
        .u32("ow", s.ow())
        .u32("kernel_h", s.kh)
        .u32("kernel_w", s.kw)
        .u32("stride_h", stride_h)
        .u32("stride_w", stride_w)
        .u32("pad_h", s.pad[0])
        .u32("pad_w", s.pad[1]);
    Problem {
        name: "conv2d_input_grad",
        m: s.ci,
        n: s.n * s.h.div_ceil(stride_h) * s.w.div_ceil(stride_w),
        k: packed_row(s),
        ks: range.clone().map(|phase| phase_k(s, phase)).collect(),
        depth: range.end - range.start,
        // Then every phase's k is a multiple of 4.
        a: aligned(s.co, 0, Loader::APlain4, Loader::APlain1),
        b: Loader::BGather,
        window: phase.then_some(Loader::BWindowPhase),
        slide,
        c: Loader::CPhase,
        libraries: &[PHASE_TAPS, PROBLEM_PHASE, GATHER],
        immediates,
    }
}
