//! The dispatches: operands to the points of their tiles, products there, and back.
use super::Winograd;
use super::filter::{Matrix, transposed};
use super::text::{Segment, bound_twos, transform_from_points, transform_to_points};
use crate::gpu::shader;
use crate::gpu::{Caps, Kernel};
use crate::kernels::gemm::immediates::Immediates;
use crate::kernels::gemm::op::{Epilogue, GemmOp};
use crate::kernels::gemm::problem::{Loader, Problem};
use crate::kernels::gemm::{
    Body, Call, Operand, Pass, Product, Work, element_types, fold, multiply,
};
use crate::kernels::{Form, Fours, KernelError, Scalar};

const POINTS: &str = include_str!("../../../../shaders/winograd_points.wgsl");
const FINISH: &str = include_str!("../../../../shaders/winograd_finish.wgsl");
const WALK: &str = include_str!("../../../../shaders/lib/winograd_walk.wgsl");
const IMAGE: &str = include_str!("../../../../shaders/lib/winograd_image.wgsl");
const WINDOW: &str = include_str!("../../../../shaders/lib/winograd_window.wgsl");

/// Which operand of the call: the indices of its formats and offsets.
pub const A: usize = 0;
pub const B: usize = 1;
const C: usize = 2;

/// Where tiles lie in images: see lib/winograd_image.wgsl.
pub struct Pixels {
    pub planes: u32,
    pub size: [u32; 2],
    pub step: [u32; 2],
    pub origin: [i32; 2],
    pub phases_h: u32,
    pub numbers: Segment,
}

/// Where one pass of transformation reads or writes, and where it finds the points.
struct Side<'a> {
    /// Which of A, B and C is outside scratch memory: its points are the left factor, the right one, or the product.
    which: usize,
    place: &'static str,
    im: Immediates,
    numbers: Segment,
    /// Numbers that are read or written at once, 1 or 2.
    per_elem: u32,
    /// Rows of the walk and of a point, and twos in each.
    rows: [u32; 2],
    twos: [u32; 2],
    /// Twos from a phase to the next.
    phase_twos: u32,
    t: &'a Matrix,
}

/// The passes of one call.
pub struct Maker<'a> {
    pub caps: &'a Caps,
    pub body: Body,
    pub call: &'a Call<'a>,
    pub epilogue: &'a Epilogue,
    pub of: Winograd,
}

