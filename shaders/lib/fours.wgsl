// Four consecutive f32 of a storage buffer, as a kernel binds them: `four` of what was loaded, `four_stored` of what is to be stored.
alias f32x4 = vec4<f32>;

fn four(stored: f32x4) -> vec4<f32> {
    return stored;
}

fn four_stored(value: vec4<f32>) -> f32x4 {
    return value;
}
