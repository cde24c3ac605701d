// dx[ci, n, ih, iw] = epilogue(sum over kh, kw of scratch[(ci, kh, kw), (n, oh, ow)])
// with ih + pad_h = oh * stride_h + kh, and likewise for columns: the taps of a transposed convolution (col2im).
@group(0) @binding(0) var<storage, read> scratch: array<f32>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

var<private> epilogue_row: u32;

// The least tap that meets pixel `at` (padding included) in one of `windows` windows; the others follow at the stride.
fn first_tap(at: u32, stride: u32, windows: u32) -> u32 {
    return select(at % stride, at - (windows - 1u) * stride, at >= windows * stride);
}

fn one(i: u32) {
    let plane = im.batch * im.oh * im.ow;
    let rest = i / im.w;
    let x = i - rest * im.w + im.pad_w;
    let outer = rest / im.h;
    let y = rest - outer * im.h + im.pad_h;
    let ci = outer / im.batch;
    let n = outer - ci * im.batch;
    let base = im.scratch_offset + ci * im.kernel_h * im.kernel_w * plane + n * im.oh * im.ow;
    var sum = 0.0;
    let last_h = min(y, im.kernel_h - 1u);
    let last_w = min(x, im.kernel_w - 1u);
    // A pixel may have no tap.
    var kh = first_tap(y, im.stride_h, im.oh);
    loop {
        let row = base + kh * im.kernel_w * plane + (y - kh) / im.stride_h * im.ow;
        var kw = first_tap(x, im.stride_w, im.ow);
        loop {
            if (kh <= last_h) & (kw <= last_w) {
                sum += scratch[row + kw * plane + (x - kw) / im.stride_w];
            }
            continuing {
                kw += im.stride_w;
                break if kw > last_w;
            }
        }
        continuing {
            kh += im.stride_h;
            break if kh > last_h;
        }
    }
    epilogue_row = ci;
    gemm_c[im.c_offset + i] = c_elem(epilogue(sum, i));
}
