//! Matrix product and convolution: one GEMM body per variant, exchangeable operand loaders, an epilogue.
//!
//! | operation | A[m,k] | B[k,n] | C[m,n] |
//! |---|---|---|---|
//! | matmul | plain or transposed | plain or transposed | plain |
//! | conv2d | w, plain | x, gathered | y, plain |
//! | conv2d_weight_grad | dy, plain | x, gathered | dw, plain |
//! | conv2d_input_grad | w, packed by stride phase | dy, gathered | dx, scattered by stride phase |
//!
//! Activations are [channel, batch, height, width], so a convolution's output is a plain matrix of channels by pixels and no
//! im2col buffer exists: the loader of B computes the addresses. All sizes, strides and offsets are immediates; one pipeline
//! serves every shape of one (loaders, alignment, K tile, stripes, epilogue).
//!
//! Files: `op` what can be asked for, `variant` the ways to compute it and the choice among them, `rule` that choice for GPUs,
//! `problem` what an operation means for loaders and immediates, `unroll`, `tiled` and `coop` the generated inner loops of the
//! bodies for CPUs, for GPUs and for matrix units, `stages` what the latter two load, `passes` the small dispatches before or after the product, `winograd` convolutions with fewer multiplications, `reference` the
//! same operations as textbook loops in f64, `bench` and
//! `compare` timing, `agreement` whether variants compute the same.
mod agreement;
pub mod bench;
pub mod compare;
mod coop;
mod immediates;
mod op;
mod passes;
mod problem;
pub mod reference;
mod rule;
mod stages;
#[cfg(test)]
mod tests;
mod tiled;
mod unroll;
mod variant;
mod winograd;

pub use coop::CoopTile;
pub use op::{ConvShape, Epilogue, GemmOp};
pub use tiled::Tile;
pub use variant::{Body, Choices, Scheme, Variant};

use super::{Form, Fours, KernelError, Scalar};
use crate::gpu::{Caps, Kernel, shader};
use problem::Problem;
use stages::Waiting;
use unroll::Unroll;
use winograd::Winograd;

const GRID: &str = include_str!("../../../shaders/lib/gemm_grid.wgsl");
const WHOLE: &str = include_str!("../../../shaders/lib/gemm_whole.wgsl");
const SPLIT: &str = include_str!("../../../shaders/lib/gemm_split.wgsl");
const CPU_BODY: &str = include_str!("../../../shaders/gemm_cpu.wgsl");
const TILED_BODY: &str = include_str!("../../../shaders/gemm_tiled.wgsl");
const COOP_BODY: &str = include_str!("../../../shaders/gemm_coop.wgsl");
const STAGES: &str = include_str!("../../../shaders/lib/gemm_stages.wgsl");
const BLOCKS: &str = include_str!("../../../shaders/lib/gemm_blocks.wgsl");
const BLOCK_B: &str = include_str!("../../../shaders/lib/gemm_block_b.wgsl");
const GATHER_BLOCK: &str = include_str!("../../../shaders/lib/gather_block.wgsl");
const FILL: &str = include_str!("../../../shaders/lib/gemm_fill.wgsl");
const FILL_BLOCKS: &str = include_str!("../../../shaders/lib/gemm_fill_blocks.wgsl");

/// Parts of a split k begin at multiples of this, or of the next number above that K tiles divide.
const SPLIT_UNIT: u32 = 128;

/// One use of an operation: where its operands lie and what happens to its result.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub op: &'a GemmOp,
    /// How A, B and C are stored.
    pub formats: [Scalar; 3],
    /// Where A, B and C start in their buffers, in elements.
    pub offsets: [u32; 3],
    /// Where the parts of scratch memory start in their buffers, in f32 elements: multiples of 4.
    pub scratch: [u32; 2],
    pub epilogue: Option<&'a Epilogue>,
}

