// conv2d_input_grad: dx[ci, n, ih, iw] = sum over co, kh, kw of w[co, ci, kh, kw] dy[co, n, oh, ow]
// with ih + pad_h = oh * stride_h + kh, and likewise for columns.
//
// Only taps with kh % stride_h == (ih + pad_h) % stride_h meet an input row ih. So rows and columns of dx split into
// stride_h * stride_w phases; im.first_phase + z is the phase, and each is a product of its own without a wasted tap:
//   ih = first_h + qh * stride_h,  kh = phase_h + jh * stride_h,  oh = start_h + qh - jh,
//   M = ci,  N = n * (count of qh) * (count of qw),  K = co * (count of jh) * (count of jw).
// gemm_pack_phases.wgsl has put each phase's weights together: A is [phase, ci, a_row], of which (co, jh, jw) fill the first K.
// A phase may have no tap (stride > kernel): K = 0, and its part of dx is epilogue(0). Rows of x that no window reaches
// ((h + 2 pad - kh) % stride != 0) fall out of the bound on oh.
struct Phase { h: u32, w: u32, first_h: u32, first_w: u32, count_w: u32 }
var<private> phase: Phase;

// The smallest t with phase + t * stride >= pad.
fn phase_start(pad: u32, stride: u32, phase: u32) -> u32 {
    return select(0u, (pad - phase + stride - 1u) / stride, pad > phase);
}
fn phase_count(size: u32, first: u32, stride: u32) -> u32 {
    return select(0u, (size - 1u - first) / stride + 1u, first < size);
}

fn gemm_begin(z: u32) {
    phase.h = (im.first_phase + z) / im.stride_w;
    phase.w = (im.first_phase + z) % im.stride_w;
    let taps_h = phase_taps(im.kernel_h, im.stride_h, phase.h);
    let taps_w = phase_taps(im.kernel_w, im.stride_w, phase.w);
    let start_h = phase_start(im.pad_h, im.stride_h, phase.h);
    let start_w = phase_start(im.pad_w, im.stride_w, phase.w);
    phase.first_h = phase.h + start_h * im.stride_h - im.pad_h;
    phase.first_w = phase.w + start_w * im.stride_w - im.pad_w;
    let count_h = phase_count(im.h, phase.first_h, im.stride_h);
    phase.count_w = phase_count(im.w, phase.first_w, im.stride_w);
    let columns = columns_in_row(phase.count_w);
    gemm.m = select(0u, im.m, z < im.depth);
    gemm.n = select(0u, im.batch * count_h * columns, z < im.depth);
    gemm.k = im.co * taps_h * taps_w;
    gemm.a_row = im.a_row;
    gemm.a = im.a_offset + z * im.m * im.a_row;
    gemm.b = im.b_offset;
    gemm.i = 0u;
    gemm.c = im.c_offset;
    let plane = im.oh * im.ow;
    gather = Gather(
        im.oh, im.ow,
        max(1u, count_h), max(1u, columns), 1i, 1i, i32(start_h), i32(start_w), i32(plane),
        max(1u, taps_h), max(1u, taps_w), -1i, -1i, i32(im.batch * plane),
    );
}
