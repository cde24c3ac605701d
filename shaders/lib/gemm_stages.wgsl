// The walk of a workgroup along k: TILE_M x TILE_N of C, a K tile of A and B at a time in workgroup memory.
//
// The invocations load A and B in blocks of 4 x 4 (lib/gemm_blocks.wgsl). A K tile is read into registers while the one before
// it is multiplied, so that the reads' latency hides behind the arithmetic. With two BUFFERS one barrier per K tile is enough.
//
// The body (gemm_tiled.wgsl, gemm_coop.wgsl) gives
//   block_of(part, across, along_k)       which block of a tile an invocation loads: (block along m or n, block along k)
//   store_a(buffer, block, value), store_b(..)  into workgroup memory
//   multiply(buffer)                      adds the product of the two tiles to the sums
//   finish(row0, col0)                    the sums through c_store
const M_4 = TILE_M / 4u;
const N_4 = TILE_N / 4u;
const K_4 = TILE_K / 4u;
const A_BLOCKS = M_4 * K_4;
const B_BLOCKS = N_4 * K_4;
// The first invocation that loads B: after those that load A if there are enough, else each loads both.
const B_FIRST = select(0u, A_BLOCKS, A_BLOCKS + B_BLOCKS <= THREADS);

fn gemm_tile(group: vec3<u32>, id: u32) {
    let block = gemm_block(group);
    gemm_start(block.z);
    let row0 = block.row * TILE_M;
    let col0 = block.col * TILE_N;

    let loads_a = id < A_BLOCKS;
    let b_part = id - B_FIRST; // before B_FIRST it wraps round
    let loads_b = b_part < B_BLOCKS;
    let a_block = block_of(id, M_4, !A_ALONG_M);
    let b_block = block_of(b_part, N_4, B_ALONG_K);
    let a_row = row0 + a_block.x * 4u;
    let b_col = col0 + b_block.x * 4u;
    b_begin(b_col);

    // What goes to workgroup memory next, and the block of B where an invocation loads both.
    var next = mat4x4<f32>();
    var also = mat4x4<f32>();
    var buffer = 0u; // the one that holds the tile before k0
    for (var k0 = gemm.k_begin; ; k0 += TILE_K) {
        if k0 < gemm.k_end {
            if loads_a {
                next = block_a(a_row, k0 + a_block.y * 4u);
            }
            if loads_b & (B_FIRST != 0u) {
                next = block_b(k0 + b_block.y * 4u, b_col);
            }
            if loads_b & (B_FIRST == 0u) {
                also = block_b(k0 + b_block.y * 4u, b_col);
            }
        }
        if k0 > gemm.k_begin {
            multiply(buffer);
        }
        if k0 >= gemm.k_end {
            break;
        }
        if BUFFERS == 1u {
            workgroupBarrier();
        } else {
            buffer = 1u - buffer;
        }
        if loads_a {
            store_a(buffer, a_block, next);
        }
        if loads_b & (B_FIRST != 0u) {
            store_b(buffer, b_block, next);
        }
        if loads_b & (B_FIRST == 0u) {
            store_b(buffer, b_block, also);
        }
        workgroupBarrier();
    }
    finish(row0, col0);
}
