// C[m,n] = epilogue(A[m,k] B[k,n]) on a GPU: 64 x 64 of C per workgroup of 256 invocations, 4 x 4 sums in registers each.
//
// Per K tile of 32, invocations 0..128 load A and 128..256 load B, each a 4 x 4 block as four vec4 along whichever axis is
// contiguous in memory, turned in registers where needed, so that workgroup memory always holds vec4 along m (A) and
// along n (B). 16 KiB, the least that any adapter has.
//
// The prelude gives A_ALONG_M, B_ALONG_K and A_SLOTS.
const TILE = 64u;
const TILE_K = 32u;
const TILE_4 = TILE / 4u;

var<workgroup> a_tile: array<vec4<f32>, TILE_K * TILE_4>; // [k][m / 4]
var<workgroup> b_tile: array<vec4<f32>, TILE_K * TILE_4>; // [k][n / 4]

// One 4 x 4 block of A: column j of the result is A[row..row+4, k + j].
fn load_a(row: u32, k: u32) -> mat4x4<f32> {
    a_seek(0u, k);
    if A_ALONG_M {
        return mat4x4<f32>(a_vec(0u, row, k), a_vec(0u, row, k + 1u), a_vec(0u, row, k + 2u), a_vec(0u, row, k + 3u));
    }
    return transpose(mat4x4<f32>(a_vec(0u, row, k), a_vec(0u, row + 1u, k), a_vec(0u, row + 2u, k), a_vec(0u, row + 3u, k)));
}

// One 4 x 4 block of B: column j of the result is B[k + j, col..col+4].
fn load_b(k: u32, col: u32) -> mat4x4<f32> {
    if B_ALONG_K {
        return transpose(mat4x4<f32>(b_vec(k, col), b_vec(k, col + 1u), b_vec(k, col + 2u), b_vec(k, col + 3u)));
    }
    b_seek(k);
    let b0 = b_vec(k, col);
    b_next();
    let b1 = b_vec(k + 1u, col);
    b_next();
    let b2 = b_vec(k + 2u, col);
    b_next();
    return mat4x4<f32>(b0, b1, b2, b_vec(k + 3u, col));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let block = gemm_block(group);
    gemm_start(block.z);
    let row0 = block.row * TILE;
    let col0 = block.col * TILE;

    // This invocation's block of the load: A is 16 row blocks x 8 k blocks, k fastest; B 8 k blocks x 16 column blocks.
    let loads_a = id < 128u;
    let part = id % 128u;
    let a_row = part / 8u;
    let a_k = part % 8u;
    let b_k = part / TILE_4;
    let b_col = part % TILE_4;
    b_begin(col0 + b_col * 4u);

    // And of the result.
    let x = id % TILE_4;
    let y = id / TILE_4;
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();

    for (var k0 = gemm.k_begin; k0 < gemm.k_end; k0 += TILE_K) {
        if loads_a {
            let a = load_a(row0 + a_row * 4u, k0 + a_k * 4u);
            let at = a_k * 4u * TILE_4 + a_row;
            a_tile[at] = a[0];
            a_tile[at + TILE_4] = a[1];
            a_tile[at + TILE_4 * 2u] = a[2];
            a_tile[at + TILE_4 * 3u] = a[3];
        } else {
            let b = load_b(k0 + b_k * 4u, col0 + b_col * 4u);
            let at = b_k * 4u * TILE_4 + b_col;
            b_tile[at] = b[0];
            b_tile[at + TILE_4] = b[1];
            b_tile[at + TILE_4 * 2u] = b[2];
            b_tile[at + TILE_4 * 3u] = b[3];
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_K; k++) {
            let a = a_tile[k * TILE_4 + y];
            let b = b_tile[k * TILE_4 + x];
            sum0 = fma(vec4<f32>(a.x), b, sum0);
            sum1 = fma(vec4<f32>(a.y), b, sum1);
            sum2 = fma(vec4<f32>(a.z), b, sum2);
            sum3 = fma(vec4<f32>(a.w), b, sum3);
        }
        workgroupBarrier();
    }

    let row = row0 + y * 4u;
    let col = col0 + x * 4u;
    c_begin(col);
    c_store(row, col, sum0);
    c_store(row + 1u, col, sum1);
    c_store(row + 2u, col, sum2);
    c_store(row + 3u, col, sum3);
}
