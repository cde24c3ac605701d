//! Every operation and variant against the textbook loops, on the adapter that `GAN_GPU_ADAPTER` picks: here the checks, in files of their
//! own what is checked.
use super::*;
use crate::gpu::testing::{assert_close, buffer_of, close, gpu, nan_buffer, read_f32};
use crate::gpu::{Buffer, Checks, Gpu};
use crate::kernels::Form;

mod convolutions;
mod gpu;
mod products;
mod texts;
mod variants;
mod winograd;

/// f32 sums of up to a few hundred products of numbers below 1, in another order than the reference's.
const ABS: f64 = 2e-5;
const REL: f64 = 1e-5;
/// Elements after each operand that nothing may read into a result or write.
const TAIL: usize = 9;
/// Where scratch memory starts.
const SCRATCH: u32 = 8;

const F32: [Scalar; 3] = [Scalar::F32; 3];
const BOTH: [Form; 2] = [Form::Cpu, Form::Gpu];

/// Numbers in -1..1 without a pattern.
fn noise(seed: u32, len: usize) -> Vec<f32> {
    (0..len as u32)
        .map(|i| (bench::mixed(i, seed) >> 8) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

/// `values` behind `offset` NaNs and before `TAIL` more: reading beyond an operand shows in the result. `values` are multiples of
/// 2^-11 below 1 where the format is f16, which holds them exactly.
fn placed(gpu: &Gpu, label: &str, offset: u32, values: &[f32], format: Scalar) -> Buffer {
    let mut all = vec![f32::NAN; offset as usize];
    all.extend_from_slice(values);
    all.extend([f32::NAN; TAIL]);
    if format == Scalar::F32 {
        return buffer_of(gpu, label, &all);
    }
    let half = |v: f32| match v {
        0.0 => 0,
        v if v.is_nan() => 0x7E00,
        v => {
            let bits = v.to_bits();
            (bits >> 16 & 0x8000 | ((bits & 0x7FFF_FFFF) - (112 << 23)) >> 13) as u16
        }
    };
    let mut halves: Vec<u16> = all.into_iter().map(half).collect();
    halves.resize(halves.len().next_multiple_of(2), 0x7E00);
    gpu.buffer_from(label, bytemuck::cast_slice(&halves))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Rounded to what f16 holds exactly, where an operand is stored so.
fn stored(values: Vec<f32>, format: Scalar) -> Vec<f32> {
    match format {
        Scalar::F32 => values,
        Scalar::F16 => values
            .iter()
            .map(|v| (v * 2048.0).round() / 2048.0)
            .collect(),
    }
}

struct Run {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

/// Runs the passes of `variant` of `op` on noise, each changed by `edit`. Fails if they write outside C.
fn run(
    gpu: &Gpu,
    passes: &[Pass],
    (variant, op, offsets): (Variant, &GemmOp, [u32; 3]),
    extra: &[&Buffer],
) -> Run {
    run_stored(gpu, passes, (variant, op, offsets), extra, F32)
}

/// With A and B stored as `formats` says; C is f32.
fn run_stored(
    gpu: &Gpu,
    passes: &[Pass],
    (variant, op, offsets): (Variant, &GemmOp, [u32; 3]),
    extra: &[&Buffer],
    [a_format, b_format, _]: [Scalar; 3],
) -> Run {
    let [a_len, b_len, c_len] = op.lens().map(|len| len as usize);
    let a = stored(noise(1, a_len), a_format);
    let b = stored(noise(2, b_len), b_format);
    let a_buffer = placed(gpu, "a", offsets[0], &a, a_format);
    let b_buffer = placed(gpu, "b", offsets[1], &b, b_format);
    let c_buffer = nan_buffer(gpu, "c", offsets[2] as usize + c_len + TAIL);
    let scratch = variant
        .scratch(op)
        .map(|len| nan_buffer(gpu, "scratch", SCRATCH as usize + len as usize));
    let dispatches: Vec<_> = passes
        .iter()
        .map(
            |Pass {
                 kernel, operands, ..
             }| {
                let buffers = operands.iter().map(|operand| match operand {
                    Operand::A => &a_buffer,
                    Operand::B => &b_buffer,
                    Operand::C => &c_buffer,
                    Operand::Scratch(part) => &scratch[*part],
                    Operand::Extra(k) => extra[*k],
                });
                gpu.prepare(kernel, &buffers.collect::<Vec<_>>())
                    .unwrap_or_else(|error| panic!("{}: {error}", kernel.label))
            },
        )
        .collect();
    gpu.submit(&dispatches)
        .unwrap_or_else(|error| panic!("{error}"));
    let all = read_f32(gpu, &c_buffer);
    let (before, rest) = all.split_at(offsets[2] as usize);
    let (c, after) = rest.split_at(c_len);
    assert!(
        before.iter().chain(after).all(|v| v.is_nan()),
        "{variant}, {op:?}: wrote outside C"
    );
    Run {
        a,
        b,
        c: c.to_vec(),
    }
}

fn call(op: &GemmOp, offsets: [u32; 3]) -> Call<'_> {
    Call {
        offsets,
        scratch: [SCRATCH; 2],
        ..Call::plain(op)
    }
}

/// What rounding may do: F(2, r) errs as sums over taps do, F(4, r) on average 2.4 to 3.2 times as much (`winograd`), and more in the
/// worst of some thousand elements.
fn bound(variant: Variant) -> f64 {
    match variant.scheme {
        Scheme::Winograd(4) => 8.0 * ABS,
        _ => ABS,
    }
}

fn check_variant(caps: &Caps, variant: Variant, op: &GemmOp, offsets: [u32; 3]) {
    let gpu = gpu();
    let passes = lower(caps, variant, &call(op, offsets)).unwrap();
    let Run { a, b, c } = run(&gpu, &passes, (variant, op, offsets), &[]);
    let want = reference::gemm(op, &a, &b);
    let what = format!("{variant}, {op:?}, offsets {offsets:?}");
    assert_close(&what, &c, &want, bound(variant), REL);
}

/// The variant by rule.
fn check_with(caps: &Caps, form: Form, op: &GemmOp, offsets: [u32; 3]) {
    let variant = Variant::by_rule(caps, form, op, F32).unwrap();
    check_variant(caps, variant, op, offsets);
}

fn check(form: Form, op: &GemmOp, offsets: [u32; 3]) {
    check_with(gpu().caps(), form, op, offsets);
}

fn matmul([m, n, k]: [u32; 3], batch: u32, [trans_a, trans_b]: [bool; 2]) -> GemmOp {
    GemmOp::Matmul {
        m,
        n,
        k,
        batch,
        trans_a,
        trans_b,
    }
}

fn by_rule(caps: &Caps, form: Form, call: &Call) -> Result<Vec<Pass>, KernelError> {
    lower(
        caps,
        Variant::by_rule(caps, form, call.op, call.formats)?,
        call,
    )
}

/// The variant by rule in every scheme that computes `op`.
fn schemes(caps: &Caps, form: Form, op: &GemmOp) -> Vec<Variant> {
    let body = Variant::by_rule(caps, form, op, F32).unwrap().body;
    let mut all = vec![Scheme::Whole];
    match op {
        GemmOp::Conv2dInputGrad(_) => all.push(Scheme::TapsFirst),
        GemmOp::Matmul { batch: 2.., .. } => {}
        // More parts than tiles of k: the last ones are empty.
        _ => all.extend([Scheme::SplitK(2), Scheme::SplitK(5)]),
    }
    all.into_iter()
        .map(|scheme| Variant { body, scheme })
        .collect()
}

/// Fails if a kernel with `text` replaced by `mutant` passes the check.
fn assert_caught(gpu: &Gpu, variant: Variant, op: &GemmOp, text: &str, mutant: &str) {
    assert_caught_with((gpu, gpu.caps()), variant, op, [text, mutant]);
}

fn assert_caught_with(
    (gpu, caps): (&Gpu, &Caps),
    variant: Variant,
    op: &GemmOp,
    [text, mutant]: [&str; 2],
) {
    let mut passes = lower(caps, variant, &Call::plain(op)).unwrap();
    let mut found = false;
    for pass in &mut passes {
        found |= pass.kernel.source.contains(text);
        pass.kernel.source = pass.kernel.source.replace(text, mutant).into();
    }
    assert!(found, "{variant}: no {text}");
    if gpu.options().checks == Checks::None {
        // Some mutants reach beyond their buffers: not what tools/check-bounds looks for.
        return;
    }
    let Run { a, b, c } = run(gpu, &passes, (variant, op, [0; 3]), &[]);
    let verdict = close(&c, &reference::gemm(op, &a, &b), bound(variant), REL);
    assert!(verdict.is_err(), "{variant}: {mutant} passes");
}

const TRANSPOSES: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

fn conv(
    n: u32,
    [ci, co]: [u32; 2],
    [h, w]: [u32; 2],
    [kh, kw]: [u32; 2],
    stride: [u32; 2],
    pad: [u32; 2],
) -> ConvShape {
    ConvShape {
        n,
        ci,
        h,
        w,
        co,
        kh,
        kw,
        stride,
        pad,
    }
}

/// Kernels 1, 3, 4, 5, strides 1, 2, 3, pads 0, 1, 2; images and kernels that are not square; windows that do not reach the
/// last rows; a stride above the kernel; a pad that whole windows lie in.
fn shapes() -> Vec<ConvShape> {
    vec![
        conv(2, [3, 5], [7, 9], [3, 3], [1, 1], [1, 1]),
        conv(4, [4, 17], [8, 6], [4, 4], [2, 2], [1, 1]),
        conv(3, [5, 33], [9, 11], [5, 3], [2, 3], [2, 0]),
        conv(1, [1, 1], [5, 5], [1, 1], [1, 1], [0, 0]),
        conv(2, [17, 3], [6, 8], [1, 4], [3, 1], [0, 2]),
        conv(5, [2, 8], [10, 7], [3, 5], [3, 2], [1, 2]),
        conv(2, [33, 16], [4, 4], [4, 4], [1, 1], [0, 0]),
        conv(3, [2, 4], [8, 8], [2, 1], [3, 3], [2, 1]),
        conv(16, [8, 12], [14, 14], [4, 4], [2, 2], [1, 1]),
    ]
}
