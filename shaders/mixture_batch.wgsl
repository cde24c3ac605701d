// A batch from a mixture of k isotropic Gaussians in d dimensions: output [d, n].
//
//   x = centre_c + sigma N(0, I),   c drawn by the cumulative weights
//
// One invocation draws one sample. Twin of Mixture::sample in src/data/toy.rs. Needs random.wgsl,
// mixture_component.wgsl and flat.wgsl.

struct Params {
    n: u32,
    d: u32,
    k: u32,
    sigma: f32,
    seed_lo: u32,
    seed_hi: u32,
    stream: u32,
    // Where the step stands in `counters`.
    counter_index: u32,
    // Of the first output, in elements.
    out_offset: u32,
}
var<immediate> im: Params;

// k cumulative weights, the last 1, then the centres [k, d].
@group(0) @binding(0) var<storage, read> mixture: array<f32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
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
    let component = mixture_component(key, im.k, i);
    let centre = im.k + component * im.d;
    for (var pair = 0u; 2u * pair < im.d; pair++) {
        let noise = normal2(threefry2x32(key, vec2(i, pair + 1u)));
        for (var j = 2u * pair; j < min(2u * pair + 2u, im.d); j++) {
            output[im.out_offset + j * im.n + i] = mixture[centre + j] + im.sigma * noise[j % 2u];
        }
    }
}
