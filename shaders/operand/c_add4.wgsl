// C stored [m, n]; n and the offset are multiples of 4. c_store adds to C[row, col..col+4].
@group(0) @binding(2) var<storage, read_write> gemm_c: array<c_four>;

fn c_begin(col: u32) {}

fn c_store(row: u32, col: u32, value: vec4<f32>) {
    if (row < gemm.m) & (col < gemm.n) {
        let at = (gemm.c + row * gemm.n + col) / 4u;
        gemm_c[at] = c_stored(vec4<f32>(c_loaded(gemm_c[at])) + value);
    }
}
