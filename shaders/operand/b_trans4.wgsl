// B stored [n, k]; k and the offset are multiples of 4. One b_raw: B[k..k+4, col]; what b_inside denies is something else.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_four>;

fn b_begin(col: u32) {}
fn b_seek(k: u32) {}
fn b_next() {}

fn b_inside(k: u32, col: u32) -> vec4<bool> {
    return vec4<bool>((k < gemm.k) & (col < gemm.n));
}

fn b_raw(k: u32, col: u32) -> vec4<b_elem> {
    return b_loaded(gemm_b[select(0u, (gemm.b + col * gemm.k + k) / 4u, b_inside(k, col).x)]);
}
