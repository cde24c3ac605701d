// y[i] = a random number that depends on (seed, stream, execution, i) only, i < count; execution = counters[counter].
// Key (seed's low word ^ stream * 0x9E3779B9, seed's high word), made on the host; counter block (i, execution).
// The twin of `draw` in src/kernels/random.rs; lib/random.wgsl has the functions. One invocation draws ITEMS numbers.
struct Params {
    count: u32,
    y_offset: u32,
    key0: u32,
    key1: u32,
    counter: u32,
    // 0 uniform on [0, 1), 1 normal, 2 Bernoulli
    distribution: u32,
    // of a 1 in Bernoulli
    probability: f32,
}
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> counters: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn update(i: u32) {
    let bits = threefry2x32(vec2(im.key0, im.key1), vec2(i, counters[im.counter]));
    let uniform = uniform01(bits.x);
    var drawn = uniform;
    if (im.distribution == 1u) {
        drawn = normal2(bits).x;
    } else if (im.distribution == 2u) {
        drawn = select(0.0, 1.0, uniform < im.probability);
    }
    y[i + im.y_offset] = drawn;
}
