// C = epilogue(T points T^t): the tiles of a convolution's result from their points, [p, row, col] (src/kernels/gemm/winograd). An invocation
// makes the tiles of two neighbour columns, and those of every phase that lies in the same rows of an image.
//
// The prelude gives transform(at), generated, a place (lib/winograd_image.wgsl or lib/winograd_window.wgsl), and p_elem, two numbers of points.
// Numbers of a row are written one by one or, where they lie so, in twos: c_elem is one or two numbers, C_NUMBERS of them, and c_stored
// makes it of two.
@group(0) @binding(0) var<storage, read> points: array<p_elem>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_elem>;

var<private> epilogue_row: u32;

fn point(at: u32, p: u32) -> vec2<f32> {
    return p_loaded(points[at + p * im.point_twos]);
}

fn finish_one(inside: bool, at: u32, x: f32, y: f32) {
    if inside {
        var second = y;
        if C_NUMBERS == 2u {
            second = epilogue(y, at + 1u);
        }
        gemm_c[(im.c_offset + at) / C_NUMBERS] = c_stored(vec2<f32>(epilogue(x, at), second));
    }
}

// The element of the row at hand that begins with number n: of each of the two tiles the first of two numbers, and the second.
fn finish(n: u32, x: vec2<f32>, y: vec2<f32>) {
    epilogue_row = place_of_row;
    let at = place_at(n);
    finish_one(place_inside.x, at.x, x.x, y.x);
    finish_one(place_inside.y, at.y, x.y, y.y);
}
