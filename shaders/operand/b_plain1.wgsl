// B stored [k, n], any n and offset. One b_vec: B[k, col..col+4], zero outside.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_elem>;

fn b_begin(col: u32) {}
fn b_seek(k: u32) {}
fn b_next() {}

fn b_vec(k: u32, col: u32) -> vec4<f32> {
    let cols = vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u);
    let inside = vec4<bool>(k < gemm.k) & (cols < vec4<u32>(gemm.n));
    let at = select(vec4<u32>(), vec4<u32>(gemm.b + k * gemm.n) + cols, inside);
    return select(vec4<f32>(), vec4<f32>(f32(gemm_b[at.x]), f32(gemm_b[at.y]), f32(gemm_b[at.z]), f32(gemm_b[at.w])), inside);
}
