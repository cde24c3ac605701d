//! Kernels that are written by hand, but for matrix products: optimiser, moving average, random numbers, batches, packing.
use super::{Build, Builder, Case, Checked, Operand, values};
use crate::data::permutation::Shuffle;
use crate::gpu::Gpu;
use crate::kernels::random::Distribution;
use crate::kernels::random_source::RandomSource;
use crate::kernels::scaler::Skip;
use crate::kernels::{adam, copy, dataset_batch, ema, pack_u8, random};

/// Parameters of DCGAN 28x28's generator, and of DCGAN 64x64's.
const ARENAS: [u32; 2] = [759_684, 3_576_704];

pub fn builders() -> Vec<Builder> {
    let mut all = vec![];
    let mut add = |name: String, build: Build| {
        let variant = "own".to_string();
        all.push(Builder {
            name,
            variant,
            build,
        });
    };
    for count in ARENAS {
        let name = format!("adam {count}");
        add(
            name.clone(),
            Box::new(move |gpu| Ok(adam_case(gpu, &name, count))),
        );
        let name = format!("ema {count}");
        add(
            name.clone(),
            Box::new(move |gpu| Ok(ema_case(gpu, &name, count))),
        );
    }
    let name = "copy 1048576".to_string();
    add(
        name.clone(),
        Box::new(move |gpu| Ok(copy_case(gpu, &name, 1 << 20))),
    );
    for (what, distribution) in [
        ("uniform", Distribution::Uniform),
        ("normal", Distribution::Normal),
    ] {
        let name = format!("random {what} 100x512");
        add(
            name.clone(),
            Box::new(move |gpu| Ok(random_case(gpu, &name, distribution))),
        );
    }
    let name = "pack_u8 16x3x64x64".to_string();
    add(name.clone(), Box::new(move |gpu| Ok(pack_case(gpu, &name))));
    let name = "dataset_batch 64 of 1000x1x28x28".to_string();
    add(name.clone(), Box::new(move |gpu| batch_case(gpu, &name)));
    all
}

/// A case of one launch whose operands are bound in their order.
fn case(
    name: &str,
    kernel: crate::gpu::Kernel,
    operands: Vec<Operand>,
    bytes: u64,
    (output, check): (usize, super::Check),
) -> Case {
    let at = (0..operands.len()).collect();
    Case {
        name: name.to_string(),
        variant: "own".to_string(),
        launches: vec![(kernel, at)],
        operands,
        flops: 0,
        bytes,
        output,
        check,
    }
}

fn adam_case(gpu: &Gpu, name: &str, count: u32) -> Case {
    let params = adam::Params {
        count,
        offsets: [0; 4],
        counter: 0,
        lr: 2e-4,
        beta1: 0.5,
        beta2: 0.999,
        eps: 1e-8,
        skip: Skip::Never,
    };
    let n = count as usize;
    let (g, m, v) = (
        values(n, 1, -2.0, 2.0),
        values(n, 2, -1.0, 1.0),
        values(n, 3, 0.01, 2.0),
    );
    let steps_before = 9;
    // From p = 0, so that the step itself is compared.
    let operands = vec![
        Operand::Floats(vec![0.0; n]),
        Operand::Floats(g.clone()),
        Operand::Floats(m.clone()),
        Operand::Floats(v.clone()),
        Operand::Words(vec![steps_before, 0, 0, 0]),
    ];
    let check = Box::new(move |got: &[u8]| {
        let correction = |beta: f64| 1.0 - beta.powi(steps_before as i32 + 1);
        let want: Vec<f64> = (0..n)
            .map(|i| {
                let [g, m, v] = [g[i], m[i], v[i]].map(f64::from);
                let m = 0.5 * m + 0.5 * g;
                let v = 0.999 * v + (1.0 - 0.999) * g * g;
                let denominator = v.sqrt() / correction(0.999).sqrt() + 1e-8;
                -2e-4 / correction(0.5) * m / denominator
            })
            .collect();
        Checked::of(got, &want, 4e-11, 2e-6)
    });
    let kernel = adam::kernel(gpu.caps(), &params);
    case(name, kernel, operands, 28 * u64::from(count), (0, check))
}

fn ema_case(gpu: &Gpu, name: &str, count: u32) -> Case {
    let params = ema::Params {
        count,
        offsets: [0; 2],
        decay: 0.999,
    };
    let n = count as usize;
    let (e, p) = (values(n, 1, -1e-3, 1e-3), values(n, 2, -1.0, 1.0));
    let operands = vec![Operand::Floats(e.clone()), Operand::Floats(p.clone())];
    let check = Box::new(move |got: &[u8]| {
        let mean = |(&e, &p): (&f32, &f32)| 0.999 * f64::from(e) + (1.0 - 0.999) * f64::from(p);
        let want: Vec<f64> = e.iter().zip(&p).map(mean).collect();
        Checked::of(got, &want, 1e-9, 1e-6)
    });
    let kernel = ema::kernel(gpu.caps(), &params);
    case(name, kernel, operands, 12 * u64::from(count), (0, check))
}

