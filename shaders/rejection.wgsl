// Samples by rejection (von Neumann 1951): output [dim, n].
//
// Proposals come from an envelope e with f <= bound e; the first for which u < f / (bound e) is the sample. All in logarithms.
// After `tries` refusals the sample is NaN: `tries` is chosen so that this has a probability below 2^-64 (src/data/density.rs), and a
// refused proposal is never passed off as a sample.
//
// One invocation draws one sample. Twin of Drawer in src/data/density.rs. Needs random.wgsl, flat.wgsl, density.wgsl, a file of
// density/ and one of envelope/.

struct Params {
    n: u32,
    dim: u32,
    tries: u32,
    // Of a constant envelope; a Gaussian one has its sigma in `high`.
    low: f32,
    high: f32,
    log_bound: f32,
    // What an exhausted sample is: the bits of a NaN, which WGSL has no word for.
    exhausted: u32,
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
    var sample = vec2<f32>(bitcast<f32>(im.exhausted));
    for (var t = 0u; t < im.tries; t++) {
        let x = on_axes(propose(threefry2x32(key, vec2(i, 2u * t))), im.dim);
        let ratio = log_density(x) - log_envelope(x) - im.log_bound;
        if (accepts(threefry2x32(key, vec2(i, 2u * t + 1u)).x, ratio)) {
            sample = x;
            break;
        }
    }
    for (var d = 0u; d < im.dim; d++) {
        output[im.out_offset + d * im.n + i] = sample[d];
    }
}
