// One flat index over a grid that was folded into two dimensions (src/kernels/flat.rs), 64 invocations a workgroup.
const FLAT_LANES = 64u;

fn flat_index(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return (group.y * groups.x + group.x) * FLAT_LANES + lane;
}
