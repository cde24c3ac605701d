//! Portability without hardware: every kernel that training and sampling with the built-in models comes down to, in the form for
//! CPU adapters and in the form for GPUs, with temporaries in f32 and in f16, is valid WGSL within the limits of the least adapter and can be written for Vulkan
//! (SPIR-V), Metal (MSL) and DirectX 12 (HLSL). And no file in `shaders/` is dead. Nothing here opens a device.
use gan_gpu::data::ImageSet;
use gan_gpu::data::density::Density;
use gan_gpu::data::toy::ToySet;
use gan_gpu::gan::config::GanConfig;
use gan_gpu::gan::trainer::{Data, kernels};
use gan_gpu::gpu::shader::{portability, to_msl, to_spirv, validate_for};
use gan_gpu::gpu::{AdapterClass, Caps, MatrixScalar, MatrixTile};
use gan_gpu::graph::plan::{Form, Precision, Target};
use gan_gpu::kernels::gemm::bench::dcgan_conv;
use gan_gpu::kernels::gemm::{self, Body, Call, GemmOp, Variant};
use gan_gpu::kernels::label_batch::{self, Labels};
use gan_gpu::kernels::random_source::RandomSource;
use gan_gpu::kernels::{Scalar, closeness, counter_value, density};
use gan_gpu::nn::models::MODELS;
use gan_gpu::nn::{Extent, model_by_name_or_file};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Adapters that select every variant: the least of either class, one with subgroups that kernels are specialised for, and a GPU
/// that can bind much.
fn adapters() -> Vec<Target> {
    let software = Caps::baseline(AdapterClass::Software);
    let discrete = Caps::baseline(AdapterClass::Discrete);
    let subgroups = |caps: &Caps, size: u32| Caps {
        subgroups: true,
        subgroup_size: Some(size),
        max_storage_buffers: 32,
        ..caps.clone()
    };
    let half = |caps: &Caps| Caps {
        f16: true,
        ..caps.clone()
    };
    let words = Caps {
        int64: true,
        ..subgroups(&software, 8)
    };
    let f32 = [
        words,
        subgroups(&discrete, 32),
        software.clone(),
        discrete.clone(),
    ];
    let f16 = [half(&subgroups(&software, 8)), half(&discrete)];
    let f16 = f16.map(|caps| Target::of(&caps).with_precision(Precision::F16));
    f32.iter().map(Target::of).chain(f16).collect()
}

const ADAM: &str = "{ name = \"adam\", lr = 1e-3, beta1 = 0.0, beta2 = 0.9 }";

/// Methods that between them use every objective's kind of loss, penalty, optimiser and effect.
fn method(model: &str) -> Vec<GanConfig> {
    let write = |head: &str, d: &str, g: &str, tail: &str| {
        let text = format!("{head}\n[optimiser]\nd = {d}\ng = {g}\n{tail}");
        GanConfig::from_toml("method", &text).unwrap()
    };
    let plain = write(
        "objective = \"non_saturating\"\nbatch = 16\nema = { decay = 0.99 }",
        ADAM,
        ADAM,
        "",
    );
    match model {
        "wgangp28" => vec![
            write(
                "objective = \"wgan\"\nbatch = 16\nd_steps = 5\nregularisers = [{ name = \"gradient_penalty\", weight = 10.0 }]",
                ADAM,
                ADAM,
                "",
            ),
            // A batch that no vector of four divides.
            write(
                "objective = \"hinge\"\nbatch = 7\nprior = \"uniform\"",
                ADAM,
                ADAM,
                "",
            ),
        ],
        "ring8" => vec![
            write(
                "objective = \"non_saturating\"\nbatch = 64\nregularisers = [{ name = \"r1\", weight = 1.0 }, { name = \"r2\", weight = 1.0 }]",
                ADAM,
                ADAM,
                "",
            ),
            write(
                "objective = \"wgan\"\nbatch = 15\nd_steps = 2\nclip = 0.01",
                "{ name = \"rmsprop\", lr = 5e-5 }",
                "{ name = \"rmsprop\", lr = 5e-5, momentum = 0.5 }",
                "",
            ),
        ],
        "gauss1d" => vec![
            write(
                "objective = \"minimax\"\nbatch = 64\nwarmup_d_steps = 1",
                "{ name = \"sgd\", lr = 1e-2 }",
                "{ name = \"sgd\", lr = 1e-2, momentum = 0.5 }",
                "",
            ),
            write("objective = \"least_squares\"\nbatch = 33", ADAM, ADAM, ""),
        ],
        "ebgan28" | "ebgan2d" => vec![write(
            "objective = \"energy\"\nbatch = 64\npulling_away = 0.1",
            ADAM,
            ADAM,
            "",
        )],
        _ => vec![plain],
    }
}

