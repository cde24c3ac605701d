// Blocks of 4 x 4 of A and B as a GPU's invocations load them: four vec4 along the axis that is contiguous in memory.

// A[row..row+4, k..k+4]: column j is row + j, along k; or, where A is stored [k, m], k + j, along m.
fn block_a(row: u32, k: u32) -> mat4x4<f32> {
    if A_ALONG_M {
        return mat4x4<f32>(a_vec(row, k), a_vec(row, k + 1u), a_vec(row, k + 2u), a_vec(row, k + 3u));
    }
    return mat4x4<f32>(a_vec(row, k), a_vec(row + 1u, k), a_vec(row + 2u, k), a_vec(row + 3u, k));
}

// B[k..k+4, col..col+4], after b_begin(col): column j is k + j, along n; or, where B is stored [n, k], col + j, along k.
fn block_b(k: u32, col: u32) -> mat4x4<f32> {
    if B_ALONG_K {
        return mat4x4<f32>(b_vec(k, col), b_vec(k, col + 1u), b_vec(k, col + 2u), b_vec(k, col + 3u));
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
