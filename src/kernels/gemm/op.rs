//! What can be asked of the GEMM family.
use crate::kernels::KernelError;
use std::fmt;

/// A padded, strided 2-D convolution, after PyTorch's Conv2d without dilation and groups.
///
/// x [ci, n, h, w], w [co, ci, kh, kw], y [co, n, oh, ow] with oh = floor((h + 2 pad - kh) / stride) + 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images in the batch.
    pub n: u32,
    pub ci: u32,
    pub h: u32,
    pub w: u32,
    pub co: u32,
    pub kh: u32,
    pub kw: u32,
    /// Along rows, along columns.
    pub stride: [u32; 2],
    /// Zeros on each side: above and below, left and right.
    pub pad: [u32; 2],
}

impl ConvShape {
    /// Height of y; 0 where the window does not fit.
    pub fn oh(&self) -> u32 {
        windows(self.h, self.kh, self.stride[0], self.pad[0])
    }

    /// Width of y; 0 where the window does not fit.
    pub fn ow(&self) -> u32 {
        windows(self.w, self.kw, self.stride[1], self.pad[1])
    }

    /// Elements of x.
    pub fn x_len(&self) -> u64 {
        product([self.ci, self.n, self.h, self.w])
    }

    /// Elements of w.
    pub fn w_len(&self) -> u64 {
        product([self.co, self.ci, self.kh, self.kw])
    }

    /// Elements of y.
    pub fn y_len(&self) -> u64 {
        product([self.co, self.n, self.oh(), self.ow()])
    }

    pub(super) fn check(&self, kernel: &'static str) -> Result<(), KernelError> {
        let sizes = [
            ("the batch", self.n),
            ("the number of input channels", self.ci),
            ("the number of output channels", self.co),
            ("the image height", self.h),
            ("the image width", self.w),
            ("the kernel height", self.kh),
            ("the kernel width", self.kw),
            ("the row stride", self.stride[0]),
            ("the column stride", self.stride[1]),
        ];
        check_sizes(kernel, &sizes)?;
        let windows = [
            ("the kernel height", self.kh, self.h, self.pad[0], self.oh()),
            ("the kernel width", self.kw, self.w, self.pad[1], self.ow()),
        ];
        for (what, k, size, pad, windows) in windows {
            if windows == 0 {
                return Err(KernelError::Parameter {
                    kernel,
                    what,
                    got: k.to_string(),
                    expected: format!("at most {size} + 2 * {pad}, the padded image"),
                });
            }
        }
        Ok(())
    }
}

/// Saturating: only to be compared with limits that are far lower.
fn product<const N: usize>(factors: [u32; N]) -> u64 {
    factors
        .iter()
        .fold(1, |product: u64, &f| product.saturating_mul(u64::from(f)))
}

fn windows(size: u32, kernel: u32, stride: u32, pad: u32) -> u32 {
    let padded = u64::from(size) + 2 * u64::from(pad);
    match padded.checked_sub(u64::from(kernel)) {
        Some(room) if stride > 0 => (room / u64::from(stride) + 1).min(u64::from(u32::MAX)) as u32,
        _ => 0,
    }
}

pub(super) fn check_sizes(
    kernel: &'static str,
    sizes: &[(&'static str, u32)],
) -> Result<(), KernelError> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        None => Ok(()),
        Some(&(what, _)) => Err(KernelError::Parameter {
            kernel,
            what,
            got: "0".into(),
            expected: "at least 1".into(),
        }),
    }
}

/// An operation of the family, with its operands A and B and its result C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GemmOp {
    /// C[b,m,n] = op(A)[b,m,k] op(B)[b,k,n]; A is stored [b,m,k], or [b,k,m] if `trans_a`; B [b,k,n], or [b,n,k] if `trans_b`.
    Matmul {
        m: u32,
        n: u32,
        k: u32,
        batch: u32,
        trans_a: bool,
        trans_b: bool,
    },
    /// A = w, B = x, C = y.
    Conv2d(ConvShape),
    /// A = w, B = dy, C = dx: the forward pass of a transposed convolution with input dy.
    Conv2dInputGrad(ConvShape),
    /// A = dy, B = x, C = dw.
    Conv2dWeightGrad(ConvShape),
}

impl GemmOp {
    /// The name in labels and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Matmul { .. } => "matmul",
            Self::Conv2d(_) => "conv2d",
            Self::Conv2dInputGrad(_) => "conv2d_input_grad",
            Self::Conv2dWeightGrad(_) => "conv2d_weight_grad",
        }
    }

    /// Elements of A, B and C.
    pub fn lens(&self) -> [u64; 3] {
        match self {
            &Self::Matmul { m, n, k, batch, .. } => [
                product([batch, m, k]),
                product([batch, k, n]),
                product([batch, m, n]),
            ],
            Self::Conv2d(s) => [s.w_len(), s.x_len(), s.y_len()],
            Self::Conv2dInputGrad(s) => [s.w_len(), s.y_len(), s.x_len()],
            Self::Conv2dWeightGrad(s) => [s.y_len(), s.x_len(), s.w_len()],
        }
    }

    /// Multiplications and additions, taps in the padding counted as PyTorch's counters do.
    pub fn flops(&self) -> u64 {
        match self {
            &Self::Matmul { m, n, k, batch, .. } => product([2, batch, m, n, k]),
            Self::Conv2d(s) | Self::Conv2dInputGrad(s) | Self::Conv2dWeightGrad(s) => {
                s.y_len().saturating_mul(product([2, s.ci, s.kh, s.kw]))
            }
        }
    }
}

/// Every parameter, as text: `matmul m1024 n64 k784 batch1`, `conv2d n64 ci1 28x28 co64 k4x4 s2x2 p1x1`.
impl fmt::Display for GemmOp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Matmul {
                m,
                n,
                k,
                batch,
                trans_a,
                trans_b,
            } => {
                write!(f, " m{m} n{n} k{k} batch{batch}")?;
                f.write_str(if *trans_a { " a_trans" } else { "" })?;
                f.write_str(if *trans_b { " b_trans" } else { "" })
            }
            Self::Conv2d(s) | Self::Conv2dInputGrad(s) | Self::Conv2dWeightGrad(s) => write!(
                f,
                " n{} ci{} {}x{} co{} k{}x{} s{}x{} p{}x{}",
                s.n, s.ci, s.h, s.w, s.co, s.kh, s.kw, s.stride[0], s.stride[1], s.pad[0], s.pad[1]
            ),
        }
    }
}

/// What happens to each finished element of C before it is stored.
///
/// `wgsl` defines `fn epilogue(v: f32, i: u32) -> f32`, i the linear index in C (its offset not counted), and declares the
/// buffers it reads as `@binding(E_BINDING + 0u)` and so on. It may also read `epilogue_row: u32`, the row of C (output feature or channel), which saves a
/// division in a bias, and its own constants `im.e0`, `im.e1`, ..: offsets belong there, so that layers share a pipeline.
/// Its other names should start with `e_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epilogue {
    pub wgsl: String,
    pub extra_buffers: usize,
    /// Whether one of them holds f16.
    pub f16: bool,
    /// The values of `im.e0`, `im.e1`, .. (u32; at most 6 for convolutions).
    pub immediates: Vec<u32>,
}

impl Default for Epilogue {
    /// Stores the element as it is.
    fn default() -> Self {
        Self {
            wgsl: include_str!("../../../shaders/epilogue/identity.wgsl").into(),
            extra_buffers: 0,
            f16: false,
            immediates: Vec::new(),
        }
    }
}
