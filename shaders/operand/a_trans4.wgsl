// A stored [k, m]; m and the offset are multiples of 4. One a_raw: A[row..row+4, k]; what a_inside denies is something else.
@group(0) @binding(0) var<storage, read> gemm_a: array<a_four>;

fn a_inside(row: u32, k: u32) -> vec4<bool> {
    return vec4<bool>((row < gemm.m) & (k < gemm.k));
}

fn a_raw(row: u32, k: u32) -> vec4<a_elem> {
    return a_loaded(gemm_a[select(0u, (gemm.a + k * gemm.m + row) / 4u, a_inside(row, k).x)]);
}
