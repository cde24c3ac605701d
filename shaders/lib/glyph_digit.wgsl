// Which digit sample i is, under the key of its batch: twin of Pose::random in src/data/glyphs.rs. Needs random.wgsl.
fn glyph_digit(key: vec2<u32>, i: u32) -> u32 {
    return random_below(threefry2x32(key, vec2(i, 0u)).x, 10u);
}
