// Counter-based random numbers, the twin of src/data/rng.rs function by function: the integers agree bit for bit, the normals to
// the accuracy of the device's log, sin and cos.

// Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, SC'11): encrypts `counter` under `key`.
fn threefry2x32(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    var schedule = vec3(key, 0x1BD11BDAu ^ key.x ^ key.y);
    var x = counter + key;
    for (var group = 1u; group <= 5u; group++) {
        let odd = (group & 1u) == 1u;
        x = threefry_round(x, select(17u, 13u, odd));
        x = threefry_round(x, select(29u, 15u, odd));
        x = threefry_round(x, select(16u, 26u, odd));
        x = threefry_round(x, select(24u, 6u, odd));
        schedule = schedule.yzx;
        x += schedule.xy + vec2(0u, group);
    }
    return x;
}
fn threefry_round(x: vec2<u32>, rotation: u32) -> vec2<u32> {
    let sum = x.x + x.y;
    return vec2(sum, ((x.y << rotation) | (x.y >> (32u - rotation))) ^ sum);
}

// Uniform on [0, 1) from the upper 24 bits: exact in f32, and 1 never comes out.
fn uniform01(bits: u32) -> f32 {
    return f32(bits >> 8u) * (1.0 / 16777216.0);
}

// Two independent N(0, 1) numbers by Box and Muller. The angle lies in [-pi, pi), where WGSL bounds the error of sin and cos.
fn normal2(bits: vec2<u32>) -> vec2<f32> {
    let radius = sqrt(max(-2.0 * log(1.0 - uniform01(bits.x)), 0.0));
    let angle = 6.2831855 * (uniform01(bits.y) - 0.5);
    return radius * vec2(cos(angle), sin(angle));
}
