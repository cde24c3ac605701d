//! Every operation and variant against the textbook loops, on the adapter that `GAN_GPU_ADAPTER` picks.
use super::*;
use crate::gpu::testing::{assert_close, buffer_of, close, gpu, nan_buffer, read_f32};
use crate::gpu::{Buffer, Checks, Gpu};
use crate::kernels::Form;

/// Every tile of the bodies for GPUs.
mod gpu;
/// Convolutions at the points of their tiles.
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
        .map(|i| {
            let mut x = i.wrapping_mul(0x9E37_79B9) ^ seed.wrapping_mul(0x85EB_CA6B);
            x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
            x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
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

/// Around the tiles: 4 elements, 8 lanes, 32 columns, K tiles, 64 x 64 blocks. Odd sizes take the scalar
/// loaders, multiples of four the vec4 ones.
const ODD: [[u32; 3]; 6] = [
    [1, 1, 33],
    [15, 17, 65],
    [17, 33, 63],
    [65, 15, 129],
    [33, 65, 33],
    [129, 1, 67],
];
const FOURS: [[u32; 3]; 5] = [
    [4, 4, 36],
    [16, 64, 64],
    [68, 36, 132],
    [132, 100, 60],
    [32, 28, 196],
];

fn check_matmuls(form: Form, transposes: [bool; 2]) {
    let _gpu = gpu();
    for size in ODD.into_iter().chain(FOURS) {
        check(form, &matmul(size, 1, transposes), [0; 3]);
    }
}

#[test]
fn matmul_cpu() {
    let _gpu = gpu();
    for transposes in TRANSPOSES {
        check_matmuls(Form::Cpu, transposes);
    }
}

#[test]
fn matmul_tiled() {
    let _gpu = gpu();
    for transposes in TRANSPOSES {
        check_matmuls(Form::Gpu, transposes);
    }
}

#[test]
fn matmul_of_small_depth() {
    let _gpu = gpu();
    for form in BOTH {
        for size in [
            [1, 1, 1],
            [17, 33, 1],
            [5, 3, 15],
            [2, 65, 16],
            [33, 7, 17],
            [9, 9, 31],
        ] {
            check(form, &matmul(size, 1, [false, true]), [0; 3]);
        }
    }
}

#[test]
fn matmul_batches_and_offsets() {
    let _gpu = gpu();
    for form in BOTH {
        check(form, &matmul([17, 33, 65], 3, [false, false]), [5, 0, 3]);
        check(form, &matmul([20, 36, 68], 3, [true, true]), [4, 8, 12]);
        // Aligned sizes at odd offsets must not be read as vec4.
        check(form, &matmul([20, 36, 68], 2, [false, false]), [1, 2, 3]);
    }
}

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

fn check_convs(op: fn(ConvShape) -> GemmOp, offsets: [u32; 3]) {
    let _gpu = gpu();
    for form in BOTH {
        for shape in shapes() {
            check(form, &op(shape), offsets);
        }
    }
}

#[test]
fn conv2d() {
    check_convs(GemmOp::Conv2d, [0; 3]);
}

#[test]
fn conv2d_weight_grad() {
    check_convs(GemmOp::Conv2dWeightGrad, [0, 7, 4]);
}

#[test]
fn conv2d_input_grad() {
    check_convs(GemmOp::Conv2dInputGrad, [3, 1, 5]);
}

/// Split k and taps first, on every shape and at odd offsets.
#[test]
fn schemes_of_two_passes() {
    let gpu = gpu();
    let mut ops = vec![
        matmul([3, 5, 1000], 1, [false, true]),
        matmul([36, 8, 512], 1, [true, false]),
        matmul([1, 64, 129], 1, [false, false]),
    ];
    for shape in shapes() {
        ops.push(GemmOp::Conv2dInputGrad(shape));
        ops.push(GemmOp::Conv2dWeightGrad(shape));
    }
    ops.push(GemmOp::Conv2d(shapes()[6]));
    for form in BOTH {
        for op in &ops {
            for variant in schemes(gpu.caps(), form, op).into_iter().skip(1) {
                check_variant(gpu.caps(), variant, op, [0; 3]);
                check_variant(gpu.caps(), variant, op, [4, 3, 5]);
            }
        }
    }
    let shape = conv(2, [3, 5], [7, 9], [3, 4], [2, 1], [1, 2]);
    let taps = Scheme::TapsFirst;
    let mutations = [
        (
            matmul([3, 5, 300], 1, [false, false]),
            Scheme::SplitK(2),
            "part >= im.parts",
            "part + 1u >= im.parts",
        ),
        (
            matmul([3, 5, 300], 1, [false, false]),
            Scheme::SplitK(2),
            "gemm.k_begin + im.part_k",
            "gemm.k_begin + im.part_k + im.part_k",
        ),
        (
            GemmOp::Conv2dInputGrad(shape),
            taps,
            "at >= windows * stride",
            "at > windows * stride",
        ),
        (
            GemmOp::Conv2dInputGrad(shape),
            taps,
            "kw += im.stride_w",
            "kw += im.stride_h",
        ),
    ];
    for form in BOTH {
        for (op, scheme, text, mutant) in &mutations {
            let body = Variant::by_rule(gpu.caps(), form, op, F32).unwrap().body;
            let variant = Variant {
                body,
                scheme: *scheme,
            };
            assert_caught(&gpu, variant, op, text, mutant);
        }
    }
}

/// Weights so large that their phases are packed one after the other, each over the one before.
#[test]
fn phases_one_after_the_other() {
    let gpu = gpu();
    let op = GemmOp::Conv2dInputGrad(conv(1, [256, 268], [3, 4], [4, 4], [2, 2], [1, 1]));
    for form in BOTH {
        let variant = Variant {
            scheme: Scheme::Whole,
            ..Variant::by_rule(gpu.caps(), form, &op, [Scalar::F32; 3]).unwrap()
        };
        let passes = lower(gpu.caps(), variant, &Call::plain(&op)).unwrap();
        assert_eq!(passes.len(), 8);
        check_variant(gpu.caps(), variant, &op, [4, 3, 5]);
        assert_caught(
            &gpu,
            variant,
            &op,
            "let phase = im.first_phase + z",
            "let phase = z",
        );
    }
}

/// Each candidate is found again by its name, the choice by rule comes first, and all compute the same.
#[test]
fn candidates_have_names_and_agree() {
    let gpu = gpu();
    let last = shapes()[8];
    for op in [
        matmul([8, 24, 2000], 1, [false, true]),
        GemmOp::Conv2dInputGrad(last),
        GemmOp::Conv2dWeightGrad(last),
    ] {
        for form in BOTH {
            let all = Variant::candidates(gpu.caps(), form, &op, F32).unwrap();
            assert_eq!(
                all[0],
                Variant::by_rule(gpu.caps(), form, &op, F32).unwrap()
            );
            assert!(all.len() > 1, "{op:?}: {all:?}");
            for &variant in &all {
                let name = variant.to_string();
                let found = Variant::named(&name, gpu.caps(), form, &op, F32);
                assert_eq!(found, Some(variant));
                check_variant(gpu.caps(), variant, &op, [0; 3]);
            }
        }
        assert_eq!(
            Variant::named("cpu-k7", gpu.caps(), Form::Cpu, &op, F32),
            None
        );
    }
}

/// The forms for CPU adapters whose subgroups are not 8 wide, or that have none, and that have no 64-bit integers.
#[test]
fn cpu_without_broadcast() {
    let gpu = gpu();
    let caps = Caps {
        subgroup_size: None,
        int64: false,
        ..gpu.caps().clone()
    };
    for size in [[15, 17, 65], [129, 33, 33], [1, 1, 1], [68, 36, 132]] {
        check_with(&caps, Form::Cpu, &matmul(size, 1, [false, false]), [0; 3]);
        check_with(&caps, Form::Cpu, &matmul(size, 1, [true, false]), [0; 3]);
        check_with(&caps, Form::Cpu, &matmul(size, 1, [false, true]), [0; 3]);
    }
    let last = shapes()[8];
    check_with(&caps, Form::Cpu, &GemmOp::Conv2dInputGrad(last), [0; 3]);
}

/// The K tiles of every driver, whatever driver runs this.
#[test]
fn cpu_tiles_of_every_driver() {
    let gpu = gpu();
    let last = shapes()[8];
    for driver in ["", "Mesa 22.3.6"] {
        let caps = Caps {
            driver: driver.into(),
            ..gpu.caps().clone()
        };
        for op in [
            matmul([68, 36, 132], 1, [true, true]),
            GemmOp::Conv2dInputGrad(last),
        ] {
            check_with(&caps, Form::Cpu, &op, [0; 3]);
        }
    }
}

/// So many columns that a workgroup takes as many rows as its memory holds, and the rest of m is ragged.
#[test]
fn full_row_blocks() {
    let _gpu = gpu();
    check(
        Form::Cpu,
        &matmul([517, 33, 35], 16, [false, false]),
        [0; 3],
    );
}

/// A grid over the adapter's limit is folded, and its surplus workgroups write nothing.
#[test]
fn a_folded_grid_computes_the_same() {
    let gpu = gpu();
    let caps = Caps {
        max_workgroups_per_dim: 5,
        ..gpu.caps().clone()
    };
    let small = tiled::TILES.map(|(tile, _)| tile)[tiled::TILES.len() - 1];
    for (form, size) in [(Form::Cpu, [130, 70, 33]), (Form::Gpu, [70, 40, 33])] {
        let op = matmul(size, 3, [false, false]);
        let variant = match form {
            // The rule makes more workgroups where there are more cores, and smaller tiles or parts on GPUs.
            Form::Cpu => Variant {
                body: Body::Cpu {
                    k_tile: 40,
                    rows: 68,
                    stripes: 1,
                },
                scheme: Scheme::Whole,
            },
            Form::Gpu => Variant {
                body: Body::Tiled(small),
                scheme: Scheme::Whole,
            },
        };
        let passes = lower(&caps, variant, &call(&op, [0; 3])).unwrap();
        let grid = passes[0].kernel.grid;
        assert!(grid[1] > 1 && grid.iter().all(|&d| d <= 5), "{grid:?}");
        check_variant(&caps, variant, &op, [0; 3]);
        let op = matmul([1300, 700, 33], 3, [false, false]);
        assert!(matches!(
            by_rule(&caps, form, &call(&op, [0; 3])),
            Err(KernelError::Grid { limit: 25, .. })
        ));
    }
}

/// Bias by row, and a second tensor by index, at an offset that is an immediate.
#[test]
fn the_epilogue_sees_row_index_and_constants() {
    const OFFSET: u32 = 3;
    let gpu = gpu();
    let epilogue = Epilogue {
        wgsl: "@group(0) @binding(E_BINDING + 0u) var<storage, read> e_bias: array<f32>;
               @group(0) @binding(E_BINDING + 1u) var<storage, read> e_other: array<f32>;
               fn epilogue(v: f32, i: u32) -> f32 { return max(v + e_bias[im.e0 + epilogue_row], 0.0) * e_other[i]; }"
            .into(),
        extra_buffers: 2,
        f16: false,
        immediates: vec![OFFSET],
    };
    let last = shapes()[8];
    let ops = [
        (matmul([17, 33, 65], 1, [false, false]), 17, 33),
        (
            GemmOp::Conv2d(last),
            last.co,
            last.n * last.oh() * last.ow(),
        ),
        (matmul([17, 33, 65], 2, [false, false]), 17, 33),
        (matmul([36, 40, 68], 2, [false, false]), 36, 40),
        (
            GemmOp::Conv2dInputGrad(last),
            last.ci,
            last.n * last.h * last.w,
        ),
    ];
    for form in BOTH {
        for (op, rows, cols) in &ops {
            for variant in schemes(gpu.caps(), form, op) {
                let bias = noise(3, (OFFSET + rows) as usize);
                let other = noise(4, op.lens()[2] as usize);
                let extra = [
                    buffer_of(&gpu, "bias", &bias),
                    buffer_of(&gpu, "other", &other),
                ];
                let with = Call {
                    epilogue: Some(&epilogue),
                    ..call(op, [4, 8, 12])
                };
                let passes = lower(gpu.caps(), variant, &with).unwrap();
                let what = (variant, op, [4, 8, 12]);
                let Run { a, b, c } = run(&gpu, &passes, what, &[&extra[0], &extra[1]]);
                let mut want = reference::gemm(op, &a, &b);
                for (i, v) in want.iter_mut().enumerate() {
                    let row = i as u32 / cols % rows;
                    *v = (*v + f64::from(bias[(OFFSET + row) as usize])).max(0.0)
                        * f64::from(other[i]);
                }
                assert_close(&format!("{variant} {op:?}"), &c, &want, ABS, REL);
            }
        }
    }
}

/// The checks above would see a kernel that forgets the last k, swaps height and width, or skips the last column.
#[test]
fn mutations_are_caught() {
    let gpu = gpu();
    let shape = conv(2, [3, 5], [7, 10], [3, 4], [2, 3], [1, 2]);
    let mutations: [(GemmOp, &str, &str); 4] = [
        (
            matmul([17, 33, 65], 1, [false, false]),
            "ks < vec4<u32>(gemm.k)",
            "ks + 1u < vec4<u32>(gemm.k)",
        ),
        (
            GemmOp::Conv2d(shape),
            "i32(b_k.y) * gather.k_step_h",
            "i32(b_k.z) * gather.k_step_h",
        ),
        (
            GemmOp::Conv2dInputGrad(shape),
            "j * gather.col_step_w + vec4<i32>(gather.col_start_w)",
            "j * gather.col_step_w + vec4<i32>(gather.col_start_h)",
        ),
        (
            matmul([17, 35, 65], 1, [false, false]),
            "col + 2u < gemm.n",
            "col + 3u < gemm.n",
        ),
    ];
    for form in BOTH {
        for (op, text, mutant) in &mutations {
            let variant = Variant {
                scheme: Scheme::Whole,
                ..Variant::by_rule(gpu.caps(), form, op, F32).unwrap()
            };
            assert_caught(&gpu, variant, op, text, mutant);
        }
    }
    // Only CPU adapters with 64-bit integers load and store words.
    if !gpu.caps().int64 {
        eprintln!("no 64-bit integers here: how words are put together is not tested");
    } else {
        // Of several K tiles: sums of one would change places in the stash, and on their way out once more.
        let op = matmul([16, 36, 128], 1, [false, false]);
        let variant = Variant::by_rule(gpu.caps(), Form::Cpu, &op, F32).unwrap();
        for [text, mutant] in [["u32(high.x)", "u32(high.y)"], ["bits.yw", "bits.wy"]] {
            assert_caught(&gpu, variant, &op, text, mutant);
        }
    }
}

/// Every text that can come about, for every driver's tile, is valid and translates for every API.
#[test]
fn every_shader_is_portable() {
    let caps = |subgroup_size, driver: &str| Caps {
        subgroups: true,
        subgroup_size,
        int64: driver.contains("25."),
        driver: driver.into(),
        ..Caps::baseline(crate::gpu::AdapterClass::Software)
    };
    let adapters = [
        caps(Some(8), "Mesa 25.0.7"),
        caps(Some(8), "Mesa 22.3.6"),
        caps(None, ""),
    ];
    let mut ops = Vec::new();
    for transposes in TRANSPOSES {
        ops.push(matmul([15, 17, 65], 1, transposes));
        ops.push(matmul([16, 20, 68], 1, transposes));
    }
    ops.push(matmul([16, 20, 16], 1, [false, false]));
    for shape in [shapes()[0], shapes()[8]] {
        ops.extend([GemmOp::Conv2d(shape), GemmOp::Conv2dInputGrad(shape)]);
        ops.push(GemmOp::Conv2dWeightGrad(shape));
    }
    // Large enough for two stripes.
    for transposes in TRANSPOSES {
        ops.push(matmul([1024, 1024, 1024], 1, transposes));
    }
    let large = conv(64, [64, 128], [16, 16], [4, 4], [2, 2], [1, 1]);
    ops.extend([GemmOp::Conv2d(large), GemmOp::Conv2dInputGrad(large)]);
    let mut sources = std::collections::BTreeMap::new();
    let mut add = |caps: &Caps, variant: Variant, op: &GemmOp| {
        for Pass { kernel, .. } in lower(caps, variant, &Call::plain(op)).unwrap() {
            sources.insert(kernel.source, kernel.label);
        }
    };
    for op in &ops {
        for caps in &adapters {
            for variant in schemes(caps, Form::Cpu, op) {
                add(caps, variant, op);
            }
        }
        for variant in schemes(&adapters[0], Form::Gpu, op) {
            add(&adapters[0], variant, op);
        }
    }
    assert!(sources.len() > 40, "{}", sources.len());
    for (source, label) in sources {
        if let Err(error) = shader::portability(&source) {
            panic!("{label}: {error}");
        }
        let reflection = shader::validate(&source).unwrap();
        assert!(reflection.workgroup_bytes <= 16 << 10, "{label}");
    }
}

#[test]
fn one_pipeline_serves_all_shapes_of_a_class() {
    let caps = Caps::baseline(crate::gpu::AdapterClass::Software);
    let source = |op: &GemmOp| {
        let variant = Variant {
            scheme: Scheme::Whole,
            ..Variant::by_rule(&caps, Form::Cpu, op, F32).unwrap()
        };
        let passes = lower(&caps, variant, &Call::plain(op)).unwrap();
        passes.last().unwrap().kernel.source.clone()
    };
    assert_eq!(
        source(&matmul([64, 64, 64], 1, [true, false])),
        source(&matmul([784, 128, 1024], 7, [true, false]))
    );
    // At a stride that no other loader has.
    let shape = shapes()[2];
    assert_eq!(
        source(&GemmOp::Conv2d(shape)),
        source(&GemmOp::Conv2dWeightGrad(shape))
    );
    // Where rows of columns are no multiple of the stride, of channels that are no multiple of 4.
    let [one, other] =
        [[9, 11], [7, 10]].map(|size| conv(3, [5, 33], size, [5, 4], [2, 3], [2, 0]));
    assert_eq!(
        source(&GemmOp::Conv2dInputGrad(one)),
        source(&GemmOp::Conv2dInputGrad(other))
    );
}

#[test]
fn impossible_parameters_are_named() {
    let caps = Caps::baseline(crate::gpu::AdapterClass::Software);
    let error = |op| {
        by_rule(&caps, Form::Gpu, &Call::plain(&op))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(matmul([4, 0, 4], 1, [false, false])),
        "matmul: n is 0, it must be at least 1"
    );
    assert_eq!(
        error(GemmOp::Conv2d(conv(
            1,
            [1, 1],
            [4, 4],
            [3, 7],
            [1, 1],
            [1, 1]
        ))),
        "conv2d: the kernel width is 7, it must be at most 4 + 2 * 1, the padded image"
    );
    assert_eq!(
        error(GemmOp::Conv2dInputGrad(conv(
            1,
            [1, 1],
            [4, 4],
            [3, 3],
            [1, 0],
            [1, 1]
        ))),
        "conv2d_input_grad: the column stride is 0, it must be at least 1"
    );
    assert!(
        error(matmul([1 << 20, 4, 1 << 20], 1, [false, false]))
            .contains("A ends at element 1099511627776")
    );
    let many = Epilogue {
        immediates: vec![0; 30],
        ..Epilogue::default()
    };
    assert!(matches!(
        by_rule(
            &caps,
            Form::Cpu,
            &Call {
                epilogue: Some(&many),
                ..Call::plain(&matmul([4, 4, 4], 1, [false, false]))
            }
        ),
        Err(KernelError::Immediates { limit: 32, .. })
    ));
}
