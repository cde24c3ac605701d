// A stored [m, gemm.a_row], of which the first k count; any row length and offset. One a_vec: A[row, k..k+4], zero outside.
@group(0) @binding(0) var<storage, read> gemm_a: array<a_elem>;

fn a_vec(row: u32, k: u32) -> vec4<f32> {
    let ks = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
    let inside = vec4<bool>(row < gemm.m) & (ks < vec4<u32>(gemm.k));
    let at = select(vec4<u32>(), vec4<u32>(gemm.a + row * gemm.a_row) + ks, inside);
    return select(vec4<f32>(), vec4<f32>(f32(gemm_a[at.x]), f32(gemm_a[at.y]), f32(gemm_a[at.z]), f32(gemm_a[at.w])), inside);
}
