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

// Columns in a row, where lib/slide.wgsl wants them in fours.
fn columns_in_row(count: u32) -> u32 {
    return select(count, (count + 3u) / 4u * 4u, WHOLE_FOURS);
}
