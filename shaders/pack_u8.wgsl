// Images x [C, N, H, W] in -1..1 -> bytes round((x + 1) 127.5), clamped to 0..255 (a NaN is 0), of image after image: pixel by
// pixel (NHWC, what image files hold) or plane by plane (NCHW). One invocation packs ITEMS words of four bytes, the first byte
// lowest; bytes behind the last image are 0.
struct Params {
    // words
    count: u32,
    x_offset: u32,
    y_offset: u32,
    // bytes
    bytes: u32,
    channels: u32,
    images: u32,
    // h * w
    pixels: u32,
    planar: u32,
}
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;

fn byte(at: u32) -> u32 {
    if (at >= im.bytes) {
        return 0u;
    }
    let image = at / (im.channels * im.pixels);
    let within = at % (im.channels * im.pixels);
    var channel = within % im.channels;
    var pixel = within / im.channels;
    if (im.planar != 0u) {
        channel = within / im.pixels;
        pixel = within % im.pixels;
    }
    let v = x[im.x_offset + (channel * im.images + image) * im.pixels + pixel];
    // Comparisons of floats may lose a NaN.
    if ((bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u) {
        return 0u;
    }
    return u32(round(clamp((v + 1.0) * 127.5, 0.0, 255.0)));
}

fn update(word: u32) {
    let at = 4u * word;
    y[word + im.y_offset] = byte(at) | (byte(at + 1u) << 8u) | (byte(at + 2u) << 16u) | (byte(at + 3u) << 24u);
}
