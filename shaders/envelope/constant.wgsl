// The same everywhere on an interval of every axis.
fn propose(bits: vec2<u32>) -> vec2<f32> {
    return im.low + (im.high - im.low) * vec2(uniform01(bits.x), uniform01(bits.y));
}

fn log_envelope(x: vec2<f32>) -> f32 {
    return 0.0;
}
