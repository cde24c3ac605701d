// Laplace, scale 1.
fn log_density(x: vec2<f32>) -> f32 {
    return -abs(x.x);
}
