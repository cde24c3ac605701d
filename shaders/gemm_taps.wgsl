// dx[ci, n, ih, iw] = epilogue(sum over kh, kw of scratch[(ci, kh, kw), (n, oh, ow)])
// with ih + pad_h = oh * stride_h + kh, and likewise for columns: the taps of a transposed convolution (col2im).
//
// An invocation computes ITEMS elements of dx, one workgroup's WG apart.
@group(0) @binding(0) var<storage, read> scratch: array<f32>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

var<private> epilogue_row: u32;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = (group.x + group.y * im.grid_x) * (WG * ITEMS) + lane;
    let plane = im.batch * im.oh * im.ow;
    for (var item = 0u; item < ITEMS; item++) {
        let i = first + item * WG;
        if i >= im.len {
            return;
        }
        let rest = i / im.w;
        let x = i - rest * im.w + im.pad_w;
        let outer = rest / im.h;
        let y = rest - outer * im.h + im.pad_h;
        let ci = outer / im.batch;
        let n = outer - ci * im.batch;
        let base = ci * im.kernel_h * im.kernel_w * plane + n * im.oh * im.ow;
        var sum = 0.0;
        for (var kh = y % im.stride_h; kh < im.kernel_h; kh += im.stride_h) {
            // Above the first window the difference wraps round, to more than any oh.
            let oh = (y - kh) / im.stride_h;
            if (y < kh) | (oh >= im.oh) {
                continue;
            }
            for (var kw = x % im.stride_w; kw < im.kernel_w; kw += im.stride_w) {
                let ow = (x - kw) / im.stride_w;
                if (x < kw) | (ow >= im.ow) {
                    continue;
                }
                sum += scratch[base + (kh * im.kernel_w + kw) * plane + oh * im.ow + ow];
            }
        }
        epilogue_row = ci;
        gemm_c[im.c_offset + i] = c_elem(epilogue(sum, i));
    }
}
