// The labels of the batch that an image kernel draws at the same counter: output [n], whole numbers as f32.
//
//   out_i = label_of(i)
//
// One invocation finds one label. `label_of` is one of shaders/label/*.wgsl, which draws by the very function that the
// images are drawn by. Needs random.wgsl and flat.wgsl.

struct Params {
    n: u32,
    // Images in the set, and 4^half_bits >= count; or the components of a mixture, and 0.
    count: u32,
    half_bits: u32,
    seed_lo: u32,
    seed_hi: u32,
    stream: u32,
    // Where the batch number stands in `counters`.
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
    output[im.out_offset + i] = f32(label_of(vec2(im.seed_lo, im.seed_hi), counters[im.counter_index], i));
}
