// Samples by inverse transform from a table of quantiles, with linear interpolation between them: any 1-D density.
//
//   output[i] = table[c] + (table[c + 1] - table[c]) (cells u_i - c),   c = floor(cells u_i),   u_i uniform on (0, 1)
//
// One invocation draws one number. Twin of Drawer in src/data/density.rs. Needs random.wgsl and flat.wgsl.

struct Params {
    n: u32,
    cells: u32,
    seed_lo: u32,
    seed_hi: u32,
    stream: u32,
    // Where the step stands in `counters`.
    counter_index: u32,
    // Of the first output, in elements.
    out_offset: u32,
}
var<immediate> im: Params;

@group(0) @binding(0) var<storage, read> counters: array<u32>;
// cells + 1 quantiles.
@group(0) @binding(1) var<storage, read> table: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(group, groups, lane);
    if (i >= im.n) {
        return;
    }
    let key = random_key(vec2(im.seed_lo, im.seed_hi), im.stream, counters[im.counter_index]);
    let at = uniform_open(threefry2x32(key, vec2(i, 0u)).x) * f32(im.cells);
    let cell = min(u32(at), im.cells - 1u);
    output[im.out_offset + i] = mix(table[cell], table[cell + 1u], at - f32(cell));
}
