// B stored [n, k], any k and offset. One b_raw: B[k..k+4, col]; what b_inside denies is something else.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_elem>;

fn b_begin(col: u32) {}
fn b_seek(k: u32) {}
fn b_next() {}

fn b_inside(k: u32, col: u32) -> vec4<bool> {
    let ks = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
    return (ks < vec4<u32>(gemm.k)) & vec4<bool>(col < gemm.n);
}

fn b_raw(k: u32, col: u32) -> vec4<b_elem> {
    let ks = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = select(vec4<u32>(), vec4<u32>(gemm.b + col * gemm.k) + ks, b_inside(k, col));
    return vec4<b_elem>(gemm_b[at.x], gemm_b[at.y], gemm_b[at.z], gemm_b[at.w]);
}
