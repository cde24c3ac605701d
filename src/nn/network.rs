//! A checked network: its parameters and states laid out in arenas, and its forward pass.
use super::init::{self, Family, Matrix};
use super::{
    Extent, Init, InitOverride, InitScheme, LayerSpec, MOST_ELEMENTS, NetworkSpec, NnError, Result,
};
use crate::graph::{Expr, Graph, Origin, Result as GraphResult, Shape};
use std::fmt::Display;

/// One learnt tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Its name in the `state_dict` of the same `torch.nn.Sequential`, e.g. `0.weight`.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Shape,
    pub init: Init,
    /// First element in the arena, a multiple of 4.
    pub offset: usize,
}

/// One tensor that training updates without a gradient, e.g. a running mean. The fields are those of [`ParamSpec`], in
/// an arena of its own.
pub type StateSpec = ParamSpec;

/// Which statistics norms use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The batch's; running statistics move.
    Train,
    /// The running ones.
    Eval,
}

/// What goes into a forward pass. A network that does not use labels takes an [`Expr`] alone.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// [`Network::input_shape`] of any batch.
    pub x: Expr,
    /// `[classes, N]`: each sample's class as a one-hot column, or weights over the classes. Given exactly where
    /// [`Network::classes`] is.
    pub label: Option<Expr>,
}
impl From<Expr> for Given {
    fn from(x: Expr) -> Given {
        Given { x, label: None }
    }
}

/// What a forward pass gives.
#[derive(Clone, Debug)]
pub struct Forward {
    /// `[F, N]` or `[C, N, H, W]`.
    pub output: Expr,
    /// What stood where the `features` layer stands; without one, the input of the last layer. `[F, N]` or `[C, N, H, W]`.
    pub features: Expr,
    /// New values of states, by index into [`Network::states`]; empty in [`Mode::Eval`].
    pub state_updates: Vec<(usize, Expr)>,
}

impl Forward {
    /// The states after this pass, for a second pass of the same step: PyTorch moves running statistics at every call.
    pub fn next_states(&self, states: &[Expr]) -> Vec<Expr> {
        let mut next = states.to_vec();
        for &(i, value) in &self.state_updates {
            next[i] = value;
        }
        next
    }
}

/// Arithmetic of one linear or convolution layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// Position, e.g. `2` or `3.body.0`.
    pub layer: String,
    pub kind: &'static str,
    /// Multiply-accumulates in the forward pass of a sample that goes through it.
    pub macs: u64,
    /// One in so many samples of a batch does: 1 outside branches.
    pub one_in: usize,
}

/// A network whose every shape is known.
#[derive(Clone, Debug)]
pub struct Network {
    spec: NetworkSpec,
    output: Extent,
    features: Extent,
    uses_label: bool,
    batch_multiple: usize,
    params: Vec<ParamSpec>,
    states: Vec<StateSpec>,
    costs: Vec<LayerCost>,
}

