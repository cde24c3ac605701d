// B stored [k, n]; n and the offset are multiples of 4. One b_vec: B[k, col..col+4], zero outside.
@group(0) @binding(1) var<storage, read> gemm_b: array<vec4<b_elem>>;

fn b_begin(col: u32) {}
fn b_seek(k: u32) {}
fn b_next() {}

fn b_vec(k: u32, col: u32) -> vec4<f32> {
    let inside = (k < gemm.k) & (col < gemm.n);
    let value = vec4<f32>(gemm_b[select(0u, (gemm.b + k * gemm.n + col) / 4u, inside)]);
    return select(vec4<f32>(), value, inside);
}
