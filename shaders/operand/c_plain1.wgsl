// C stored [m, n], any n and offset. c_store finishes and writes C[row, col..col+4].
@group(0) @binding(2) var<storage, read_write> gemm_c: array<c_elem>;

fn c_begin(col: u32) {}

fn c_store(row: u32, col: u32, value: vec4<f32>) {
    let at = row * gemm.n + col;
    let i = gemm.i + at;
    epilogue_row = row;
    if (row < gemm.m) & (col < gemm.n) { gemm_c[gemm.c + at] = c_elem(epilogue(value.x, i)); }
    if (row < gemm.m) & (col + 1u < gemm.n) { gemm_c[gemm.c + at + 1u] = c_elem(epilogue(value.y, i + 1u)); }
    if (row < gemm.m) & (col + 2u < gemm.n) { gemm_c[gemm.c + at + 2u] = c_elem(epilogue(value.z, i + 2u)); }
    if (row < gemm.m) & (col + 3u < gemm.n) { gemm_c[gemm.c + at + 3u] = c_elem(epilogue(value.w, i + 3u)); }
}
