// Kumaraswamy, a = 2, b = 5: x (1 - x^2)^4 on [0, 1].
fn log_density(x: vec2<f32>) -> f32 {
    let rest = 1.0 - x.x * x.x;
    let value = log(max(x.x, 1e-30)) + 4.0 * log(max(rest, 1e-30));
    return select(LOWEST, value, x.x > 0.0 && rest > 0.0);
}
