// lib/fours.wgsl for CPU adapters with 64-bit integers. Lavapipe expands each load and store lane by lane and number by number, of words
// half as many: eight lanes load a vec4 in 9 instead of 13 ns, store one in 7 instead of 11 (Mesa 25.0.7).
// In workgroup memory words gain nothing (17 and 18 ns to load and store). Storage textures of vec4 load in 5 ns and store in 46, where
// a buffer's stores of the same numbers took 20.
alias f32x4 = vec2<u64>;

fn four(stored: f32x4) -> vec4<f32> {
    let high = stored >> vec2<u32>(32u);
    return bitcast<vec4<f32>>(vec4<u32>(u32(stored.x), u32(high.x), u32(stored.y), u32(high.y)));
}

fn four_stored(value: vec4<f32>) -> f32x4 {
    let bits = bitcast<vec4<u32>>(value);
    return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2<u32>(32u));
}
