//! Convolutions at the points of their tiles against the textbook loops. A tile is straight code that takes a second to compile: each of these
//! is there for something that the others do not have.
use super::*;

fn ops(shape: ConvShape) -> [GemmOp; 3] {
    [
        GemmOp::Conv2d(shape),
        GemmOp::Conv2dInputGrad(shape),
        GemmOp::Conv2dWeightGrad(shape),
    ]
}

fn variant(caps: &Caps, form: Form, op: &GemmOp, outputs: u32) -> Variant {
    Variant {
        body: Variant::by_rule(caps, form, op, F32).unwrap().body,
        scheme: Scheme::Winograd(outputs),
    }
}

fn check_all(shape: ConvShape, form: Form, outputs: u32, offsets: [u32; 3]) {
    let gpu = gpu();
    for op in ops(shape) {
        let variant = variant(gpu.caps(), form, &op, outputs);
        check_variant(gpu.caps(), variant, &op, offsets);
    }
}

/// A DCGAN's windows; tiles that overhang; y in rows of an odd length, which are read number by number.
#[test]
fn windows_of_a_dcgan() {
    let shape = conv(3, [8, 12], [14, 14], [4, 4], [2, 2], [1, 1]);
    check_all(shape, Form::Cpu, 4, [0; 3]);
    // Offsets at which numbers do not lie in twos.
    check_all(shape, Form::Cpu, 2, [4, 3, 5]);
    check_all(shape, Form::Gpu, 2, [4, 3, 5]);
}

/// What GPUs measure: tiles of both sizes, their products in several blocks.
#[test]
fn candidates_of_gpus() {
    let gpu = gpu();
    for op in ops(conv(3, [8, 12], [14, 14], [4, 4], [2, 2], [1, 1])) {
        let all = Variant::candidates(gpu.caps(), Form::Gpu, &op, F32).unwrap();
        let is = |v: &&Variant| matches!(v.scheme, Scheme::Winograd(_));
        let at_points: Vec<_> = all.iter().filter(is).collect();
        assert!(at_points.len() > 1, "{op}: {all:?}");
        for &variant in at_points {
            check_variant(gpu.caps(), variant, &op, [0; 3]);
        }
    }
}

/// x in rows of an odd length, and a last row and column that no window reaches.
#[test]
fn odd_sizes() {
    let shape = conv(2, [4, 8], [7, 9], [4, 4], [2, 2], [1, 1]);
    check_all(shape, Form::Cpu, 2, [0; 3]);
}

/// One phase alone, two and three taps; pads that differ, or that whole windows lie in; images smaller than a tile.
#[test]
fn windows_at_stride_one() {
    let three = conv(5, [8, 4], [8, 6], [3, 3], [1, 1], [1, 1]);
    check_all(three, Form::Cpu, 4, [0; 3]);
    let two = conv(2, [12, 4], [9, 7], [2, 2], [1, 1], [0, 1]);
    check_all(two, Form::Cpu, 2, [0; 3]);
    let small = conv(9, [4, 4], [1, 2], [3, 3], [1, 1], [2, 1]);
    check_all(small, Form::Cpu, 2, [0; 3]);
}

/// Three taps of each of two phases.
#[test]
fn windows_of_six() {
    let shape = conv(2, [4, 4], [8, 7], [6, 6], [2, 2], [2, 3]);
    check_all(shape, Form::Cpu, 2, [0; 3]);
}

/// More images than go at a time: the groups are found, and sums go on from one to the next.
#[test]
fn groups_of_images() {
    let gpu = gpu();
    let shape = conv(131, [4, 4], [32, 32], [3, 3], [1, 1], [1, 1]);
    for op in ops(shape) {
        let variant = variant(gpu.caps(), Form::Cpu, &op, 2);
        let passes = lower(gpu.caps(), variant, &call(&op, [0; 3])).unwrap();
        let products = passes.iter().filter(|p| p.work == Work::Product).count();
        assert!(products > 1, "{op}");
        // Thousands of products in a weight gradient.
        let Run { a, b, c } = run(&gpu, &passes, (variant, &op, [0; 3]), &[]);
        let want = reference::gemm(&op, &a, &b);
        let size = want.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
        assert_close(&op.to_string(), &c, &want, ABS * size, REL);
    }
    let [forward, _, weights] = ops(shape);
    let caught = |op: &GemmOp, text: &str, mutant: &str| {
        assert_caught(
            &gpu,
            variant(gpu.caps(), Form::Cpu, op, 2),
            op,
            text,
            mutant,
        );
    };
    caught(&forward, "im.batch + im.first_image", "im.batch");
    caught(
        &weights,
        "c_stored(vec4<f32>(c_loaded(gemm_c[at])) + value)",
        "c_stored(value)",
    );
}

