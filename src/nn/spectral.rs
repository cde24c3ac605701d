//! Weights, as they are or spectrally normalised (Miyato et al., arXiv 1802.05957): W / sigma with sigma = u^T W v, the largest
//! singular value by power iteration; `torch.nn.utils.spectral_norm` with one iteration.
//!
//! W is read as a matrix of one row per output. u and v are states. A pass in [`Mode::Train`] makes
//! v <- W^T u / |W^T u|, u <- W v / |W v|, and hands both on to the next pass; [`Mode::Eval`] takes them as they stand. Gradients pass
//! through sigma, not through u and v. The states start at random directions, the same for every seed, as sigma tends to the same
//! value from all of them; before any training, sigma in evaluation is therefore as meaningless as in PyTorch.
use super::declare::Declare;
use super::network::Mode;
use super::pass::Pass;
use super::{Init, Result};
use crate::graph::{Expr, Graph, Result as GraphResult};

/// PyTorch's guard against a division by 0 in v and u.
const EPS: f32 = 1e-12;

/// How the weight of a layer is stored and used.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightForm {
    /// The axis of outputs: 0, but 1 in transposed convolutions.
    pub axis: usize,
    pub spectral_norm: bool,
    pub bias: bool,
}

impl Declare {
    /// `weight`, and `bias` of one value per output. As in PyTorch's `state_dict`, a normalised weight is called `weight_orig` and
    /// comes after its bias; its states are `weight_u` and `weight_v`.
    pub fn weights(
        &mut self,
        shape: &[usize],
        [weight, bias]: [Init; 2],
        form: WeightForm,
    ) -> Result<()> {
        let biases = [shape[form.axis]];
        if form.bias && form.spectral_norm {
            self.param("bias", biases, bias)?;
        }
        self.weight("weight", shape, weight, form)?;
        if form.bias && !form.spectral_norm {
            self.param("bias", biases, bias)?;
        }
        Ok(())
    }
    /// One weight of that name, without a bias.
    pub fn weight(
        &mut self,
        name: &str,
        shape: &[usize],
        init: Init,
        form: WeightForm,
    ) -> Result<()> {
        if !form.spectral_norm {
            return self.param(name, shape, init);
        }
        let rows = shape[form.axis];
        let columns = self.elements(name, shape)? / rows;
        self.param(&format!("{name}_orig"), shape, init)?;
        self.state(&format!("{name}_u"), [rows], Init::UnitVector)?;
        self.state(&format!("{name}_v"), [columns], Init::UnitVector)
    }
}

impl Pass<'_> {
    /// The weight as the layer uses it, and its bias, if it has one.
    pub fn weights(&mut self, form: WeightForm) -> Result<(Expr, Option<Expr>)> {
        let first = (form.bias && form.spectral_norm).then(|| self.param("bias"));
        let weight = self.weight("weight", form)?;
        let bias = match form.bias && !form.spectral_norm {
            true => Some(self.param("bias")),
            false => first,
        };
        Ok((weight, bias))
    }
    /// The weight of that name as the layer uses it.
    pub fn weight(&mut self, name: &str, form: WeightForm) -> Result<Expr> {
        if !form.spectral_norm {
            return Ok(self.param(name));
        }
        let weight = self.param(&format!("{name}_orig"));
        let (u_slot, u) = self.state(&format!("{name}_u"));
        let (v_slot, v) = self.state(&format!("{name}_v"));
        let made = normalised(self.g, weight, form.axis, [u, v], self.mode);
        let (weight, moved) = self.at(made)?;
        if let Some([u, v]) = moved {
            self.update(u_slot, u);
            self.update(v_slot, v);
        }
        Ok(weight)
    }
}

/// W / sigma in W's shape, and in training the new u and v.
fn normalised(
    g: &mut Graph,
    weight: Expr,
    axis: usize,
    [u, v]: [Expr; 2],
    mode: Mode,
) -> GraphResult<(Expr, Option<[Expr; 2]>)> {
    let rank = g.shape(weight).rank();
    let (rows, columns) = (g.shape(u)[0], g.shape(v)[0]);
    let outputs_first: Vec<usize> = std::iter::once(axis)
        .chain((0..rank).filter(|&a| a != axis))
        .collect();
    let matrix = g.transpose(weight, &outputs_first)?;
    let matrix = g.reshape(matrix, [rows, columns])?;
    let (mut u, mut v) = (g.reshape(u, [rows, 1])?, g.reshape(v, [columns, 1])?);
    let mut moved = None;
    if mode == Mode::Train {
        let back = g.matmul_t(matrix, u, true, false)?;
        v = direction(g, back)?;
    }
    let forth = g.matmul(matrix, v)?;
    if mode == Mode::Train {
        u = direction(g, forth)?;
        moved = Some([g.reshape(u, [rows])?, g.reshape(v, [columns])?]);
    }
    let product = g.mul(u, forth)?;
    let sigma = g.sum(product, &[0])?;
    let sigma = g.reshape(sigma, vec![1; rank])?;
    Ok((g.div(weight, sigma)?, moved))
}

/// x / |x|, without a gradient.
fn direction(g: &mut Graph, x: Expr) -> GraphResult<Expr> {
    let x = g.stop_gradient(x);
    let squared = g.square(x)?;
    let squares = g.sum(squared, &[0])?;
    let norm = g.sqrt(squares);
    let eps = g.scalar(EPS);
    let norm = g.max(norm, eps)?;
    let y = g.div(x, norm)?;
    Ok(g.stop_gradient(y))
}
