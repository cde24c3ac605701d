// For gemm_pack_phases.wgsl, any window: it counts where an invocation for each element would divide.
@group(0) @binding(0) var<storage, read> w: array<a_elem>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

fn pack(ci: u32, co: u32, phase: vec2<u32>, row: u32) {
    let window = im.w_offset + (co * im.ci + ci) * im.kernel_h * im.kernel_w;
    let taps = phase_taps(im.kernel_h, im.stride_h, phase.x) * phase_taps(im.kernel_w, im.stride_w, phase.y);
    if taps == 0u {
        return;
    }
    var to = row + co * taps;
    var kh = phase.x;
    loop {
        var kw = phase.y;
        loop {
            gemm_c[to] = c_elem(w[window + kh * im.kernel_w + kw]);
            to++;
            continuing {
                kw += im.stride_w;
                break if kw >= im.kernel_w;
            }
        }
        continuing {
            kh += im.stride_h;
            break if kh >= im.kernel_h;
        }
    }
}
