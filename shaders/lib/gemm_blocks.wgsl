// A block of 4 x 4 of A as a GPU's invocation loads it: four vec4 along the axis that is contiguous in memory.
//
// In two steps, fetch and block, of which only the second looks at what was loaded: an invocation waits at the first instruction
// that needs a loaded value, and what lies between the steps is the product of the K tile before.
struct RawA { v0: vec4<a_elem>, v1: vec4<a_elem>, v2: vec4<a_elem>, v3: vec4<a_elem> }

// Where vector i of a block begins, of A (row, k) or of B (k, col): its vectors follow each other along the first or the second.
fn block_place(first: u32, second: u32, i: u32, along_second: bool) -> vec2<u32> {
    return select(vec2<u32>(first + i, second), vec2<u32>(first, second + i), along_second);
}

fn a_fetch(row: u32, k: u32, i: u32) -> vec4<a_elem> {
    let at = block_place(row, k, i, A_ALONG_M);
    return a_raw(at.x, at.y);
}

fn a_checked(v: vec4<a_elem>, row: u32, k: u32, i: u32) -> vec4<work> {
    let at = block_place(row, k, i, A_ALONG_M);
    return select(vec4<work>(), vec4<work>(v), a_inside(at.x, at.y));
}

fn fetch_a(row: u32, k: u32) -> RawA {
    return RawA(a_fetch(row, k, 0u), a_fetch(row, k, 1u), a_fetch(row, k, 2u), a_fetch(row, k, 3u));
}

// A[row..row+4, k..k+4]: column j is row + j, along k; or, where A is stored [k, m], k + j, along m.
fn block_a(raw: RawA, row: u32, k: u32) -> mat4x4<work> {
    return mat4x4<work>(
        a_checked(raw.v0, row, k, 0u),
        a_checked(raw.v1, row, k, 1u),
        a_checked(raw.v2, row, k, 2u),
        a_checked(raw.v3, row, k, 3u),
    );
}
