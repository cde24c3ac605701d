// conv2d:              y[co, (n,oh,ow)] = w[co, (ci,kh,kw)] x gathered
// conv2d_weight_grad:  dw[co, (ci,kh,kw)] = dy[co, (n,oh,ow)] x gathered
// With the gather one pipeline serves both: they differ in the immediates only.
fn gemm_begin(z: u32) {
    gemm.m = select(0u, im.m, z < im.depth);
    let columns = columns_in_row(im.col_count_w);
    gemm.n = select(0u, im.n / im.col_count_w * columns, z < im.depth);
    gemm.k = im.k;
    gemm.a_row = im.k;
    gemm.a = im.a_offset;
    gemm.b = im.b_offset;
    gemm.i = 0u;
    gemm.c = im.c_offset;
    gather = Gather(
        im.height, im.width,
        im.col_count_h, columns, im.col_step_h, im.col_step_w, im.col_start_h, im.col_start_w, im.col_outer,
        im.k_count_h, im.k_count_w, im.k_step_h, im.k_step_w, im.k_outer,
    );
}
