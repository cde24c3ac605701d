// C[b,m,n] = op(A)[b,m,k] op(B)[b,k,n]: z is b.
fn gemm_begin(z: u32) {
    gemm.m = select(0u, im.m, z < im.depth);
    gemm.n = select(0u, im.n, z < im.depth);
    gemm.k = im.k;
    gemm.a_row = im.k;
    gemm.a = im.a_offset + z * im.m * im.k;
    gemm.b = im.b_offset + z * im.k * im.n;
    gemm.i = z * im.m * im.n;
    gemm.c = im.c_offset + gemm.i;
}
