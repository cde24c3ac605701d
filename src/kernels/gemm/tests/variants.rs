//! What all operations have: schemes, candidates, tiles of each driver, epilogues; and that the checks would see a mistake.
use super::*;
use crate::gpu::AdapterClass;

const CLASSES: [(AdapterClass, Form); 2] = [
    (AdapterClass::Software, Form::Cpu),
    (AdapterClass::Discrete, Form::Gpu),
];

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

/// An alternative that reaches too far is none, and the operation has the others. Nothing is run.
#[test]
fn alternatives_that_reach_too_far_are_left_out() {
    let of = |batch| {
        let shape = conv(batch, [64, 64], [256, 256], [3, 3], [1, 1], [1, 1]);
        GemmOp::Conv2dInputGrad(shape)
    };
    let (op, larger) = (of(64), of(1024));
    for (class, form) in CLASSES {
        let product = variant::product(&op, form, Scheme::TapsFirst);
        assert!(Problem::new(&product, [0; 3]).is_err());
        for max_binding_bytes in [128 << 20, 1 << 40] {
            let caps = Caps {
                max_binding_bytes,
                max_buffer_bytes: max_binding_bytes,
                ..Caps::baseline(class)
            };
            let rule = Variant::by_rule(&caps, form, &op, F32).unwrap();
            assert_eq!(rule.scheme, Scheme::Whole);
            lower(&caps, rule, &Call::plain(&op)).unwrap();
            let all = Variant::candidates(&caps, form, &op, F32).unwrap();
            assert_eq!(all[0], rule);
            assert!(all.iter().all(|v| v.scheme != Scheme::TapsFirst));
            // What is wrong with the operation itself is said of it.
            let refused = Variant::by_rule(&caps, form, &larger, F32);
            assert!(matches!(
                refused,
                Err(KernelError::TooLarge {
                    kernel: "conv2d_input_grad",
                    ..
                })
            ));
        }
    }
}

/// Each part of scratch memory is a buffer.
#[test]
fn schemes_whose_scratch_memory_cannot_be_bound_are_left_out() {
    let op = matmul([64, 64, 8192], 1, [false, false]);
    for (class, form) in CLASSES {
        let most = |max_binding_bytes| {
            let caps = Caps {
                max_binding_bytes,
                ..Caps::baseline(class)
            };
            let all = Variant::candidates(&caps, form, &op, F32).unwrap();
            all.into_iter().map(|v| v.scheme.parts()).max().unwrap()
        };
        let four_parts = 4 * op.lens()[2] * 4;
        assert!(most(four_parts) <= 4);
        assert!(most(four_parts - 1) < 4);
        if form == Form::Gpu {
            assert!(most(128 << 20) > 4);
        }
    }
}

/// Rows and parts by rule depend on the number of cores: a run goes on elsewhere with what it recorded.
#[test]
fn variants_of_other_numbers_of_cores_have_names() {
    let caps = Caps::baseline(AdapterClass::Software);
    let op = matmul([12, 24, 40_000], 1, [false, false]);
    let rule = Variant::by_rule(&caps, Form::Cpu, &op, F32).unwrap();
    let Body::Cpu {
        k_tile, stripes, ..
    } = rule.body
    else {
        panic!("{rule}")
    };
    let named = |name: &str| Variant::named(name, &caps, Form::Cpu, &op, F32);
    let others = [
        (4, Scheme::Whole),
        (12, Scheme::SplitK(16)),
        (128, Scheme::SplitK(2)),
    ];
    for (rows, scheme) in others {
        let body = Body::Cpu {
            k_tile,
            rows,
            stripes,
        };
        let variant = Variant { body, scheme };
        assert_eq!(named(&variant.to_string()), Some(variant));
    }
    let rule = rule.to_string();
    for name in ["", "-split3", "-taps", "-winograd4"] {
        let name = format!(
            "cpu-k{k_tile}-r{}{name}",
            if name.is_empty() { 5 } else { 12 }
        );
        assert_ne!(name, rule);
        assert_eq!(named(&name), None);
    }
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