/// Every data source that the model can take.
fn data(sample: Extent) -> Vec<Data> {
    match sample {
        Extent::Features { features } => {
            let fits = ToySet::ALL.into_iter().filter(|s| s.dim() == features);
            fits.map(Data::Toy).collect()
        }
        Extent::Image {
            channels,
            height,
            width,
        } => {
            let set = ImageSet {
                name: "two images".into(),
                count: 2,
                channels,
                height,
                width,
                pixels: vec![0; 2 * channels * height * width],
                labels: None,
                class_names: None,
                source: PathBuf::new(),
            };
            match channels {
                1 => vec![Data::Set(set), Data::Glyphs],
                _ => {
                    let grey = ImageSet {
                        channels: 1,
                        pixels: vec![0; 2 * height * width],
                        ..set.clone()
                    };
                    vec![Data::Set(set), Data::Stacked(grey)]
                }
            }
        }
    }
}

/// The distinct kernels of one adapter: source to label.
fn sources(target: &Target) -> BTreeMap<String, String> {
    let form = target.form;
    let mut all = BTreeMap::new();
    for (name, _) in MODELS {
        let spec = model_by_name_or_file(name).unwrap();
        let latents = spec.generator.input.numel();
        for config in method(name) {
            let model = spec.build_for(&config.pairing(latents)).unwrap();
            for data in data(model.sample) {
                let made = kernels(target, &model, &config, &data);
                let made = made.unwrap_or_else(|e| panic!("{name} ({form:?}): {e}"));
                for kernel in made {
                    let label = format!("{name} ({form:?}): {}", kernel.label);
                    let words = kernel.immediates.len();
                    assert!(words <= 32, "{label}: {words} words of immediates");
                    all.entry(kernel.source.to_string()).or_insert(label);
                }
            }
        }
    }
    let labels = [
        Labels::Set { count: 60_000 },
        Labels::Glyphs,
        Labels::Mixture { components: 8 },
    ];
    for labels in labels {
        let random = RandomSource {
            seed: 1,
            stream: 2,
            counter_index: 3,
        };
        let params = label_batch::Params {
            labels,
            n: 64,
            random,
            out_offset: 0,
        };
        let kernel = label_batch::kernel(&target.caps, &params).unwrap();
        all.insert(kernel.source.to_string(), format!("{labels:?}"));
    }
    for gradient in [false, true] {
        let scalar = match target.precision {
            Precision::F32 => Scalar::F32,
            Precision::F16 => Scalar::F16,
        };
        let params = closeness::Params {
            kernels: 16,
            dims: 5,
            n: 64,
            x: (0, scalar),
            g: gradient.then_some((4, scalar)),
            y: (8, scalar),
        };
        let kernel = closeness::kernel(&target.caps, target.form, &params);
        all.insert(kernel.source.to_string(), kernel.label);
    }
    let kernel = counter_value::kernel(&counter_value::Params {
        index: 2,
        y_offset: 4,
    });
    all.insert(kernel.source.to_string(), kernel.label);
    for &drawn in Density::ALL {
        for method in drawn.methods() {
            let random = RandomSource {
                seed: 1,
                stream: 2,
                counter_index: 0,
            };
            let params = density::Params {
                density: drawn,
                n: 64,
                random,
                out_offset: 0,
            };
            let kernel = density::kernel(&target.caps, method, &params).unwrap();
            all.insert(kernel.source.to_string(), kernel.label);
        }
    }
    // Of a layer of dcgan64 with a batch that goes in groups: sums that go on from one to the next.
    let grouped = GemmOp::Conv2dWeightGrad(dcgan_conv(32, 64, 128, 32));
    let form = Form::of(target.caps.class);
    let variant = Variant::by_rule(&target.caps, form, &grouped, [Scalar::F32; 3]).unwrap();
    for pass in gemm::lower(&target.caps, variant, &Call::plain(&grouped)).unwrap() {
        all.insert(pass.kernel.source.to_string(), pass.kernel.label);
    }
    all
}

