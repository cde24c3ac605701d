// B[k, col] of a convolution at stride 2 along rows (lib/slide.wgsl).
const SLIDE_COL = 2i;
const SLIDE_K = 1i;
