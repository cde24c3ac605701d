// A stored [k, m], any m and offset. One a_vec: A[row..row+4, k], zero outside.
@group(0) @binding(0) var<storage, read> gemm_a: array<a_elem>;

fn a_vec(row: u32, k: u32) -> vec4<f32> {
    let rows = vec4<u32>(row) + vec4<u32>(0u, 1u, 2u, 3u);
    let inside = (rows < vec4<u32>(gemm.m)) & vec4<bool>(k < gemm.k);
    let at = select(vec4<u32>(), vec4<u32>(gemm.a + k * gemm.m) + rows, inside);
    return select(vec4<f32>(), vec4<f32>(f32(gemm_a[at.x]), f32(gemm_a[at.y]), f32(gemm_a[at.z]), f32(gemm_a[at.w])), inside);
}
