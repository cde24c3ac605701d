// The tile of B of gemm_cpu.wgsl gathered from images, where the four columns of an invocation are neighbours in a row of the image,
// and so are the next four on (as windows, or as taps of one): what k reads of the second, third and fourth is what the next k reads of the
// first three, or, where columns or k go in steps of two, something close to that. So a run of k costs a read or two for each but
// its first, where operand/b_gather.wgsl costs four. Every read is ten instructions for every invocation there.
//
// Rows of columns are a multiple of four long; WHOLE_FOURS rounds them up (lib/gather.wgsl), and what lies beyond is not stored.
// Column c at k = (outer, i, j) is at place w = w(c) + j * SLIDE_K of its row, with SLIDE_COL from one column to the next:
//   1, 1: a convolution at stride 1, or its weight gradient;   2, 1: a convolution at stride 2;
//   1, -1: a phase of an input gradient;   1, 2: a weight gradient at stride 2.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_elem>;

// Of the columns of b_begin: row and place of the first one, so far outside for columns beyond n that no k brings it back, and the
// element where its image begins.
var<private> slide_h: i32;
var<private> slide_w: i32;
var<private> slide_image: i32;
// The element where the row at hand begins, and whether there is such a row.
var<private> slide_row: i32;
var<private> slide_inside: bool;

fn b_begin(col: u32) {
    let place = column_place(col);
    let h = i32(place.y) * gather.col_step_h + gather.col_start_h;
    slide_h = select(FAR_ROW, h, col < gemm.n);
    slide_w = i32(place.z) * SLIDE_COL + gather.col_start_w;
    slide_image = i32(gemm.b) + i32(place.x) * gather.col_outer;
}

fn slide_to_row(outer: u32, i: u32) {
    let h = slide_h + i32(i) * gather.k_step_h;
    slide_inside = u32(h) < gather.height;
    slide_row = slide_image + i32(outer) * gather.k_outer + h * i32(gather.width);
}

fn slide_at(w: i32) -> f32 {
    let inside = slide_inside & (u32(w) < gather.width);
    return select(0.0, f32(gemm_b[select(0u, u32(slide_row + w), inside)]), inside);
}

// What slide_on(_, w) takes of the columns before.
fn slide_before(w: i32) -> vec4<f32> {
    if SLIDE_K == -1i {
        return vec4<f32>(slide_at(w + 1i), slide_at(w + 2i), slide_at(w + 3i), 0.0);
    }
    if SLIDE_K == 2i {
        return vec4<f32>(0.0, 0.0, slide_at(w), slide_at(w + 1i));
    }
    return vec4<f32>(0.0, slide_at(w), slide_at(w + SLIDE_COL), slide_at(w + 2i * SLIDE_COL));
}

// The four columns at place w of the first, where `before` are the columns as many places before as columns are apart, or one k before.
fn slide_on(before: vec4<f32>, w: i32) -> vec4<f32> {
    if SLIDE_K == -1i {
        return vec4<f32>(slide_at(w), before.xyz);
    }
    if SLIDE_K == 2i {
        return vec4<f32>(before.zw, slide_at(w + 2i), slide_at(w + 3i));
    }
    return vec4<f32>(before.yzw, slide_at(w + 3i * SLIDE_COL));
}

fn fill_b_tile(k0: u32, col: u32) {
    let end = min(im.k_tile, gemm.k_end - k0);
    let first = k_place(k0);
    var outer = first.x;
    var i = first.y;
    var j = first.z;
    var u = 0u;
    // A phase without taps has no k.
    if end == 0u {
        return;
    }
    loop {
        slide_to_row(outer, i);
        let run = min(end, u + gather.k_count_w - j);
        var w = slide_w + i32(j) * SLIDE_K;
        var before = slide_before(w);
        var between = before;
        if SLIDE_COL == 2i {
            between = slide_before(w + 1i);
        }
        loop {
            let now = slide_on(before, w);
            b_put(u, now);
            before = select(now, between, SLIDE_COL == 2i);
            between = now;
            continuing {
                u++;
                w += SLIDE_K;
                break if u >= run;
            }
        }
        j = 0u;
        i++;
        if i == gather.k_count_h {
            i = 0u;
            outer++;
        }
        continuing {
            break if u >= end;
        }
    }
}
