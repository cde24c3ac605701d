// partials[k] = the lowest index of a NaN or infinity among the values k, k + K, k + 2 K, .. of a region, or 0xffffffff, for each
// of the K invocations of the grid. first_nonfinite_reduce.wgsl makes one number of them. Tests of floats for NaN may be
// optimised away, so exponents are compared as integers.
struct Params { count: u32, x_offset: u32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> x: array<words>;
@group(0) @binding(1) var<storage, read_write> partials: array<u32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let values = (im.count + WIDTH - 1u) / WIDTH;
    var lowest = 0xffffffffu;
    for (var q = id.x; q < values && lowest == 0xffffffffu; q += groups.x * LANES) {
        let exponent = x[q + im.x_offset] & words(0x7f800000u);
        lowest = first_of(q, (exponent == words(0x7f800000u)) & inside(q));
    }
    partials[id.x] = lowest;
}
