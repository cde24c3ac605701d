//! The operations as textbook loops in f64: what the kernels are tested against.
use super::op::{ConvShape, GemmOp};

/// C of `op` for the operands A and B, before any epilogue.
///
/// # Panics
/// If `a` or `b` is shorter than [`GemmOp::lens`] says.
pub fn gemm(op: &GemmOp, a: &[f32], b: &[f32]) -> Vec<f64> {
    let mut c = vec![0.0; op.lens()[2] as usize];
    match op {
        &GemmOp::Matmul {
            m,
            n,
            k,
            batch,
            trans_a,
            trans_b,
        } => {
            let [m, n, k] = [m, n, k].map(|size| size as usize);
            for z in 0..batch as usize {
                let (a, b) = (&a[z * m * k..], &b[z * k * n..]);
                for i in 0..m {
                    for j in 0..n {
                        c[(z * m + i) * n + j] = (0..k)
                            .map(|p| {
                                let a = if trans_a { a[p * m + i] } else { a[i * k + p] };
                                let b = if trans_b { b[j * k + p] } else { b[p * n + j] };
                                f64::from(a) * f64::from(b)
                            })
                            .sum();
                    }
                }
            }
        }
        GemmOp::Conv2d(s) => each_tap(s, |x, w, y| c[y] += f64::from(a[w]) * f64::from(b[x])),
        GemmOp::Conv2dInputGrad(s) => {
            each_tap(s, |x, w, y| c[x] += f64::from(a[w]) * f64::from(b[y]))
        }
        GemmOp::Conv2dWeightGrad(s) => {
            each_tap(s, |x, w, y| c[w] += f64::from(a[y]) * f64::from(b[x]))
        }
    }
    c
}

/// Calls `visit(index in x, index in w, index in y)` for every product of the convolution y = w * x.
fn each_tap(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let size = |v: u32| v as usize;
    let (n, ci, h, w, co, kh, kw) = (
        size(s.n),
        size(s.ci),
        size(s.h),
        size(s.w),
        size(s.co),
        size(s.kh),
        size(s.kw),
    );
    let (oh, ow) = (size(s.oh()), size(s.ow()));
    for o in 0..co {
        for image in 0..n {
            for y in 0..oh {
                for x in 0..ow {
                    for c in 0..ci {
                        for dy in 0..kh {
                            for dx in 0..kw {
                                let row = (y * size(s.stride[0]) + dy).checked_sub(size(s.pad[0]));
                                let col = (x * size(s.stride[1]) + dx).checked_sub(size(s.pad[1]));
                                let (Some(row), Some(col)) = (row, col) else {
                                    continue;
                                };
                                if row < h && col < w {
                                    visit(
                                        ((c * n + image) * h + row) * w + col,
                                        ((o * ci + c) * kh + dy) * kw + dx,
                                        ((o * n + image) * oh + y) * ow + x,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
