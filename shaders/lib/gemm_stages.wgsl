// The walk of a workgroup along k: TILE_M x TILE_N of C, a K tile of A and B at a time in workgroup memory.
//
// The invocations load A and B in blocks of 4 x 4 (lib/gemm_blocks.wgsl). A K tile is read into registers while the one before
// it is multiplied, so that the reads' latency hides behind the arithmetic. With two BUFFERS one barrier per K tile is enough.
//
// Generated (src/kernels/gemm/stages.rs), because registers cannot be indexed:
//   fetch(row0, col0, k0, id)             this invocation's blocks of the K tile at k0, from memory into registers
//   stage(row0, col0, k0, buffer, id)     from there into workgroup memory
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

    var buffer = 0u; // the one that holds the tile before k0
    for (var k0 = gemm.k_begin; ; k0 += TILE_K) {
        if k0 < gemm.k_end {
            fetch(row0, col0, k0, id);
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
        stage(row0, col0, k0, buffer, id);
        workgroupBarrier();
    }
    finish(row0, col0);
}
