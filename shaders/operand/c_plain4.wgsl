// C stored [m, n]; n and the offset are multiples of 4. c_store finishes and writes C[row, col..col+4].
@group(0) @binding(2) var<storage, read_write> gemm_c: array<c_four>;

fn c_begin(col: u32) {}

fn c_store(row: u32, col: u32, value: vec4<f32>) {
    if (row < gemm.m) & (col < gemm.n) {
        let at = row * gemm.n + col;
        let i = gemm.i + at;
        epilogue_row = row;
        gemm_c[(gemm.c + at) / 4u] = c_stored(vec4<f32>(
            epilogue(value.x, i), epilogue(value.y, i + 1u), epilogue(value.z, i + 2u), epilogue(value.w, i + 3u),
        ));
    }
}
