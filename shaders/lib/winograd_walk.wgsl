// transform(at) for all columns of all rows, in twos: `at` counts twos of points. Neighbour lanes have neighbour twos of one row: points lie far
// apart, often at a power of two, so that all of a cache line must be written at once. Lanes beyond the end do the last two once more,
// and write the same.
//
// Two columns, because lavapipe compiles longer the more loads and stores there are, and two f32 are one 64-bit word (lib/fours_words.wgsl):
// with four columns the transforms ran as fast, and a DCGAN's first step took half as long again (both when transforms
// were straight code, without loops).
//
// Points a few cache lines more than a power of two apart: 1.0x (steps of dcgan28 and dcgan64, alternated).
//
// place_begin(row, two) names the first column, and gives its place among the twos of a point.
@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.x + group.y * im.grid_x;
    let row = min(block / im.stretches, im.rows - 1u);
    let two = min((block - row * im.stretches) * WG + lane, im.walk_twos - 1u);
    transform(im.points_at + place_begin(row, two));
}
