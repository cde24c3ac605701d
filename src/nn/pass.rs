//! The forward pass of a network: layers take their tensors and write themselves into the graph.
use super::declare::Place;
use super::network::{Forward, Given, Mode, ParamSpec, StateSpec};
use super::{LayerSpec, NnError, Result};
use crate::graph::{Expr, Graph, Origin, Result as GraphResult};
use std::fmt::Display;

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
    place: Place,
    tensors: Tensors<'a>,
    next: (usize, usize),
    updates: Vec<(usize, Expr)>,
}

/// Tensors of a network as declared, and the expressions that stand for them.
#[derive(Clone, Copy)]
pub(super) struct Tensors<'a> {
    pub specs: (&'a [ParamSpec], &'a [StateSpec]),
    pub params: &'a [Expr],
    pub states: &'a [Expr],
}

impl<'a> Pass<'a> {
    /// All layers of a network.
    ///
    /// # Errors
    /// [`NnError::Layer`] if a layer refuses the batch.
    pub fn network(
        g: &'a mut Graph,
        layers: &[LayerSpec],
        tensors: Tensors<'a>,
        Given { x, label }: Given,
        mode: Mode,
    ) -> Result<Forward> {
        let mut pass = Pass {
            network: g.current_scope(),
            g,
            mode,
            label,
            features: None,
            last_input: x,
            place: Place::default(),
            tensors,
            next: (0, 0),
            updates: vec![],
        };
        let output = pass.sequence("", layers, x)?;
        Ok(Forward {
            output,
            features: pass.features.unwrap_or(pass.last_input),
            state_updates: pass.updates,
        })
    }

    fn sequence(&mut self, prefix: &str, layers: &[LayerSpec], x: Expr) -> Result<Expr> {
        let mut y = x;
        for (i, spec) in layers.iter().enumerate() {
            self.place = Place::of(prefix, i, spec);
            if prefix.is_empty() {
                self.last_input = y;
            }
            let scope = format!("{} {}", self.place.layer, self.place.kind);
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
        let outer = self.place.clone();
        let output = self.sequence(&outer.name(name), layers, x)?;
        self.place = outer;
        Ok(output)
    }
    /// The next parameter, which the layer declared as `role`.
    pub fn param(&mut self, role: &str) -> Expr {
        let i = self.next.0;
        self.next.0 += 1;
        assert_eq!(
            self.tensors.specs.0[i].name,
            self.place.name(role),
            "a layer takes its tensors in the order in which it declares them"
        );
        self.tensors.params[i]
    }
    /// The next state, which the layer declared as `role`, and its index.
    pub fn state(&mut self, role: &str) -> (usize, Expr) {
        let i = self.next.1;
        self.next.1 += 1;
        assert_eq!(
            self.tensors.specs.1[i].name,
            self.place.name(role),
            "a layer takes its tensors in the order in which it declares them"
        );
        (i, self.tensors.states[i])
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
            layer: self.place.layer.clone(),
            kind: self.place.kind,
            source,
        })
    }
    pub fn mismatch<T>(&self, expected: impl Into<String>, got: impl Display) -> Result<T> {
        self.place.mismatch(expected, got)
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
