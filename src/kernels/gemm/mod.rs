//! Matrix product and convolution: one GEMM body per variant, exchangeable operand loaders, an epilogue.
//!
//! | operation | A[m,k] | B[k,n] | C[m,n] |
//! |---|---|---|---|
//! | matmul | plain or transposed | plain or transposed | plain |
//! | conv2d | w, plain | x, gathered | y, plain |
//! | conv2d_weight_grad | dy, plain | x, gathered | dw, plain |
//! | conv2d_input_grad | w, taps of a stride phase | dy, gathered | dx, scattered by stride phase |
//!
//! Activations are [channel, batch, height, width], so a convolution's output is a plain matrix of channels by pixels and no
//! im2col buffer exists: the loader of B computes the addresses. All sizes, strides and offsets are immediates; one pipeline
//! serves every shape of one (loaders, alignment, K tile, epilogue).
//!
//! Files: `op` what can be asked for, `problem` what that means for loaders and immediates, `unroll` the generated inner loop
//! of the CPU variant, `reference` the same operations as textbook loops in f64, `bench` timing.
pub mod bench;
mod immediates;
mod op;
mod problem;
pub mod reference;
#[cfg(test)]
mod tests;
mod unroll;

pub use op::{ConvShape, Epilogue, GemmOp, Variant};

use super::KernelError;
use crate::gpu::{Caps, Kernel, shader};
use problem::Problem;
use unroll::Unroll;

const GRID: &str = include_str!("../../../shaders/lib/gemm_grid.wgsl");
const CPU_BODY: &str = include_str!("../../../shaders/gemm_cpu.wgsl");
const TILED_BODY: &str = include_str!("../../../shaders/gemm_tiled.wgsl");

/// Side of the block of C that a workgroup of the tiled variant computes (`TILE` in gemm_tiled.wgsl).
const TILE: u32 = 64;

/// The kernel of `op` on an adapter with `caps`. `offsets`: where A, B and C start in their buffers, in elements.
///
/// Bindings: 0 A, 1 B, 2 C (written), 3.. the epilogue's. Which operand is A, B and C: see [`GemmOp`].
/// Multiples of 4 in the inner dimensions and offsets select loaders that read four elements at once; anything else works
/// at a lower speed.
///
/// Every element of C is summed over k in order, so a variant's results do not depend on the machine's number of cores;
/// the two variants agree to rounding.
///
/// # Errors
/// [`KernelError`]: a size of zero, a window larger than the padded image, operands beyond 32-bit indices, too many
/// immediates in the epilogue.
pub fn kernel(
    caps: &Caps,
    variant: Variant,
    op: &GemmOp,
    offsets: [u32; 3],
    epilogue: Option<&Epilogue>,
) -> Result<Kernel, KernelError> {
    let problem = Problem::new(op, offsets)?;
    match variant {
        Variant::Cpu => cpu(caps, problem, op.flops(), epilogue),
        Variant::Tiled => tiled(caps, problem, epilogue),
    }
}

fn cpu(
    caps: &Caps,
    problem: Problem,
    flops: u64,
    epilogue: Option<&Epilogue>,
) -> Result<Kernel, KernelError> {
    let unroll = Unroll::choose(caps, problem.k, flops);
    let rows_max = unroll::rows_max(caps);
    let cores = std::thread::available_parallelism().map_or(4, |n| n.get() as u32);
    let col_blocks = problem.n.div_ceil(unroll.cols());
    let rows = unroll::rows_per_workgroup(problem.m, col_blocks * problem.depth, cores, rows_max);
    let constants = format!(
        "const LANES = {}u;\nconst K_TILE = {}u;\nconst B_TILE_LEN = {}u;\nconst ROWS_MAX = {}u;\nconst A_SLOTS = {}u;\n",
        unroll::LANES,
        unroll.k_tile,
        unroll.b_tile_len(problem.b.along_k()),
        rows_max,
        unroll.a_slots()
    );
    let generated = unroll.multiply_tile(problem.a.along_m());
    assemble(
        caps,
        "gemm_cpu",
        &format!("k{}", unroll.k_tile),
        problem,
        [rows, unroll.cols()],
        &[("rows", rows), ("k_tile", unroll.k_tile)],
        &[&constants, CPU_BODY, &generated],
        epilogue,
    )
}

fn tiled(
    caps: &Caps,
    problem: Problem,
    epilogue: Option<&Epilogue>,
) -> Result<Kernel, KernelError> {
    assemble(
        caps,
        "gemm_tiled",
        "64x64x32",
        problem,
        [TILE, TILE],
        &[],
        &["const A_SLOTS = 1u;\n", TILED_BODY],
        epilogue,
    )
}

/// Joins body, loaders and epilogue, and lays `block` = [rows, columns] of C per workgroup over the output.
#[allow(clippy::too_many_arguments)]
fn assemble(
    caps: &Caps,
    file: &str,
    form: &str,
    problem: Problem,
    block: [u32; 2],
    constants: &[(&'static str, u32)],
    body: &[&str],
    epilogue: Option<&Epilogue>,
) -> Result<Kernel, KernelError> {
    let row_blocks = problem.m.div_ceil(block[0]);
    let col_blocks = problem.n.div_ceil(block[1]);
    let workgroups = u64::from(row_blocks) * u64::from(col_blocks) * u64::from(problem.depth);
    let grid = fold(problem.name, workgroups, caps.max_workgroups_per_dim)?;

    let mut im = problem.immediates;
    im.u32("row_blocks", row_blocks)
        .u32("col_blocks", col_blocks)
        .u32("depth", problem.depth)
        .u32("grid_x", grid[0]);
    for &(name, value) in constants {
        im.u32(name, value);
    }
    let default = Epilogue::default();
    let epilogue = epilogue.unwrap_or(&default);
    for (i, &word) in epilogue.immediates.iter().enumerate() {
        im.word(format!("e{i}"), "u32", word);
    }
    im.check(problem.name)?;

    let axes = format!(
        "const A_ALONG_M = {};\nconst B_ALONG_K = {};\n",
        problem.a.along_m(),
        problem.b.along_k()
    );
    let declaration = im.declaration();
    let mut parts = vec![declaration.as_str(), &axes];
    parts.extend_from_slice(body);
    parts.push(GRID);
    parts.extend_from_slice(problem.libraries);
    parts.extend([problem.a.wgsl(), problem.b.wgsl(), problem.c.wgsl()]);
    parts.push(&epilogue.wgsl);
    Ok(Kernel {
        label: format!(
            "{file} {} {} {} {} {form}",
            problem.name,
            problem.a.name(),
            problem.b.name(),
            problem.c.name()
        ),
        source: shader::join(&parts).into(),
        grid,
        immediates: im.words(),
    })
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
