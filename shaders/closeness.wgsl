// How close each sample of a batch is to the others (minibatch discrimination, Salimans et al., arXiv 1606.03498, section 3.2), and its
// gradient, for x [kernels * DIMS, n]:
//   y[b, i] = sum over j != i of e_ij,  e_ij = exp(-sum over c of |x[b,c,i] - x[b,c,j]|)
//   y[b,c,i] = sum over j != i of (g[b,i] + g[b,j]) e_ij sign(x[b,c,j] - x[b,c,i])
// Nothing of the size n^2 is stored. An invocation does WIDTH columns i, which it keeps in registers, and meets every j in order.
//
// Joined behind a generated prelude (src/kernels/closeness.rs) that declares the bindings, x_elem, g_elem and y_elem, `value` and
// `index` (f32 and u32, or vec4 of them), LANES, WIDTH, DIMS, RESULTS (rows of y for each kernel: 1, or DIMS), `columns(first)`,
// `x_at(row, i)`, `g_at(row, i)`, `store(row, i, value)` and `results(b, i, lane)`: all sums of the columns i of kernel b.
struct Params {
    n: u32,
    kernels: u32,
    blocks: u32,
    x_offset: u32,
    g_offset: u32,
    y_offset: u32,
}
var<immediate> im: Params;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = group.y * groups.x + group.x;
    let b = flat / im.blocks;
    if b >= im.kernels {
        return;
    }
    let i = columns(((flat - b * im.blocks) * LANES + lane) * WIDTH);
    var sums = results(b, i, lane);
    for (var c = 0u; c < RESULTS; c++) {
        store(im.y_offset + (b * RESULTS + c) * im.n, i, sums[c]);
    }
}
