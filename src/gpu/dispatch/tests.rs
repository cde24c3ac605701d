use super::*;
use crate::gpu::testing::{buffer_of, gpu, nan_buffer, read_f32};
use crate::gpu::{Checks, DeviceOptions, ShaderError};

const SCALE: &str = "
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    struct Params { n: u32, scale: f32 }
    var<immediate> im: Params;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < im.n { y[id.x] = x[id.x] * im.scale; }
    }";

fn scale(n: u32, by: f32) -> Kernel {
    Kernel {
        label: "scale".into(),
        source: SCALE.into(),
        grid: [n.div_ceil(64), 1, 1],
        immediates: vec![n, by.to_bits()],
    }
}

fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

#[test]
fn immediates_reach_the_kernel_and_can_differ_within_one_submit() {
    let gpu = gpu();
    let (n, x) = (1000, ramp(1000));
    let (a, b, c) = (
        buffer_of(&gpu, "a", &x),
        nan_buffer(&gpu, "b", n),
        nan_buffer(&gpu, "c", n),
    );
    let first = gpu.prepare(&scale(n as u32, 2.5), &[&a, &b]).unwrap();
    let second = gpu.prepare(&scale(n as u32, -1.0), &[&b, &c]).unwrap();
    gpu.submit([&first, &second]).unwrap();
    // The second sees what the first wrote.
    assert_eq!(
        read_f32(&gpu, &c),
        x.iter().map(|x| x * -2.5).collect::<Vec<_>>()
    );

    let mut recorder = gpu.record().unwrap();
    recorder
        .dispatch_with(&first, &[999, 3f32.to_bits()])
        .unwrap();
    recorder
        .dispatch_with(&first, &[500, 4f32.to_bits()])
        .unwrap();
    recorder.submit().unwrap();
    let b = read_f32(&gpu, &b);
    assert_eq!(
        [b[499], b[500], b[998], b[999]],
        [4. * 499., 3. * 500., 3. * 998., 2.5 * 999.]
    );
}

