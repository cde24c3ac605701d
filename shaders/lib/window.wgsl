// B gathered from images by 4-wide windows at stride 2 with a padding of 1, whose rows are a multiple of 8 long (of a DCGAN: 64, 32,
// 16, 8 pixels): a block of 4 taps and 4 windows are 10 neighbours in a row of the image, from an odd place before a multiple of 8 on.
// Two vec4 and the ends of their neighbours hold them, with one bound on the row and one on either end, where lib/gather.wgsl
// computes 16 addresses with a bound each.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_four>;

// Of the columns of b_begin: row and place of the window (or tap) in the image; a row so far outside that no k brings it
// back marks columns beyond n.
var<private> window_h: i32;
var<private> window_base: i32;
// Where the columns' windows begin, if the columns are windows.
var<private> window_w: u32;

fn b_begin(col: u32) {
    let place = column_place(col);
    let h = i32(place.y) * gather.col_step_h + gather.col_start_h;
    window_h = select(FAR_ROW, h, col < gemm.n);
    // The padding apart, windows begin at even places and the taps of a block at the window's first.
    window_w = select(0u, place.z * 2u, COLS_ARE_WINDOWS);
    window_base = i32(gemm.b) + i32(place.x) * gather.col_outer + h * i32(gather.width) + i32(window_w);
}

// The vec4 that hold the ten, and which of them count: the left end, the middle, the right end.
struct RawB { left: vec4<b_elem>, x: vec4<b_elem>, y: vec4<b_elem>, right: vec4<b_elem>, inside: vec3<bool> }

// Of a block of k: (outer, i, j). b_seek divides; b_next counts to the block behind.
var<private> window_k: vec3<u32>;

fn b_seek(k: u32) {
    window_k = k_place(k);
}

fn b_next() {
    let j = window_k.z + 4u;
    let wrap_j = j >= gather.k_count_w;
    let i = select(window_k.y, window_k.y + 1u, wrap_j);
    let wrap_i = i >= gather.k_count_h;
    window_k = vec3<u32>(select(window_k.x, window_k.x + 1u, wrap_i), select(i, 0u, wrap_i), select(j, 0u, wrap_j));
}

fn fetch_b(k: u32, col: u32) -> RawB {
    b_seek(k);
    return b_fetch(k);
}

// The block that b_seek and b_next have found: k..k+4.
fn b_fetch(k: u32) -> RawB {
    let down = i32(window_k.y) * gather.k_step_h;
    let along = select(window_k.z * 2u, 0u, COLS_ARE_WINDOWS);
    let w = window_w + along;
    let inside = (k < gemm.k) & (u32(window_h + down) < gather.height);
    let place = window_base + i32(window_k.x) * gather.k_outer + down * i32(gather.width) + i32(along);
    let at = select(0u, u32(place) / 4u, inside);
    let has_left = inside & (w > 0u);
    let has_right = inside & (w + 8u < gather.width);
    return RawB(
        b_loaded(gemm_b[select(0u, at - 1u, has_left)]),
        b_loaded(gemm_b[at]),
        b_loaded(gemm_b[select(0u, at + 1u, inside)]),
        b_loaded(gemm_b[select(0u, at + 2u, has_right)]),
        vec3<bool>(has_left, inside, has_right),
    );
}

fn block_b(raw: RawB, k: u32, col: u32) -> mat4x4<work> {
    let left = select(work(), work(raw.left.w), raw.inside.x);
    let right = select(work(), work(raw.right.x), raw.inside.z);
    let x = select(vec4<work>(), vec4<work>(raw.x), raw.inside.y);
    let y = select(vec4<work>(), vec4<work>(raw.y), raw.inside.y);
    if COLS_ARE_WINDOWS {
        // Column j of the result is tap j of four windows.
        return mat4x4<work>(
            vec4<work>(left, x.y, x.w, y.y),
            vec4<work>(x.x, x.z, y.x, y.z),
            vec4<work>(x.y, x.w, y.y, y.w),
            vec4<work>(x.z, y.x, y.z, right),
        );
    }
    // Column j is the four taps of window j.
    return mat4x4<work>(
        vec4<work>(left, x.x, x.y, x.z),
        vec4<work>(x.y, x.z, x.w, y.x),
        vec4<work>(x.w, y.x, y.y, y.z),
        vec4<work>(y.y, y.z, y.w, right),
    );
}
