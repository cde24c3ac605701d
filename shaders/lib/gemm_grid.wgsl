// Which block of C a workgroup computes.
//
// Blocks are numbered with the row block running fastest, then the column block, then z (batch or stride phase). That line is
// folded into rows of im.grid_x workgroups, because no dimension of a grid may exceed 65,535; z >= im.depth is the tail of
// the last row and has nothing to do.
struct GemmBlock { row: u32, col: u32, z: u32 }

fn gemm_block(group: vec3<u32>) -> GemmBlock {
    let linear = group.x + group.y * im.grid_x;
    let rest = linear / im.row_blocks;
    return GemmBlock(linear % im.row_blocks, rest % im.col_blocks, rest / im.col_blocks);
}

// The product at hand: C[m,n] = A[m,k] B[k,n], and where its operands start in their buffers (elements).
// `i` is the linear index of C[0,0] in the whole output tensor.
// Sums run over k_begin..k_end, which is 0..k unless k is split (lib/gemm_split.wgsl).
struct Gemm { m: u32, n: u32, k: u32, a_row: u32, a: u32, b: u32, c: u32, i: u32, k_begin: u32, k_end: u32 }
var<private> gemm: Gemm;

// The row of C (output feature or channel) that epilogue() is called for.
var<private> epilogue_row: u32;
