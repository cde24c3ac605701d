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

/// Element `at` of C, and the sum of its products' sizes: what rounding is measured by.
///
/// # Panics
/// If `a` or `b` is shorter than [`GemmOp::lens`] says.
pub fn element(op: &GemmOp, a: &[f32], b: &[f32], at: usize) -> (f64, f64) {
    let (mut sum, mut size) = (0.0, 0.0);
    let mut add = |i: usize, j: usize| {
        let product = f64::from(a[i]) * f64::from(b[j]);
        sum += product;
        size += product.abs();
    };
    let u = |v: u32| v as usize;
    match op {
        &GemmOp::Matmul {
            m,
            n,
            k,
            trans_a,
            trans_b,
            ..
        } => {
            let [m, n, k] = [m, n, k].map(u);
            let (z, i, j) = (at / (m * n), at / n % m, at % n);
            for p in 0..k {
                let left = if trans_a { p * m + i } else { i * k + p };
                let right = if trans_b { j * k + p } else { p * n + j };
                add(z * m * k + left, z * k * n + right);
            }
        }
        GemmOp::Conv2d(s) => {
            let (oh, ow, images) = (u(s.oh()), u(s.ow()), u(s.n));
            let (o, n) = (at / (ow * oh * images), at / (ow * oh) % images);
            let (y, x) = (at / ow % oh, at % ow);
            for tap in taps(s) {
                if let Some(from) = tap.pixel(s, n, [y, x]) {
                    add(tap.weight(s, o), from);
                }
            }
        }
        GemmOp::Conv2dInputGrad(s) => {
            let (h, w, images) = (u(s.h), u(s.w), u(s.n));
            let (c, n) = (at / (w * h * images), at / (w * h) % images);
            let (row, col) = (at / w % h, at % w);
            // Windows of which a tap falls on the pixel.
            let window = |pixel: usize, tap: usize, axis: usize, windows: u32| {
                let from = (pixel + u(s.pad[axis])).checked_sub(tap)?;
                let index = from / u(s.stride[axis]);
                (from.is_multiple_of(u(s.stride[axis])) && index < u(windows)).then_some(index)
            };
            for o in 0..u(s.co) {
                for tap in taps(s).filter(|t| t.channel == c) {
                    let y = window(row, tap.offset[0], 0, s.oh());
                    let x = window(col, tap.offset[1], 1, s.ow());
                    if let (Some(y), Some(x)) = (y, x) {
                        let to = ((o * images + n) * u(s.oh()) + y) * u(s.ow()) + x;
                        add(tap.weight(s, o), to);
                    }
                }
            }
        }
        GemmOp::Conv2dWeightGrad(s) => {
            let (kh, kw, ci) = (u(s.kh), u(s.kw), u(s.ci));
            let tap = Tap {
                channel: at / (kw * kh) % ci,
                offset: [at / kw % kh, at % kw],
            };
            let o = at / (kw * kh * ci);
            for n in 0..u(s.n) {
                for y in 0..u(s.oh()) {
                    for x in 0..u(s.ow()) {
                        if let Some(from) = tap.pixel(s, n, [y, x]) {
                            add(((o * u(s.n) + n) * u(s.oh()) + y) * u(s.ow()) + x, from);
                        }
                    }
                }
            }
        }
    }
    (sum, size)
}

/// One weight of a window: an input channel, and an offset along rows and columns.
struct Tap {
    channel: usize,
    offset: [usize; 2],
}

fn taps(s: &ConvShape) -> impl Iterator<Item = Tap> {
    let (kh, kw) = (s.kh as usize, s.kw as usize);
    (0..s.ci as usize * kh * kw).map(move |t| Tap {
        channel: t / (kh * kw),
        offset: [t / kw % kh, t % kw],
    })
}

impl Tap {
    /// Index in w for output channel o.
    fn weight(&self, s: &ConvShape, o: usize) -> usize {
        let [dy, dx] = self.offset;
        ((o * s.ci as usize + self.channel) * s.kh as usize + dy) * s.kw as usize + dx
    }
    /// Index in x that the tap of this window falls on; None in the padding.
    fn pixel(&self, s: &ConvShape, n: usize, window: [usize; 2]) -> Option<usize> {
        let along = |axis: usize, size: u32| {
            let padded = window[axis] * s.stride[axis] as usize + self.offset[axis];
            let at = padded.checked_sub(s.pad[axis] as usize)?;
            (at < size as usize).then_some(at)
        };
        let (row, col) = (along(0, s.h)?, along(1, s.w)?);
        Some(((self.channel * s.n as usize + n) * s.h as usize + row) * s.w as usize + col)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The element-wise form, which walks every operation from its output, agrees with the textbook loops.
    #[test]
    fn one_element_is_that_of_the_whole() {
        let shape = ConvShape {
            n: 2,
            ci: 3,
            h: 7,
            w: 5,
            co: 4,
            kh: 4,
            kw: 3,
            stride: [2, 1],
            pad: [1, 2],
        };
        let matmul = |trans_a, trans_b| GemmOp::Matmul {
            m: 3,
            n: 5,
            k: 7,
            batch: 2,
            trans_a,
            trans_b,
        };
        for op in [
            matmul(false, false),
            matmul(true, false),
            matmul(false, true),
            GemmOp::Conv2d(shape),
            GemmOp::Conv2dInputGrad(shape),
            GemmOp::Conv2dWeightGrad(shape),
        ] {
            let values = |len: u64, salt: u64| -> Vec<f32> {
                (0..len)
                    .map(|i| ((i * 37 + salt) % 101) as f32 / 101.0 - 0.5)
                    .collect()
            };
            let [a, b, c] = op.lens();
            let (a, b) = (values(a, 3), values(b, 50));
            let whole = gemm(&op, &a, &b);
            assert_eq!(whole.len() as u64, c);
            for (at, want) in whole.iter().enumerate() {
                let (got, size) = element(&op, &a, &b, at);
                assert!((got - want).abs() < 1e-12, "{op:?} [{at}]: {got} {want}");
                assert!(size >= got.abs());
            }
        }
    }
}
