// N(0, 1) within two standard deviations.
fn log_density(x: vec2<f32>) -> f32 {
    return select(LOWEST, -0.5 * x.x * x.x, abs(x.x) <= 2.0);
}
