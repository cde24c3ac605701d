// y[offset] = counters[index], as a float: exact below 2^24.
// One invocation does it.
struct Params {
    index: u32,
    y_offset: u32,
}
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> counters: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(1)
fn main() {
    y[im.y_offset] = f32(counters[im.index]);
}
