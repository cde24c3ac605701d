// y_k[o] = finish_k(sum over r of element_k(o, r), o): the lanes of one workgroup share the sums of one output.
//
// Joined behind a generated prelude that declares the bindings, `value` (f32, or vec4<f32> for four consecutive r), `sums` (a value,
// or a structure of one per sum), `totals` (the same of f32), `element(o, q) -> sums`, `plus(sums, sums) -> sums`,
// `horizontal(sums) -> totals`, `plus_totals(totals, totals) -> totals`, `finish(totals, o)`, which stores the results, the constant
// WG (lanes, a power of two) and the immediates `im.count` (outputs), `im.inner` (values per output). The order of additions is
// fixed: results repeat.

var<workgroup> partial: array<totals, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let o = group.y * groups.x + group.x;
    var sum = sums();
    if (o < im.count) {
        for (var q = lane; q < im.inner; q += WG) {
            sum = plus(sum, element(o, q));
        }
    }
    partial[lane] = horizontal(sum);
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] = plus_totals(partial[lane], partial[lane + half]);
        }
        workgroupBarrier();
    }
    if (lane == 0u && o < im.count) {
        finish(partial[0], o);
    }
}
