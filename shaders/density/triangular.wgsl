// A triangle on [-1, 1].
fn log_density(x: vec2<f32>) -> f32 {
    let height = 1.0 - abs(x.x);
    return select(LOWEST, log(max(height, 1e-30)), height > 0.0);
}
