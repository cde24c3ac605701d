// C[ci, (n,qh,qw)] of one stride phase goes to dx[ci, n, first_h + qh * stride_h, first_w + qw * stride_w]
// (lib/problem_phase.wgsl). c_begin finds the four columns' places in a channel; c_store finishes and writes.
@group(0) @binding(2) var<storage, read_write> gemm_c: array<c_elem>;

var<private> c_place: vec4<u32>;
// Which of them are there: rows of columns may be rounded up (WHOLE_FOURS).
var<private> c_there: vec4<bool>;

fn c_begin(col: u32) {
    let cols = vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u);
    let rest = cols / vec4<u32>(gather.col_count_w);
    let qw = cols - rest * gather.col_count_w;
    let n = rest / vec4<u32>(gather.col_count_h);
    let qh = rest - n * gather.col_count_h;
    let ih = vec4<u32>(phase.first_h) + qh * im.stride_h;
    let iw = vec4<u32>(phase.first_w) + qw * im.stride_w;
    c_place = (n * im.h + ih) * im.w + iw;
    c_there = (cols < vec4<u32>(gemm.n)) & (!vec4<bool>(WHOLE_FOURS) | (qw < vec4<u32>(phase.count_w)));
}

fn c_store(row: u32, col: u32, value: vec4<f32>) {
    let i = vec4<u32>(row * (im.batch * im.h * im.w)) + c_place;
    epilogue_row = row;
    if (row < gemm.m) & c_there.x { gemm_c[gemm.c + i.x] = c_elem(epilogue(value.x, i.x)); }
    if (row < gemm.m) & c_there.y { gemm_c[gemm.c + i.y] = c_elem(epilogue(value.y, i.y)); }
    if (row < gemm.m) & c_there.z { gemm_c[gemm.c + i.z] = c_elem(epilogue(value.z, i.z)); }
    if (row < gemm.m) & c_there.w { gemm_c[gemm.c + i.w] = c_elem(epilogue(value.w, i.w)); }
}
