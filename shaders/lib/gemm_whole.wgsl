// One workgroup sums over all of k.
fn gemm_start(z: u32) {
    gemm_begin(z);
    gemm.k_begin = 0u;
    gemm.k_end = gemm.k;
}
