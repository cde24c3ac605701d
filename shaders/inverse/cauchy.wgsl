// Cauchy, scale 1: tan(pi (u - 1/2)) as a cotangent of the angle to the nearer end, down to pi / 2^24. WGSL bounds sin in absolute terms
// (2^-11), which says nothing of small angles: below 1/2, where the tails are, the cotangent's series about 0, to within 1e-6 of it.
fn inverse_cdf(u: f32) -> f32 {
    let angle = 3.1415927 * min(u, 1.0 - u);
    let square = angle * angle;
    let series = 1.0 / angle - angle * (1.0 / 3.0 + square * (1.0 / 45.0 + square * (2.0 / 945.0)));
    let magnitude = select(cos(angle) / sin(angle), series, angle < 0.5);
    return select(magnitude, -magnitude, u < 0.5);
}
