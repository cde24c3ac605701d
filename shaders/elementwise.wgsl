// y[q] = element(q): a tree of elementwise operations and views, one read of each operand and one write.
//
// Joined behind a generated prelude that declares the bindings, `value` (f32, or vec4<f32> for four consecutive elements),
// `element(q) -> value`, `store_0(q, v)`, the constant WG (lanes of a workgroup) and the immediates `im.count` (values), `im.inner`
// (values per lane). One invocation computes im.inner values that lie WG apart. CPU adapters: 8 lanes x 4 values (measured 1.4x of
// 64 x 8). As a constant the 4 was unrolled, which ran no faster and compiled 3 to 5 times as long (Mesa 25.0.7: .14 s, now .04 s).

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.y * groups.x + group.x) * (WG * im.inner) + lane;
    var item = 0u;
    loop {
        let q = first + item * WG;
        if (q < im.count) {
            store_0(q, element(q));
        }
        continuing {
            item++;
            break if item >= im.inner;
        }
    }
}
