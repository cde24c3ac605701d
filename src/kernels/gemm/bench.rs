//! Timing of the GEMM family on the shapes that GANs meet, for `gan-gpu bench kernels`.
use super::{Call, ConvShape, GemmOp, Operand, Variant, lower};
use crate::gpu::{AdapterClass, Caps, Dispatch, Gpu, GpuError};
use crate::kernels::{KernelError, Scalar};
use std::time::{Duration, Instant};

/// One operation to time.
#[derive(Debug, Clone)]
pub struct BenchCase {
    /// Ends in f16 where the operands are stored so.
    pub name: &'static str,
    pub op: GemmOp,
    /// How A, B and C are stored.
    pub formats: [Scalar; 3],
}

/// What one case took.
#[derive(Debug, Clone, serde::Serialize)]
pub struct BenchResult {
    pub name: &'static str,
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
    let conv = |ci, co, size| ConvShape {
        n: 128,
        ci,
        h: size,
        w: size,
        co,
        kh: 4,
        kw: 4,
        stride: [2, 2],
        pad: [1, 1],
    };
    let (wide, deep) = (conv(64, 128, 32), conv(256, 512, 8));
    let ops = [
        (
            ["matmul 4096x4096x4096", "matmul 4096x4096x4096 f16"],
            GemmOp::Matmul {
                m: 4096,
                n: 4096,
                k: 4096,
                batch: 1,
                trans_a: false,
                trans_b: false,
            },
        ),
        (
            [
                "conv 64->128 32->16 batch 128",
                "conv 64->128 32->16 batch 128 f16",
            ],
            GemmOp::Conv2d(wide),
        ),
        (
            [
                "conv 64->128 32->16 batch 128 input grad",
                "conv 64->128 32->16 batch 128 input grad f16",
            ],
            GemmOp::Conv2dInputGrad(wide),
        ),
        (
            [
                "conv 64->128 32->16 batch 128 weight grad",
                "conv 64->128 32->16 batch 128 weight grad f16",
            ],
            GemmOp::Conv2dWeightGrad(wide),
        ),
        (
            [
                "conv 256->512 8->4 batch 128",
                "conv 256->512 8->4 batch 128 f16",
            ],
            GemmOp::Conv2d(deep),
        ),
        (
            [
                "conv 256->512 8->4 batch 128 input grad",
                "conv 256->512 8->4 batch 128 input grad f16",
            ],
            GemmOp::Conv2dInputGrad(deep),
        ),
        (
            [
                "conv 256->512 8->4 batch 128 weight grad",
                "conv 256->512 8->4 batch 128 weight grad f16",
            ],
            GemmOp::Conv2dWeightGrad(deep),
        ),
    ];
    let formats = [Scalar::F32, Scalar::F16];
    let formats = &formats[..if caps.f16 { 2 } else { 1 }];
    ops.into_iter()
        .flat_map(|(names, op)| {
            names
                .into_iter()
                .zip(formats)
                .map(move |(name, &format)| BenchCase {
                    name,
                    op,
                    formats: [format; 3],
                })
        })
        .collect()
}

