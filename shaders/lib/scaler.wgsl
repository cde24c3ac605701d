// One network's loss scaling (src/kernels/scaler.rs).
struct Scaler {
    // What the loss is multiplied by before it is differentiated.
    scale: f32,
    // Steps since the scale last changed or a step was skipped.
    growth_tracker: f32,
    skipped_steps: f32,
    // Bits of 1.0 if this step's gradients are not all finite.
    found_inf: u32,
}
