// A batch of scikit-learn's swiss roll seen from the side: output [2, n].
//
//   x = ((t cos t, t sin t) + noise N(0, I)) / scale,   t = 1.5 pi (1 + 2u)
//
// One invocation draws one sample. Twin of SwissRoll::sample in src/data/toy.rs. Needs random.wgsl and flat.wgsl.

struct Params {
    n: u32,
    noise: f32,
    scale: f32,
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
    // t in turns. cos and sin get the angle reduced to half a turn either way, where WGSL bounds their error.
    let turns = 0.75 + 1.5 * uniform01(threefry2x32(key, vec2(i, 0u)).x);
    let t = 6.2831855 * turns;
    let angle = 6.2831855 * (turns - round(turns));
    let noise = im.noise * normal2(threefry2x32(key, vec2(i, 1u)));
    output[im.out_offset + i] = (t * cos(angle) + noise.x) / im.scale;
    output[im.out_offset + im.n + i] = (t * sin(angle) + noise.y) / im.scale;
}
