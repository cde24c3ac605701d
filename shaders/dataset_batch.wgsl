// A batch of n images from a data set that lies on the device as u8, in shuffled order without replacement:
// output [channels, n, h, w], or [channels * h * w, n] where `features_first`, in -1..1.
//
//   out = byte / 127.5 - 1   of image shuffled_index(batch number, i)
//
// One invocation copies `span` neighbouring bytes of one image. Twin of Shuffle in src/data/permutation.rs for the order.
// Needs random.wgsl, permutation.wgsl and flat.wgsl.

struct Params {
    // Images in the set, and in the batch.
    count: u32,
    n: u32,
    // Bytes of one image, and of one channel of it.
    image_bytes: u32,
    plane_bytes: u32,
    // Bytes per invocation, and invocations per image.
    span: u32,
    spans: u32,
    features_first: u32,
    // 4^half_bits >= count.
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

// [count, channels, h, w], four bytes a word, the first in the low bits; images follow each other without padding.
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
    if (id >= im.n * im.spans) {
        return;
    }
    // Neighbouring lanes write neighbouring elements, in either layout.
    let by_image = im.features_first != 0u;
    let image = select(id / im.spans, id % im.n, by_image);
    let first = select(id % im.spans, id / im.n, by_image) * im.span;
    let seed = vec2(im.seed_lo, im.seed_hi);
    let batch = counters[im.counter_index];
    let element = shuffled_index(seed, im.stream, im.count, im.half_bits, batch, im.n, image);
    let start = element * im.image_bytes;
    for (var j = first; j < min(first + im.span, im.image_bytes); j++) {
        let at = start + j;
        let byte = (pixels[at >> 2u] >> ((at & 3u) * 8u)) & 255u;
        let channel = j / im.plane_bytes;
        let place = select(
            (channel * im.n + image) * im.plane_bytes + j % im.plane_bytes,
            j * im.n + image,
            by_image,
        );
        output[im.out_offset + place] = f32(byte) / 127.5 - 1.0;
    }
}
