// y[o] = finish(sum over r of element(o, r), o): the lanes of one workgroup share the sum of one output.
//
// Joined behind a generated prelude that declares the bindings, `value` (f32, or vec4<f32> for four consecutive r),
// `element(o, q) -> value`, `horizontal(value) -> f32`, `finish(f32, o) -> f32`, `store(o, f32)`, the constant
// WG (lanes, a power of two) and the immediates `im.count` (outputs), `im.inner` (values per output). The order of additions is fixed: results repeat.

var<workgroup> partial: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let o = group.y * groups.x + group.x;
    var sum = value(0.0);
    if (o < im.count) {
        for (var q = lane; q < im.inner; q += WG) {
            sum += element(o, q);
        }
    }
    partial[lane] = horizontal(sum);
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    if (lane == 0u && o < im.count) {
        store(o, finish(partial[0], o));
    }
}
