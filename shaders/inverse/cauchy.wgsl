// Cauchy, scale 1: tan(pi (u - 1/2)) as a cotangent of a small angle, where sin keeps its relative accuracy.
fn inverse_cdf(u: f32) -> f32 {
    let angle = 3.1415927 * min(u, 1.0 - u);
    let magnitude = cos(angle) / sin(angle);
    return select(magnitude, -magnitude, u < 0.5);
}
