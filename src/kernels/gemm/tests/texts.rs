//! What the shaders are, before any runs: valid, portable, few; and what is refused.
use super::*;

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