impl<'a> Call<'a> {
    /// f32 operands at the start of their buffers, no epilogue.
    pub fn plain(op: &'a GemmOp) -> Self {
        Self {
            op,
            formats: [Scalar::F32; 3],
            offsets: [0; 3],
            scratch: [0; 2],
            epilogue: None,
        }
    }
}

/// What a dispatch of an operation is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    A,
    B,
    C,
    /// A part of the memory that the passes of one call share, of [`Variant::scratch`] elements (f32), in a buffer of its own.
    Scratch(usize),
    /// The epilogue's buffers, in order.
    Extra(usize),
}

/// One dispatch of an operation.
#[derive(Debug, Clone)]
pub struct Pass {
    pub kernel: Kernel,
    /// In binding order.
    pub operands: Vec<Operand>,
    pub work: Work,
}

/// What a dispatch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// To multiply: its share of the operation's arithmetic.
    Product,
    /// To prepare or to finish a product: it moves so many numbers of scratch memory.
    Around { floats: u64 },
}

/// The dispatches, in order, that compute `call` in this variant on an adapter with `caps`.
///
/// Which operand is A, B and C: see [`GemmOp`]. Multiples of 4 in the inner dimensions and offsets select loaders that read
/// four elements at once; anything else works at a lower speed.
///
/// Every element of C is summed over k in an order that the variant fixes, so a variant's results do not depend on thread
/// timing; variants agree to rounding.
///
/// # Errors
/// [`KernelError`]: a size of zero, a window larger than the padded image, operands beyond 32-bit indices, too many
/// immediates in the epilogue.
pub fn lower(caps: &Caps, variant: Variant, call: &Call) -> Result<Vec<Pass>, KernelError> {
    let identity = Epilogue::default();
    let epilogue = call.epilogue.unwrap_or(&identity);
    let extra = (0..epilogue.extra_buffers).map(Operand::Extra);
    let [fa, fb, fc] = call.formats;
    let ([a, b, c], [scratch, _]) = (call.offsets, call.scratch);
    // The whole operation, so that errors speak of it and not of its parts.
    Problem::new(call.op, call.offsets)?;
    if let Scheme::Winograd(outputs) = variant.scheme {
        let Some(winograd) = Winograd::new(call.op, variant.body.form(), outputs) else {
            return Err(KernelError::Parameter {
                kernel: call.op.name(),
                what: "the scheme",
                got: "Winograd".into(),
                expected: "used with square windows two or three times as long as their stride, and channels in fours".into(),
            });
        };
        return winograd.lower(caps, variant.body, call, epilogue);
    }
    if variant.scheme == Scheme::Whole {
        let whole = |problem: Problem, first: Operand| -> Result<Pass, KernelError> {
            let product = Product {
                problem,
                formats: call.formats,
                parts: None,
                epilogue,
            };
            let operands = [first, Operand::B, Operand::C].into_iter();
            Ok(Pass {
                kernel: multiply(caps, variant.body, product)?,
                operands: operands.chain(extra.clone()).collect(),
                work: Work::Product,
            })
        };
        let GemmOp::Conv2dInputGrad(s) = call.op else {
            return Ok(vec![whole(
                Problem::new(call.op, call.offsets)?,
                Operand::A,
            )?]);
        };
        let mut passes = Vec::new();
        let (all, step) = (problem::phases(s), problem::phases_at_once(s));
        // Packed weights are stored as the weights are: in elements of that type.
        let packed = scratch * (Scalar::F32.bytes() / fa.bytes()) as u32;
        for first in (0..all).step_by(step as usize) {
            let range = first..first + step;
            passes.push(Pass {
                kernel: passes::pack_phases(caps, s, range.clone(), [a, packed], [fa, fa])?,
                operands: vec![Operand::A, Operand::Scratch(0)],
                work: Work::Around {
                    floats: problem::packed_len(s, step),
                },
            });
            let problem = problem::conv2d_input_grad(s, range, [packed, b, c]);
            passes.push(whole(problem, Operand::Scratch(0))?);
        }
        return Ok(passes);
    }
    let parts = match variant.scheme {
        Scheme::SplitK(parts) => Some(Parts {
            count: parts,
            stride: call.op.lens()[2].next_multiple_of(4) as u32,
            unit: SPLIT_UNIT,
        }),
        _ => None,
    };
    let product = Product {
        problem: Problem::new(
            &variant::product(call.op, variant.body.form(), variant.scheme),
            [a, b, scratch],
        )?,
        formats: [fa, fb, Scalar::F32],
        parts,
        epilogue: &identity,
    };
    let finish = match parts {
        Some(parts) => passes::splits(caps, call.op, parts, [scratch, c], fc, epilogue)?,
        None => passes::taps(caps, call.op, [scratch, c], fc, epilogue)?,
    };
    Ok(vec![
        Pass {
            kernel: multiply(caps, variant.body, product)?,
            operands: vec![Operand::A, Operand::B, Operand::Scratch(0)],
            work: Work::Product,
        },
        Pass {
            kernel: finish,
            operands: [Operand::Scratch(0), Operand::C]
                .into_iter()
                .chain(extra)
                .collect(),
            work: Work::Around {
                floats: variant.scratch(call.op)[0],
            },
        },
    ])
}

