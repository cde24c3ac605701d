// C = epilogue(sum over the parts of a split k, in order). scratch [parts, len], C [len]; rows of im.row_len elements.
//
// An invocation computes ITEMS values of C, one workgroup's WG apart.
@group(0) @binding(0) var<storage, read> scratch: array<f32>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

var<private> epilogue_row: u32;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = (group.x + group.y * im.grid_x) * (WG * ITEMS) + lane;
    for (var item = 0u; item < ITEMS; item++) {
        let i = first + item * WG;
        if i >= im.len {
            return;
        }
        var sum = 0.0;
        for (var part = 0u; part < im.parts; part++) {
            sum += scratch[im.scratch_offset + part * im.part_len + i];
        }
        epilogue_row = i / im.row_len;
        gemm_c[im.c_offset + i] = c_elem(epilogue(sum, i));
    }
}
