// Samples by Metropolis-Hastings (Metropolis et al. 1953) with a symmetric random walk: output [dim, n].
//
//   x_0 = start N(0, I), or minus that where f is 0 there;   x' = x + step N(0, I) replaces x where u < f(x') / f(x);   the sample is x after `steps` steps
//
// Each sample has a chain of its own, so samples are independent, nothing has to be kept from one batch to the next, and sample i of
// a step is a pure function of (seed, stream, step, i), as everywhere. The price is `steps` proposals for each.
//
// One invocation runs one chain. Twin of Drawer in src/data/density.rs. Needs random.wgsl, flat.wgsl, density.wgsl and a file
// of density/.

struct Params {
    n: u32,
    dim: u32,
    steps: u32,
    start: f32,
    step: f32,
    seed_lo: u32,
    seed_hi: u32,
    stream: u32,
    // Where the step of training stands in `counters`.
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
    var x = on_axes(im.start * normal2(threefry2x32(key, vec2(i, 0u))), im.dim);
    if (log_density(x) <= LOWEST) {
        x = -x;
    }
    var here = log_density(x);
    for (var t = 1u; t <= im.steps; t++) {
        let next = on_axes(x + im.step * normal2(threefry2x32(key, vec2(i, 2u * t - 1u))), im.dim);
        let there = log_density(next);
        if (accepts(threefry2x32(key, vec2(i, 2u * t)).x, there - here)) {
            x = next;
            here = there;
        }
    }
    for (var d = 0u; d < im.dim; d++) {
        output[im.out_offset + d * im.n + i] = x[d];
    }
}