fn copy_case(gpu: &Gpu, name: &str, count: usize) -> Case {
    let x = values(count, 1, -1.0, 1.0);
    let operands = vec![Operand::Floats(x.clone()), Operand::Unset(count)];
    let check = Box::new(move |got: &[u8]| {
        let want: Vec<f64> = x.iter().map(|&v| v.into()).collect();
        Checked::of(got, &want, 0.0, 0.0)
    });
    let kernel = copy::kernel(gpu.caps(), count, 0, 0);
    case(name, kernel, operands, 8 * count as u64, (1, check))
}

fn random_case(gpu: &Gpu, name: &str, distribution: Distribution) -> Case {
    let count = 100 * 512;
    let params = random::Params {
        distribution,
        count,
        offset: 0,
        seed: 7,
        stream: 3,
        execution_counter: 0,
    };
    let operands = vec![
        Operand::Words(vec![11, 0, 0, 0]),
        Operand::Unset(count as usize),
    ];
    let check = Box::new(move |got: &[u8]| {
        let draw = |i| f64::from(random::draw(distribution, 7, 3, 11, i));
        let want: Vec<f64> = (0..count).map(draw).collect();
        // WGSL allows sin and cos 2^-11, log 2^-21: with a radius of at most 5.8 that is .003. Uniform numbers are exact.
        let abs = if distribution == Distribution::Uniform {
            0.0
        } else {
            3e-3
        };
        Checked::of(got, &want, abs, 0.0)
    });
    let kernel = random::kernel(gpu.caps(), &params);
    case(name, kernel, operands, 4 * u64::from(count), (1, check))
}

fn pack_case(gpu: &Gpu, name: &str) -> Case {
    let params = pack_u8::Params {
        channels: 3,
        images: 16,
        height: 64,
        width: 64,
        order: pack_u8::Order::Nchw,
        x_offset: 0,
        y_offset: 0,
    };
    let count = params.bytes() as usize;
    let x = values(count, 4, -1.2, 1.2);
    let operands = vec![
        Operand::Floats(x.clone()),
        Operand::Unset(params.words() as usize),
    ];
    let check = Box::new(move |got: &[u8]| {
        let plane = 64 * 64;
        let mut checked = Checked::none();
        for (at, &byte) in got.iter().enumerate().take(count) {
            let (image, channel, pixel) = (at / (3 * plane), at / plane % 3, at % plane);
            let value = x[(channel * 16 + image) * plane + pixel];
            // In f32, as on the device: halves fall differently in f64.
            let want = ((value + 1.0) * 127.5).clamp(0.0, 255.0).round_ties_even();
            checked.compare(f32::from(byte), want.into(), 0.0);
        }
        checked
    });
    let kernel = pack_u8::kernel(gpu.caps(), &params);
    case(name, kernel, operands, 5 * count as u64, (1, check))
}

fn batch_case(gpu: &Gpu, name: &str) -> Result<Case, String> {
    let random = RandomSource {
        seed: 5,
        stream: 6,
        counter_index: 0,
    };
    let params = dataset_batch::Params {
        count: 1000,
        channels: 1,
        h: 28,
        w: 28,
        n: 64,
        layout: dataset_batch::Layout::ImagesCNHW,
        random,
        out_offset: 0,
    };
    let kernel = dataset_batch::kernel(gpu.caps(), &params).map_err(|e| e.to_string())?;
    let pixels: Vec<u8> = (0..1000 * 784u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let batch = 3;
    let operands = vec![
        Operand::Bytes(pixels.clone()),
        Operand::Words(vec![batch, 0, 0, 0]),
        Operand::Unset(64 * 784),
    ];
    let check = Box::new(move |got: &[u8]| {
        let shuffle = Shuffle {
            seed: 5,
            stream: 6,
            count: 1000,
        };
        let mut want = vec![];
        for i in 0..64 {
            let image = shuffle.index(batch, 64, i) as usize;
            let bytes = &pixels[image * 784..(image + 1) * 784];
            want.extend(bytes.iter().map(|&b| f64::from(b) / 127.5 - 1.0));
        }
        Checked::of(got, &want, 1e-6, 0.0)
    });
    Ok(case(name, kernel, operands, 5 * 64 * 784, (2, check)))
}