impl Network {
    /// Checks a description and lays out its tensors.
    ///
    /// # Errors
    /// [`NnError::Layer`] names the first layer that does not fit what stands before it; [`NnError::Empty`];
    /// [`NnError::Classes`] if there are classes but no layer that uses them.
    pub fn new(spec: &NetworkSpec) -> Result<Network> {
        if spec.layers.is_empty() {
            return Err(NnError::Empty);
        }
        if !spec.input.possible() {
            return Err(NnError::Input { got: spec.input });
        }
        let mut d = Declare {
            scheme: spec.init,
            classes: spec.classes,
            uses_label: false,
            batch_multiple: 1,
            one_in: 1,
            features: None,
            last_input: spec.input,
            layer: String::new(),
            kind: "input",
            params: vec![],
            states: vec![],
            costs: vec![],
        };
        let output = d.sequence("", &spec.layers, spec.input)?;
        if spec.classes.is_some() && !d.uses_label {
            return Err(NnError::Classes);
        }
        Ok(Network {
            spec: spec.clone(),
            output,
            features: d.features.unwrap_or(d.last_input),
            uses_label: d.uses_label,
            batch_multiple: d.batch_multiple,
            params: d.params,
            states: d.states,
            costs: d.costs,
        })
    }
    /// The description it was built from.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }
    /// Learnt tensors in `state_dict` order.
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }
    /// Whether every matrix and kernel of it is divided by its largest singular value (`super::spectral`).
    pub fn is_spectrally_normalised(&self) -> bool {
        let matrices = || self.params.iter().filter(|p| p.shape.len() > 1);
        matrices().next().is_some() && matrices().all(|p| p.name.ends_with("_orig"))
    }
    /// Floats of the parameter arena, padding included; a multiple of 4.
    pub fn arena_len(&self) -> usize {
        arena_len(&self.params)
    }
    /// Number of learnt values, without padding.
    pub fn param_count(&self) -> usize {
        self.params.iter().map(|p| p.shape.numel()).sum()
    }
    /// Tensors that training updates without a gradient, in `state_dict` order.
    pub fn states(&self) -> &[StateSpec] {
        &self.states
    }
    /// Floats of the state arena, padding included; a multiple of 4.
    pub fn state_len(&self) -> usize {
        arena_len(&self.states)
    }
    /// Size of one sample that goes in.
    pub fn input(&self) -> Extent {
        self.spec.input
    }
    /// Size of one sample that comes out.
    pub fn output(&self) -> Extent {
        self.output
    }
    /// Size of one sample of [`Forward::features`].
    pub fn features(&self) -> Extent {
        self.features
    }
    /// How many classes the labels of a forward pass tell apart, if its layers use labels.
    pub fn classes(&self) -> Option<usize> {
        self.spec.classes.filter(|_| self.uses_label)
    }
    /// Batches must be a multiple of this; 1 without `branches`.
    pub fn batch_multiple(&self) -> usize {
        self.batch_multiple
    }
    /// Shape of a batch that goes in, features first.
    pub fn input_shape(&self, batch: usize) -> Shape {
        self.spec.input.shape(batch)
    }
    /// Shape of a batch that comes out, features first.
    pub fn output_shape(&self, batch: usize) -> Shape {
        self.output.shape(batch)
    }
    /// Arithmetic of the linear and convolution layers, in order.
    pub fn costs(&self) -> &[LayerCost] {
        &self.costs
    }
    /// Floating-point operations of each linear and convolution layer in the forward pass of a batch, a multiple of
    /// [`Network::batch_multiple`]: twice its multiply-accumulates. Norms, activations and biases are not counted.
    pub fn flops(&self, batch: usize) -> Vec<u64> {
        let all = |macs: u64| macs.saturating_mul(2).saturating_mul(batch as u64);
        let flops = |cost: &LayerCost| all(cost.macs) / cost.one_in as u64;
        self.costs.iter().map(flops).collect()
    }
    /// A fresh parameter arena; padding is 0. The same key gives the same bits.
    pub fn initialise(&self, key: [u32; 2]) -> Vec<f32> {
        fill(&self.params, key)
    }
    /// The state arena before training, the same for every seed.
    pub fn initial_state(&self) -> Vec<f32> {
        // Constants, and directions of which any does.
        fill(&self.states, [0, 0])
    }

    /// Writes the network into a graph. `params` and `states` stand in the order of [`Network::params`] and
    /// [`Network::states`].
    ///
    /// # Errors
    /// [`NnError::Argument`] if a tensor is not the declared one; [`NnError::Layer`] if a layer refuses the batch.
    pub fn forward(
        &self,
        g: &mut Graph,
        params: &[Expr],
        states: &[Expr],
        given: impl Into<Given>,
        mode: Mode,
    ) -> Result<Forward> {
        let Given { x, label } = given.into();
        check_tensors(g, "parameter", &self.params, params)?;
        check_tensors(g, "state", &self.states, states)?;
        let got = g.shape(x);
        let batch = got.get(1).copied().unwrap_or(0);
        if batch == 0 || *got != self.input_shape(batch) {
            return Err(NnError::Argument {
                what: "input".into(),
                expected: format!("{} per sample, batch second", self.spec.input),
                got: got.to_string(),
            });
        }
        self.check_label(g, label, batch)?;
        let mut pass = Pass {
            network: g.current_scope(),
            g,
            mode,
            label,
            features: None,
            last_input: x,
            layer: String::new(),
            kind: "input",
            specs: (&self.params, &self.states),
            params,
            states,
            next: (0, 0),
            updates: vec![],
        };
        let output = pass.sequence("", &self.spec.layers, x)?;
        Ok(Forward {
            output,
            features: pass.features.unwrap_or(pass.last_input),
            state_updates: pass.updates,
        })
    }
    fn check_label(&self, g: &Graph, label: Option<Expr>, batch: usize) -> Result<()> {
        let expected = match self.classes() {
            Some(classes) => format!("[{classes}, {batch}], a column of class weights per sample"),
            None => "none, as no layer of this network uses it".into(),
        };
        let fits = match (self.classes(), label) {
            (Some(classes), Some(label)) => **g.shape(label) == [classes, batch],
            (classes, label) => classes.is_none() && label.is_none(),
        };
        if fits {
            return Ok(());
        }
        Err(NnError::Argument {
            what: "label".into(),
            expected,
            got: label.map_or("none".into(), |e| g.shape(e).to_string()),
        })
    }
}

