// Vectors of A and B as a body for CPUs takes them: zero where the loaders' a_raw and b_raw are not inside.
fn a_vec(row: u32, k: u32) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(a_raw(row, k)), a_inside(row, k));
}

fn b_vec(k: u32, col: u32) -> vec4<f32> {
    return select(vec4<f32>(), vec4<f32>(b_raw(k, col)), b_inside(k, col));
}
