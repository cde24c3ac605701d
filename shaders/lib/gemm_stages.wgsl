// The walk of a workgroup along k: TILE_M x TILE_N of C, a K tile of A and B at a time in workgroup memory.
//
// The invocations load A and B in blocks of 4 x 4 (lib/gemm_blocks.wgsl). A K tile is read into registers one or more K tiles before
// it is multiplied, so that the reads' latency hides behind the arithmetic. With two BUFFERS one barrier per K tile is enough.
//
// Generated (src/kernels/gemm/stages.rs), because registers cannot be indexed:
//   walk_k(row0, col0, id)                all K tiles of this part of k through fetch, stage and multiply
//   first_b(id)                           this invocation's first block of B; all of them lie in its columns
// The body (gemm_tiled.wgsl, gemm_coop.wgsl) gives
//   block_of(part, across, along_k)       which block of a tile an invocation loads: (block along m or n, block along k)
//   store_a(buffer, block, value), store_b(..)  into workgroup memory
//   multiply(buffer)                      adds the product of the two tiles to the sums
//   finish(row0, col0)                    the sums through c_store
const M_4 = TILE_M / 4u;
const N_4 = TILE_N / 4u;
const K_4 = TILE_K / 4u;

fn gemm_tile(group: vec3<u32>, id: u32) {
    let block = gemm_block(group);
    gemm_start(block.z);
    let row0 = block.row * TILE_M;
    let col0 = block.col * TILE_N;
    b_begin(col0 + first_b(id).x * 4u);
    walk_k(row0, col0, id);
    finish(row0, col0);
}
