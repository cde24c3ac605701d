// Samples by inverse transform: output[i] = F^-1(u_i), u_i uniform on (0, 1).
//
// One invocation draws one number. Twin of Drawer in src/data/density.rs. Needs random.wgsl, flat.wgsl and a file of inverse/.

struct Params {
    n: u32,
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
@group(0) @binding(1) var<storage, read_write> output: array<f32>;

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
    output[im.out_offset + i] = inverse_cdf(uniform_open(threefry2x32(key, vec2(i, 0u)).x));
}
