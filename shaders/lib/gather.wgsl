// The window of an image batch [channel, n, height, width] that operand/b_gather.wgsl reads as a matrix B[k, col].
//
// Both k and col split into (outer, i, j), j fastest, with `count` values of i and j. The element is
//   image[outer_k * k_outer + outer_col * col_outer + h * width + w]
//   h = i_col * col_step_h + col_start_h + i_k * k_step_h,   w likewise,   and 0 where (h, w) lies in the padding.
// All three convolution products are of this form:
//   forward        col = (n, oh, ow)   k = (ci, kh, kw)
//   weight grad    col = (ci, kh, kw)  k = (n, oh, ow)
//   input grad     col = (n, qh, qw)   k = (co, jh, jw)   of one stride phase, k_step = -1 (lib/problem_phase.wgsl)
struct Gather {
    height: u32, width: u32,
    col_count_h: u32, col_count_w: u32, col_step_h: i32, col_step_w: i32, col_start_h: i32, col_start_w: i32, col_outer: i32,
    k_count_h: u32, k_count_w: u32, k_step_h: i32, k_step_w: i32, k_outer: i32,
}
var<private> gather: Gather;

// A row so far outside that no k brings it back: marks columns beyond n.
const FAR_ROW = -0x40000000i;

// (outer, i, j) of a column, and of a k.
fn column_place(col: u32) -> vec3<u32> {
    return gather_place(col, gather.col_count_h, gather.col_count_w);
}
fn k_place(k: u32) -> vec3<u32> {
    return gather_place(k, gather.k_count_h, gather.k_count_w);
}
fn gather_place(index: u32, count_h: u32, count_w: u32) -> vec3<u32> {
    let rest = index / count_w;
    let outer = rest / count_h;
    return vec3<u32>(outer, rest - outer * count_h, index - rest * count_w);
}

// Columns in a row, where lib/slide.wgsl wants them in fours.
fn columns_in_row(count: u32) -> u32 {
    return select(count, (count + 3u) / 4u * 4u, WHOLE_FOURS);
}
