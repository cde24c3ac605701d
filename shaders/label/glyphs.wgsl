// Of digit i of a batch that glyphs.wgsl draws. Needs glyph_digit.wgsl.
fn label_of(seed: vec2<u32>, batch: u32, i: u32) -> u32 {
    return glyph_digit(random_key(seed, im.stream, batch), i);
}
