// y[o] = finish(sum over r of element(o, r), o): one invocation computes the whole sum of its output(s), for tensors whose
// outputs lie together in memory while the summed elements are far apart.
//
// Joined behind a generated prelude that declares the bindings, `value` (f32, or vec4<f32> for four consecutive outputs),
// `element(q, r) -> value`, `finish(value, q) -> value`, `store(q, value)`, the constant WG (lanes) and the
// immediates `im.count` (values), `im.inner` (elements per sum).

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = (group.y * groups.x + group.x) * WG + lane;
    if (q < im.count) {
        var sum = value(0.0);
        for (var r = 0u; r < im.inner; r++) {
            sum += element(q, r);
        }
        store(q, finish(sum, q));
    }
}
