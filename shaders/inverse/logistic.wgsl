// Logistic, scale 1.
fn inverse_cdf(u: f32) -> f32 {
    return log(u) - log(1.0 - u);
}
