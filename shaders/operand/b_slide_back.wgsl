// B[k, col] of a stride phase of a convolution's input gradient (lib/slide.wgsl, lib/problem_phase.wgsl): its taps run backwards.
const SLIDE_COL = 1i;
const SLIDE_K = -1i;
