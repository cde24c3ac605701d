// A stored [m, gemm.a_row], of which the first k count; both and the offset are multiples of 4. One a_raw: A[row, k..k+4]; what a_inside denies is something else.
@group(0) @binding(0) var<storage, read> gemm_a: array<a_four>;

fn a_inside(row: u32, k: u32) -> vec4<bool> {
    return vec4<bool>((row < gemm.m) & (k < gemm.k));
}

fn a_raw(row: u32, k: u32) -> vec4<a_elem> {
    return a_loaded(gemm_a[select(0u, (gemm.a + row * gemm.a_row + k) / 4u, a_inside(row, k).x)]);
}
