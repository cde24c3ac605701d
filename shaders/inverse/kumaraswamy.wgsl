// Kumaraswamy, a = 2, b = 5.
fn inverse_cdf(u: f32) -> f32 {
    return sqrt(max(1.0 - pow(1.0 - u, 0.2), 0.0));
}
