// scaler.found_inf = 1.0 if any of the `count` gradients is infinite or NaN. Looks at bits: shader compilers may assume that floats
// are finite. All lanes that write write the same value, so the order does not matter.
// A loss that is scaled by less than `least_scale` did not overflow because of it: such gradients pass, and stop the run.
// One invocation looks at ITEMS values of the arena (lib/walk.wgsl).
struct Params { count: u32, g_offset: u32, least_scale: f32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read> g: array<words>;
// scale, growth_tracker, skipped_steps, found_inf as in lib/scaler.wgsl.
@group(0) @binding(1) var<storage, read_write> scaler: array<atomic<u32>, 4>;

fn update(q: u32) {
    let exponent = words(0x7f800000u);
    let bad = inside(q) & ((g[q + im.g_offset] & exponent) == exponent);
    if (any(bad) && bitcast<f32>(atomicLoad(&scaler[0])) >= im.least_scale) {
        atomicStore(&scaler[3], bitcast<u32>(1.0));
    }
}
