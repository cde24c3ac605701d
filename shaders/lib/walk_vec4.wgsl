// Regions of consecutive f32 in vectors of four; every offset is a multiple of 4 elements. The last vector may be ragged:
// what lies behind `im.count` is written back as it was.
alias value = vec4<f32>;
alias words = vec4<u32>;
alias flags = vec4<bool>;
const WIDTH = 4u;

// Which elements of value q belong to the region.
fn inside(q: u32) -> flags {
    return vec4(4u * q) + vec4(0u, 1u, 2u, 3u) < vec4(im.count);
}

// Index in the region of the first such element of value q, or 0xffffffff.
fn first_of(q: u32, which: flags) -> u32 {
    let index = select(vec4(0xffffffffu), vec4(4u * q) + vec4(0u, 1u, 2u, 3u), which);
    return min(min(index.x, index.y), min(index.z, index.w));
}
