// A place for lib/winograd_walk.wgsl: tiles of images [channel, n, h, w]. Columns are (image, tiles_h, tiles_w), from im.first_image on; what
// is beyond im.images is outside. Rows are (phase_h, channel). Row i of tile t is row (TILE t + i) step_h + origin_h + phase_h of an
// image, and its number n is pixel TILE t step_w + origin_w + n.
var<private> place_inside: vec2<bool>;
var<private> place_of_row: u32;

var<private> place_images: vec2<u32>;
var<private> place_plane: u32;
var<private> place_top: vec2<i32>;
var<private> place_left: vec2<i32>;
var<private> place_line: vec2<i32>;
var<private> place_line_inside: vec2<bool>;

// (image, row, column) of the tile after `tile`.
fn tile_after(tile: vec3<u32>) -> vec3<u32> {
    let x = tile.z + 1u;
    let carry_x = x == im.tiles_w;
    let y = tile.y + u32(carry_x);
    let carry_y = y == im.tiles_h;
    return vec3<u32>(tile.x + u32(carry_y), select(y, 0u, carry_y), select(x, 0u, carry_x));
}

fn place_begin(row: u32, two: u32) -> u32 {
    let phase_h = row / im.channels;
    let channel = row - phase_h * im.channels;
    place_of_row = channel;
    place_plane = channel * im.batch + im.first_image;
    let line = two * 2u / im.tiles_w;
    let image = line / im.tiles_h;
    let a = vec3<u32>(image, line - image * im.tiles_h, two * 2u - line * im.tiles_w);
    let b = tile_after(a);
    place_images = vec2<u32>(a.x, b.x);
    place_top = vec2<i32>(vec2<u32>(a.y, b.y) * (TILE * im.step_h)) + vec2<i32>(im.origin_h + i32(phase_h));
    place_left = vec2<i32>(vec2<u32>(a.z, b.z) * (TILE * im.step_w)) + vec2<i32>(im.origin_w);
    return (row + phase_h * (PHASES_W - 1u) * im.channels) * im.row_twos + two;
}

fn place_row(i: u32) {
    let y = place_top + vec2<i32>(i32(i * im.step_h));
    place_line_inside = (vec2<u32>(y) < vec2<u32>(im.h)) & (place_images < vec2<u32>(im.images));
    place_line = (vec2<i32>(vec2<u32>(place_plane) + place_images) * i32(im.h) + y) * i32(im.w) + place_left;
}

fn place_at(n: u32) -> vec2<u32> {
    let right = vec2<i32>(i32(n));
    place_inside = place_line_inside & (vec2<u32>(place_left + right) < vec2<u32>(im.w));
    return select(vec2<u32>(), vec2<u32>(place_line + right), place_inside);
}
