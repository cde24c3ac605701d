// Calls `update(q)` for every value q of a region of `im.count` f32. A value is WIDTH elements (walk_vec4.wgsl, walk_scalar.wgsl);
// one invocation updates ITEMS values that lie LANES apart. LANES and ITEMS come from the prelude (src/kernels/walk.rs).
// Nothing happens where `skipped()` says so (skip_never.wgsl, skip_non_finite.wgsl).
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if (skipped()) {
        return;
    }
    let first = (group.y * groups.x + group.x) * (LANES * ITEMS) + lane;
    let values = (im.count + WIDTH - 1u) / WIDTH;
    var item = 0u;
    loop {
        let q = first + item * LANES;
        if (q < values) {
            update(q);
        }
        continuing {
            item++;
            break if item >= ITEMS;
        }
    }
}
