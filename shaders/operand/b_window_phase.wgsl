// B[k, col] of one stride phase of a convolution's input gradient, for 4 x 4 windows at stride 2 with a padding of 1 over dy whose rows
// are a multiple of 4 long (lib/problem_phase.wgsl): a block of k is 2 x 2 taps, a block of columns four neighbours in a row,
// which with one on either side are a vec4 and the end of its neighbour per row of taps.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_four>;

// Of the columns of b_begin: the row of tap 0, which is so far outside that no k brings it back for columns beyond n, the place of
// the first column in its row, and the element of both.
var<private> window_h: i32;
var<private> window_w: u32;
var<private> window_base: i32;

fn b_begin(col: u32) {
    let place = column_place(col);
    let h = i32(place.y) + gather.col_start_h;
    window_w = place.z;
    window_h = select(FAR_ROW, h, col < gemm.n);
    window_base = i32(gemm.b) + i32(place.x) * gather.col_outer + h * i32(gather.width) + i32(window_w);
}

// Four columns under two rows of taps, and their neighbour; which of them count.
struct RawB {
    first: vec4<b_elem>, first_end: b_elem, second: vec4<b_elem>, second_end: b_elem,
    inside: vec4<bool>,
}

fn b_seek(k: u32) {}
fn b_next() {}

fn fetch_b(k: u32, col: u32) -> RawB {
    return b_fetch(k);
}

fn b_fetch(k: u32) -> RawB {
    let place = window_base + i32(k / 4u) * gather.k_outer;
    let first = (k < gemm.k) & (u32(window_h) < gather.height);
    let second = (k < gemm.k) & (u32(window_h - 1i) < gather.height);
    // The neighbour before or behind.
    let has = select(window_w + 4u < gather.width, window_w > 0u, gather.col_start_w == 0i);
    let step = select(1u, 0xffffffffu, gather.col_start_w == 0i);
    let end = select(0u, 3u, gather.col_start_w == 0i);
    let at = select(0u, u32(place) / 4u, first);
    let below = select(0u, u32(place - i32(gather.width)) / 4u, second);
    return RawB(
        b_loaded(gemm_b[at]),
        b_single(select(0u, (at + step) * 4u + end, first & has)),
        b_loaded(gemm_b[below]),
        b_single(select(0u, (below + step) * 4u + end, second & has)),
        vec4<bool>(first, first & has, second, second & has),
    );
}

// The columns under the nearer and the farther tap of a row.
struct Pair { near: vec4<work>, far: vec4<work> }

fn window_pair(values: vec4<b_elem>, neighbour: b_elem, inside: vec2<bool>) -> Pair {
    let v = select(vec4<work>(), vec4<work>(values), inside.x);
    let end = select(work(), work(neighbour), inside.y);
    if gather.col_start_w == 0i {
        return Pair(v, vec4<work>(end, v.xyz));
    }
    return Pair(vec4<work>(v.yzw, end), v);
}

fn block_b(raw: RawB, k: u32, col: u32) -> mat4x4<work> {
    let first = window_pair(raw.first, raw.first_end, raw.inside.xy);
    let second = window_pair(raw.second, raw.second_end, raw.inside.zw);
    return mat4x4<work>(first.near, first.far, second.near, second.far);
}
