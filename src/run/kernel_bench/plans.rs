//! Kernels that are made from expressions: elementwise trees, sums, the closeness of samples, a batch norm forward and backward, checked
//! with the f64 interpreter of graphs.
use super::{Builder, Case, Checked, Operand, values};
use crate::gpu::{AdapterClass, Gpu};
use crate::graph::plan::{Environment, Form, Plan, Region, Stage, Target};
use crate::graph::{Expr, Graph, GraphError, Reference};
use crate::nn::{Extent, Mode, ModelSpec, Network};

/// A program of one output: its inputs with the range of their values, and the output.
type Program = (Graph, Vec<(Expr, [f32; 2])>, Expr);

pub fn builders(gpu: &Gpu, all_variants: bool) -> Vec<Builder> {
    let own = Form::of(gpu.caps().class);
    let mut forms = vec![own];
    if all_variants {
        forms.extend([Form::Cpu, Form::Gpu].into_iter().filter(|f| *f != own));
    }
    type Make = fn() -> Result<Program, String>;
    let programs: [(&str, Make); 7] = [
        ("elementwise leaky_relu 64x32x14x14", leaky_relu),
        ("sum of channels 64x32x14x14", channel_sums),
        ("sum of columns 128x512", column_sums),
        ("closeness 16 kernels of 5, batch 512", || closeness(false)),
        ("closeness gradient 16 kernels of 5, batch 512", || {
            closeness(true)
        }),
        ("batch_norm forward 64x16x14x14", || batch_norm(false)),
        ("batch_norm forward and backward 64x16x14x14", || {
            batch_norm(true)
        }),
    ];
    let mut all = vec![];
    for (name, program) in programs {
        for &form in &forms {
            all.push(Builder {
                name: name.to_string(),
                variant: format!("{form:?}"),
                build: Box::new(move |gpu| build(gpu, name, form, program()?)),
            });
        }
    }
    all
}

fn words(error: GraphError) -> String {
    error.to_string()
}

fn leaky_relu() -> Result<Program, String> {
    let mut g = Graph::new();
    let x = g.leaf("x", [64, 32, 14, 14]);
    let y = g.leaky_relu(x, 0.2);
    Ok((g, vec![(x, [-1.0, 1.0])], y))
}

fn channel_sums() -> Result<Program, String> {
    let mut g = Graph::new();
    let x = g.leaf("x", [64, 32, 14, 14]);
    let y = g.sum(x, &[1, 2, 3]).map_err(words)?;
    Ok((g, vec![(x, [-1.0, 1.0])], y))
}

fn column_sums() -> Result<Program, String> {
    let mut g = Graph::new();
    let x = g.leaf("x", [128, 512]);
    let y = g.sum(x, &[0]).map_err(words)?;
    Ok((g, vec![(x, [-1.0, 1.0])], y))
}

/// What minibatch discrimination adds, or its gradient.
fn closeness(backward: bool) -> Result<Program, String> {
    let mut g = Graph::new();
    let x = g.leaf("x", [80, 512]);
    let mut inputs = vec![(x, [-1.0, 1.0])];
    let y = match backward {
        false => g.closeness(x, 5),
        true => {
            let dy = g.leaf("dy", [16, 512]);
            inputs.push((dy, [-1.0, 1.0]));
            g.closeness_grad(x, dy, 5)
        }
    };
    Ok((g, inputs, y.map_err(words)?))
}

/// y, or the gradient of sum(y r) with respect to x.
fn batch_norm(backward: bool) -> Result<Program, String> {
    let image = "{ channels = 64, height = 14, width = 14 }";
    let text = format!(
        "[generator]\ninput = {{ features = 1 }}\n[[generator.layer]]\ntype = \"linear\"\nout = 1\n\
         [discriminator]\ninput = {image}\n[[discriminator.layer]]\ntype = \"batch_norm\"\n"
    );
    let spec = ModelSpec::from_toml("batch_norm", &text).map_err(|e| e.to_string())?;
    let net = Network::new(&spec.discriminator).map_err(|e| e.to_string())?;
    debug_assert!(matches!(net.input(), Extent::Image { .. }));
    let mut g = Graph::new();
    let shape = net.input_shape(16);
    let x = g.leaf("x", shape.clone());
    let r = g.leaf("r", shape);
    let leaves = |g: &mut Graph, specs: &[crate::nn::ParamSpec]| -> Vec<Expr> {
        specs
            .iter()
            .map(|p| g.leaf(&p.name, p.shape.clone()))
            .collect()
    };
    let params = leaves(&mut g, net.params());
    let states = leaves(&mut g, net.states());
    let made = net.forward(&mut g, &params, &states, x, Mode::Train);
    let y = made.map_err(|e| e.to_string())?.output;
    let mut inputs = vec![(x, [-1.0, 2.0])];
    inputs.extend(params.iter().map(|&p| (p, [0.5, 1.5])));
    if !backward {
        return Ok((g, inputs, y));
    }
    inputs.push((r, [-1.0, 1.0]));
    let weighed = g.mul(y, r).map_err(words)?;
    let loss = g.sum_all(weighed).map_err(words)?;
    let dx = g.gradients(loss, &[x]).map_err(words)?[0];
    Ok((g, inputs, dx))
}

fn build(gpu: &Gpu, name: &str, form: Form, program: Program) -> Result<Case, String> {
    let (graph, inputs, output) = program;
    let result = inputs.len();
    let counters = result + 1;
    let mut target = Target::with_form(gpu.caps(), form);
    if form == Form::Gpu && target.caps.class == AdapterClass::Software {
        target.caps.class = AdapterClass::Discrete;
    }
    let mut env = Environment::new(target, counters + 1, counters, 0);
    let mut reference = Reference::new();
    let mut operands = vec![];
    for (k, &(e, [low, high])) in inputs.iter().enumerate() {
        if let Some(id) = graph.leaf_id(e) {
            let (buffer, offset) = (k, 0);
            env.leaves.insert(id, Region { buffer, offset });
        }
        let numbers = values(graph.shape(e).numel(), k as u32, low, high);
        reference.bind(&graph, e, numbers.iter().map(|&v| v.into()).collect());
        operands.push(Operand::Floats(numbers));
    }
    let count = graph.shape(output).numel();
    operands.push(Operand::Unset(count));
    operands.push(Operand::Words(vec![0; 4]));
    let region = Region {
        buffer: result,
        offset: 0,
    };
    let stage = Stage {
        outputs: vec![(output, region)],
        effects: vec![],
    };
    let plan = Plan::compile(&graph, &[stage], &env).map_err(words)?;
    operands.extend(
        plan.slots
            .iter()
            .map(|&slot| Operand::Unset(slot as usize / 4)),
    );
    let (flops, bytes) = (plan.flops(), plan.steps.iter().map(|s| s.bytes).sum());
    let launches = plan.steps.into_iter().map(|s| (s.kernel, s.buffers));
    Ok(Case {
        name: name.to_string(),
        variant: format!("{form:?}"),
        launches: launches.collect(),
        operands,
        flops,
        bytes,
        output: result,
        check: Box::new(move |got| match reference.evaluate(&graph, &[output]) {
            // Sums over thousands of values of either sign.
            Ok(want) => Checked::of(got, &want[0], 2e-4, 2e-5),
            Err(_) => Checked::none(),
        }),
    })
}
