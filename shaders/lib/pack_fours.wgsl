// For gemm_pack_phases.wgsl, windows of 4 x 4 at stride 2 (DCGAN's) at multiples of four: a phase has two numbers of two of a
// window's rows.
@group(0) @binding(0) var<storage, read> w: array<a_four>;
@group(0) @binding(1) var<storage, read_write> gemm_c: array<c_four>;

fn pack(ci: u32, co: u32, phase: vec2<u32>, row: u32) {
    let window = im.w_offset / 4u + (co * im.ci + ci) * 4u + phase.x;
    let near = vec4<f32>(a_loaded(w[window]));
    let far = vec4<f32>(a_loaded(w[window + 2u]));
    gemm_c[row / 4u + co] = c_stored(select(vec4<f32>(near.xz, far.xz), vec4<f32>(near.yw, far.yw), phase.y == 1u));
}