#[test]
fn operands_in_halves() {
    let gpu = gpu();
    if !gpu.caps().f16 {
        eprintln!("no f16 here: how halves are read is not tested");
        return;
    }
    let formats = [Scalar::F16, Scalar::F16, Scalar::F32];
    let op = GemmOp::Conv2d(conv(2, [4, 8], [6, 8], [4, 4], [2, 2], [1, 1]));
    let variant = variant(gpu.caps(), Form::Cpu, &op, 2);
    let call = Call {
        formats,
        ..call(&op, [0; 3])
    };
    let passes = lower(gpu.caps(), variant, &call).unwrap();
    let Run { a, b, c } = run_stored(&gpu, &passes, (variant, &op, [0; 3]), &[], formats);
    assert_close("halves", &c, &reference::gemm(&op, &a, &b), ABS, REL);
}

/// The checks would see a tile in the wrong place, a pad that is not outside, and weights that are not turned around.
#[test]
fn mutations_are_caught() {
    let gpu = gpu();
    let shape = conv(2, [4, 8], [6, 10], [4, 4], [2, 2], [1, 1]);
    let [forward, input, weights] = ops(shape);
    for (op, text, mutant) in [
        (&forward, "x == im.tiles_w", "x == im.tiles_w + 1u"),
        (
            &forward,
            "& (vec2<u32>(place_left + right) < vec2<u32>(im.w))",
            "",
        ),
        (&input, "im.origin + i32(row", "i32(row"),
        (&weights, "phase_h * im.kw", "0u"),
    ] {
        let variant = variant(gpu.caps(), Form::Cpu, op, 2);
        assert_caught(&gpu, variant, op, text, mutant);
    }
}

#[test]
fn every_shader_is_portable() {
    let caps = |int64| Caps {
        int64,
        ..Caps::baseline(crate::gpu::AdapterClass::Software)
    };
    let shapes = [
        conv(3, [8, 12], [14, 14], [4, 4], [2, 2], [1, 1]),
        conv(2, [4, 8], [7, 9], [3, 3], [1, 1], [1, 1]),
    ];
    for op in shapes.into_iter().flat_map(ops) {
        for (form, int64) in [(Form::Cpu, true), (Form::Cpu, false), (Form::Gpu, false)] {
            for outputs in [2, 4] {
                let caps = caps(int64);
                let variant = variant(&caps, form, &op, outputs);
                for Pass { kernel, .. } in lower(&caps, variant, &Call::plain(&op)).unwrap() {
                    if let Err(error) = shader::portability(&kernel.source) {
                        panic!("{}: {error}", kernel.label);
                    }
                }
            }
        }
    }
}

/// Only convolutions of square windows that are two or three times as long as their stride, with channels in fours.
#[test]
fn other_operations_are_refused() {
    let caps = gpu().caps().clone();
    let conv = |co, kernel, stride| {
        GemmOp::Conv2d(super::conv(2, [4, co], [8, 8], kernel, [stride; 2], [1, 1]))
    };
    for op in [
        conv(6, [4, 4], 2),
        conv(8, [4, 3], 1),
        conv(8, [3, 3], 2),
        conv(8, [4, 4], 1),
        matmul([8, 8, 8], 1, [false, false]),
    ] {
        let refused = Variant {
            scheme: Scheme::Winograd(4),
            ..Variant::by_rule(&caps, Form::Cpu, &op, F32).unwrap()
        };
        let error = lower(&caps, refused, &Call::plain(&op)).unwrap_err();
        assert!(error.to_string().contains("square windows"), "{error}");
    }
}
