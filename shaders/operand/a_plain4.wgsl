// A stored [m, gemm.a_row], of which the first k count; both and the offset are multiples of 4. One a_vec: A[row, k..k+4], zero outside.
@group(0) @binding(0) var<storage, read> gemm_a: array<vec4<a_elem>>;

fn a_vec(row: u32, k: u32) -> vec4<f32> {
    let inside = (row < gemm.m) & (k < gemm.k);
    let value = vec4<f32>(gemm_a[select(0u, (gemm.a + row * gemm.a_row + k) / 4u, inside)]);
    return select(vec4<f32>(), value, inside);
}
