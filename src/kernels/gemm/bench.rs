//! Timing of the GEMM family on the shapes that GANs meet, for `gan-gpu bench kernels`.
use super::{Call, ConvShape, GemmOp, Operand, Pass, Variant, lower};
use crate::gpu::{AdapterClass, Buffer, Caps, Dispatch, Gpu, GpuError};
use crate::kernels::timing::{self, time};
use crate::kernels::{KernelError, Scalar};
use std::time::Duration;

/// One operation to time.
#[derive(Debug, Clone)]
pub struct BenchCase {
    /// Ends in f16 where the operands are stored so.
    pub name: String,
    pub op: GemmOp,
    /// How A, B and C are stored.
    pub formats: [Scalar; 3],
}

impl BenchCase {
    fn new(name: &str, op: GemmOp, format: Scalar) -> BenchCase {
        BenchCase {
            name: match format {
                Scalar::F32 => name.to_string(),
                Scalar::F16 => format!("{name} f16"),
            },
            op,
            formats: [format; 3],
        }
    }
    /// m x n = m x k times k x n.
    fn matmul(name: &str, [m, n, k]: [u32; 3], [trans_a, trans_b]: [bool; 2]) -> BenchCase {
        let op = GemmOp::Matmul {
            m,
            n,
            k,
            batch: 1,
            trans_a,
            trans_b,
        };
        BenchCase::new(name, op, Scalar::F32)
    }
    /// A DCGAN's convolution (4x4, stride 2) with its two gradients.
    pub fn convolutions(name: &str, shape: ConvShape, format: Scalar) -> [BenchCase; 3] {
        [
            ("", GemmOp::Conv2d(shape)),
            (" input grad", GemmOp::Conv2dInputGrad(shape)),
            (" weight grad", GemmOp::Conv2dWeightGrad(shape)),
        ]
        .map(|(which, op)| BenchCase::new(&format!("{name}{which}"), op, format))
    }
}

/// 4x4 windows at stride 2 over n images of `ci` channels and `size` pixels squared.
pub fn dcgan_conv(n: u32, ci: u32, co: u32, size: u32) -> ConvShape {
    ConvShape {
        n,
        ci,
        h: size,
        w: size,
        co,
        kh: 4,
        kw: 4,
        stride: [2, 2],
        pad: [1, 1],
    }
}

/// 3x3 windows with a padding of 1 over n images of [`ci`, `co`] channels and `size` pixels squared.
fn conv3(n: u32, [ci, co]: [u32; 2], size: u32, stride: u32) -> ConvShape {
    ConvShape {
        n,
        ci,
        h: size,
        w: size,
        co,
        kh: 3,
        kw: 3,
        stride: [stride; 2],
        pad: [1, 1],
    }
}

