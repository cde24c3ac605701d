// A stored [m, gemm.a_row], of which the first k count; any row length and offset. One a_raw: A[row, k..k+4]; what a_inside denies is something else.
@group(0) @binding(0) var<storage, read> gemm_a: array<a_elem>;

fn a_inside(row: u32, k: u32) -> vec4<bool> {
    let ks = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
    return vec4<bool>(row < gemm.m) & (ks < vec4<u32>(gemm.k));
}

fn a_raw(row: u32, k: u32) -> vec4<a_elem> {
    let ks = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = select(vec4<u32>(), vec4<u32>(gemm.a + row * gemm.a_row) + ks, a_inside(row, k));
    return vec4<a_elem>(gemm_a[at.x], gemm_a[at.y], gemm_a[at.z], gemm_a[at.w]);
}
