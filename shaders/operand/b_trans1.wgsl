// B stored [n, k], any k and offset. One b_vec: B[k..k+4, col], zero outside.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_elem>;

fn b_begin(col: u32) {}
fn b_seek(k: u32) {}
fn b_next() {}

fn b_vec(k: u32, col: u32) -> vec4<f32> {
    let ks = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
    let inside = (ks < vec4<u32>(gemm.k)) & vec4<bool>(col < gemm.n);
    let at = select(vec4<u32>(), vec4<u32>(gemm.b + col * gemm.k) + ks, inside);
    return select(vec4<f32>(), vec4<f32>(f32(gemm_b[at.x]), f32(gemm_b[at.y]), f32(gemm_b[at.z]), f32(gemm_b[at.w])), inside);
}
