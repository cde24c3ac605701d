// C = epilogue(sum over the parts of a split k, in order). scratch [parts, len], C [len]; rows of im.row_len elements.
@group(0) @binding(0) var<storage, read> scratch: array<f32>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

var<private> epilogue_row: u32;

fn one(i: u32) {
    var sum = 0.0;
    var part = 0u;
    loop {
        sum += scratch[im.scratch_offset + part * im.part_len + i];
        continuing {
            part++;
            break if part >= im.parts;
        }
    }
    epilogue_row = i / im.row_len;
    gemm_c[im.c_offset + i] = c_elem(epilogue(sum, i));
}
