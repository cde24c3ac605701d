//! What layers declare of a network: tensors and their places, labels, costs.
use super::init::{self, Family, Matrix};
use super::network::{LayerCost, ParamSpec, StateSpec, arena_len};
use super::{
    Extent, Init, InitOverride, InitScheme, LayerSpec, MOST_ELEMENTS, NetworkSpec, NnError, Result,
};
use crate::graph::Shape;
use std::fmt::Display;

/// Branches of a network, nested ones multiplied; each is written out.
const MOST_BRANCHES: usize = 1024;

/// The layer at work, for names and errors.
#[derive(Clone, Default)]
pub(super) struct Place {
    /// Its position, e.g. `3.body.0`.
    pub layer: String,
    pub kind: &'static str,
}

impl Place {
    /// Of layer `i` of a sequence.
    pub fn of(prefix: &str, i: usize, spec: &LayerSpec) -> Place {
        Place {
            layer: join(prefix, i),
            kind: spec.kind(),
        }
    }
    /// The name of what belongs to the layer, as PyTorch's `state_dict` has it.
    pub fn name(&self, of: &str) -> String {
        join(&self.layer, of)
    }
    pub fn mismatch<T>(&self, expected: impl Into<String>, got: impl Display) -> Result<T> {
        Err(NnError::Layer {
            layer: self.layer.clone(),
            kind: self.kind,
            expected: expected.into(),
            got: got.to_string(),
        })
    }
}

/// Collects what layers declare.
///
/// Sizes come from a file and may be any number: layers have them checked here ([`Declare::at_least_one`], [`Declare::elements`]) before
/// they reckon with them.
pub(super) struct Declare {
    scheme: InitScheme,
    place: Place,
    classes: Option<usize>,
    pub uses_label: bool,
    /// Batches have to be multiples of it.
    pub batch_multiple: usize,
    /// The layers at work see one in so many samples.
    one_in: usize,
    /// Where the `features` layer stands.
    pub features: Option<Extent>,
    /// Input of the last layer, at the top.
    pub last_input: Extent,
    pub params: Vec<ParamSpec>,
    pub states: Vec<StateSpec>,
    pub costs: Vec<LayerCost>,
}

impl Declare {
    /// All layers of a network, and what comes out of the last.
    ///
    /// # Errors
    /// [`NnError::Layer`] names the first layer that does not fit what stands before it.
    pub fn network(spec: &NetworkSpec) -> Result<(Declare, Extent)> {
        let mut declared = Declare {
            scheme: spec.init,
            classes: spec.classes,
            uses_label: false,
            batch_multiple: 1,
            one_in: 1,
            features: None,
            last_input: spec.input,
            place: Place::default(),
            params: vec![],
            states: vec![],
            costs: vec![],
        };
        let output = declared.sequence("", &spec.layers, spec.input)?;
        Ok((declared, output))
    }

    fn sequence(&mut self, prefix: &str, layers: &[LayerSpec], input: Extent) -> Result<Extent> {
        let mut extent = input;
        for (i, spec) in layers.iter().enumerate() {
            self.place = Place::of(prefix, i, spec);
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
        let outer = self.place.clone();
        let output = self.sequence(&outer.name(name), layers, input)?;
        self.place = outer;
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
            name: self.place.name(role),
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
            layer: self.place.layer.clone(),
            kind: self.place.kind,
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
        self.place.mismatch(expected, got)
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
