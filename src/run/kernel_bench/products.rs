//! Matrix products and convolutions, checked at a fixed draw of outputs: each costs k products in f64.
use super::{Builder, Case, Checked, Operand, values};
use crate::data::rng::Stream;
use crate::gpu::Gpu;
use crate::kernels::gemm::bench::{BenchCase, bench_cases};
use crate::kernels::gemm::{ConvShape, GemmOp, Variant, kernel, reference};

/// Outputs that are compared.
const SAMPLES: usize = 256;

/// The middle layers of DCGAN 64x64 at this batch.
const DCGAN64_BATCH: u32 = 16;

pub fn builders(gpu: &Gpu, all_variants: bool) -> Vec<Builder> {
    let own = Variant::for_caps(gpu.caps());
    let mut variants = vec![own];
    if all_variants {
        variants.extend(
            [Variant::Cpu, Variant::Tiled]
                .into_iter()
                .filter(|v| *v != own),
        );
    }
    let mut all = vec![];
    for case in bench_cases().into_iter().chain(dcgan64()) {
        for &variant in &variants {
            let case = case.clone();
            all.push(Builder {
                name: case.name.to_string(),
                variant: format!("{variant:?}"),
                build: Box::new(move |gpu| build(gpu, &case, variant)),
            });
        }
    }
    all
}

fn dcgan64() -> Vec<BenchCase> {
    let shape = |ci, co, size| ConvShape {
        n: DCGAN64_BATCH,
        ci,
        h: size,
        w: size,
        co,
        kh: 4,
        kw: 4,
        stride: [2, 2],
        pad: [1, 1],
    };
    let case = |name, op| BenchCase { name, op };
    let (wide, deep) = (shape(64, 128, 32), shape(256, 512, 8));
    vec![
        case("conv 64->128 32->16", GemmOp::Conv2d(wide)),
        case(
            "conv 64->128 32->16 input grad",
            GemmOp::Conv2dInputGrad(wide),
        ),
        case(
            "conv 64->128 32->16 weight grad",
            GemmOp::Conv2dWeightGrad(wide),
        ),
        case("conv 256->512 8->4", GemmOp::Conv2d(deep)),
        case(
            "conv 256->512 8->4 input grad",
            GemmOp::Conv2dInputGrad(deep),
        ),
        case(
            "conv 256->512 8->4 weight grad",
            GemmOp::Conv2dWeightGrad(deep),
        ),
    ]
}

fn build(gpu: &Gpu, case: &BenchCase, variant: Variant) -> Result<Case, String> {
    let op = case.op;
    let kernel = kernel(gpu.caps(), variant, &op, [0; 3], None).map_err(|e| e.to_string())?;
    let [a, b, c] = op.lens().map(|len| len as usize);
    let (left, right) = (values(a, 1, -0.5, 0.5), values(b, 2, -0.5, 0.5));
    let operands = vec![
        Operand::Floats(left.clone()),
        Operand::Floats(right.clone()),
        Operand::Unset(c),
    ];
    Ok(Case {
        name: case.name.to_string(),
        variant: format!("{variant:?}"),
        launches: vec![(kernel, vec![0, 1, 2])],
        operands,
        flops: op.flops(),
        bytes: 4 * (a + b + c) as u64,
        output: 2,
        check: Box::new(move |got| {
            let got: Vec<f32> = bytemuck::pod_collect_to_vec(got);
            let draw = Stream::new(1, 2, 3);
            let mut checked = Checked::none();
            for i in 0..SAMPLES.min(c) as u32 {
                let at = ((u64::from(draw.block(i, 0)[0]) * c as u64) >> 32) as usize;
                let (want, size) = reference::element(&op, &left, &right, at);
                // Rounding grows with the sum of the products' sizes.
                checked.compare(got[at], want, 2e-6 * size + 1e-12);
            }
            // Every element must at least have been written.
            checked.wrong += got.iter().filter(|v| !v.is_finite()).count();
            checked
        }),
    })
}
