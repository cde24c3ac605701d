// A batch of random digits, drawn: output [1, n, h, w] in -1 (black) to 1 (white).
//
//   value = 2 clamp(thickness/2 - d + 1/2, 0, 1) - 1,   d = distance from the pixel's centre to the posed skeleton
//
// One invocation draws four neighbouring pixels of a row: they share the pose and the placed segments.
// Twin of src/data/glyphs.rs. Needs random.wgsl, glyph_digit.wgsl and flat.wgsl.

struct Params {
    n: u32,
    h: u32,
    w: u32,
    // Groups of four pixels in a row.
    quads: u32,
    seed_lo: u32,
    seed_hi: u32,
    stream: u32,
    // Where the step stands in `counters`.
    counter_index: u32,
    // Of the first output, in elements.
    out_offset: u32,
}
var<immediate> im: Params;

// For each digit (first, one past its last, -, -), then segments (x0, y0, x1, y1) in the unit box.
@group(0) @binding(0) var<storage, read> segments: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

const DESIGN_SIDE = 28.0;
const BOX_SIDE = 20.0;
const MAX_TURN = 0.2617994; // 15 degrees

fn between(bits: u32, low: f32, high: f32) -> f32 {
    return low + (high - low) * uniform01(bits);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let id = flat_index(group, groups, lane);
    if (id >= im.n * im.h * im.quads) {
        return;
    }
    let column = (id % im.quads) * 4u;
    let row = (id / im.quads) % im.h;
    let image = id / (im.quads * im.h);

    // The pose: Pose::random.
    let key = random_key(vec2(im.seed_lo, im.seed_hi), im.stream, counters[im.counter_index]);
    let digit_rotation = threefry2x32(key, vec2(image, 0u));
    let shear_scale = threefry2x32(key, vec2(image, 1u));
    let translation = threefry2x32(key, vec2(image, 2u));
    let thickness = threefry2x32(key, vec2(image, 3u));
    let label = glyph_digit(key, image);
    let rotation = between(digit_rotation.y, -MAX_TURN, MAX_TURN);
    let shear = between(shear_scale.x, -0.2, 0.2);
    let unit = f32(min(im.h, im.w)) / DESIGN_SIDE;
    let size = BOX_SIDE * unit * between(shear_scale.y, 0.8, 1.1);
    let half = 0.5 * unit * between(thickness.x, 1.2, 2.4);

    // Columns of the map from the centred unit box to pixels, and where the box's centre goes.
    let x_axis = size * vec2(cos(rotation), sin(rotation));
    let y_axis = shear * x_axis + size * vec2(-sin(rotation), cos(rotation));
    let centre = 0.5 * vec2(f32(im.w), f32(im.h))
        + unit * vec2(between(translation.x, -2.0, 2.0), between(translation.y, -2.0, 2.0));

    let px = f32(column) + vec4(0.5, 1.5, 2.5, 3.5);
    let py = f32(row) + 0.5;
    let range = segments[label];
    var nearest = vec4(1e30);
    for (var s = u32(range.x); s < u32(range.y); s++) {
        let ends = segments[s] - 0.5;
        let a = centre + ends.x * x_axis + ends.y * y_axis;
        let along = (ends.z - ends.x) * x_axis + (ends.w - ends.y) * y_axis;
        let dx = px - a.x;
        let dy = py - a.y;
        let t = clamp((dx * along.x + dy * along.y) / max(dot(along, along), 1e-12), vec4(0.0), vec4(1.0));
        let ex = dx - t * along.x;
        let ey = dy - t * along.y;
        nearest = min(nearest, ex * ex + ey * ey);
    }
    let value = 2.0 * clamp(half + 0.5 - sqrt(nearest), vec4(0.0), vec4(1.0)) - 1.0;

    let first = im.out_offset + (image * im.h + row) * im.w + column;
    for (var i = 0u; i < min(4u, im.w - column); i++) {
        output[first + i] = value[i];
    }
}