/// The variants of the GEMM family for GPUs that a tuner may choose on an adapter with much memory and matrix units, on operands
/// stored as halves and as f32: source to label.
fn tuned() -> (Caps, BTreeMap<String, String>) {
    let tile = |side, ab| MatrixTile {
        m: side,
        n: side,
        k: side,
        ab,
        c: MatrixScalar::F32,
    };
    let caps = Caps {
        subgroups: true,
        subgroup_size: Some(32),
        f16: true,
        workgroup_storage_bytes: 48 << 10,
        cooperative_matrix: vec![
            tile(16, MatrixScalar::F16),
            tile(8, MatrixScalar::F16),
            tile(8, MatrixScalar::F32),
        ],
        ..Caps::baseline(AdapterClass::Discrete)
    };
    let conv = dcgan_conv(64, 64, 128, 14);
    let matmul = |size| GemmOp::Matmul {
        m: size,
        n: size,
        k: size,
        batch: 1,
        trans_a: true,
        trans_b: true,
    };
    let ops = [
        matmul(1024),
        matmul(33),
        GemmOp::Conv2d(conv),
        GemmOp::Conv2dInputGrad(conv),
        GemmOp::Conv2dWeightGrad(conv),
    ];
    let mut all = BTreeMap::new();
    for op in &ops {
        for formats in [[Scalar::F32; 3], [Scalar::F16; 3]] {
            for variant in Variant::candidates(&caps, Form::Gpu, op, formats).unwrap() {
                let call = Call {
                    formats,
                    ..Call::plain(op)
                };
                for pass in gemm::lower(&caps, variant, &call).unwrap() {
                    let label = format!("{variant}: {}", pass.kernel.label);
                    all.insert(pass.kernel.source.to_string(), label);
                }
            }
        }
    }
    (caps, all)
}

/// The kernel can be built on an adapter with `caps` and written in the other languages. Kernels for matrix units are Vulkan's
/// alone, and Metal's where matrices are 8 x 8: naga 30 writes no others for Metal and none at all for DirectX 12.
fn check(source: &str, caps: &Caps) -> Result<(), String> {
    let found = validate_for(source, caps).map_err(|e| e.to_string())?;
    let lanes: u32 = found.workgroup_size.iter().product();
    let within = [
        (
            "storage buffers",
            found.bindings.len() as u32,
            caps.max_storage_buffers,
        ),
        ("invocations", lanes, caps.max_invocations),
        (
            "bytes of workgroup memory",
            found.workgroup_bytes,
            caps.workgroup_storage_bytes,
        ),
        (
            "bytes of immediates",
            found.immediate_bytes,
            caps.max_immediate_bytes,
        ),
    ];
    for (what, wanted, limit) in within {
        if wanted > limit {
            return Err(format!("{wanted} {what}, the adapter has {limit}"));
        }
    }
    let translated = match found.cooperative_matrix {
        false => portability(source),
        true if source.contains("coop_mat8x8") => {
            to_spirv(source).and_then(|_| to_msl(source)).map(drop)
        }
        true => to_spirv(source).map(drop),
    };
    translated.map_err(|e| e.to_string())
}

