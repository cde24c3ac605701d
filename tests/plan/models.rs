//! The kernels of the built-in models: what is stored, bound and kept apart.
use super::check;
use gan_gpu::gan::config::GanConfig;
use gan_gpu::gan::trainer::{Data, kernels};
use gan_gpu::gpu::{AdapterClass, Caps};
use gan_gpu::graph::plan::evaluate::layout;
use gan_gpu::graph::plan::{Environment, Form, Plan, Precision, Region, Stage, Target};
use gan_gpu::graph::{Expr, Graph, GraphError, Result};
use gan_gpu::nn::model_by_name_or_file;
use gan_gpu::nn::models::MODELS;

/// A program of leaves of these shapes, each in a buffer of its own.
fn planned(
    target: Target,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Vec<Expr>>,
) -> Result<Plan> {
    let mut g = Graph::new();
    let leaf = |(k, s): (usize, &&[usize])| g.leaf(&format!("x{k}"), s.to_vec());
    let leaves: Vec<Expr> = shapes.iter().enumerate().map(leaf).collect();
    let outputs = build(&mut g, &leaves).unwrap();
    let count = leaves.len();
    let mut env = Environment::new(target, count + 2, count + 1, 0);
    for (buffer, &l) in leaves.iter().enumerate() {
        let region = Region { buffer, offset: 0 };
        env.leaves.insert(g.leaf_id(l).unwrap(), region);
    }
    let places = layout(outputs.iter().map(|&e| g.shape(e).numel()));
    let regions = places.offsets.into_iter().map(|offset| Region {
        buffer: count,
        offset,
    });
    let stage = Stage {
        outputs: outputs.iter().copied().zip(regions).collect(),
        effects: vec![],
    };
    Plan::compile(&g, &[stage], &env)
}

/// Neighbouring results of different workgroups lie in one vector: a compiler that writes all of it for one component (Metal's) would lose
/// the others.
fn assert_no_component_is_stored(text: &str) {
    assert!(!text.contains("% 4u] = "), "{text}");
}

#[test]
fn sums_that_are_written_singly_lie_apart_from_what_they_sum() {
    for form in [Form::Cpu, Form::Gpu] {
        let caps = Caps::baseline(AdapterClass::Discrete);
        // The sum lives as long as what it sums, and no other tensor needs memory.
        let plan = planned(Target::with_form(&caps, form), &[&[64, 256]], |g, x| {
            let h = g.sin(x[0]);
            let h = g.tanh(h);
            let h = g.exp(h);
            let s = g.sum(h, &[1])?;
            Ok(vec![g.div(h, s)?])
        });
        let plan = plan.unwrap();
        let sum = plan
            .steps
            .iter()
            .find(|s| s.kernel.label.starts_with("sum"));
        let sum = sum.unwrap();
        assert_eq!(plan.slots, [64 * 256 * 4, 64 * 4]);
        assert_eq!(sum.buffers.len(), 2, "{}", plan.listing());
        let text = &sum.kernel.source;
        assert!(text.contains("in0: array<f32x4>"), "{text}");
        assert!(text.contains("result0: array<f32>"), "{text}");
    }
}

/// Updates of D under penalties, seen through by G: each adds as much as the one before it.
#[test]
fn kernels_grow_with_the_updates_that_are_unrolled() {
    let target = Target::of(&Caps::baseline(AdapterClass::Software));
    let spec = model_by_name_or_file("ring8").unwrap();
    let count = |steps: usize| {
        let adam = "{ name = \"adam\", lr = 1e-3 }";
        let text = format!(
            "objective = \"minimax\"\nbatch = 16\nunroll = {{ steps = {steps} }}\n\
             regularisers = [{{ name = \"r1\", weight = 0.1 }}, {{ name = \"r2\", weight = 0.1 }}]\n\
             [optimiser]\nd = {adam}\ng = {adam}\n"
        );
        let config = GanConfig::from_toml("method", &text).unwrap();
        let pairing = config.pairing(spec.generator.input.numel());
        let model = spec.build_for(&pairing).unwrap();
        kernels(&target, &model, &config, &Data::Host)
            .unwrap()
            .len()
    };
    let [one, two, three] = [1, 2, 3].map(count);
    assert!(
        two > one && three - two <= (two - one) * 5 / 4,
        "{one} {two} {three}"
    );
}