/// What one case took.
#[derive(Debug, Clone, serde::Serialize)]
pub struct BenchResult {
    pub name: String,
    /// The variant's name.
    pub variant: String,
    /// The first dispatch, most of which is the driver compiling the shader, unless it was compiled before.
    pub first_s: f64,
    /// Of one dispatch, with the submission shared by as many as fill about 50 ms.
    pub ms_median: f64,
    pub ms_min: f64,
    /// At the median.
    pub gflops: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// Where a processor would take minutes: a square product, and layers of dcgan64 with batch 128, in f32 and, where the adapter
/// has it, in f16.
fn large_cases(caps: &Caps) -> Vec<BenchCase> {
    let square = BenchCase::matmul("matmul 4096x4096x4096", [4096; 3], [false; 2]).op;
    let mut all = vec![];
    for format in [Scalar::F32, Scalar::F16] {
        if format == Scalar::F16 && !caps.f16 {
            continue;
        }
        all.push(BenchCase::new("matmul 4096x4096x4096", square, format));
        for (name, shape) in [
            (
                "conv 64->128 32->16 batch 128",
                dcgan_conv(128, 64, 128, 32),
            ),
            ("conv 256->512 8->4 batch 128", dcgan_conv(128, 256, 512, 8)),
        ] {
            all.extend(BenchCase::convolutions(name, shape, format));
        }
    }
    all
}

/// The large ones first, then the layers of the MNIST networks with batch 64: forward, input gradient, weight gradient. GPUs
/// begin with larger ones.
pub fn bench_cases(caps: &Caps) -> Vec<BenchCase> {
    let matmul = BenchCase::matmul;
    let conv = |name, shape| BenchCase::convolutions(name, shape, Scalar::F32);
    let (plain, trans_a, trans_b) = ([false, false], [true, false], [false, true]);
    let mut all = match caps.class {
        AdapterClass::Software => Vec::new(),
        _ => large_cases(caps),
    };
    all.extend([
        matmul("matmul 1024x1024x1024", [1024, 1024, 1024], plain),
        matmul("linear 784->1024", [1024, 64, 784], plain),
        matmul("linear 784->1024 input grad", [784, 64, 1024], trans_a),
        matmul("linear 784->1024 weight grad", [1024, 784, 64], trans_b),
    ]);
    all.extend(conv("conv 64->128 14->7", dcgan_conv(64, 64, 128, 14)));
    all.extend(conv("conv 1->64 28->14", dcgan_conv(64, 1, 64, 28)));
    // Of the tiny networks for Stacked-MNIST and of a residual one.
    all.extend(conv("conv 3x3 8->3 28", conv3(128, [8, 3], 28, 1)));
    all.extend(conv("conv 3x3 8->16 28->14", conv3(128, [8, 16], 28, 2)));
    all.extend(conv("conv 3x3 64->64 14", conv3(64, [64, 64], 14, 1)));
    all.extend([
        matmul("linear 100->6272", [6272, 64, 100], plain),
        matmul("linear 100->6272 weight grad", [6272, 100, 64], trans_b),
        matmul("linear 6272->1", [1, 64, 6272], plain),
        matmul("linear 6272->1 weight grad", [1, 6272, 64], trans_b),
        matmul("linear 128->128 batch 512", [128, 512, 128], plain),
        matmul(
            "linear 128->128 batch 512 input grad",
            [128, 512, 128],
            trans_a,
        ),
        matmul(
            "linear 128->128 batch 512 weight grad",
            [128, 128, 512],
            trans_b,
        ),
        matmul(
            "linear 400->400 batch 100 input grad",
            [400, 100, 400],
            trans_a,
        ),
        matmul(
            "linear 200->1000 batch 200 input grad",
            [200, 200, 1000],
            trans_a,
        ),
        matmul("linear 128->2 batch 512", [2, 512, 128], plain),
    ]);
    all
}

/// Times `case` for about `budget` after the first dispatch.
///
/// # Errors
/// [`BenchError`].
pub fn run(
    gpu: &Gpu,
    case: &BenchCase,
    variant: Variant,
    budget: Duration,
) -> Result<BenchResult, BenchError> {
    let call = Call {
        formats: case.formats,
        ..Call::plain(&case.op)
    };
    let passes = lower(gpu.caps(), variant, &call)?;
    let operands = Operands::new(gpu, &case.op, case.formats)?;
    let scratch = scratch(gpu, variant.scratch(&case.op))?;
    let dispatches = operands.bind(gpu, &passes, &scratch)?;
    let first = timing::seconds(gpu, &dispatches, 1)?;
    let timing = time(gpu, &dispatches, budget)?;
    Ok(BenchResult {
        name: case.name.clone(),
        variant: variant.to_string(),
        first_s: first,
        ms_median: timing.median_s * 1e3,
        ms_min: timing.min_s * 1e3,
        gflops: case.op.flops() as f64 / timing.median_s / 1e9,
    })
}

/// Operands of one operation, to which any of its variants can be bound.
#[derive(Clone)]
pub(super) struct Operands {
    pub a: Buffer,
    pub b: Buffer,
    pub c: Buffer,
}

impl Operands {
    /// A and B hold noise.
    pub fn new(gpu: &Gpu, op: &GemmOp, formats: [Scalar; 3]) -> Result<Self, GpuError> {
        let [a, b, _] = op.lens();
        Ok(Self {
            a: operand(gpu, "a", a, formats[0], 1)?,
            b: operand(gpu, "b", b, formats[1], 2)?,
            c: result(gpu, op, formats)?,
        })
    }

