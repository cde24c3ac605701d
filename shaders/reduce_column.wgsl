// y_k[o] = finish_k(sum over r of element_k(o, r), o): one invocation computes the whole sums of its output(s), for tensors whose
// outputs lie together in memory while the summed elements are far apart.
//
// Joined behind a generated prelude that declares the bindings, `value` (f32, or vec4<f32> for four consecutive outputs), `sums` (a
// value, or a structure of one per sum), `element(q, r) -> sums`, `plus(sums, sums) -> sums`, `finish(sums, q)`, which stores the
// results, the constant WG (lanes) and the immediates `im.count` (values), `im.inner` (elements per sum).

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let q = (group.y * groups.x + group.x) * WG + lane;
    if (q < im.count) {
        var sum = sums();
        var r = 0u;
        loop {
            sum = plus(sum, element(q, r));
            continuing {
                r++;
                break if r >= im.inner;
            }
        }
        finish(sum, q);
    }
}
