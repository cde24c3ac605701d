// A place for lib/winograd_walk.wgsl: rows of one stride phase of the windows of weights [co, ci, kh, kw]. Columns are (phase_h, channel), with
// channels in twos; number n of row i of a window lies at origin + row row_step + channel channel_step + phase_h kw + i step_h + n.
var<private> place_inside: vec2<bool>;
var<private> place_of_row: u32;

var<private> place_window: vec2<i32>;
var<private> place_line: vec2<i32>;

fn place_begin(row: u32, two: u32) -> u32 {
    let twos = im.channels / 2u;
    let phase_h = two / twos;
    let channel = (two - phase_h * twos) * 2u;
    place_of_row = row;
    place_inside = vec2<bool>(true);
    place_window = vec2<i32>(im.origin + i32(row * im.row_step + phase_h * im.kw))
        + vec2<i32>((vec2<u32>(channel) + vec2<u32>(0u, 1u)) * im.channel_step);
    return row * im.row_twos + two + phase_h * (PHASES_W - 1u) * twos;
}

fn place_row(i: u32) {
    place_line = place_window + vec2<i32>(i32(i) * im.step_h);
}

fn place_at(n: u32) -> vec2<u32> {
    return vec2<u32>(place_line + vec2<i32>(i32(n)));
}
