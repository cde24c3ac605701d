// How many taps of a kernel belong to a stride phase: phase, phase + stride, ..
fn phase_taps(kernel: u32, stride: u32, phase: u32) -> u32 {
    return select(0u, (kernel - phase + stride - 1u) / stride, kernel > phase);
}
