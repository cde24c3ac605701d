// A triangle on [-1, 1]: symmetric, by the distance of u from the nearer end.
fn inverse_cdf(u: f32) -> f32 {
    let magnitude = 1.0 - sqrt(2.0 * min(u, 1.0 - u));
    return select(magnitude, -magnitude, u < 0.5);
}
