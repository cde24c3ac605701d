// Regions of consecutive f32 one by one: for offsets that are no multiple of 4. The same names as in walk_vec4.wgsl.
alias value = f32;
alias words = u32;
alias flags = bool;
const WIDTH = 1u;

fn inside(q: u32) -> flags {
    return q < im.count;
}

fn first_of(q: u32, which: flags) -> u32 {
    return select(0xffffffffu, q, which);
}
