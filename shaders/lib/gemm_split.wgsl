// k is cut into im.parts parts of im.part_k, a multiple of the body's K tile; z counts (product, part), part fastest. Each part has
// a C of its own, im.part_len elements from one to the next, and gemm_splits.wgsl adds them in order.
fn gemm_start(z: u32) {
    let part = z % im.parts;
    gemm_begin(z / im.parts);
    gemm.k_begin = min(part * im.part_k, gemm.k);
    gemm.k_end = min(gemm.k_begin + im.part_k, gemm.k);
    gemm.c += part * im.part_len;
}