#[test]
fn set_immediates_lasts_and_makes_nothing() {
    let gpu = gpu();
    let (a, b) = (buffer_of(&gpu, "a", &ramp(17)), nan_buffer(&gpu, "b", 17));
    let mut dispatch = gpu.prepare(&scale(17, 1.0), &[&a, &b]).unwrap();
    let before = gpu.traffic();
    dispatch.set_immediates(&[17, 7f32.to_bits()]).unwrap();
    gpu.submit([&dispatch]).unwrap();
    assert_eq!(
        gpu.traffic().bind_groups_created,
        before.bind_groups_created
    );
    assert_eq!(read_f32(&gpu, &b)[16], 7. * 16.);
    let error = dispatch.set_immediates(&[17]).unwrap_err();
    assert!(
        matches!(
            error,
            GpuError::ImmediateCount {
                expected: 2,
                got: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn repeated_submits_create_nothing_and_are_counted() {
    let gpu = gpu();
    let (a, b) = (buffer_of(&gpu, "a", &ramp(100)), nan_buffer(&gpu, "b", 100));
    let kernel = scale(100, 2.0);
    let dispatches = [
        gpu.prepare(&kernel, &[&a, &b]).unwrap(),
        gpu.prepare(&kernel, &[&a, &b]).unwrap(),
    ];
    let before = gpu.traffic();
    assert_eq!(
        (before.pipelines_created, before.bind_groups_created),
        (1, 2)
    );
    for _ in 0..20 {
        gpu.submit(&dispatches).unwrap();
    }
    gpu.wait_idle().unwrap();
    let after = gpu.traffic();
    let expected = super::super::Traffic {
        submits: before.submits + 20,
        dispatches: before.dispatches + 40,
        immediate_bytes: before.immediate_bytes + 40 * 8,
        ..before
    };
    assert_eq!(after, expected);
}

#[test]
fn one_pipeline_per_text_whatever_the_sizes() {
    let gpu = gpu();
    let (a, b) = (nan_buffer(&gpu, "a", 100), nan_buffer(&gpu, "b", 100));
    for n in [1, 33, 100] {
        gpu.prepare(&scale(n, 1.0), &[&a, &b]).unwrap();
    }
    assert_eq!(gpu.traffic().pipelines_created, 1);
}

#[test]
fn dispatches_know_what_they_write() {
    let gpu = gpu();
    let (a, b) = (nan_buffer(&gpu, "a", 4), nan_buffer(&gpu, "b", 4));
    let dispatch = gpu.prepare(&scale(4, 1.0), &[&a, &b]).unwrap();
    assert_eq!(
        [dispatch.writes(0), dispatch.writes(1), dispatch.writes(2)],
        [false, true, false]
    );
    assert!(dispatch.buffers()[1].same(&b));
}

#[test]
fn grids_outside_the_limit_are_refused() {
    let gpu = gpu();
    let (a, b) = (nan_buffer(&gpu, "a", 4), nan_buffer(&gpu, "b", 4));
    let limit = gpu.caps().max_workgroups_per_dim;
    for (grid, bad_axis) in [
        ([limit + 1, 1, 1], 'x'),
        ([1, limit + 1, 1], 'y'),
        ([1, 1, 0], 'z'),
    ] {
        let kernel = Kernel {
            grid,
            ..scale(4, 1.0)
        };
        let error = gpu.prepare(&kernel, &[&a, &b]).unwrap_err();
        assert!(
            matches!(error, GpuError::Grid { axis, .. } if axis == bad_axis),
            "{error}"
        );
    }
}

#[test]
fn wrong_bindings_are_typed_errors() {
    let gpu = gpu();
    let (a, b) = (nan_buffer(&gpu, "a", 4), nan_buffer(&gpu, "b", 4));
    let kernel = scale(4, 1.0);
    let error = gpu.prepare(&kernel, &[&a]).unwrap_err();
    assert!(
        matches!(
            error,
            GpuError::BindingCount {
                expected: 2,
                got: 1,
                ..
            }
        ),
        "{error}"
    );
    let error = gpu.prepare(&kernel, &[&a, &a]).unwrap_err();
    assert!(
        matches!(
            error,
            GpuError::AliasedBuffer {
                first: 0,
                second: 1,
                ..
            }
        ),
        "{error}"
    );
    let error = gpu
        .prepare(
            &Kernel {
                immediates: vec![4],
                ..kernel.clone()
            },
            &[&a, &b],
        )
        .unwrap_err();
    assert!(
        matches!(
            error,
            GpuError::ImmediateCount {
                expected: 2,
                got: 1,
                ..
            }
        ),
        "{error}"
    );

    let wide = SCALE.replacen("array<f32>", "array<f32, 64>", 1);
    let error = gpu
        .prepare(
            &Kernel {
                source: wide.into(),
                ..kernel.clone()
            },
            &[&a, &b],
        )
        .unwrap_err();
    assert!(
        matches!(
            error,
            GpuError::BindingTooSmall {
                binding: 0,
                needed: 256,
                bytes: 16,
                ..
            }
        ),
        "{error}"
    );

    let other = gpu.another(DeviceOptions::default())().unwrap();
    let error = other.prepare(&kernel, &[&a, &b]).unwrap_err();
    assert!(matches!(error, GpuError::ForeignBuffer { .. }), "{error}");
    let dispatch = gpu.prepare(&kernel, &[&a, &b]).unwrap();
    let error = other.submit([&dispatch]).unwrap_err();
    assert!(matches!(error, GpuError::ForeignDispatch { .. }), "{error}");
}

#[test]
fn two_readers_of_one_buffer_are_fine() {
    let gpu = gpu();
    let source = "
        @group(0) @binding(0) var<storage, read> a: array<f32>;
        @group(0) @binding(1) var<storage, read> b: array<f32>;
        @group(0) @binding(2) var<storage, read_write> c: array<f32>;
        @compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) { c[id.x] = a[id.x] + b[id.x]; }";
    let (a, c) = (buffer_of(&gpu, "a", &ramp(5)), nan_buffer(&gpu, "c", 5));
    let kernel = Kernel {
        label: "sum".into(),
        source: source.into(),
        grid: [5, 1, 1],
        immediates: vec![],
    };
    gpu.submit([&gpu.prepare(&kernel, &[&a, &a, &c]).unwrap()])
        .unwrap();
    assert_eq!(read_f32(&gpu, &c), [0., 2., 4., 6., 8.]);
}

#[test]
fn an_invalid_shader_names_kernel_and_line() {
    let gpu = gpu();
    let kernel = Kernel {
        source: SCALE.replace("im.scale;", "im.scael;").into(),
        ..scale(4, 1.0)
    };
    let error = gpu.prepare(&kernel, &[]).unwrap_err();
    let GpuError::Shader {
        kernel,
        source: ShaderError::Invalid { line, .. },
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((kernel.as_str(), *line), ("scale", 7), "{error}");
    assert!(error.to_string().contains("scael"), "{error}");
    // A refused shader is no fault of the device.
    gpu.wait_idle().unwrap();
}

#[test]
fn a_workgroup_over_the_limits_is_refused_before_the_driver_sees_it() {
    let gpu = gpu();
    let too_many = gpu.caps().max_workgroup_size[0] + 1;
    let kernel = Kernel {
        source: SCALE.replace("(64)", &format!("({too_many})")).into(),
        ..scale(4, 1.0)
    };
    let error = gpu.prepare(&kernel, &[]).unwrap_err();
    assert!(matches!(error, GpuError::KernelOverLimit { .. }), "{error}");
    let floats = gpu.caps().workgroup_storage_bytes / 4 + 1;
    let source = SCALE
        .replace(
            "@compute",
            &format!("var<workgroup> w: array<f32, {floats}>; @compute"),
        )
        .replace("* im.scale", "* w[id.x]");
    let error = gpu
        .prepare(
            &Kernel {
                source: source.into(),
                ..scale(4, 1.0)
            },
            &[],
        )
        .unwrap_err();
    assert!(
        matches!(
            error,
            GpuError::KernelOverLimit {
                what: "bytes of workgroup memory",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn unchecked_devices_compute_the_same() {
    let checked = gpu();
    for checks in [Checks::Driver, Checks::None] {
        let options = DeviceOptions {
            checks,
            ..DeviceOptions::default()
        };
        let gpu = checked.another(options)().unwrap();
        let (a, b) = (buffer_of(&gpu, "a", &ramp(130)), nan_buffer(&gpu, "b", 130));
        gpu.submit([&gpu.prepare(&scale(130, 0.5), &[&a, &b]).unwrap()])
            .unwrap();
        assert_eq!(
            read_f32(&gpu, &b),
            ramp(130).iter().map(|x| x * 0.5).collect::<Vec<_>>()
        );
    }
}

/// tools/check-bounds has to hear of it.
#[test]
#[ignore = "reaches beyond its buffer, on purpose"]
fn a_kernel_that_reaches_beyond_its_buffer() {
    let gpu = gpu();
    let source = "
        @group(0) @binding(0) var<storage, read_write> y: array<f32>;
        @compute @workgroup_size(1) fn main() { y[0] = 1.0; y[100] = y[200]; }";
    let y = nan_buffer(&gpu, "y", 8);
    let kernel = Kernel {
        label: "beyond".into(),
        source: source.into(),
        grid: [1, 1, 1],
        immediates: vec![],
    };
    gpu.submit([&gpu.prepare(&kernel, &[&y]).unwrap()]).unwrap();
    assert_eq!(read_f32(&gpu, &y)[0], 1.0);
}
