// Energy U1 of Rezende and Mohamed, arXiv 1505.05770: two arcs of a ring of radius 2.
fn log_density(x: vec2<f32>) -> f32 {
    let ring = (length(x) - 2.0) / 0.4;
    let side = (abs(x.x) - 2.0) / 0.6;
    return -0.5 * (ring * ring + side * side) + log(1.0 + exp(-4.0 * abs(x.x) / 0.36));
}
