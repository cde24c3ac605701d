// The tile of B of gemm_cpu.wgsl from a loader that has blocks of four k and four columns (operand/b_window*.wgsl). A load of a number
// or word costs ten instructions there; neighbouring windows share most of theirs.
// A fifth of an input gradient of 64 rows is the stores into the tile, a scatter each, because u is no constant. Stores at constant indices behind
// a comparison of u with each take as long (1.0x).
alias work = f32;

fn fill_b_tile(k0: u32, col: u32) {
    let end = min(im.k_tile, gemm.k_end - k0);
    b_seek(k0);
    var u = 0u;
    loop {
        let k = k0 + u;
        b_put_block(u, block_b(b_fetch(k), k, col));
        b_next();
        continuing {
            u += 4u;
            break if u >= end;
        }
    }
}
