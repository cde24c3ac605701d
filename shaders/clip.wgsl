// p = clamp(p, -c, c): the weight clipping of WGAN (Arjovsky et al. 2017, algorithm 1). A NaN stays a NaN: clamp and comparisons
// of floats may lose it, so magnitudes are compared as integers.
struct Params { count: u32, p_offset: u32, c: f32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read_write> p: array<value>;

fn update(q: u32) {
    let old = p[q + im.p_offset];
    let magnitude = bitcast<words>(old) & words(0x7fffffffu);
    let sign = bitcast<words>(old) & words(0x80000000u);
    let clipped = bitcast<value>(sign | words(bitcast<u32>(im.c)));
    let beyond = (magnitude > words(bitcast<u32>(im.c))) & (magnitude <= words(0x7f800000u));
    p[q + im.p_offset] = select(old, clipped, beyond & inside(q));
}
