// A block of 4 x 4 of a gathered B (operand/b_gather.wgsl), in the two steps of lib/gemm_blocks.wgsl: addresses and bounds come of
// one count of k, so the bounds wait with the values.
struct RawB {
    v0: vec4<b_elem>, v1: vec4<b_elem>, v2: vec4<b_elem>, v3: vec4<b_elem>,
    i0: vec4<bool>, i1: vec4<bool>, i2: vec4<bool>, i3: vec4<bool>,
}

// After b_begin(col).
fn fetch_b(k: u32, col: u32) -> RawB {
    b_seek(k);
    let v0 = b_raw(k, col);
    let i0 = b_inside(k, col);
    b_next();
    let v1 = b_raw(k + 1u, col);
    let i1 = b_inside(k + 1u, col);
    b_next();
    let v2 = b_raw(k + 2u, col);
    let i2 = b_inside(k + 2u, col);
    b_next();
    return RawB(v0, v1, v2, b_raw(k + 3u, col), i0, i1, i2, b_inside(k + 3u, col));
}

// B[k..k+4, col..col+4]: column j is k + j, along n.
fn block_b(raw: RawB, k: u32, col: u32) -> mat4x4<work> {
    let zero = vec4<work>();
    return mat4x4<work>(
        select(zero, vec4<work>(raw.v0), raw.i0),
        select(zero, vec4<work>(raw.v1), raw.i1),
        select(zero, vec4<work>(raw.v2), raw.i2),
        select(zero, vec4<work>(raw.v3), raw.i3),
    );
}
