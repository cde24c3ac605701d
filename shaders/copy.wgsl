// y[to + i] = x[from + i] for i < count: moves one tensor between buffers. One invocation copies one element.
struct Params { count: u32, from_offset: u32, to_offset: u32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i < im.count) {
        y[im.to_offset + i] = x[im.from_offset + i];
    }
}