/// A split k.
#[derive(Debug, Clone, Copy)]
struct Parts {
    count: u32,
    /// Elements from one part's C to the next.
    stride: u32,
    /// Parts begin at multiples of this, which K tiles divide.
    unit: u32,
}

/// What one dispatch multiplies.
struct Product<'a> {
    problem: Problem,
    formats: [Scalar; 3],
    parts: Option<Parts>,
    epilogue: &'a Epilogue,
}

fn multiply(caps: &Caps, body: Body, product: Product) -> Result<Kernel, KernelError> {
    match body {
        Body::Cpu {
            k_tile,
            rows,
            stripes,
        } => cpu(caps, Unroll::of(caps, k_tile, stripes), rows, product),
        Body::Tiled(tile) => tiled(caps, tile, product),
        Body::Coop(tile) => coop(caps, tile, product),
    }
}

/// How the body for CPUs reads its tiles of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    Vectors,
    Blocks,
    Slide,
}

fn cpu(
    caps: &Caps,
    unroll: Unroll,
    rows: u32,
    mut product: Product,
) -> Result<Kernel, KernelError> {
    let problem = &mut product.problem;
    let fill = match (unroll::reads_windows(caps), problem.window, problem.slide) {
        (true, Some(window), _) => {
            problem.b = window;
            Fill::Blocks
        }
        (true, None, Some(slide)) => {
            problem.slide_by(slide);
            Fill::Slide
        }
        _ => Fill::Vectors,
    };
    if let Some(parts) = &mut product.parts {
        parts.unit = SPLIT_UNIT.next_multiple_of(unroll.k_tile);
    }
    let (a, b) = (product.problem.a, product.problem.b);
    let fours = Fours::of(Form::Cpu, caps);
    let single = single_of_b(fours, &product);
    let constants = format!(
        "const LANES = {}u;\nconst STRIPES = {}u;\nconst K_TILE = {}u;\nconst B_TILE_LEN = {}u;\nconst ROWS_MAX = {}u;\n",
        unroll::LANES,
        unroll.stripes,
        unroll.k_tile,
        unroll.b_tile_len(b.along_k() || fill == Fill::Blocks),
        unroll::rows_max(caps, unroll.stripes)
    );
    let generated = unroll.multiply_tile(a.along_m());
    let filling = match fill {
        Fill::Vectors => FILL,
        Fill::Blocks => FILL_BLOCKS,
        // With its loader.
        Fill::Slide => "",
    };
    assemble(
        caps,
        "gemm_cpu",
        &match unroll.stripes {
            1 => format!("k{}", unroll.k_tile),
            stripes => format!("k{}x{stripes}", unroll.k_tile),
        },
        product,
        [rows, unroll::COLS * unroll.stripes],
        &[("rows", rows), ("k_tile", unroll.k_tile)],
        &[
            fours.wgsl(),
            &single,
            &constants,
            CPU_BODY,
            filling,
            &generated,
        ],
    )
}

