// A stored [k, m], any m and offset. One a_raw: A[row..row+4, k]; what a_inside denies is something else.
@group(0) @binding(0) var<storage, read> gemm_a: array<a_elem>;

fn a_inside(row: u32, k: u32) -> vec4<bool> {
    let rows = vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u);
    return (rows < vec4<u32>(gemm.m)) & vec4<bool>(k < gemm.k);
}

fn a_raw(row: u32, k: u32) -> vec4<a_elem> {
    let rows = vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = select(vec4<u32>(), vec4<u32>(gemm.a + k * gemm.m) + rows, a_inside(row, k));
    return vec4<a_elem>(gemm_a[at.x], gemm_a[at.y], gemm_a[at.z], gemm_a[at.w]);
}
