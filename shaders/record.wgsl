// The end of every program: row counters[tick] % rows of the ring gets `count` scalars, then the counters advance.
// One invocation does it all, in order.
struct Params {
    count: u32,
    scalars_offset: u32,
    rows: u32,
    tick: u32,
    index0: u32,
    increment0: u32,
    index1: u32,
    increment1: u32,
    index2: u32,
    increment2: u32,
    index3: u32,
    increment3: u32,
}
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> scalars: array<f32>;
@group(0) @binding(1) var<storage, read_write> ring: array<f32>;
@group(0) @binding(2) var<storage, read_write> counters: array<u32>;

@compute @workgroup_size(1)
fn main() {
    let row = counters[im.tick] % im.rows;
    for (var i = 0u; i < im.count; i++) {
        ring[row * im.count + i] = scalars[im.scalars_offset + i];
    }
    counters[im.index0] += im.increment0;
    counters[im.index1] += im.increment1;
    counters[im.index2] += im.increment2;
    counters[im.index3] += im.increment3;
}