fn arena_len(specs: &[ParamSpec]) -> usize {
    specs
        .last()
        .map_or(0, |p| (p.offset + p.shape.numel()).next_multiple_of(4))
}
fn fill(specs: &[ParamSpec], key: [u32; 2]) -> Vec<f32> {
    let mut arena = vec![0.0; arena_len(specs)];
    for (i, p) in specs.iter().enumerate() {
        let out = &mut arena[p.offset..p.offset + p.shape.numel()];
        p.init.fill(key, i as u32, out);
    }
    arena
}
fn check_tensors(g: &Graph, what: &str, specs: &[ParamSpec], given: &[Expr]) -> Result<()> {
    if specs.len() != given.len() {
        return Err(NnError::Argument {
            what: format!("{what}s"),
            expected: format!("{} tensors", specs.len()),
            got: given.len().to_string(),
        });
    }
    for (spec, &e) in specs.iter().zip(given) {
        if *g.shape(e) != spec.shape {
            return Err(NnError::Argument {
                what: format!("{what} `{}`", spec.name),
                expected: spec.shape.to_string(),
                got: g.shape(e).to_string(),
            });
        }
    }
    Ok(())
}

fn least_common_multiple(a: usize, b: usize) -> Option<usize> {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).checked_mul(b)
}

/// `prefix.name`, or the name alone at the top.
fn join(prefix: &str, name: impl Display) -> String {
    if prefix.is_empty() {
        name.to_string()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Branches of a network, nested ones multiplied; each is written out.
const MOST_BRANCHES: usize = 1024;

/// Collects what layers declare. `layer` and `kind` are those of the layer at work, for names and errors.
///
/// Sizes come from a file and may be any number: layers have them checked here ([`Declare::at_least_one`], [`Declare::elements`]) before
/// they reckon with them.
pub(super) struct Declare {
    scheme: InitScheme,
    layer: String,
    kind: &'static str,
    classes: Option<usize>,
    uses_label: bool,
    batch_multiple: usize,
    /// The layers at work see one in so many samples.
    one_in: usize,
    /// Where the `features` layer stands.
    pub features: Option<Extent>,
    /// Input of the last layer, at the top.
    last_input: Extent,
    params: Vec<ParamSpec>,
    states: Vec<StateSpec>,
    costs: Vec<LayerCost>,
}

impl Declare {
    fn sequence(&mut self, prefix: &str, layers: &[LayerSpec], input: Extent) -> Result<Extent> {
        let mut extent = input;
        for (i, spec) in layers.iter().enumerate() {
            (self.layer, self.kind) = (join(prefix, i), spec.kind());
            if prefix.is_empty() {
                self.last_input = extent;
            }
            extent = spec.layer().declare(self, extent)?;
            if !extent.possible() {
                let expected = format!("1 to {MOST_ELEMENTS} numbers per sample to come out");
                return self.mismatch(expected, extent);
            }
        }
        Ok(extent)
    }
    /// Layers within the layer at work.
    pub fn nested(&mut self, name: &str, layers: &[LayerSpec], input: Extent) -> Result<Extent> {
        let outer = (self.layer.clone(), self.kind);
        let output = self.sequence(&join(&outer.0, name), layers, input)?;
        (self.layer, self.kind) = outer;
        Ok(output)
    }
    /// Layers within the layer at work that see one of `count` equal parts of the batch.
    pub fn branch(
        &mut self,
        name: &str,
        layers: &[LayerSpec],
        input: Extent,
        count: usize,
    ) -> Result<Extent> {
        let outer = (std::mem::replace(&mut self.batch_multiple, 1), self.one_in);
        self.one_in *= count;
        let output = self.nested(name, layers, input)?;
        self.one_in = outer.1;
        let common = least_common_multiple(outer.0, count * self.batch_multiple);
        let Some(multiple) = common.filter(|&m| m <= MOST_ELEMENTS) else {
            return self.mismatch(
                "counts of branches that a batch can be a multiple of",
                count,
            );
        };
        self.batch_multiple = multiple;
        Ok(output)
    }
    /// The layer at work has so many branches.
    pub fn branches(&self, count: usize) -> Result<()> {
        self.at_least_one("count", count)?;
        let all = self.one_in.saturating_mul(count);
        if all > MOST_BRANCHES {
            let expected = format!("at most {MOST_BRANCHES} branches, nested ones multiplied");
            return self.mismatch(expected, all);
        }
        Ok(())
    }
    pub fn param(&mut self, role: &str, shape: impl Into<Shape>, init: Init) -> Result<()> {
        let spec = self.tensor(&self.params, role, shape.into(), init)?;
        self.params.push(spec);
        Ok(())
    }
    pub fn state(&mut self, role: &str, shape: impl Into<Shape>, init: Init) -> Result<()> {
        let spec = self.tensor(&self.states, role, shape.into(), init)?;
        self.states.push(spec);
        Ok(())
    }
    /// A tensor of the layer at work, behind `before` in their arena.
    fn tensor(
        &self,
        before: &[ParamSpec],
        role: &str,
        shape: Shape,
        init: Init,
    ) -> Result<ParamSpec> {
        let offset = arena_len(before);
        let end = offset + self.elements(role, &shape)?;
        if end > MOST_ELEMENTS {
            let expected = format!("at most {MOST_ELEMENTS} numbers in the network up to here");
            return self.mismatch(expected, end);
        }
        Ok(ParamSpec {
            name: join(&self.layer, role),
            shape,
            init,
            offset,
        })
    }
    /// The layer at work uses the label; how many classes there are.
    pub fn label(&mut self) -> Result<usize> {
        let Some(classes) = self.classes else {
            return self.mismatch("`classes = K` beside the network's `input`", "none");
        };
        self.at_least_one("classes", classes)?;
        self.elements("classes", &[classes])?;
        self.uses_label = true;
        Ok(classes)
    }
    /// Multiply-accumulates per sample that goes through the layer at work.
    pub fn cost(&mut self, macs: u64) {
        self.costs.push(LayerCost {
            layer: self.layer.clone(),
            kind: self.kind,
            macs,
            one_in: self.one_in,
        });
    }
    /// Distributions of the layer's weight and bias; the weights of norms are no matrices.
    pub fn init(
        &self,
        family: Family,
        weight: Option<Matrix>,
        own: Option<&InitOverride>,
    ) -> Result<[Init; 2]> {
        init::resolve(self.scheme, family, weight, own)
            .or_else(|(expected, got)| self.mismatch(expected, got))
    }
    pub fn mismatch<T>(&self, expected: impl Into<String>, got: impl Display) -> Result<T> {
        Err(NnError::Layer {
            layer: self.layer.clone(),
            kind: self.kind,
            expected: expected.into(),
            got: got.to_string(),
        })
    }
    pub fn at_least_one(&self, what: &str, value: usize) -> Result<()> {
        if value == 0 {
            return self.mismatch(format!("{what} of at least 1"), 0);
        }
        Ok(())
    }
    /// The product of these sizes, where a tensor can have as many elements.
    pub fn elements(&self, what: &str, sizes: &[usize]) -> Result<usize> {
        let product = sizes
            .iter()
            .try_fold(1, |n: usize, &size| n.checked_mul(size));
        match product.filter(|n| (1..=MOST_ELEMENTS).contains(n)) {
            Some(n) => Ok(n),
            None => {
                let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
                let expected = format!("{what} of 1 to {MOST_ELEMENTS} elements");
                self.mismatch(expected, sizes.join(" x "))
            }
        }
    }
}

/// Hands layers their tensors, in the order in which they were declared.
pub(super) struct Pass<'a> {
    pub g: &'a mut Graph,
    pub mode: Mode,
    /// `[classes, N]` of the samples at work, there wherever a layer declared that it uses it.
    pub label: Option<Expr>,
    /// What passed the `features` layer.
    pub features: Option<Expr>,
    last_input: Expr,
    /// The scope in which the network stands.
    network: Origin,
    layer: String,
    kind: &'static str,
    specs: (&'a [ParamSpec], &'a [StateSpec]),
    params: &'a [Expr],
    states: &'a [Expr],
    next: (usize, usize),
    updates: Vec<(usize, Expr)>,
}

impl Pass<'_> {
    fn sequence(&mut self, prefix: &str, layers: &[LayerSpec], x: Expr) -> Result<Expr> {
        let mut y = x;
        for (i, spec) in layers.iter().enumerate() {
            (self.layer, self.kind) = (join(prefix, i), spec.kind());
            if prefix.is_empty() {
                self.last_input = y;
            }
            let scope = format!("{} {}", self.layer, self.kind);
            // A layer's name contains those of the layers around it, its scope must not.
            let outer = self.g.current_scope();
            self.g.restore_scope(self.network);
            self.g.enter_scope(&scope);
            let made = spec.layer().forward(self, y);
            self.g.restore_scope(outer);
            y = made?;
        }
        Ok(y)
    }
    /// Layers within the layer at work.
    pub fn nested(&mut self, name: &str, layers: &[LayerSpec], x: Expr) -> Result<Expr> {
        let outer = (self.layer.clone(), self.kind);
        let output = self.sequence(&join(&outer.0, name), layers, x)?;
        (self.layer, self.kind) = outer;
        Ok(output)
    }
    /// The next parameter, which the layer declared as `role`.
    pub fn param(&mut self, role: &str) -> Expr {
        let i = self.next.0;
        self.next.0 += 1;
        assert_eq!(
            self.specs.0[i].name,
            join(&self.layer, role),
            "a layer takes its tensors in the order in which it declares them"
        );
        self.params[i]
    }
    /// The next state, which the layer declared as `role`, and its index.
    pub fn state(&mut self, role: &str) -> (usize, Expr) {
        let i = self.next.1;
        self.next.1 += 1;
        assert_eq!(
            self.specs.1[i].name,
            join(&self.layer, role),
            "a layer takes its tensors in the order in which it declares them"
        );
        (i, self.states[i])
    }
    /// `[classes, N]` of the samples at work.
    pub fn label(&self) -> Result<Expr> {
        match self.label {
            Some(label) => Ok(label),
            None => self.mismatch("a label", "none"),
        }
    }
    /// State `index` has this value after the pass.
    pub fn update(&mut self, index: usize, value: Expr) {
        self.updates.push((index, value));
    }
    /// Names the layer in an error of the graph.
    pub fn at<T>(&self, result: GraphResult<T>) -> Result<T> {
        result.map_err(|source| NnError::Graph {
            layer: self.layer.clone(),
            kind: self.kind,
            source,
        })
    }
    pub fn mismatch<T>(&self, expected: impl Into<String>, got: impl Display) -> Result<T> {
        Err(NnError::Layer {
            layer: self.layer.clone(),
            kind: self.kind,
            expected: expected.into(),
            got: got.to_string(),
        })
    }
    /// y + value, one per channel or feature (axis 0); y without one.
    pub fn add_per_channel(&mut self, y: Expr, value: Option<Expr>) -> Result<Expr> {
        let Some(value) = value else {
            return Ok(y);
        };
        let mut shape = self.g.shape(y).to_vec();
        shape[1..].fill(1);
        let column = self.g.reshape(value, shape);
        let column = self.at(column)?;
        let sum = self.g.add(y, column);
        self.at(sum)
    }
}
