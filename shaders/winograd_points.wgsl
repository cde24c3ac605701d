// points[p, row, col] = (T tile T^t)[p]: the tiles of a convolution's operands, taken to the points at which they are multiplied one by one
// (src/kernels/gemm/winograd). An invocation takes the tiles of two neighbour columns, and those of every phase that lies in the same
// rows of an image.
//
// The prelude gives transform(at), generated, a place (lib/winograd_image.wgsl or lib/winograd_window.wgsl), and p_elem, two numbers of points.
// Numbers of a row are read one by one or, where they lie so, in twos: s_elem is one or two numbers, S_NUMBERS of them, and s_loaded
// makes two of it.
@group(0) @binding(0) var<storage, read> source: array<s_elem>;
@group(0) @binding(1) var<storage, read_write> points: array<p_elem>;

// Of each of the two tiles the first of two numbers, and the second.
struct Two { x: vec2<f32>, y: vec2<f32> }

// The element of the row at hand that begins with number n; zeros outside.
fn numbers(n: u32) -> Two {
    let at = (vec2<u32>(im.source_offset) + place_at(n)) / S_NUMBERS;
    let a = s_loaded(source[at.x]);
    let b = s_loaded(source[at.y]);
    return Two(
        select(vec2<f32>(), vec2<f32>(a.x, b.x), place_inside),
        select(vec2<f32>(), vec2<f32>(a.y, b.y), place_inside),
    );
}

fn put(at: u32, p: u32, value: vec2<f32>) {
    points[at + p * im.point_twos] = p_stored(value);
}
