// N(0, 1) bent along a parabola: exp(-x^2 / 2 - 2 (y - x^2 + 1)^2).
fn log_density(x: vec2<f32>) -> f32 {
    let off = x.y - x.x * x.x + 1.0;
    return -0.5 * x.x * x.x - 2.0 * off * off;
}
