// The tile of B of gemm_cpu.wgsl, vector by vector.
fn b_vec(k: u32, col: u32) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(b_raw(k, col)), b_inside(k, col));
}

fn fill_b_tile(k0: u32, col: u32) {
    // Not to the end of the tile: beyond k are zeros of A. And no compiler unrolls a loop whose bound is not a constant.
    let end = min(im.k_tile, gemm.k_end - k0);
    var u = 0u;
    if B_ALONG_K {
        loop {
            let k = k0 + u;
            let block = transpose(mat4x4<f32>(b_vec(k, col), b_vec(k, col + 1u), b_vec(k, col + 2u), b_vec(k, col + 3u)));
            b_put_block(u, block);
            continuing {
                u += 4u;
                break if u >= end;
            }
        }
    } else {
        b_seek(k0);
        loop {
            b_put(u, b_vec(k0 + u, col));
            b_next();
            continuing {
                u++;
                break if u >= end;
            }
        }
    }
}
