// exp(-|x|^2 / 2 sigma^2), sigma = im.high.
fn propose(bits: vec2<u32>) -> vec2<f32> {
    return im.high * normal2(bits);
}

fn log_envelope(x: vec2<f32>) -> f32 {
    return -0.5 * dot(x, x) / (im.high * im.high);
}
