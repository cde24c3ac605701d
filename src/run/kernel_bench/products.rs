//! Matrix products and convolutions, checked at a fixed draw of outputs: each costs k products in f64.
use super::{Builder, Case, Checked, Operand, values};
use crate::data::rng::Stream;
use crate::gpu::{Caps, Gpu};
use crate::kernels::gemm::bench::{BenchCase, bench_cases, dcgan_conv};
use crate::kernels::gemm::{self, Call, Pass, Variant, lower, reference};
use crate::kernels::{Form, Scalar};
use half::f16;

/// Outputs that are compared.
const SAMPLES: usize = 256;

/// The middle layers of DCGAN 64x64 at this batch.
const DCGAN64_BATCH: u32 = 16;

pub fn builders(gpu: &Gpu, all_variants: bool) -> Vec<Builder> {
    let mut all = vec![];
    for case in bench_cases(gpu.caps()).into_iter().chain(dcgan64()) {
        for variant in variants(gpu.caps(), &case, all_variants) {
            let case = case.clone();
            all.push(Builder {
                name: case.name.clone(),
                variant: variant.to_string(),
                build: Box::new(move |gpu| build(gpu, &case, variant)),
            });
        }
    }
    all
}

/// The choice by rule; or all that a tuner would measure, and the choice for the other class of adapters.
fn variants(caps: &Caps, case: &BenchCase, all: bool) -> Vec<Variant> {
    let (op, formats) = (&case.op, case.formats);
    let form = Form::of(caps.class);
    let other = match form {
        Form::Cpu => Form::Gpu,
        Form::Gpu => Form::Cpu,
    };
    if !all {
        return Variant::by_rule(caps, form, op, formats)
            .into_iter()
            .collect();
    }
    let mut variants = Variant::candidates(caps, form, op, formats).unwrap_or_default();
    variants.extend(Variant::by_rule(caps, other, op, formats));
    variants
}

fn dcgan64() -> impl Iterator<Item = BenchCase> {
    let layers = [
        ("conv 64->128 32->16", [64, 128, 32]),
        ("conv 256->512 8->4", [256, 512, 8]),
    ];
    layers.into_iter().flat_map(|(name, [ci, co, size])| {
        let shape = dcgan_conv(DCGAN64_BATCH, ci, co, size);
        BenchCase::convolutions(name, shape, Scalar::F32)
    })
}

fn build(gpu: &Gpu, case: &BenchCase, variant: Variant) -> Result<Case, String> {
    let BenchCase { op, formats, name } = case.clone();
    let call = Call {
        formats,
        ..Call::plain(&op)
    };
    let passes = lower(gpu.caps(), variant, &call).map_err(|e| e.to_string())?;
    let launches = passes.into_iter().map(|pass| {
        let Pass {
            kernel, operands, ..
        } = pass;
        let places = operands.iter().map(|operand| match operand {
            gemm::Operand::A => 0,
            gemm::Operand::B => 1,
            gemm::Operand::C | gemm::Operand::Extra(_) => 2,
            gemm::Operand::Scratch(part) => 3 + part,
        });
        (kernel, places.collect())
    });
    let [a, b, c] = op.lens().map(|len| len as usize);
    let stored = |len, seed, format| {
        let exact = values(len, seed, -0.5, 0.5);
        match format {
            Scalar::F32 => (exact.clone(), Operand::Floats(exact)),
            Scalar::F16 => {
                let mut halves: Vec<f16> = exact.into_iter().map(f16::from_f32).collect();
                let values = halves.iter().map(|h| h.to_f32()).collect();
                halves.resize(len.next_multiple_of(2), f16::ZERO);
                let bytes = halves.iter().flat_map(|h| h.to_le_bytes());
                (values, Operand::Bytes(bytes.collect()))
            }
        }
    };
    let (left, left_operand) = stored(a, 1, formats[0]);
    let (right, right_operand) = stored(b, 2, formats[1]);
    let words = |bytes: u64| bytes.div_ceil(4) as usize;
    let [factors, results] = variant.scratch(&op).map(|len| len as usize + 1);
    let operands = vec![
        left_operand,
        right_operand,
        Operand::Unset(words(c as u64 * formats[2].bytes())),
        Operand::Unset(factors),
        Operand::Unset(results),
    ];
    let bytes = op
        .lens()
        .iter()
        .zip(formats)
        .map(|(len, f)| len * f.bytes())
        .sum();
    Ok(Case {
        name,
        variant: variant.to_string(),
        launches: launches.collect(),
        operands,
        flops: op.flops(),
        bytes,
        output: 2,
        check: Box::new(move |got| {
            let got: Vec<f32> = match formats[2] {
                Scalar::F32 => bytemuck::pod_collect_to_vec(got),
                Scalar::F16 => got
                    .chunks_exact(2)
                    .map(|h| f16::from_le_bytes([h[0], h[1]]).to_f32())
                    .collect(),
            };
            // Half a unit in the last place of the result's storage.
            let rounding = match formats[2] {
                Scalar::F32 => 0.0,
                Scalar::F16 => 1.0 / 2048.0,
            };
            let draw = Stream::new(1, 2, 3);
            let mut checked = Checked::none();
            for i in 0..SAMPLES.min(c) as u32 {
                let at = ((u64::from(draw.block(i, 0)[0]) * c as u64) >> 32) as usize;
                let (want, size) = reference::element(&op, &left, &right, at);
                // Rounding grows with the sum of the products' sizes.
                let allowed = 2e-6 * size + rounding * want.abs() + 1e-12;
                checked.compare(got[at], want, allowed);
            }
            // Every element must at least have been written.
            checked.wrong += got[..c].iter().filter(|v| !v.is_finite()).count();
            checked
        }),
    })
}
