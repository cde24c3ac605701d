// packed[phase, ci, (co, jh, jw)] = w[co, ci, phase_h + jh * stride_h, phase_w + jw * stride_w]
// for stride phases (lib/problem_phase.wgsl) from im.first_phase on. Rows have im.a_row elements; what a phase with fewer taps leaves of
// one is never read.
@group(0) @binding(0) var<storage, read> w: array<a_elem>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

fn one(i: u32) {
    let row = i / im.a_row;
    let k = i - row * im.a_row;
    let ci = row % im.ci;
    let phase = im.first_phase + row / im.ci;
    let phase_h = phase / im.stride_w;
    let phase_w = phase - phase_h * im.stride_w;
    let taps_h = phase_taps(im.kernel_h, im.stride_h, phase_h);
    let taps_w = phase_taps(im.kernel_w, im.stride_w, phase_w);
    let taps = taps_h * taps_w;
    if k >= im.co * taps {
        return;
    }
    let co = k / taps;
    let tap = k - co * taps;
    let jh = tap / taps_w;
    let kh = phase_h + jh * im.stride_h;
    let kw = phase_w + (tap - jh * taps_w) * im.stride_w;
    gemm_c[im.packed_offset + i] = c_elem(w[im.w_offset + ((co * im.ci + ci) * im.kernel_h + kh) * im.kernel_w + kw]);
}
