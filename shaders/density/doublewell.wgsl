// Two wells at -1 and 1: exp(-4 (x^2 - 1)^2).
fn log_density(x: vec2<f32>) -> f32 {
    let height = x.x * x.x - 1.0;
    return -4.0 * height * height;
}
