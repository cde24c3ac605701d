// Exponential, rate 1.
fn log_density(x: vec2<f32>) -> f32 {
    return select(LOWEST, -x.x, x.x > 0.0);
}
