// Logistic, scale 1.
fn log_density(x: vec2<f32>) -> f32 {
    return -abs(x.x) - 2.0 * log(1.0 + exp(-abs(x.x)));
}
