// A[ci, (co,jh,jw)] = w[co, ci, phase_h + jh * stride_h, phase_w + jw * stride_w], the taps of one stride phase
// (lib/problem_phase.wgsl). One a_vec: A[row, k..k+4], zero outside. The offsets of a slot's four k do not depend on the
// row, so a_seek finds them once per K tile, with the divisions, and a_vec only adds.
@group(0) @binding(0) var<storage, read> gemm_a: array<a_elem>;

const A_OUTSIDE = 0xffffffffu;
var<private> a_taps: array<vec4<u32>, A_SLOTS>;

fn a_seek(slot: u32, k: u32) {
    let ks = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
    let rest = ks / vec4<u32>(gather.k_count_w);
    let jw = ks - rest * gather.k_count_w;
    let co = rest / vec4<u32>(gather.k_count_h);
    let jh = rest - co * gather.k_count_h;
    let kh = vec4<u32>(phase.h) + jh * im.stride_h;
    let kw = vec4<u32>(phase.w) + jw * im.stride_w;
    let at = (co * (im.m * im.kernel_h) + kh) * im.kernel_w + kw;
    a_taps[slot] = select(vec4<u32>(A_OUTSIDE), at, ks < vec4<u32>(gemm.k));
}

fn a_vec(slot: u32, row: u32, k: u32) -> vec4<f32> {
    let taps = a_taps[slot];
    let inside = vec4<bool>(row < gemm.m) & (taps != vec4<u32>(A_OUTSIDE));
    let at = select(vec4<u32>(), vec4<u32>(gemm.a + row * (im.kernel_h * im.kernel_w)) + taps, inside);
    return select(vec4<f32>(), vec4<f32>(f32(gemm_a[at.x]), f32(gemm_a[at.y]), f32(gemm_a[at.z]), f32(gemm_a[at.w])), inside);
}