    /// `passes` on these, with scratch memory that is at least as large as they need.
    pub fn bind(
        &self,
        gpu: &Gpu,
        passes: &[Pass],
        scratch: &[Buffer; 2],
    ) -> Result<Vec<Dispatch>, GpuError> {
        let bind = |pass: &Pass| {
            let buffers = pass.operands.iter().map(|operand| match operand {
                Operand::A => &self.a,
                Operand::B => &self.b,
                &Operand::Scratch(part) => &scratch[part],
                Operand::C | Operand::Extra(_) => &self.c,
            });
            gpu.prepare(&pass.kernel, &buffers.collect::<Vec<_>>())
        };
        passes.iter().map(bind).collect()
    }
}

/// Room for C.
pub(super) fn result(gpu: &Gpu, op: &GemmOp, formats: [Scalar; 3]) -> Result<Buffer, GpuError> {
    let bytes = op.lens()[2] * formats[2].bytes();
    gpu.buffer("c", bytes.next_multiple_of(4))
}

/// Scratch memory of so many floats.
pub(super) fn scratch(gpu: &Gpu, floats: [u64; 2]) -> Result<[Buffer; 2], GpuError> {
    let [factors, results] = floats.map(|floats| floats.max(1) * 4);
    Ok([
        gpu.buffer("scratch", factors)?,
        gpu.buffer("scratch", results)?,
    ])
}

/// Mean size of the product of an element of A and one of B, as [`operand`] makes them.
pub(super) const MEAN_PRODUCT: f64 = 0.75 * 0.75;

/// Numbers between 0.5 and 1 of either sign: neither zero nor denormal, which some machines compute at another speed. Without a pattern, so
/// that sums stay small beside the sizes of what is added up, and so does what rounding does to them.
fn operand(
    gpu: &Gpu,
    label: &str,
    len: u64,
    format: Scalar,
    seed: u32,
) -> Result<Buffer, GpuError> {
    let noise = (0..len).map(|i| mixed(i as u32, seed));
    match format {
        Scalar::F32 => {
            let bits = |x: u32| (x & 0x807F_FFFF) | 0x3F00_0000;
            let words: Vec<u32> = noise.map(bits).collect();
            gpu.buffer_from(label, bytemuck::cast_slice(&words))
        }
        Scalar::F16 => {
            let bits = |x: u32| (((x >> 16) & 0x83FF) | 0x3800) as u16;
            let mut halves: Vec<u16> = noise.map(bits).collect();
            halves.resize(halves.len().next_multiple_of(2), 0);
            gpu.buffer_from(label, bytemuck::cast_slice(&halves))
        }
    }
}

/// A hash of i.
pub(super) fn mixed(i: u32, seed: u32) -> u32 {
    let mut x = i.wrapping_mul(0x9E37_79B9) ^ seed.wrapping_mul(0x85EB_CA6B);
    x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
    x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;
    use crate::kernels::Form;

    #[test]
    fn gpus_are_asked_for_more_and_every_case_has_its_own_name() {
        let cases = |class, f16| {
            let caps = Caps {
                f16,
                ..Caps::baseline(class)
            };
            let cases = bench_cases(&caps);
            for case in &cases {
                let same = cases.iter().filter(|other| other.name == case.name);
                assert_eq!(same.count(), 1, "{}", case.name);
                let half = case.formats == [Scalar::F16; 3];
                assert_eq!(case.name.ends_with("f16"), half, "{}", case.name);
            }
            cases.len()
        };
        let software = cases(AdapterClass::Software, true);
        let plain = cases(AdapterClass::Discrete, false);
        assert_eq!(plain - software, 7);
        assert_eq!(cases(AdapterClass::Discrete, true) - plain, 7);
    }

    #[test]
    fn a_case_is_timed_in_both_formats() {
        let gpu = gpu();
        let op = GemmOp::Matmul {
            m: 33,
            n: 20,
            k: 8,
            batch: 1,
            trans_a: false,
            trans_b: false,
        };
        let formats = [[Scalar::F32; 3], [Scalar::F16; 3]];
        for formats in &formats[..if gpu.caps().f16 { 2 } else { 1 }] {
            let case = BenchCase {
                name: "small".into(),
                op,
                formats: *formats,
            };
            let variant = Variant::by_rule(gpu.caps(), Form::Gpu, &op, *formats).unwrap();
            let result = run(&gpu, &case, variant, Duration::ZERO).unwrap();
            assert!(result.ms_min > 0.0 && result.ms_min <= result.ms_median);
            assert!(result.gflops > 0.0);
        }
    }
}
