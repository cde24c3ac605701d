// What samplers of densities share. Needs random.wgsl.

// The logarithm of 0, finite so that differences of two are no NaN.
const LOWEST = -3.4e38;

// The second coordinate is 0 in one dimension.
fn on_axes(x: vec2<f32>, dim: u32) -> vec2<f32> {
    return vec2(x.x, select(0.0, x.y, dim == 2u));
}

// True with probability min(1, exp(log_ratio)).
fn accepts(bits: u32, log_ratio: f32) -> bool {
    return log(1.0 - uniform01(bits)) <= log_ratio;
}
