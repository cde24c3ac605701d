// B[k, col] of a convolution's weight gradient: columns are taps, k are windows (lib/window.wgsl).
const COLS_ARE_WINDOWS = false;
