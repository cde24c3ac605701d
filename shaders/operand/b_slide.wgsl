// B[k, col] of a convolution at stride 1 along rows, or of its weight gradient (lib/slide.wgsl).
const SLIDE_COL = 1i;
const SLIDE_K = 1i;