#[test]
fn no_kernel_of_the_models_stores_a_component_of_a_vector() {
    let half = Caps {
        f16: true,
        ..Caps::baseline(AdapterClass::Discrete)
    };
    let targets = [
        Target::of(&Caps::baseline(AdapterClass::Software)),
        Target::of(&half),
        Target::of(&half).with_precision(Precision::F16),
    ];
    let adam = "{ name = \"adam\", lr = 1e-3, beta1 = 0.0, beta2 = 0.9 }";
    let mut count = 0;
    for target in targets {
        for (name, _) in MODELS {
            let method = match name.starts_with("ebgan") {
                true => "objective = \"energy\"\npulling_away = 0.1",
                false => "objective = \"non_saturating\"",
            };
            let text = format!("{method}\nbatch = 16\n[optimiser]\nd = {adam}\ng = {adam}\n");
            let config = GanConfig::from_toml("method", &text).unwrap();
            let spec = model_by_name_or_file(name).unwrap();
            let latents = spec.generator.input.numel();
            let model = spec.build_for(&config.pairing(latents)).unwrap();
            for kernel in kernels(&target, &model, &config, &Data::Host).unwrap() {
                assert_no_component_is_stored(&kernel.source);
                count += usize::from(kernel.label.starts_with("sum"));
            }
        }
    }
    assert!(count > 100, "{count} kernels of sums");
    let caught = std::panic::catch_unwind(|| {
        assert_no_component_is_stored("let a = 5u; y[a / 4u][a % 4u] = v;");
    });
    assert!(caught.is_err());
}

/// What an adapter lets a kernel bind is kept, however often a kernel reads the same tensor.
#[test]
fn kernels_bind_no_more_than_there_is_room_for() {
    let bound = |caps: &Caps, plan: &Plan| {
        for step in &plan.steps {
            let (buffers, words) = (step.buffers.len(), step.kernel.immediates.len());
            let listing = plan.listing();
            assert!(buffers <= caps.max_storage_buffers as usize, "{listing}");
            assert!(4 * words <= caps.max_immediate_bytes as usize, "{listing}");
        }
    };
    // A product whose epilogue reads both operands once more, and five other tensors.
    let shapes: [&[usize]; 7] = [&[8, 8]; 7];
    let product = |g: &mut Graph, x: &[Expr]| {
        let mut y = g.matmul(x[0], x[1])?;
        for &factor in x {
            y = g.mul(y, factor)?;
        }
        Ok(vec![y])
    };
    check("a product and its operands", &shapes, product);
    let caps = Caps::baseline(AdapterClass::Discrete);
    let plan = planned(Target::of(&caps), &shapes, product).unwrap();
    bound(&caps, &plan);
    assert!(plan.steps.len() > 1, "{}", plan.listing());
    // Sums whose factors are read before and after: each has one offset.
    let mut shapes = vec![&[16usize, 64][..]];
    shapes.extend([&[16usize, 1][..]; 15]);
    let sums = |g: &mut Graph, x: &[Expr]| {
        let mut y = x[0];
        for &factor in &x[1..] {
            y = g.mul(y, factor)?;
        }
        let mut y = g.sum(y, &[1])?;
        for &factor in &x[1..] {
            y = g.add(y, factor)?;
        }
        Ok(vec![y])
    };
    check("factors before and after a sum", &shapes, sums);
    let many = Caps {
        max_storage_buffers: 64,
        ..caps.clone()
    };
    let plan = planned(Target::of(&many), &shapes, sums).unwrap();
    bound(&many, &plan);
    assert_eq!(plan.steps.len(), 1, "{}", plan.listing());
    // What cannot be split is refused before a device is asked.
    let few = Caps {
        max_storage_buffers: 3,
        ..caps
    };
    let shapes: [&[usize]; 3] = [&[8, 8]; 3];
    let refused = planned(Target::of(&few), &shapes, |g, x| {
        let y = g.matmul(x[0], x[1])?;
        Ok(vec![g.add(y, x[2])?])
    });
    match refused.err() {
        Some(GraphError::Kernel { reason, .. }) => {
            assert!(reason.contains("3 storage buffers"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
