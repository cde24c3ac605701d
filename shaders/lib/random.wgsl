// Counter-based random numbers, twin of src/data/rng.rs: Threefry-2x32 with 20 rounds (Salmon et al., SC'11).
//
// Every number is a pure function of (seed, stream, step, index, draw):
//   let key = random_key(seed, stream, step);
//   let bits = threefry2x32(key, vec2(index, draw));

fn threefry_round(x: vec2<u32>, rotation: u32) -> vec2<u32> {
    let sum = x.x + x.y;
    return vec2(sum, ((x.y << rotation) | (x.y >> (32u - rotation))) ^ sum);
}

fn threefry_even_rounds(x: vec2<u32>) -> vec2<u32> {
    return threefry_round(threefry_round(threefry_round(threefry_round(x, 13u), 15u), 26u), 6u);
}

fn threefry_odd_rounds(x: vec2<u32>) -> vec2<u32> {
    return threefry_round(threefry_round(threefry_round(threefry_round(x, 17u), 29u), 16u), 24u);
}

// Encrypts the counter under the key.
fn threefry2x32(key: vec2<u32>, ctr: vec2<u32>) -> vec2<u32> {
    let parity = 0x1BD11BDAu ^ key.x ^ key.y;
    var x = ctr + key;
    x = threefry_even_rounds(x) + vec2(key.y, parity + 1u);
    x = threefry_odd_rounds(x) + vec2(parity, key.x + 2u);
    x = threefry_even_rounds(x) + vec2(key.x, key.y + 3u);
    x = threefry_odd_rounds(x) + vec2(key.y, parity + 4u);
    return threefry_even_rounds(x) + vec2(parity, key.x + 5u);
}

// The key of one stream at one step. `seed` is 64 bits, low word first.
fn random_key(seed: vec2<u32>, stream: u32, step: u32) -> vec2<u32> {
    return threefry2x32(seed, vec2(stream, step));
}

// In [0, 1), from the upper 24 bits; exact.
fn uniform01(bits: u32) -> f32 {
    return f32(bits >> 8u) * (1.0 / 16777216.0);
}

// In (0, 1), symmetric about 1/2, from the upper 23 bits; exact.
fn uniform_open(bits: u32) -> f32 {
    return (f32(bits >> 9u) + 0.5) * (1.0 / 8388608.0);
}

// A whole number below `bound` (at most 65536), from the upper 16 bits.
fn random_below(bits: u32, bound: u32) -> u32 {
    return ((bits >> 16u) * bound) >> 16u;
}

// A whole number below any `bound`, from all 32 bits: the upper word of their product, by halves.
fn random_index(bits: u32, bound: u32) -> u32 {
    let low = (bits & 0xffffu) * (bound & 0xffffu);
    let left = (bits >> 16u) * (bound & 0xffffu);
    let right = (bits & 0xffffu) * (bound >> 16u);
    let middle = (low >> 16u) + (left & 0xffffu) + (right & 0xffffu);
    return (bits >> 16u) * (bound >> 16u) + (left >> 16u) + (right >> 16u) + (middle >> 16u);
}

// Two independent N(0, 1) numbers (Box and Muller). The angle stays in [-pi, pi), where WGSL bounds the error of sin and
// cos; `max` guards against a device whose log(1) is a little above zero.
fn normal2(bits: vec2<u32>) -> vec2<f32> {
    let radius = sqrt(max(-2.0 * log(1.0 - uniform01(bits.x)), 0.0));
    let angle = 6.2831855 * (uniform01(bits.y) - 0.5);
    return radius * vec2(cos(angle), sin(angle));
}
