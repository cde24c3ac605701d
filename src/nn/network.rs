//! A checked network: its parameters and states laid out in arenas, and its forward pass.
use super::declare::Declare;
use super::pass::{Pass, Tensors};
use super::{Extent, Init, NetworkSpec, NnError, Result};
use crate::graph::{Expr, Graph, Shape};

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
        let (d, output) = Declare::network(spec)?;
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
        let given = given.into();
        check_tensors(g, "parameter", &self.params, params)?;
        check_tensors(g, "state", &self.states, states)?;
        let got = g.shape(given.x);
        let batch = got.get(1).copied().unwrap_or(0);
        if batch == 0 || *got != self.input_shape(batch) {
            return Err(NnError::Argument {
                what: "input".into(),
                expected: format!("{} per sample, batch second", self.spec.input),
                got: got.to_string(),
            });
        }
        self.check_label(g, given.label, batch)?;
        let tensors = Tensors {
            specs: (&self.params, &self.states),
            params,
            states,
        };
        Pass::network(g, &self.spec.layers, tensors, given, mode)
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

/// Numbers of an arena with these tensors.
pub(super) fn arena_len(specs: &[ParamSpec]) -> usize {
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
