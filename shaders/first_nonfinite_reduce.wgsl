// found[2 slot] = 1 + the least of the partials, found[2 slot + 1] = counters[counter], unless no partial is set or an earlier
// execution found something: so found keeps the first execution at which the region was not finite, and where.
// One workgroup; a lane takes every LANES-th partial.
struct Params { partials: u32, slot: u32, counter: u32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> partials: array<u32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<u32>;
var<workgroup> lowest: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    var mine = 0xffffffffu;
    for (var i = lane; i < im.partials; i += LANES) {
        mine = min(mine, partials[i]);
    }
    lowest[lane] = mine;
    workgroupBarrier();
    if (lane == 0u) {
        for (var i = 1u; i < LANES; i++) {
            mine = min(mine, lowest[i]);
        }
        if (mine != 0xffffffffu && found[2u * im.slot] == 0u) {
            found[2u * im.slot] = mine + 1u;
            found[2u * im.slot + 1u] = counters[im.counter];
        }
    }
}