fn tiled(caps: &Caps, tile: Tile, product: Product) -> Result<Kernel, KernelError> {
    let (constants, generated) = (tile.constants(), tile.generated());
    let texts = [constants.as_str(), TILED_BODY, &generated];
    staged(
        caps,
        "gemm_tiled",
        &tile.to_string(),
        product,
        ([tile.m, tile.n, tile.k], tile.threads(), tile.waiting),
        Scalar::F32,
        texts,
    )
}

fn coop(caps: &Caps, tile: CoopTile, product: Product) -> Result<Kernel, KernelError> {
    let axes = [product.problem.a.along_m(), product.problem.b.along_k()];
    let (constants, generated) = (tile.constants(), tile.generated(axes));
    let texts = [constants.as_str(), COOP_BODY, &generated];
    staged(
        caps,
        "gemm_coop",
        &tile.to_string(),
        product,
        ([tile.m, tile.n, tile.k], tile.threads(), tile.waiting),
        tile.ab,
        texts,
    )
}

/// A body over lib/gemm_stages.wgsl: K tiles of `tile` by `threads` invocations that load elements as `work`.
fn staged(
    caps: &Caps,
    file: &str,
    form: &str,
    mut product: Product,
    (tile, threads, waiting): ([u32; 3], u32, Waiting),
    work: Scalar,
    [constants, body, generated]: [&str; 3],
) -> Result<Kernel, KernelError> {
    let constants = format!("alias work = {};\n{constants}", work.wgsl());
    let stages = stages::generated(tile, threads, waiting);
    let fours = Fours::of(Form::Gpu, caps);
    let mut texts = vec![
        fours.wgsl(),
        &constants,
        body,
        generated,
        STAGES,
        &stages,
        BLOCKS,
    ];
    match product.problem.window {
        Some(window) => product.problem.b = window,
        None if product.problem.b == problem::Loader::BGather => texts.push(GATHER_BLOCK),
        None => texts.push(BLOCK_B),
    }
    let single = single_of_b(fours, &product);
    texts.push(&single);
    let block = [tile[0], tile[1]];
    assemble(caps, file, form, product, block, &[], &texts)
}

