// C[m,n] = epilogue(A[m,k] B[k,n]) on an adapter that runs on the CPU. No barrier: there they cost more than they save.
//
// A workgroup is LANES invocations, one subgroup of the CPU's vector units, and computes im.rows rows x LANES * 4 columns of
// C; each invocation has 4 columns to itself. For each K tile it fills a private array with its K_TILE x 4 elements of B
// and then streams the rows of A past it (B-stationary): with constant indices the array becomes a memory operand of the
// multiply. Sums wait for the next K tile in workgroup memory, of which each invocation uses its own slots only, and go
// through the epilogue once, at the end. Each sum runs over k in order, whatever K_TILE and im.rows are.
//
// multiply_tile(row0, rows, k0, lane) is generated (src/kernels/gemm/unroll.rs), because the fastest form is unrolled
// K_TILE times: a row segment of A is loaded by the lanes, 4 elements each, and handed round by constant
// subgroupBroadcast, a single permute without branch or check.
//
// The prelude gives LANES, K_TILE, B_TILE_LEN (>= K_TILE), ROWS_MAX (im.rows is at most that), B_ALONG_K.
var<private> b_tile: array<vec4<f32>, B_TILE_LEN>;
var<workgroup> c_stash: array<vec4<f32>, ROWS_MAX * LANES>;

fn fill_b_tile(k0: u32, col: u32) {
    // The bound is an immediate (it is K_TILE) so that no compiler unrolls this loop.
    if B_ALONG_K {
        for (var u = 0u; u < im.k_tile; u += 4u) {
            let k = k0 + u;
            let block = transpose(mat4x4<f32>(b_vec(k, col), b_vec(k, col + 1u), b_vec(k, col + 2u), b_vec(k, col + 3u)));
            b_tile[u] = block[0];
            b_tile[u + 1u] = block[1];
            b_tile[u + 2u] = block[2];
            b_tile[u + 3u] = block[3];
        }
    } else {
        b_seek(k0);
        for (var u = 0u; u < im.k_tile; u++) {
            b_tile[u] = b_vec(k0 + u, col);
            b_next();
        }
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = gemm_block(group);
    gemm_start(block.z);
    let col0 = block.col * (LANES * 4u);
    let row0 = block.row * im.rows;
    if (col0 >= gemm.n) | (row0 >= gemm.m) {
        return;
    }
    let rows = min(im.rows, gemm.m - row0);
    let col = col0 + lane * 4u;
    b_begin(col);
    var k0 = gemm.k_begin;
    loop {
        fill_b_tile(k0, col);
        multiply_tile(row0, rows, k0, lane);
        k0 += K_TILE;
        if k0 >= gemm.k_end {
            break;
        }
    }
    c_begin(col);
    for (var r = 0u; r < rows; r++) {
        c_store(row0 + r, col, c_stash[r * LANES + lane]);
    }
}
