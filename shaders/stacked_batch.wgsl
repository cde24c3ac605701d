// A batch of n images whose three channels are elements of a grey set, drawn at random with replacement:
// output [3, n, h, w], or [3 * h * w, n] where `features_first`, in -1..1.
//
//   out_c = byte / 127.5 - 1   of element random_index(bits_c, count)
//
// One invocation copies `span` neighbouring bytes of one channel. Twin of src/data/stacked.rs for the draw. Needs random.wgsl and
// flat.wgsl.

struct Params {
    // Elements in the set, and images in the batch.
    count: u32,
    n: u32,
    // Bytes of one element.
    plane_bytes: u32,
    // Bytes per invocation, and invocations per element.
    span: u32,
    spans: u32,
    features_first: u32,
    seed_lo: u32,
    seed_hi: u32,
    stream: u32,
    // Where the batch number stands in `counters`.
    counter_index: u32,
    // Of the first output, in elements.
    out_offset: u32,
}
var<immediate> im: Params;

// [count, h, w], four bytes a word, the first in the low bits; elements follow each other without padding.
@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = flat_index(group, groups, lane);
    if (id >= 3u * im.n * im.spans) {
        return;
    }
    // Neighbouring lanes write neighbouring elements, in either layout.
    let by_image = im.features_first != 0u;
    let image = select((id / im.spans) % im.n, id % im.n, by_image);
    let channel = id / (im.n * im.spans);
    let first = select(id % im.spans, (id / im.n) % im.spans, by_image) * im.span;
    let key = random_key(vec2(im.seed_lo, im.seed_hi), im.stream, counters[im.counter_index]);
    // Block 0 gives two channels, block 1 the third.
    let bits = threefry2x32(key, vec2(image, channel >> 1u));
    let start = random_index(select(bits.x, bits.y, channel == 1u), im.count) * im.plane_bytes;
    for (var j = first; j < min(first + im.span, im.plane_bytes); j++) {
        let at = start + j;
        let byte = (pixels[at >> 2u] >> ((at & 3u) * 8u)) & 255u;
        let place = select(
            (channel * im.n + image) * im.plane_bytes + j,
            (channel * im.plane_bytes + j) * im.n + image,
            by_image,
        );
        output[im.out_offset + place] = f32(byte) / 127.5 - 1.0;
    }
}