/// The large ones first, then the layers of the MNIST networks with batch 64: forward, input gradient, weight gradient. GPUs
/// begin with larger ones.
pub fn bench_cases(caps: &Caps) -> Vec<BenchCase> {
    let case = |name, op| BenchCase {
        name,
        op,
        formats: [Scalar::F32; 3],
    };
    let matmul = |name, [m, n, k]: [u32; 3], [trans_a, trans_b]: [bool; 2]| {
        let op = GemmOp::Matmul {
            m,
            n,
            k,
            batch: 1,
            trans_a,
            trans_b,
        };
        case(name, op)
    };
    let conv = |ci, co, size| ConvShape {
        n: 64,
        ci,
        h: size,
        w: size,
        co,
        kh: 4,
        kw: 4,
        stride: [2, 2],
        pad: [1, 1],
    };
    let (first, second) = (conv(1, 64, 28), conv(64, 128, 14));
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
        case("conv 64->128 14->7", GemmOp::Conv2d(second)),
        case(
            "conv 64->128 14->7 input grad",
            GemmOp::Conv2dInputGrad(second),
        ),
        case(
            "conv 64->128 14->7 weight grad",
            GemmOp::Conv2dWeightGrad(second),
        ),
        case("conv 1->64 28->14", GemmOp::Conv2d(first)),
        case(
            "conv 1->64 28->14 input grad",
            GemmOp::Conv2dInputGrad(first),
        ),
        case(
            "conv 1->64 28->14 weight grad",
            GemmOp::Conv2dWeightGrad(first),
        ),
        matmul("linear 100->6272", [6272, 64, 100], plain),
        matmul("linear 100->6272 weight grad", [6272, 100, 64], trans_b),
        matmul("linear 6272->1", [1, 64, 6272], plain),
        matmul("linear 6272->1 input grad", [6272, 64, 1], trans_a),
        matmul("linear 6272->1 weight grad", [1, 6272, 64], trans_b),
        matmul("linear 128->128 batch 512", [128, 512, 128], plain),
        matmul("linear 2->128 batch 512", [128, 512, 2], plain),
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
    const SUBMISSION: Duration = Duration::from_millis(50);
    let call = Call {
        formats: case.formats,
        ..Call::plain(&case.op)
    };
    let passes = lower(gpu.caps(), variant, &call)?;
    // Small numbers, neither zero nor denormal, which some machines compute at another speed.
    let operand = |label, len: u64, format| match format {
        Scalar::F32 => {
            let values: Vec<f32> = (0..len).map(|i| (i % 251) as f32 / 251.0 - 0.5).collect();
            gpu.buffer_from(label, bytemuck::cast_slice(&values))
        }
        // Between 0.5 and 1, of either sign.
        Scalar::F16 => {
            let half = |i: u64| (i as u16 & 1) << 15 | 0x3800 | (i % 251) as u16;
            let halves: Vec<u16> = (0..len.next_multiple_of(2)).map(half).collect();
            gpu.buffer_from(label, bytemuck::cast_slice(&halves))
        }
    };
    let ([a, b, c], [fa, fb, fc]) = (case.op.lens(), case.formats);
    let (a, b) = (operand("a", a, fa)?, operand("b", b, fb)?);
    let c = gpu.buffer("c", (c * fc.bytes()).next_multiple_of(4))?;
    let scratch = gpu.buffer("scratch", variant.scratch(&case.op).max(1) * 4)?;
    let bind = |pass: &super::Pass| {
        let buffers = pass.operands.iter().map(|operand| match operand {
            Operand::A => &a,
            Operand::B => &b,
            Operand::Scratch => &scratch,
            Operand::C | Operand::Extra(_) => &c,
        });
        gpu.prepare(&pass.kernel, &buffers.collect::<Vec<_>>())
    };
    let dispatches = passes.iter().map(bind).collect::<Result<Vec<_>, _>>()?;

    let first = time(gpu, &dispatches, 1)?;
    let once = time(gpu, &dispatches, 1)?;
    let repeats = (SUBMISSION.as_secs_f64() / once.max(1e-6)).clamp(1.0, 1000.0) as usize;
    let start = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < 3 || start.elapsed() < budget {
        seconds.push(time(gpu, &dispatches, repeats)? / repeats as f64);
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    Ok(BenchResult {
        name: case.name,
        variant: variant.to_string(),
        first_s: first,
        ms_median: median * 1e3,
        ms_min: seconds[0] * 1e3,
        gflops: case.op.flops() as f64 / median / 1e9,
    })
}

/// Seconds of one submission of `repeats` times these dispatches.
fn time(gpu: &Gpu, dispatches: &[Dispatch], repeats: usize) -> Result<f64, GpuError> {
    let start = Instant::now();
    let submission = gpu.submit(std::iter::repeat_n(dispatches, repeats).flatten())?;
    gpu.wait(&submission)?;
    Ok(start.elapsed().as_secs_f64())
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
                name: "small",
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
