// packed[phase, ci, (co, jh, jw)] = w[co, ci, phase_h + jh * stride_h, phase_w + jw * stride_w]
// for stride phases (lib/problem_phase.wgsl) from im.first_phase on. Rows have im.a_row elements; what a phase with fewer taps leaves of
// one is never read.
//
// An invocation does the window of one pair (ci, co) in every phase: pack(ci, co, phase, row) of lib/pack_window.wgsl or
// lib/pack_fours.wgsl. On CPUs lanes are neighbours ci, whose windows lie together, and items are neighbours co, whose packed taps do; on
// GPUs lanes are neighbours co. One phase of 256 x 512 x 4 x 4 weights on lavapipe, Mesa 25.0.7: 1.0 ms, with lanes along co and
// single numbers 2.8.
fn one(i: u32) {
    var ci = i / im.co;
    var co = i - ci * im.co;
    if LANES_ALONG_CI {
        let blocks = (im.ci + WG - 1u) / WG;
        let block = i / (WG * ITEMS);
        ci = block % blocks * WG + i % WG;
        co = block / blocks * ITEMS + i / WG % ITEMS;
        if (ci >= im.ci) | (co >= im.co) {
            return;
        }
    }
    var z = 0u;
    loop {
        let phase = im.first_phase + z;
        let phase_h = phase / im.stride_w;
        pack(ci, co, vec2<u32>(phase_h, phase - phase_h * im.stride_w), im.packed_offset + (z * im.ci + ci) * im.a_row);
        continuing {
            z++;
            break if z >= im.phases;
        }
    }
}
