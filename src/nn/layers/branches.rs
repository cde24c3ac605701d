//! Several networks in one, which share the layers around them.
use super::{Layer, LayerSpec};
use crate::graph::{Expr, Graph, Result as GraphResult};
use crate::nn::declare::Declare;
use crate::nn::pass::Pass;
use crate::nn::{Extent, Result};
use serde::{Deserialize, Serialize};

/// `count` copies of `layers`, each with parameters of its own: sample n of the batch goes through copy n mod `count` and stays
/// sample n. MAD-GAN's generators (Ghosh et al., arXiv 1704.02906), whose trunk is the layers before.
///
/// The batch must be a multiple of `count`; a batch norm inside a copy sees that copy's samples. Parameters are named
/// `<index>.branches.<copy>.<i>.weight`: the `state_dict` of a PyTorch module with a `ModuleList` of that name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branches {
    pub count: usize,
    pub layers: Vec<LayerSpec>,
}

impl Branches {
    fn name(copy: usize) -> String {
        format!("branches.{copy}")
    }
    /// Every `count`th sample, from number `copy` on: `[C, N, ..]` -> `[C, N / count, ..]`.
    fn own(&self, g: &mut Graph, x: Expr, copy: usize) -> GraphResult<Expr> {
        let mut split = self.split(g, x);
        let all = g.reshape(x, split.clone())?;
        let mut start = vec![0; split.len()];
        start[2] = copy;
        split[2] = 1;
        let own = g.slice(all, &start, &split)?;
        split.remove(2);
        g.reshape(own, split)
    }
    /// `[C, N, ..]` as `[C, N / count, count, ..]`.
    fn split(&self, g: &Graph, x: Expr) -> Vec<usize> {
        let mut shape = g.shape(x).to_vec();
        shape[1] /= self.count;
        shape.insert(2, self.count);
        shape
    }
    /// The inverse of [`Branches::own`] for all copies.
    fn interleave(&self, g: &mut Graph, parts: &[Expr]) -> GraphResult<Expr> {
        let mut columns = vec![];
        let mut shape = vec![];
        for &part in parts {
            shape = g.shape(part).to_vec();
            shape.insert(2, 1);
            columns.push(g.reshape(part, shape.clone())?);
        }
        let all = g.concat(&columns, 2)?;
        shape.remove(2);
        shape[1] *= self.count;
        g.reshape(all, shape)
    }
}

impl Layer for Branches {
    fn declare(&self, d: &mut Declare, input: Extent) -> Result<Extent> {
        d.branches(self.count)?;
        if self.layers.is_empty() {
            return d.mismatch("at least one layer in `layers`", "none");
        }
        let mut output = input;
        for copy in 0..self.count {
            output = d.branch(&Self::name(copy), &self.layers, input, self.count)?;
        }
        Ok(output)
    }
    fn forward(&self, p: &mut Pass, x: Expr) -> Result<Expr> {
        let batch = p.g.shape(x)[1];
        if !batch.is_multiple_of(self.count) {
            return p.mismatch(
                format!(
                    "a batch that is a multiple of {}, so that each branch gets as many samples",
                    self.count
                ),
                batch,
            );
        }
        let label = p.label;
        let mut parts = vec![];
        for copy in 0..self.count {
            let own = self.own(p.g, x, copy);
            let own = p.at(own)?;
            if let Some(all) = label {
                let own = self.own(p.g, all, copy);
                p.label = Some(p.at(own)?);
            }
            parts.push(p.nested(&Self::name(copy), &self.layers, own)?);
        }
        p.label = label;
        let y = self.interleave(p.g, &parts);
        p.at(y)
    }
}
