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
    /// The operand outside scratch memory, and which of A, B and C it is.
    operand: Operand,
    which: usize,
    place: &'static str,
    im: Immediates,
    numbers: Segment,
    in_twos: bool,
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
    pub form: Form,
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
        self.prepare(self.windows((Operand::A, 0), &t), 0)
    }

    pub fn finish_weights(&self) -> Result<Pass, KernelError> {
        let t = transposed(&self.of.filter.weights());
        self.finish(self.windows((Operand::C, 2), &t))
    }

    /// Weights row by row: co, then (phase_h, phase_w, ci).
    fn windows<'t>(&self, (operand, which): (Operand, usize), t: &'t Matrix) -> Side<'t> {
        let s = &self.of.shape;
        let [stride_h, stride] = s.stride;
        let window = s.kh * s.kw;
        let shifts: Vec<u32> = (0..stride).collect();
        let mut im = Immediates::default();
        im.i32("origin", 0)
            .u32("row_step", s.ci * window)
            .u32("channel_step", window)
            .u32("channels", s.ci)
            .u32("kw", s.kw)
            .i32("step_h", (stride_h * s.kw).cast_signed());
        Side {
            operand,
            which,
            place: WINDOW,
            im,
            numbers: Segment::spaced(stride, &shifts, self.of.filter.taps),
            in_twos: self.in_twos(which, s.kw),
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
        let mut im = Immediates::default();
        im.i32("origin", ((phase_h + last * stride_h) * s.kw).cast_signed())
            .u32("row_step", window)
            .u32("channel_step", s.ci * window)
            .u32("channels", s.co)
            .u32("kw", s.kw)
            .i32("step_h", -(stride_h * s.kw).cast_signed());
        let phase = |f: u32| (0..=last).map(|j| f + stride * (last - j)).collect();
        let t = self.of.filter.weights();
        let side = Side {
            operand: Operand::A,
            which: 0,
            place: WINDOW,
            im,
            numbers: Segment::new((0..stride).map(phase).collect()),
            in_twos: self.in_twos(0, s.kw),
            rows: [s.ci; 2],
            twos: [s.co / 2; 2],
            phase_twos: self.of.filter.points().pow(2) * s.ci * (s.co / 2),
            t: &t,
        };
        self.prepare(side, 0)
    }

    /// Tiles of operand A or B of the call to the left or right factor.
    pub fn pixels(
        &self,
        operand: Operand,
        group: u32,
        pixels: Pixels,
        t: &Matrix,
    ) -> Result<Pass, KernelError> {
        let factor = usize::from(operand == Operand::B);
        self.prepare(self.images((operand, factor), group, pixels, t), factor)
    }

    pub fn finish_pixels(
        &self,
        group: u32,
        pixels: Pixels,
        t: &Matrix,
    ) -> Result<Pass, KernelError> {
        self.finish(self.images((Operand::C, 2), group, pixels, t))
    }

    fn images<'t>(
        &self,
        (operand, which): (Operand, usize),
        group: u32,
        pixels: Pixels,
        t: &'t Matrix,
    ) -> Side<'t> {
        let s = &self.of.shape;
        let [tiles_h, tiles_w] = self.of.tiles();
        let first = group * self.of.images;
        let in_twos = self.in_twos(which, pixels.size[1]);
        // Twos begin at even pixels.
        let lead = match in_twos {
            true => pixels.origin[1].rem_euclid(2),
            false => 0,
        };
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
            operand,
            which,
            place: IMAGE,
            im,
            numbers: pixels.numbers.after(lead.cast_unsigned()),
            in_twos,
            rows: [pixels.planes * pixels.phases_h, rows],
            twos: [twos; 2],
            phase_twos,
            t,
        }
    }

    /// Whether operand A, B or C can be read or written two numbers at a time, with rows of `width`.
    fn in_twos(&self, which: usize, width: u32) -> bool {
        let (format, offset) = (self.call.formats[which], self.call.offsets[which]);
        format == Scalar::F32 && width.is_multiple_of(2) && offset.is_multiple_of(2)
    }

    fn prepare(&self, mut side: Side, factor: usize) -> Result<Pass, KernelError> {
        side.im.u32("source_offset", self.call.offsets[side.which]);
        let none = Epilogue::default();
        let per_elem = 1 + u32::from(side.in_twos);
        let generated = transform_to_points(side.t, &side.numbers, per_elem);
        let operands = vec![side.operand, Operand::Scratch(0)];
        let texts = [POINTS, &generated];
        self.pass(
            ("winograd_points", 's'),
            (side, factor),
            &none,
            &texts,
            operands,
        )
    }

    fn finish(&self, mut side: Side) -> Result<Pass, KernelError> {
        side.im
            .u32("c_offset", self.call.offsets[2])
            .epilogue(self.epilogue);
        let per_elem = 1 + u32::from(side.in_twos);
        let generated = transform_from_points(side.t, &side.numbers, per_elem);
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
        self.pass(file, (side, 2), self.epilogue, &texts, operands)
    }

    /// A walk over `side`, whose points are those of the left factor, the right one, or the product.
    fn pass(
        &self,
        (file, name): (&str, char),
        (side, points_of): (Side, usize),
        epilogue: &Epilogue,
        texts: &[&str],
        operands: Vec<Operand>,
    ) -> Result<Pass, KernelError> {
        let kernel = self.of.op.name();
        let lanes = lanes(self.form);
        let stretches = side.twos[0].div_ceil(lanes);
        let workgroups = u64::from(side.rows[0]) * u64::from(stretches);
        let grid = fold(kernel, workgroups, self.caps.max_workgroups_per_dim)?;
        let mut im = side.im;
        im.u32("rows", side.rows[0])
            .u32("walk_twos", side.twos[0])
            .u32("row_twos", side.twos[1])
            .u32("stretches", stretches)
            .u32("grid_x", grid[0])
            .u32("points_at", self.places()[points_of] / 2)
            .u32("point_twos", side.rows[1] * side.twos[1])
            .u32("phase_twos", side.phase_twos);
        im.check(kernel)?;
        let format = self.call.formats[side.which];
        let fours = Fours::of(self.form, self.caps);
        // For the directive.
        let types = element_types([("stored_as", format)], epilogue);
        let bound = bound_twos(name, format, side.in_twos, fours)
            + &bound_twos('p', Scalar::F32, true, fours);
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
    pub fn product(&self, body: Body, add: bool) -> Result<Pass, KernelError> {
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
            kernel: multiply(self.caps, body, product)?,
            operands: vec![
                Operand::Scratch(0),
                Operand::Scratch(0),
                Operand::Scratch(1),
            ],
            work: Work::Product,
        })
    }
}

fn lanes(form: Form) -> u32 {
    match form {
        Form::Cpu => 8,
        Form::Gpu => 64,
    }
}
