// B[k, col] of the weight gradient of a convolution at stride 2 along rows (lib/slide.wgsl).
const SLIDE_COL = 1i;
const SLIDE_K = 2i;
