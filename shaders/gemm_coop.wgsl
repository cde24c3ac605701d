// C[m,n] = epilogue(A[m,k] B[k,n]) on a GPU's matrix units (cooperative matrices): TILE_M x TILE_N of C per workgroup
// (lib/gemm_stages.wgsl), BLOCK_M x BLOCK_N of it per subgroup in matrices of SIDE x SIDE, summed in f32.
//
// Workgroup memory holds A and B in the matrices' element type, in the order in which they lie in memory: A[m][k] or, transposed,
// [k][m], and B[k][n] or [n][k]. coopLoadT reads rows, coopLoad columns, so nothing is turned. Rows are A_STRIDE (B_STRIDE)
// elements apart, 16 bytes more than needed, so that eight rows lie in different banks. Nobody sees a matrix's elements, so
// sums reach the epilogue through workgroup memory, a strip of each subgroup's matrices at a time.
//
// Generated (src/kernels/gemm/coop.rs), because arrays of matrices might not stay in registers: begin_sums(),
// add_product(buffer, row, col), store_sums(i, at), a_put(at, v), b_put(at, v), c_take(at), with a_tile, b_tile and c_tile.
// What holds it back on an H200 is waiting for memory. 4096^3 written down for the tile of 128 x 256 x 16 alone, two K tiles in workgroup memory
// (what is complete was checked in 400 places): 0.64 ms (215 TFLOP/s). Without its reads 0.24 (569; as nothing writes workgroup memory then,
// its own loads may have been taken out of the loop), its matrix instructions alone 0.25, its reads without the products 0.68. Matrices read
// straight from buffers: 3.0 ms. K tiles of 32, their loop not written out: 0.54. Blocks of 64 x 128 for a subgroup, or 128 x 128 with two K tiles
// of 32: 2.3 to 3.0, out of registers as it seems. The driver's machine code (its GLCache holds objects compressed by zstd; nvdisasm reads them
// from the letters NVuc on) has LDSM for both operands, 16-byte stores into workgroup memory and all sums in registers, but 8-byte loads, each
// behind a comparison with the buffer's size, one K tile ahead.
//
// The prelude gives TILE_M, TILE_N, TILE_K, BLOCK_M, BLOCK_N, SIDE, STRIP, SUBGROUP, BUFFERS, THREADS, VEC (numbers in an element of a
// tile) and the axes.
const SUBGROUPS_N = TILE_N / BLOCK_N;
const SUBGROUPS = TILE_M / BLOCK_M * SUBGROUPS_N;

// This invocation's subgroup, and its place in it.
var<private> subgroup: u32;
var<private> lane: u32;

// Neighbours lie along the axis that is contiguous, in memory and in the tile.
fn block_of(part: u32, across: u32, along_k: bool) -> vec2<u32> {
    if along_k {
        return vec2<u32>(part / K_4, part % K_4);
    }
    return vec2<u32>(part % across, part / across);
}

fn store_a(buffer: u32, block: vec2<u32>, value: mat4x4<work>) {
    let rows = select(block, block.yx, A_ALONG_M);
    let at = buffer * A_SIZE + rows.x * 4u * A_STRIDE + rows.y * (4u / VEC);
    a_put(at, value[0]);
    a_put(at + A_STRIDE, value[1]);
    a_put(at + 2u * A_STRIDE, value[2]);
    a_put(at + 3u * A_STRIDE, value[3]);
}

fn store_b(buffer: u32, block: vec2<u32>, value: mat4x4<work>) {
    let rows = select(block.yx, block, B_ALONG_K);
    let at = buffer * B_SIZE + rows.x * 4u * B_STRIDE + rows.y * (4u / VEC);
    b_put(at, value[0]);
    b_put(at + B_STRIDE, value[1]);
    b_put(at + 2u * B_STRIDE, value[2]);
    b_put(at + 3u * B_STRIDE, value[3]);
}

fn multiply(buffer: u32) {
    add_product(buffer, subgroup / SUBGROUPS_N * BLOCK_M, subgroup % SUBGROUPS_N * BLOCK_N);
}

fn finish(row0: u32, col0: u32) {
    const STRIPS = BLOCK_N / STRIP;
    // An invocation stays in a strip's four columns: STRIP / 4 divides SUBGROUP.
    let at_col = lane % (STRIP / 4u) * 4u;
    let row = row0 + subgroup / SUBGROUPS_N * BLOCK_M;
    let col = col0 + subgroup % SUBGROUPS_N * BLOCK_N + at_col;
    let first = subgroup * (SIDE * C_STRIDE);
    for (var j = 0u; j < STRIPS; j++) {
        c_begin(col + j * STRIP);
        for (var i = 0u; i < BLOCK_M / SIDE; i++) {
            store_sums(i * STRIPS + j, first);
            workgroupBarrier();
            for (var r = lane / (STRIP / 4u); r < SIDE; r += SUBGROUP * 4u / STRIP) {
                c_store(row + i * SIDE + r, col + j * STRIP, c_take(first + r * C_STRIDE + at_col / VEC));
            }
            workgroupBarrier();
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) id: u32,
    @builtin(subgroup_id) subgroup_id: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    subgroup = subgroup_id;
    lane = subgroup_lane;
    begin_sums();
    gemm_tile(group, id);
}
