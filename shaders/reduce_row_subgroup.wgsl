// The same as reduce_row.wgsl for adapters on which barriers are ruinous: the workgroup is exactly one subgroup of WG lanes
// (the host checks that the adapter's subgroup size is fixed at WG), and the partial sums meet in a fixed butterfly, for which the
// prelude also declares `from_lane_xor(totals, mask) -> totals`.

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let o = group.y * groups.x + group.x;
    var sum = sums();
    if (o < im.count) {
        var first = 0u;
        loop {
            let q = first + lane;
            if (q < im.inner) {
                sum = plus(sum, element(o, q));
            }
            continuing {
                first += WG;
                break if first >= im.inner;
            }
        }
    }
    var total = horizontal(sum);
    total = plus_totals(total, from_lane_xor(total, 1u));
    total = plus_totals(total, from_lane_xor(total, 2u));
    total = plus_totals(total, from_lane_xor(total, 4u));
    if (lane == 0u && o < im.count) {
        finish(total, o);
    }
}