#[test]
fn every_kernel_of_the_built_in_models_is_portable() {
    let mut seen = BTreeSet::new();
    for target in adapters() {
        let sources = sources(&target);
        let caps = &target.caps;
        println!(
            "{:?}, {:?}, {:?}, subgroups {:?}: {} kernels",
            caps.class,
            target.form,
            target.precision,
            caps.subgroup_size,
            sources.len()
        );
        let f16 = |source: &&String| source.contains("enable f16;");
        let with_f16 = sources.keys().filter(f16).count();
        match target.precision {
            Precision::F32 => assert_eq!(with_f16, 0),
            Precision::F16 => assert!(2 * with_f16 > sources.len(), "{with_f16}"),
        }
        assert!(sources.len() > 100, "{} kernels", sources.len());
        for (source, label) in sources {
            if seen.contains(&source) {
                continue;
            }
            check(&source, caps).unwrap_or_else(|e| panic!("{label}: {e}\n{source}"));
            seen.insert(source);
        }
    }
    println!("{} different kernels", seen.len());
}

#[test]
fn every_kernel_that_a_tuner_may_choose_is_portable() {
    let (caps, sources) = tuned();
    let bodies = ["gemm_tiled", "gemm_coop"];
    for (body, least) in bodies.into_iter().zip([30, 15]) {
        let count = sources.values().filter(|l| l.contains(body)).count();
        println!("{body}: {count} kernels");
        assert!(count >= least, "{count} of {body}");
    }
    for (source, label) in sources {
        check(&source, &caps).unwrap_or_else(|e| panic!("{label}: {e}\n{source}"));
    }
    // What an adapter with the least memory is offered fits into it.
    let least = Caps::baseline(AdapterClass::Discrete);
    let op = GemmOp::Matmul {
        m: 512,
        n: 512,
        k: 512,
        batch: 1,
        trans_a: false,
        trans_b: false,
    };
    for variant in Variant::candidates(&least, Form::Gpu, &op, [Scalar::F32; 3]).unwrap() {
        assert!(matches!(variant.body, Body::Tiled(_)));
        for pass in gemm::lower(&least, variant, &Call::plain(&op)).unwrap() {
            check(&pass.kernel.source, &least).unwrap_or_else(|e| panic!("{variant}: {e}"));
        }
    }
}

#[test]
fn a_kernel_beyond_an_adapter_is_refused() {
    let caps = Caps::baseline(AdapterClass::Discrete);
    let kernel = |size: &str, statement: &str| {
        format!(
            "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
             var<workgroup> tile: array<f32, {size}>;
             @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {{
                 tile[i] = 1.0; {statement} y[i] = tile[i];
             }}"
        )
    };
    check(&kernel("64", ""), &caps).unwrap();
    let refused = |source: &str, why: &str| {
        let error = check(source, &caps).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(&kernel("8192", ""), "workgroup memory");
    refused(&kernel("64", "tile[i] = subgroupAdd(tile[i]);"), "subgroup");
    refused(&kernel("64", "tile[i] = 1u;"), "line 4");
    let lanes = kernel("64", "").replace("size(64)", "size(512)");
    refused(&lanes, "invocations");
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, out),
            false => out.push(path),
        }
    }
}

/// Files whose text is in none of the kernels.
fn dead<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    sources: &BTreeSet<String>,
) -> Vec<&'a str> {
    let unused = |text: &str| !sources.iter().any(|s| s.contains(text.trim()));
    let all = files.into_iter().filter(|(_, text)| unused(text));
    all.map(|(name, _)| name).collect()
}

#[test]
fn no_shader_file_is_dead() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut paths = vec![];
    files(&folder, &mut paths);
    let texts: Vec<(String, String)> = paths
        .iter()
        .map(|p| {
            let name = p.strip_prefix(&folder).unwrap().display().to_string();
            (name, fs::read_to_string(p).unwrap())
        })
        .collect();
    assert!(texts.len() > 40, "{} files", texts.len());
    let mut used: BTreeSet<_> = tuned().1.into_keys().collect();
    for target in adapters() {
        used.extend(sources(&target).into_keys());
    }
    let texts = || texts.iter().map(|(n, t)| (n.as_str(), t.as_str()));
    assert_eq!(dead(texts(), &used), Vec::<&str>::new());
    let other = [("other.wgsl", "fn nobody_calls_this() {}\n")];
    assert_eq!(dead(texts().chain(other), &used), ["other.wgsl"]);
}
