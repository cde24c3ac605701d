// B stored [k, n], any n and offset. One b_raw: B[k, col..col+4]; what b_inside denies is something else.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_elem>;

fn b_begin(col: u32) {}
fn b_seek(k: u32) {}
fn b_next() {}

fn b_inside(k: u32, col: u32) -> vec4<bool> {
    let cols = vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u);
    return vec4<bool>(k < gemm.k) & (cols < vec4<u32>(gemm.n));
}

fn b_raw(k: u32, col: u32) -> vec4<b_elem> {
    let cols = vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = select(vec4<u32>(), vec4<u32>(gemm.b + k * gemm.n) + cols, b_inside(k, col));
    return vec4<b_elem>(gemm_b[at.x], gemm_b[at.y], gemm_b[at.z], gemm_b[at.w]);
}