/// Joins body, loaders and epilogue, and lays `block` = [rows, columns] of C per workgroup over the output.
fn assemble(
    caps: &Caps,
    file: &str,
    form: &str,
    product: Product,
    block: [u32; 2],
    constants: &[(&'static str, u32)],
    body: &[&str],
) -> Result<Kernel, KernelError> {
    let Product {
        problem,
        formats,
        parts,
        epilogue,
    } = product;
    let row_blocks = problem.m.div_ceil(block[0]);
    let col_blocks = problem.n.div_ceil(block[1]);
    let count = parts.map_or(1, |p| p.count);
    let workgroups =
        u64::from(row_blocks) * u64::from(col_blocks) * u64::from(problem.depth) * u64::from(count);
    let grid = fold(problem.name, workgroups, caps.max_workgroups_per_dim)?;

    let mut im = problem.immediates;
    im.u32("row_blocks", row_blocks)
        .u32("col_blocks", col_blocks)
        .u32("depth", problem.depth)
        .u32("grid_x", grid[0]);
    for &(name, value) in constants {
        im.u32(name, value);
    }
    if let Some(parts) = parts {
        let part_k = problem.k.div_ceil(parts.count).next_multiple_of(parts.unit);
        im.u32("parts", parts.count)
            .u32("part_k", part_k)
            .u32("part_len", parts.stride);
    }
    im.epilogue(epilogue);
    im.check(problem.name)?;

    let axes = format!(
        "const A_ALONG_M = {};\nconst B_ALONG_K = {};\nconst WHOLE_FOURS = {};\nconst E_BINDING = 3u;\n",
        problem.a.along_m(),
        problem.b.along_k(),
        problem.b.slides(),
    );
    let types = element_types(
        ["a_elem", "b_elem", "c_elem"].into_iter().zip(formats),
        epilogue,
    );
    let declaration = im.declaration();
    let fours = bound_fours(["a", "b", "c"].into_iter().zip(formats));
    let mut texts = vec![types.as_str(), &fours, declaration.as_str(), &axes];
    texts.extend_from_slice(body);
    texts.extend([GRID, if parts.is_some() { SPLIT } else { WHOLE }]);
    texts.extend_from_slice(problem.libraries);
    texts.extend([problem.a.wgsl(), problem.b.wgsl(), problem.c.wgsl()]);
    texts.push(&epilogue.wgsl);
    let stored = match formats {
        [Scalar::F32, Scalar::F32, Scalar::F32] => String::new(),
        formats => formats.map(|f| format!(" {}", f.wgsl())).concat(),
    };
    let split = if parts.is_some() { " split" } else { "" };
    Ok(Kernel {
        label: format!(
            "{file} {} {} {} {} {form}{split}{stored}",
            problem.name,
            problem.a.name(),
            problem.b.name(),
            problem.c.name()
        ),
        source: shader::join(&texts).into(),
        grid,
        immediates: im.words(),
    })
}

/// `alias name = f32;` and the like, behind an `enable` line where one is f16 or the epilogue reads f16.
fn element_types<'a>(
    aliases: impl IntoIterator<Item = (&'a str, Scalar)>,
    epilogue: &Epilogue,
) -> String {
    let mut f16 = epilogue.f16;
    let mut text = String::new();
    for (name, format) in aliases {
        f16 |= format == Scalar::F16;
        text += &format!("alias {name} = {};\n", format.wgsl());
    }
    // An adapter without f16 refuses the line even where nothing uses it.
    if f16 {
        text.insert_str(0, "enable f16;\n");
    }
    text
}

/// `b_single(a)`, the element of B numbered `a`, for the loader of fours that reads some elements alone.
fn single_of_b(fours: Fours, product: &Product) -> String {
    let fours = match product.formats[1] {
        Scalar::F32 => fours,
        Scalar::F16 => Fours::Vector,
    };
    match product.problem.b {
        problem::Loader::BWindowPhase => format!(
            "fn b_single(a: u32) -> b_elem {{ return {}; }}\n",
            fours.single("gemm_b")
        ),
        _ => String::new(),
    }
}

/// How operand `x` is bound by loaders of four elements: `alias x_four`, `x_loaded` of what is read and `x_stored` of what is to be written.
fn bound_fours<'a>(operands: impl IntoIterator<Item = (&'a str, Scalar)>) -> String {
    let mut text = String::new();
    for (x, format) in operands {
        let (alias, loaded, stored) = match format {
            Scalar::F32 => ("f32x4", "four", "four_stored"),
            Scalar::F16 => ("vec4<f16>", "vec4<f16>", "vec4<f16>"),
        };
        text += &format!(
            "alias {x}_four = {alias};\n\
             fn {x}_loaded(v: {x}_four) -> vec4<{x}_elem> {{ return {loaded}(v); }}\n\
             fn {x}_stored(v: vec4<f32>) -> {x}_four {{ return {stored}(v); }}\n"
        );
    }
    text
}

/// `workgroups` in a line, folded where a dimension would exceed `limit`; gemm_grid.wgsl unfolds it.
fn fold(kernel: &'static str, workgroups: u64, limit: u32) -> Result<[u32; 3], KernelError> {
    let limit = u64::from(limit.max(1));
    if workgroups > (limit * limit).min(u64::from(u32::MAX)) {
        return Err(KernelError::Grid {
            kernel,
            workgroups,
            limit: (limit * limit).min(u64::from(u32::MAX)),
        });
    }
    let y = workgroups.div_ceil(limit);
    let x = workgroups.div_ceil(y);
    Ok([x as u32, y as u32, 1])
}
