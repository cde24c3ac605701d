//! Operations that are compositions of primitives; their gradients need no rules of their own.
use super::build::shape_error;
use super::{Binary, Expr, Graph, Result, Shape, Unary};

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $f:expr;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, a: Expr) -> Expr { self.unary($f, a) })*
    };
}
macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $f:expr;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, a: Expr, b: Expr) -> Result<Expr> { self.binary($f, a, b) })*
    };
}

impl Graph {
    unary! {
        /// -a
        neg => Unary::Neg;
        /// e^a
        exp => Unary::Exp;
        /// ln a
        log => Unary::Log;
        /// Square root; its derivative at 0 is infinite.
        sqrt => Unary::Sqrt;
        /// |a|, with derivative 0 at 0.
        abs => Unary::Abs;
        /// tanh a
        tanh => Unary::Tanh;
        /// 1 / (1 + e^-a)
        sigmoid => Unary::Sigmoid;
        /// ln(1 + e^a) without overflow.
        softplus => Unary::Softplus;
        /// max(a, 0), with derivative 0 at 0.
        relu => Unary::Relu;
        /// sin a
        sin => Unary::Sin;
        /// cos a
        cos => Unary::Cos;
        /// Largest whole number not above a; not differentiable.
        floor => Unary::Floor;
    }
    binary! {
        /// a + b, broadcasting size-1 axes and scalars.
        add => Binary::Add;
        /// a - b
        sub => Binary::Sub;
        /// a b, elementwise
        mul => Binary::Mul;
        /// a / b
        div => Binary::Div;
        /// Elementwise minimum, NaN where either is; the gradient goes to a unless b is less.
        min => Binary::Min;
        /// Elementwise maximum, NaN where either is; the gradient goes to a unless b is larger.
        max => Binary::Max;
        /// 1 where a < b, else 0; not differentiable.
        less => Binary::Less;
        /// 1 where a <= b, else 0; not differentiable.
        less_equal => Binary::LessEqual;
        /// 1 where a == b, else 0; not differentiable.
        equal => Binary::Equal;
    }
    /// a for a > 0, slope * a otherwise.
    pub fn leaky_relu(&mut self, a: Expr, slope: f32) -> Expr {
        self.unary(Unary::LeakyRelu(super::Scalar(slope)), a)
    }
    /// a * value
    pub fn scale(&mut self, a: Expr, value: f32) -> Result<Expr> {
        let c = self.scalar(value);
        self.mul(a, c)
    }
    /// a + value
    pub fn shift(&mut self, a: Expr, value: f32) -> Result<Expr> {
        let c = self.scalar(value);
        self.add(a, c)
    }
    /// a^2
    pub fn square(&mut self, a: Expr) -> Result<Expr> {
        self.mul(a, a)
    }
    /// Square root of a >= 0 whose derivative at 0 is 0, as PyTorch's norm takes it, and not infinite: what is below 1e-24 counts as it.
    /// Of NaN it is NaN.
    pub fn guarded_sqrt(&mut self, a: Expr) -> Result<Expr> {
        let smallest = self.scalar(1e-24);
        let guarded = self.max(a, smallest)?;
        Ok(self.sqrt(guarded))
    }
    /// Mean over `axes`, which stay with size 1.
    pub fn mean(&mut self, a: Expr, axes: &[usize]) -> Result<Expr> {
        let sum = self.sum(a, axes)?;
        // Divided, not multiplied by a rounded reciprocal.
        let count = self.scalar((self.shape(a).numel() / self.shape(sum).numel()) as f32);
        self.div(sum, count)
    }
    /// Sum of all elements, a scalar of shape `[]`.
    pub fn sum_all(&mut self, a: Expr) -> Result<Expr> {
        let axes: Vec<usize> = (0..self.shape(a).rank()).collect();
        let sum = self.sum(a, &axes)?;
        self.reshape(sum, [])
    }
    /// Mean of all elements, a scalar of shape `[]`.
    pub fn mean_all(&mut self, a: Expr) -> Result<Expr> {
        let count = self.scalar(self.shape(a).numel() as f32);
        let sum = self.sum_all(a)?;
        self.div(sum, count)
    }
    /// Concatenation along `axis`: a sum of zero-padded parts.
    pub fn concat(&mut self, parts: &[Expr], axis: usize) -> Result<Expr> {
        let Some(&first) = parts.first() else {
            return shape_error("concat", "at least one tensor", "none");
        };
        let reference = self.shape(first).clone();
        let mut total = 0;
        for &p in parts {
            let s = self.shape(p);
            let fits = axis < reference.rank()
                && s.rank() == reference.rank()
                && (0..s.rank()).all(|i| i == axis || s[i] == reference[i]);
            if !fits {
                let s = s.clone();
                return shape_error(
                    "concat",
                    format!("tensors like {reference} but for axis {axis}"),
                    s,
                );
            }
            total += s[axis];
        }
        let (mut at, mut result) = (0, None);
        for &p in parts {
            let size = self.shape(p)[axis];
            let mut before = vec![0; reference.rank()];
            let mut after = before.clone();
            before[axis] = at;
            after[axis] = total - at - size;
            at += size;
            let padded = self.pad(p, &before, &after)?;
            result = Some(match result {
                None => padded,
                Some(r) => self.add(r, padded)?,
            });
        }
        Ok(result.unwrap_or(first))
    }
    /// Nearest-neighbour up-sampling of the last two axes by whole factors.
    pub fn upsample_nearest(&mut self, a: Expr, factor: [usize; 2]) -> Result<Expr> {
        let s = self.shape(a).clone();
        let r = s.rank();
        if r < 2 || factor.contains(&0) {
            return shape_error(
                "upsample_nearest",
                "at least two axes and factors of at least 1",
                s,
            );
        }
        let (h, w) = (s[r - 2], s[r - 1]);
        let lead = &s[..r - 2];
        let with = |tail: &[usize]| Shape::new([lead, tail].concat());
        let split = self.reshape(a, with(&[h, 1, w, 1]))?;
        let wide = self.expand(split, &with(&[h, factor[0], w, factor[1]]))?;
        self.reshape(wide, with(&[h * factor[0], w * factor[1]]))
    }
    /// Average over non-overlapping windows of the last two axes (kernel = stride = `factor`).
    pub fn avg_pool(&mut self, a: Expr, factor: [usize; 2]) -> Result<Expr> {
        let (split, [h, w]) = self.windows("avg_pool", a, factor)?;
        let r = self.shape(a).rank();
        let mean = self.mean(split, &[r - 1, r + 1])?;
        let lead = &self.shape(a)[..r - 2];
        let to = Shape::new([lead, &[h, w]].concat());
        self.reshape(mean, to)
    }
    /// `[.., h, factor 0, w, factor 1]` of an image `[.., h factor 0, w factor 1]`, and h and w.
    fn windows(
        &mut self,
        op: &'static str,
        a: Expr,
        factor: [usize; 2],
    ) -> Result<(Expr, [usize; 2])> {
        let s = self.shape(a).clone();
        let r = s.rank();
        let fits = r >= 2
            && !factor.contains(&0)
            && s[r - 2].is_multiple_of(factor[0])
            && s[r - 1].is_multiple_of(factor[1]);
        if !fits {
            return shape_error(
                op,
                format!("an image whose sizes are multiples of {factor:?}"),
                s,
            );
        }
        let (h, w) = (s[r - 2] / factor[0], s[r - 1] / factor[1]);
        let windows = Shape::new([&s[..r - 2], &[h, factor[0], w, factor[1]]].concat());
        Ok((self.reshape(a, windows)?, [h, w]))
    }
    /// Maximum over one axis, which stays with size 1, and NaN where an entry is. The gradient goes to the largest entry, at a tie to the
    /// first.
    ///
    /// The largest entry's position comes first, without a gradient, and then the entry that stands there: a gradient is one
    /// comparison with the position, where a chain of `max` over slices has as many zero-padded parts as the axis has entries
    /// (a tenth of the speed on llvmpipe for maxout's five pieces).
    pub fn max_along(&mut self, a: Expr, axis: usize) -> Result<Expr> {
        let s = self.shape(a).clone();
        if axis >= s.rank() {
            return shape_error("max_along", format!("an axis below {}", s.rank()), axis);
        }
        if s[axis] == 1 {
            return Ok(a);
        }
        let values = self.stop_gradient(a);
        let (mut start, mut size) = (vec![0; s.rank()], s.to_vec());
        size[axis] = 1;
        let mut largest = self.slice(values, &start, &size)?;
        let mut position = self.constant(0.0, size.clone());
        for i in 1..s[axis] {
            start[axis] = i;
            let next = self.slice(values, &start, &size)?;
            let larger = self.less(largest, next)?;
            let here = self.scalar(i as f32);
            position = self.select(larger, here, position)?;
            largest = self.max(largest, next)?;
        }
        let entry = self.iota(s, axis)?;
        let chosen = self.equal(entry, position)?;
        // NaN is larger than nothing and may not be chosen: what is left of the others is 0, and NaN where they are.
        let rest = self.relu(values);
        let rest = self.neg(rest);
        let rest = self.relu(rest);
        let kept = self.select(chosen, a, rest)?;
        self.sum(kept, &[axis])
    }
    /// Maximum over non-overlapping windows of the last two axes (kernel = stride = `factor`). Of equal largest values the first in
    /// row-major order gets the gradient, as in PyTorch.
    pub fn max_pool(&mut self, a: Expr, factor: [usize; 2]) -> Result<Expr> {
        let (split, [h, w]) = self.windows("max_pool", a, factor)?;
        let r = self.shape(a).rank();
        let over_columns = self.max_along(split, r + 1)?;
        let over_rows = self.max_along(over_columns, r - 1)?;
        let lead = &self.shape(a)[..r - 2];
        let to = Shape::new([lead, &[h, w]].concat());
        self.reshape(over_rows, to)
    }
    /// Adjoint of gather: y[.., j, ..] = sum of a[.., i, ..] over all i with indices[i] = j; y has `size` entries along `axis`.
    /// A sum over a comparison, in a fixed order: no atomics.
    pub fn scatter_add(
        &mut self,
        a: Expr,
        indices: Expr,
        axis: usize,
        size: usize,
    ) -> Result<Expr> {
        let (from, idx) = (self.shape(a).clone(), self.shape(indices).clone());
        if axis >= from.rank() || idx.rank() != 1 || idx[0] != from[axis] {
            return shape_error(
                "scatter_add",
                format!("as many indices as entries along axis {axis} of {from}"),
                idx,
            );
        }
        // a as [.., 1, n, ..] against the target position along a new axis before n.
        let mut shape = from.to_vec();
        shape.insert(axis, 1);
        let a = self.reshape(a, shape.clone())?;
        let mut idx_shape = vec![1; shape.len()];
        idx_shape[axis + 1] = idx[0];
        let indices = self.reshape(indices, idx_shape.clone())?;
        idx_shape[axis] = size;
        let target = self.iota(idx_shape, axis)?;
        // No stop_gradient around the comparison: a gradient asked for through the indices must be an error, not zero.
        let hit = self.equal(indices, target)?;
        let zero = self.scalar(0.0);
        let picked = self.select(hit, a, zero)?;
        let sum = self.sum(picked, &[axis + 1])?;
        shape.remove(axis);
        shape[axis] = size;
        self.reshape(sum, shape)
    }
    /// [classes, n] with 1 where the row is the class `labels` [n] names, else 0.
    pub fn one_hot(&mut self, labels: Expr, classes: usize) -> Result<Expr> {
        let n = self.shape(labels).numel();
        let row = self.reshape(labels, [1, n])?;
        let target = self.iota([classes, n], 0)?;
        self.equal(row, target)
    }
}
