// C stored [m, n] where rows of columns are rounded up (WHOLE_FOURS): what lies beyond is not stored. Any row length and offset. c_store
// finishes and writes C[row, col..col+4].
@group(0) @binding(2) var<storage, read_write> gemm_c: array<c_elem>;

// Of the columns of c_begin: the first one's place in a row of C, and how many there are up to the end of their row.
var<private> c_place: u32;
var<private> c_left: u32;

fn c_begin(col: u32) {
    let rest = col / gather.col_count_w;
    let j = col - rest * gather.col_count_w;
    c_place = rest * im.col_count_w + j;
    c_left = select(0u, im.col_count_w - j, col < gemm.n);
}

fn c_store(row: u32, col: u32, value: vec4<f32>) {
    let at = row * im.n + c_place;
    let i = gemm.i + at;
    let left = select(0u, c_left, row < gemm.m);
    epilogue_row = row;
    if left > 0u { gemm_c[gemm.c + at] = c_elem(epilogue(value.x, i)); }
    if left > 1u { gemm_c[gemm.c + at + 1u] = c_elem(epilogue(value.y, i + 1u)); }
    if left > 2u { gemm_c[gemm.c + at + 2u] = c_elem(epilogue(value.z, i + 2u)); }
    if left > 3u { gemm_c[gemm.c + at + 3u] = c_elem(epilogue(value.w, i + 3u)); }
}
