// C[m,n] = epilogue(A[m,k] B[k,n]) on a GPU: TILE_M x TILE_N of C per workgroup (lib/gemm_stages.wgsl), SUMS_M x SUMS_N of it in
// each invocation's registers (after "How to Optimize a CUDA Matmul Kernel", Boehm 2022, and CUTLASS).
//
// Workgroup memory always holds vec4 along m (A) and along n (B); blocks that lie otherwise in memory are turned in registers.
// Sums lie in groups of 4 x 4, TILE_M / 2 and TILE_N / 2 apart where there are 8 of them: eight neighbouring invocations then
// read 128 contiguous bytes of B, and write as much of C. Of 32 invocations 8 lie along n and 4 along m, which reads the fewest
// different vec4. Writing a tile, eight neighbours always have eight neighbouring vec4: no bank of workgroup memory is hit twice.
//
// add_product(a_at, b_at) and sums_of(i) are generated (src/kernels/gemm/tiled.rs), because sums stay in registers only if
// nothing indexes them. The prelude gives TILE_M, TILE_N, TILE_K, SUMS_M, SUMS_N, BUFFERS, THREADS, A_ALONG_M, B_ALONG_K.
const GROUPS_M = SUMS_M / 4u;
const GROUPS_N = SUMS_N / 4u;
// Invocations along n and m.
const THREADS_N = N_4 / GROUPS_N;
const THREADS_M = M_4 / GROUPS_M;

var<workgroup> a_tile: array<vec4<f32>, BUFFERS * TILE_K * M_4>; // [buffer][k][m / 4]
var<workgroup> b_tile: array<vec4<f32>, BUFFERS * TILE_K * N_4>; // [buffer][k][n / 4]
// This invocation's place along n and m.
var<private> place: vec2<u32>;

// Along k in memory: eight neighbours take eight rows of the tile, the rest of 32 the same rows further along k.
fn block_of(part: u32, across: u32, along_k: bool) -> vec2<u32> {
    if along_k {
        let rest = part / 8u;
        return vec2<u32>(rest / K_4 * 8u + part % 8u, rest % K_4);
    }
    return vec2<u32>(part % across, part / across);
}

fn store_a(buffer: u32, block: vec2<u32>, value: mat4x4<work>) {
    let at = (buffer * TILE_K + block.y * 4u) * M_4 + block.x;
    var columns = value;
    if !A_ALONG_M {
        columns = transpose(value);
    }
    a_tile[at] = columns[0];
    a_tile[at + M_4] = columns[1];
    a_tile[at + 2u * M_4] = columns[2];
    a_tile[at + 3u * M_4] = columns[3];
}

fn store_b(buffer: u32, block: vec2<u32>, value: mat4x4<work>) {
    let at = (buffer * TILE_K + block.y * 4u) * N_4 + block.x;
    var columns = value;
    if B_ALONG_K {
        columns = transpose(value);
    }
    b_tile[at] = columns[0];
    b_tile[at + N_4] = columns[1];
    b_tile[at + 2u * N_4] = columns[2];
    b_tile[at + 3u * N_4] = columns[3];
}

fn multiply(buffer: u32) {
    add_product(buffer * (TILE_K * M_4) + place.y, buffer * (TILE_K * N_4) + place.x);
}

fn finish(row0: u32, col0: u32) {
    for (var j = 0u; j < GROUPS_N; j++) {
        let col = col0 + (j * THREADS_N + place.x) * 4u;
        c_begin(col);
        for (var r = 0u; r < SUMS_M; r++) {
            let row = row0 + (r / 4u * THREADS_M + place.y) * 4u + r % 4u;
            c_store(row, col, sums_of(r * GROUPS_N + j));
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let warp = id / 32u;
    place = vec2<u32>(
        id % 8u + warp % (THREADS_N / 8u) * 8u,
        id / 8u % 4u + warp / (THREADS_N / 8u) * 4u,
    );
    gemm_tile(group, id);
}
