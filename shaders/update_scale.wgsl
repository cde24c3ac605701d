// The end of an optimiser step with loss scaling, as torch.amp.GradScaler.update: after a skipped step scale = backoff_factor scale;
// after growth_interval steps in a row that were not skipped scale = growth_factor scale. A skipped step does not count as one.
// One invocation does it all.
struct Params { growth_factor: f32, backoff_factor: f32, growth_interval: f32, largest: f32, step_counter: u32 }
var<immediate> im: Params;
@group(0) @binding(0) var<storage, read_write> scaler: Scaler;
@group(0) @binding(1) var<storage, read_write> counters: array<u32>;

@compute @workgroup_size(1)
fn main() {
    if (scaler.found_inf != 0u) {
        scaler.scale *= im.backoff_factor;
        scaler.growth_tracker = 0.0;
        scaler.skipped_steps += 1.0;
    } else {
        counters[im.step_counter] += 1u;
        scaler.growth_tracker += 1.0;
        if (scaler.growth_tracker >= im.growth_interval) {
            scaler.scale = min(scaler.scale * im.growth_factor, im.largest);
            scaler.growth_tracker = 0.0;
        }
    }
    scaler.found_inf = 0u;
}
