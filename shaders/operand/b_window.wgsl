// B[k, col] of a convolution: columns are windows, k are taps (lib/window.wgsl).
const COLS_ARE_WINDOWS = true;
