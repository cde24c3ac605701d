// B[k, col] gathered from an image batch (lib/gather.wgsl): no im2col buffer exists. One b_raw: B[k, col..col+4] at the k
// of the last b_seek and the b_next since, and at the columns of b_begin; something else in the padding and outside (b_inside).
// Divisions happen in b_begin and b_seek (once per K tile at most); b_next counts.
@group(0) @binding(1) var<storage, read> gemm_b: array<b_elem>;

var<private> b_h: vec4<i32>;
var<private> b_w: vec4<i32>;
var<private> b_base: vec4<i32>;
var<private> b_k: vec3<u32>; // (outer, i, j)

fn b_begin(col: u32) {
    let cols = vec4<u32>(col) + vec4<u32>(0u, 1u, 2u, 3u);
    let rest = cols / vec4<u32>(gather.col_count_w);
    let j = vec4<i32>(cols - rest * gather.col_count_w);
    let outer = rest / vec4<u32>(gather.col_count_h);
    let i = vec4<i32>(rest - outer * gather.col_count_h);
    let h = i * gather.col_step_h + vec4<i32>(gather.col_start_h);
    b_h = select(vec4<i32>(FAR_ROW), h, cols < vec4<u32>(gemm.n));
    b_w = j * gather.col_step_w + vec4<i32>(gather.col_start_w);
    b_base = vec4<i32>(i32(gemm.b)) + vec4<i32>(outer) * gather.col_outer + h * i32(gather.width) + b_w;
}

fn b_seek(k: u32) {
    b_k = k_place(k);
}

fn b_next() {
    let j = b_k.z + 1u;
    let wrap_j = j == gather.k_count_w;
    let i = select(b_k.y, b_k.y + 1u, wrap_j);
    let wrap_i = i == gather.k_count_h;
    b_k = vec3<u32>(select(b_k.x, b_k.x + 1u, wrap_i), select(i, 0u, wrap_i), select(j, 0u, wrap_j));
}

fn b_inside(k: u32, col: u32) -> vec4<bool> {
    let h = i32(b_k.y) * gather.k_step_h;
    let w = i32(b_k.z) * gather.k_step_w;
    return vec4<bool>(k < gemm.k)
        & (vec4<u32>(b_h + vec4<i32>(h)) < vec4<u32>(gather.height))
        & (vec4<u32>(b_w + vec4<i32>(w)) < vec4<u32>(gather.width));
}

fn b_raw(k: u32, col: u32) -> vec4<b_elem> {
    let h = i32(b_k.y) * gather.k_step_h;
    let w = i32(b_k.z) * gather.k_step_w;
    let step = i32(b_k.x) * gather.k_outer + h * i32(gather.width) + w;
    let at = select(vec4<u32>(), vec4<u32>(b_base + vec4<i32>(step)), b_inside(k, col));
    return vec4<b_elem>(gemm_b[at.x], gemm_b[at.y], gemm_b[at.z], gemm_b[at.w]);
}