impl Maker<'_> {
    /// Where in scratch memory the left factor, the right one, and the product lie.
    fn places(&self) -> [u32; 3] {
        let [factors, result] = self.call.scratch;
        // Within 32-bit indices, as `product` checks.
        [
            factors,
            factors + self.of.product().lens()[0] as u32,
            result,
        ]
    }

    pub fn weights(&self) -> Result<Pass, KernelError> {
        let t = self.of.filter.weights();
        self.prepare(self.windows(A, &t))
    }

    pub fn finish_weights(&self) -> Result<Pass, KernelError> {
        let t = transposed(&self.of.filter.weights());
        self.finish(self.windows(C, &t))
    }

    /// Weights row by row: co, then (phase_h, phase_w, ci).
    fn windows<'t>(&self, which: usize, t: &'t Matrix) -> Side<'t> {
        let s = &self.of.shape;
        let [stride_h, stride] = s.stride;
        let window = s.kh * s.kw;
        let shifts: Vec<u32> = (0..stride).collect();
        let step_h = (stride_h * s.kw).cast_signed();
        Side {
            which,
            place: WINDOW,
            im: self.window(0, [s.ci * window, window], s.ci, step_h),
            numbers: Segment::spaced(stride, &shifts, self.of.filter.taps),
            per_elem: self.per_elem(which, s.kw),
            rows: [s.co; 2],
            twos: [stride_h, self.of.phases()].map(|phases| phases * s.ci / 2),
            phase_twos: s.ci / 2,
            t,
        }
    }

    /// For dx: the taps of the phases that lie in the same rows from the last to the first, and channels the other way around.
    pub fn turned_weights(&self, phase_h: u32) -> Result<Pass, KernelError> {
        let s = &self.of.shape;
        let [stride_h, stride] = s.stride;
        let window = s.kh * s.kw;
        let last = self.of.filter.taps - 1;
        let origin = (phase_h + last * stride_h) * s.kw;
        let step_h = -(stride_h * s.kw).cast_signed();
        let phase = |f: u32| (0..=last).map(|j| f + stride * (last - j)).collect();
        let t = self.of.filter.weights();
        self.prepare(Side {
            which: A,
            place: WINDOW,
            im: self.window(origin, [window, s.ci * window], s.co, step_h),
            numbers: Segment::new((0..stride).map(phase).collect()),
            per_elem: self.per_elem(A, s.kw),
            rows: [s.ci; 2],
            twos: [s.co / 2; 2],
            phase_twos: self.of.filter.points().pow(2) * s.ci * (s.co / 2),
            t: &t,
        })
    }

    /// The constants of lib/winograd_window.wgsl.
    fn window(
        &self,
        origin: u32,
        [row_step, channel_step]: [u32; 2],
        channels: u32,
        step_h: i32,
    ) -> Immediates {
        let mut im = Immediates::default();
        im.i32("origin", origin.cast_signed())
            .u32("row_step", row_step)
            .u32("channel_step", channel_step)
            .u32("channels", channels)
            .u32("kw", self.of.shape.kw)
            .i32("step_h", step_h);
        im
    }

    /// Tiles of operand [`A`] or [`B`] of the call to the left or right factor.
    pub fn pixels(
        &self,
        which: usize,
        group: u32,
        pixels: Pixels,
        t: &Matrix,
    ) -> Result<Pass, KernelError> {
        self.prepare(self.images(which, group, pixels, t))
    }

    pub fn finish_pixels(
        &self,
        group: u32,
        pixels: Pixels,
        t: &Matrix,
    ) -> Result<Pass, KernelError> {
        self.finish(self.images(C, group, pixels, t))
    }

    fn images<'t>(&self, which: usize, group: u32, pixels: Pixels, t: &'t Matrix) -> Side<'t> {
        let s = &self.of.shape;
        let [tiles_h, tiles_w] = self.of.tiles();
        let first = group * self.of.images;
        let per_elem = self.per_elem(which, pixels.size[1]);
        // Twos begin at even pixels.
        let lead = pixels.origin[1].rem_euclid(per_elem.cast_signed());
        let mut im = Immediates::default();
        im.u32("channels", pixels.planes)
            .u32("batch", s.n)
            .u32("first_image", first)
            .u32("images", self.of.images.min(s.n - first))
            .u32("tiles_h", tiles_h)
            .u32("tiles_w", tiles_w)
            .u32("h", pixels.size[0])
            .u32("w", pixels.size[1])
            .u32("step_h", pixels.step[0])
            .u32("step_w", pixels.step[1])
            .i32("origin_h", pixels.origin[0])
            .i32("origin_w", pixels.origin[1] - lead);
        let twos = self.of.cols() / 2;
        let phases_w = pixels.numbers.of.len() as u32;
        // The phases of dx are products of their own; those of x are rows of one.
        let (rows, phase_twos) = match self.of.op {
            GemmOp::Conv2dInputGrad(_) => (
                pixels.planes,
                self.of.filter.points().pow(2) * pixels.planes * twos,
            ),
            _ => (
                pixels.planes * pixels.phases_h * phases_w,
                pixels.planes * twos,
            ),
        };
        Side {
            which,
            place: IMAGE,
            im,
            numbers: pixels.numbers.after(lead.cast_unsigned()),
            per_elem,
            rows: [pixels.planes * pixels.phases_h, rows],
            twos: [twos; 2],
            phase_twos,
            t,
        }
    }

    /// How many numbers of operand A, B or C can be read or written at once, with rows of `width`.
    fn per_elem(&self, which: usize, width: u32) -> u32 {
        let (format, offset) = (self.call.formats[which], self.call.offsets[which]);
        let in_twos = format == Scalar::F32 && width.is_multiple_of(2) && offset.is_multiple_of(2);
        1 + u32::from(in_twos)
    }

    fn prepare(&self, mut side: Side) -> Result<Pass, KernelError> {
        side.im.u32("source_offset", self.call.offsets[side.which]);
        let generated = transform_to_points(side.t, &side.numbers, side.per_elem);
        let operands = vec![[Operand::A, Operand::B][side.which], Operand::Scratch(0)];
        let texts = [POINTS, &generated];
        let file = ("winograd_points", 's');
        self.pass(file, side, &Epilogue::default(), &texts, operands)
    }

    fn finish(&self, mut side: Side) -> Result<Pass, KernelError> {
        side.im
            .u32("c_offset", self.call.offsets[2])
            .epilogue(self.epilogue);
        let generated = transform_from_points(side.t, &side.numbers, side.per_elem);
        let texts = [
            "const E_BINDING = 2u;\n",
            FINISH,
            &generated,
            &self.epilogue.wgsl,
        ];
        let operands = [Operand::Scratch(1), Operand::C].into_iter();
        let extra = (0..self.epilogue.extra_buffers).map(Operand::Extra);
        let operands = operands.chain(extra).collect();
        let file = ("winograd_finish", 'c');
        self.pass(file, side, self.epilogue, &texts, operands)
    }

    /// A walk over `side`.
    fn pass(
        &self,
        (file, name): (&str, char),
        side: Side,
        epilogue: &Epilogue,
        texts: &[&str],
        operands: Vec<Operand>,
    ) -> Result<Pass, KernelError> {
        let kernel = self.of.op.name();
        let lanes = match self.body.form() {
            Form::Cpu => 8,
            Form::Gpu => 64,
        };
        let stretches = side.twos[0].div_ceil(lanes);
        let workgroups = u64::from(side.rows[0]) * u64::from(stretches);
        let grid = fold(kernel, workgroups, self.caps.max_workgroups_per_dim)?;
        let mut im = side.im;
        im.u32("rows", side.rows[0])
            .u32("walk_twos", side.twos[0])
            .u32("row_twos", side.twos[1])
            .u32("stretches", stretches)
            .u32("grid_x", grid[0])
            .u32("points_at", self.places()[side.which] / 2)
            .u32("point_twos", side.rows[1] * side.twos[1])
            .u32("phase_twos", side.phase_twos)
            .u32("tile_rows", side.t[0].len() as u32)
            .u32("result_rows", side.t.len() as u32);
        im.check(kernel)?;
        let format = self.call.formats[side.which];
        let fours = Fours::of(self.body.form(), self.caps);
        // For the directive.
        let types = element_types([("stored_as", format)], epilogue);
        let bound = bound_twos(name, format, side.per_elem, fours)
            + &bound_twos('p', Scalar::F32, 2, fours);
        let constants = format!(
            "const WG = {lanes}u;\nconst TILE = {}u;\nconst PHASES_W = {}u;\n",
            self.of.filter.outputs,
            side.numbers.of.len()
        );
        let declaration = im.declaration();
        let mut all = vec![types.as_str(), &bound, &declaration, &constants];
        all.extend_from_slice(texts);
        all.extend([side.place, WALK]);
        let floats = u64::from(side.rows[1]) * u64::from(side.twos[1]) * 2;
        Ok(Pass {
            kernel: Kernel {
                label: format!("{file} {kernel}"),
                source: shader::join(&all).into(),
                grid,
                immediates: im.words(),
            },
            operands,
            work: Work::Around {
                floats: floats * u64::from(self.of.batch()),
            },
        })
    }

    /// The product at every point, or with `add` its sum with what is there.
    pub fn product(&self, add: bool) -> Result<Pass, KernelError> {
        let mut problem = Problem::new(&self.of.product(), self.places())?;
        problem.name = self.of.op.name();
        if add {
            // Channels are in fours.
            problem.c = Loader::CAdd4;
        }
        let product = Product {
            problem,
            formats: [Scalar::F32; 3],
            parts: None,
            epilogue: &Epilogue::default(),
        };
        Ok(Pass {
            kernel: multiply(self.caps, self.body, product)?,
            operands: vec![
                Operand::Scratch(0),
                Operand::Scratch(0),
                Operand::Scratch(1),
            ],
            work: Work::Product,
        })
    }
}
