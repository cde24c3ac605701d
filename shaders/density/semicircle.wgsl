// Wigner's semicircle, radius 1.
fn log_density(x: vec2<f32>) -> f32 {
    let square = 1.0 - x.x * x.x;
    return select(LOWEST, 0.5 * log(max(square, 1e-30)), square > 0.0);
}
