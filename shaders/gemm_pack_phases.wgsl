// packed[phase, ci, (co, jh, jw)] = w[co, ci, phase_h + jh * stride_h, phase_w + jw * stride_w]
// for stride phases (lib/problem_phase.wgsl) from im.first_phase on. Rows have im.a_row elements; what a phase with fewer taps leaves of
// one is never read.
//
// An invocation does the window of one pair (ci, co) in every phase: it counts where an invocation for each element would divide, six
// times (one phase of 256 x 512 x 4 x 4 weights on lavapipe, Mesa 25.0.7: 4.6 instead of 7.6 ms).
@group(0) @binding(0) var<storage, read> w: array<a_elem>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

fn one(i: u32) {
    let ci = i / im.co;
    let co = i - ci * im.co;
    let window = im.w_offset + (co * im.ci + ci) * im.kernel_h * im.kernel_w;
    for (var z = 0u; z < im.phases; z++) {
        let phase = im.first_phase + z;
        let phase_h = phase / im.stride_w;
        let phase_w = phase - phase_h * im.stride_w;
        let taps = phase_taps(im.kernel_h, im.stride_h, phase_h) * phase_taps(im.kernel_w, im.stride_w, phase_w);
        var to = im.packed_offset + (z * im.ci + ci) * im.a_row + co * taps;
        for (var kh = phase_h; kh < im.kernel_h; kh += im.stride_h) {
            for (var kw = phase_w; kw < im.kernel_w; kw += im.stride_w) {
                gemm_c[to] = c_elem(w[window + kh * im.kernel_w + kw]);
                to++;
            }
        }
    }
}
