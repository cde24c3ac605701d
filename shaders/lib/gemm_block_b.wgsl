// A block of 4 x 4 of a matrix B in memory, in the two steps of lib/gemm_blocks.wgsl.
struct RawB { v0: vec4<b_elem>, v1: vec4<b_elem>, v2: vec4<b_elem>, v3: vec4<b_elem> }

fn b_fetch(k: u32, col: u32, i: u32) -> vec4<b_elem> {
    let at = block_place(k, col, i, B_ALONG_K);
    return b_raw(at.x, at.y);
}

fn b_checked(v: vec4<b_elem>, k: u32, col: u32, i: u32) -> vec4<work> {
    let at = block_place(k, col, i, B_ALONG_K);
    return select(vec4<work>(), vec4<work>(v), b_inside(at.x, at.y));
}

fn fetch_b(k: u32, col: u32) -> RawB {
    return RawB(b_fetch(k, col, 0u), b_fetch(k, col, 1u), b_fetch(k, col, 2u), b_fetch(k, col, 3u));
}

// B[k..k+4, col..col+4]: column j is k + j, along n; or, where B is stored [n, k], col + j, along k.
fn block_b(raw: RawB, k: u32, col: u32) -> mat4x4<work> {
    return mat4x4<work>(
        b_checked(raw.v0, k, col, 0u),
        b_checked(raw.v1, k, col, 1u),
        b_checked(raw.v2, k, col, 2u),
        b_checked(raw.v3, k, col, 3u),
    );
}
