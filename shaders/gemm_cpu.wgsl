// C[m,n] = epilogue(A[m,k] B[k,n]) on an adapter that runs on the CPU. No barrier: there they cost more than they save.
//
// A workgroup is LANES invocations, one subgroup of the CPU's vector units, and computes im.rows rows x STRIPES stripes of LANES * 4
// columns of C; each invocation has 4 columns of each to itself. For each K tile it fills private arrays, one for each column, with its
// K_TILE x 4 elements of B and then streams the rows of A past them (B-stationary): with constant indices they become memory operands of the
// multiply. Sums wait for the next K tile in workgroup memory, of which each invocation uses its own slots only, and go
// through the epilogue once, at the end. Each sum runs over k in order, whatever K_TILE and im.rows are.
//
// multiply_tile(row0, rows, k0, lane) is generated (src/kernels/gemm/unroll.rs), because the fastest form is unrolled
// K_TILE times: a row segment of A is loaded by the lanes, 4 elements each, and handed round by constant
// subgroupBroadcast, a single permute without branch or check.
//
// fill_b_tile(k0, col) reads B[k0.., col..col+4], as far as there are k, into the tile (b_put): lib/gemm_fill.wgsl vector by vector,
// lib/gemm_fill_blocks.wgsl in blocks of four k, where a loader has those, lib/slide.wgsl from one k to the next. Beyond k the tile keeps
// what it had, zeros or elements of the same columns, which zeros of A meet: a sum that an infinite one of them was in may become NaN.
//
// Loops test at their end wherever they run at least once, here and in the other shaders that fill a step on CPUs: lavapipe runs the body
// of a loop that tests at its head once more, with no invocation active, and skipping a store or load that way costs as much as doing it,
// or several times as much where branches are mispredicted (3x3 8 -> 16 channels, input gradient: 24.0 and 6.3 ms; 784 -> 1024, A turned,
// 1.80 and 1.57).
//
// The prelude gives LANES, STRIPES, K_TILE, B_TILE_LEN (>= K_TILE), ROWS_MAX (im.rows is at most that), B_ALONG_K.
// An array of its own for each component: LLVM's passes over lavapipe's code take time with the square of the uses of an array (coroutines: all
// pairs of them; schedulers: what may alias). Two stripes of 64 k, alone: 0.48 s, in one array of vec4 2.05 s; the machine code runs as fast.
var<private> b_tile_x: array<f32, B_TILE_LEN * STRIPES>;
var<private> b_tile_y: array<f32, B_TILE_LEN * STRIPES>;
var<private> b_tile_z: array<f32, B_TILE_LEN * STRIPES>;
var<private> b_tile_w: array<f32, B_TILE_LEN * STRIPES>;
// Where the stripe at hand begins in the tile.
var<private> b_tile_at: u32;
var<workgroup> c_stash: array<f32x4, ROWS_MAX * STRIPES * LANES>;

// The sums that wait at `at` for the K tile at k0; none for the first. Words and a branch, because Mesa 22.3 loads lane by lane in a loop and
// puts each number into its vector through memory, where a Zen 3 waits for the store. With a select of vec4 instead, there, 1024^3 takes 1.15 times as
// long, a step of mlp 1.17, of ring8 1.2; on 25.0.7 1.0x.
fn sums_before(at: u32, k0: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    if k0 != gemm.k_begin {
        sums = four(c_stash[at]);
    }
    return sums;
}

// Storing C from here after the last K tile (known or asked for) instead of through c_stash: mlp 1.0x to 1.1 times as long, ring8 1.0x.
fn sums_after(at: u32, sums: vec4<f32>) {
    c_stash[at] = four_stored(sums);
}

// Row u of the stripe at hand of the tile of B.
fn b_put(u: u32, row: vec4<f32>) {
    let at = b_tile_at + u;
    b_tile_x[at] = row.x;
    b_tile_y[at] = row.y;
    b_tile_z[at] = row.z;
    b_tile_w[at] = row.w;
}

// And the three after it.
fn b_put_block(u: u32, block: mat4x4<f32>) {
    b_put(u, block[0]);
    b_put(u + 1u, block[1]);
    b_put(u + 2u, block[2]);
    b_put(u + 3u, block[3]);
}

// One vector of A, zero where it is not inside.
fn a_vec(row: u32, k: u32) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(a_raw(row, k)), a_inside(row, k));
}

// A number that no compiler knows for the constant it is: loops over stripes are not to be unrolled, and what is read of A is to look
// like something else to each. im.rows is a multiple of 4.
fn opaque(number: u32) -> u32 {
    return number + (im.rows & 3u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = gemm_block(group);
    gemm_start(block.z);
    let col0 = block.col * (STRIPES * LANES * 4u);
    let row0 = block.row * im.rows;
    if (col0 >= gemm.n) | (row0 >= gemm.m) {
        return;
    }
    let rows = min(im.rows, gemm.m - row0);
    let col = col0 + lane * 4u;
    if STRIPES == 1u {
        b_begin(col);
    }
    var k0 = gemm.k_begin;
    loop {
        if STRIPES == 1u {
            fill_b_tile(k0, col);
        } else {
            var s = 0u;
            loop {
                b_tile_at = s * B_TILE_LEN;
                b_begin(col + s * (LANES * 4u));
                fill_b_tile(k0, col + s * (LANES * 4u));
                continuing {
                    s++;
                    break if s >= opaque(STRIPES);
                }
            }
        }
        multiply_tile(row0, rows, k0, lane);
        continuing {
            k0 += K_TILE;
            break if k0 >= gemm.k_end;
        }
    }
    var s = 0u;
    loop {
        let at = col + s * (LANES * 4u);
        c_begin(at);
        var r = 0u;
        loop {
            c_store(row0 + r, at, four(c_stash[(r * STRIPES + s) * LANES + lane]));
            continuing {
                r++;
                break if r >= rows;
            }
        }
        continuing {
            s++;
            break if s >= opaque(STRIPES);
        }
    }
}
