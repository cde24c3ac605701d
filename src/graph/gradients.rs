//! Reverse-mode differentiation. One rule per operation, made of ordinary operations, so that the result can be
//! differentiated again to any order.
use super::{Binary, Expr, Graph, GraphError, Op, Result, Unary};

impl Graph {
    /// d loss / d w for each w of `wrt`, as expressions of this graph; zeros where the loss does not depend on w.
    ///
    /// # Errors
    /// [`GraphError::LossNotScalar`]; [`GraphError::NotDifferentiable`] where the path from a `wrt` to the loss passes an
    /// operand in which an operation has no derivative (comparison, floor, sign, select's condition, gather's indices).
    pub fn gradients(&mut self, loss: Expr, wrt: &[Expr]) -> Result<Vec<Expr>> {
        self.gradients_holding(loss, wrt, &[])
    }

    /// As [`Graph::gradients`], with the tensors `held` as they are: partial derivatives, where those were computed from a w themselves.
    ///
    /// # Errors
    /// As for [`Graph::gradients`].
    pub fn gradients_holding(
        &mut self,
        loss: Expr,
        wrt: &[Expr],
        held: &[Expr],
    ) -> Result<Vec<Expr>> {
        let shape = self.shape(loss).clone();
        if shape.numel() != 1 {
            return Err(GraphError::LossNotScalar { got: shape });
        }
        let seed = self.constant(1.0, shape);
        self.jacobian(loss, seed, wrt, held)
    }

    /// The vector-Jacobian product seed^T d y / d w for each w of `wrt`; `seed` has y's shape.
    ///
    /// # Errors
    /// As for [`Graph::gradients`].
    pub fn vector_jacobian(&mut self, y: Expr, seed: Expr, wrt: &[Expr]) -> Result<Vec<Expr>> {
        if self.shape(seed) != self.shape(y) {
            let (expected, got) = (self.shape(y).to_string(), self.shape(seed).clone());
            return super::build::shape_error("vector_jacobian", expected, got);
        }
        self.jacobian(y, seed, wrt, &[])
    }

    fn jacobian(&mut self, y: Expr, seed: Expr, wrt: &[Expr], held: &[Expr]) -> Result<Vec<Expr>> {
        let end = y.index() + 1;
        // Which nodes carry a derivative from some wrt.
        let mut active = vec![false; end];
        for i in 0..end {
            let e = Expr(i as u32);
            let node = self.node(e);
            let passes = node.op != Op::StopGradient && !held.contains(&e);
            active[i] =
                wrt.contains(&e) || (passes && node.inputs.iter().any(|x| active[x.index()]));
        }
        // Contributions to each adjoint, not yet added up.
        let mut adjoint: Vec<Vec<Expr>> = vec![vec![]; end];
        if active[y.index()] {
            adjoint[y.index()].push(seed);
        }
        let outer = self.current_scope();
        let swept = self.sweep(&active, &mut adjoint);
        let given = |w: &Expr| adjoint.get(w.index()).cloned().unwrap_or_default();
        let found = swept.and_then(|()| {
            let sums = wrt.iter().map(|w| (*w, given(w)));
            sums.map(|(w, parts)| {
                self.differentiate_scope(w);
                match self.add_up(&parts)? {
                    Some(g) => Ok(g),
                    None => Ok(self.constant(0.0, self.shape(w).clone())),
                }
            })
            .collect()
        });
        self.restore_scope(outer);
        found
    }

    fn add_up(&mut self, parts: &[Expr]) -> Result<Option<Expr>> {
        let mut sum = None;
        for &part in parts {
            sum = Some(match sum {
                None => part,
                Some(sum) => self.add(sum, part)?,
            });
        }
        Ok(sum)
    }

    /// Adjoints of everything that is active, from the last node to the first.
    fn sweep(&mut self, active: &[bool], adjoint: &mut [Vec<Expr>]) -> Result<()> {
        for i in (0..adjoint.len()).rev() {
            let y = Expr(i as u32);
            let node = self.node(y);
            let inputs = node.inputs.clone();
            let passes_on = node.op != Op::StopGradient && inputs.iter().any(|x| active[x.index()]);
            if adjoint[i].is_empty() {
                continue;
            }
            // A broadcast's contributions are summed over its axes one by one: a bias that two passes share does not keep the
            // activations' gradients of one until those of the other are there, and norms need the same sums.
            let reduces = node.op == Op::Broadcast;
            self.differentiate_scope(y);
            if !(reduces && passes_on) {
                adjoint[i] = self.add_up(&adjoint[i])?.into_iter().collect();
            }
            if !passes_on {
                continue; // a wrt itself, or below it
            }
            for g in adjoint[i].clone() {
                for (slot, &x) in inputs.iter().enumerate() {
                    if active[x.index()] {
                        let contribution = self.rule(y, slot, g)?;
                        adjoint[x.index()].push(contribution);
                    }
                }
            }
        }
        Ok(())
    }

    /// The contribution to the adjoint of operand `slot` of y, where g is the adjoint of y.
    fn rule(&mut self, y: Expr, slot: usize, g: Expr) -> Result<Expr> {
        let node = self.node(y).clone();
        let x = node.inputs[slot];
        let shape_x = self.shape(x).clone();
        let no = |input| {
            Err(GraphError::NotDifferentiable {
                op: node.op.name(),
                input,
            })
        };
        match &node.op {
            Op::Leaf(_)
            | Op::Source(_)
            | Op::Constant(_)
            | Op::Iota { .. }
            | Op::Random { .. }
            | Op::StopGradient => unreachable!("{} has no differentiable operand", node.op.name()),
            Op::Unary(f) => self.unary_rule(*f, x, y, g),
            Op::Binary(f) => {
                let (a, b) = (node.inputs[0], node.inputs[1]);
                match (f, slot) {
                    (Binary::Add, _) | (Binary::Sub, 0) => Ok(g),
                    (Binary::Sub, _) => Ok(self.neg(g)),
                    (Binary::Mul, 0) => self.mul(g, b),
                    (Binary::Mul, _) => self.mul(g, a),
                    (Binary::Div, 0) => self.div(g, b),
                    (Binary::Div, _) => {
                        let t = self.mul(g, y)?;
                        let t = self.div(t, b)?;
                        Ok(self.neg(t))
                    }
                    (Binary::Min | Binary::Max, _) => {
                        // False where either is NaN: then a, which a constant bounds more often than not, keeps the gradient.
                        let b_wins = if *f == Binary::Min {
                            self.less(b, a)?
                        } else {
                            self.less(a, b)?
                        };
                        let b_wins = self.stop_gradient(b_wins);
                        let zero = self.scalar(0.0);
                        if slot == 0 {
                            self.select(b_wins, zero, g)
                        } else {
                            self.select(b_wins, g, zero)
                        }
                    }
                    (Binary::Less | Binary::LessEqual | Binary::Equal, _) => no("operands"),
                }
            }
            Op::Select => {
                let zero = self.scalar(0.0);
                match slot {
                    0 => no("condition"),
                    1 => self.select(node.inputs[0], g, zero),
                    _ => self.select(node.inputs[0], zero, g),
                }
            }
            Op::Broadcast => {
                let axes: Vec<usize> = (0..shape_x.rank())
                    .filter(|&i| shape_x[i] != node.shape[i])
                    .collect();
                self.sum(g, &axes)
            }
            Op::Reshape => self.reshape(g, shape_x),
            Op::Transpose { perm } => {
                let mut inverse = vec![0; perm.len()];
                for (i, &p) in perm.iter().enumerate() {
                    inverse[p] = i;
                }
                self.transpose(g, &inverse)
            }
            Op::Slice { start } => {
                let after: Vec<usize> = (0..start.len())
                    .map(|i| shape_x[i] - start[i] - node.shape[i])
                    .collect();
                self.pad(g, start, &after)
            }
            Op::Pad { before } => self.slice(g, before, &shape_x),
            Op::Sum { .. } => self.expand(g, &shape_x),
            Op::Gather { axis } => match slot {
                0 => self.scatter_add(g, node.inputs[1], *axis, shape_x[*axis]),
                _ => no("indices"),
            },
            Op::Matmul { trans_a, trans_b } => {
                let (a, b, ta, tb) = (node.inputs[0], node.inputs[1], *trans_a, *trans_b);
                match (slot, ta, tb) {
                    (0, false, _) => self.matmul_t(g, b, false, !tb),
                    (0, true, _) => self.matmul_t(b, g, tb, true),
                    (_, _, false) => self.matmul_t(a, g, !ta, false),
                    (_, _, true) => self.matmul_t(g, a, true, ta),
                }
            }
            Op::Conv2d(window) => {
                let (x, w) = (node.inputs[0], node.inputs[1]);
                match slot {
                    0 => self.conv2d_input_grad(w, g, *window, [shape_x[2], shape_x[3]]),
                    _ => self.conv2d_weight_grad(x, g, *window, [shape_x[2], shape_x[3]]),
                }
            }
            Op::Conv2dInputGrad(window) => {
                let (w, dy) = (node.inputs[0], node.inputs[1]);
                match slot {
                    0 => self.conv2d_weight_grad(g, dy, *window, [shape_x[2], shape_x[3]]),
                    _ => self.conv2d(g, w, *window),
                }
            }
            Op::Conv2dWeightGrad(window) => {
                let (x, dy) = (node.inputs[0], node.inputs[1]);
                match slot {
                    0 => self.conv2d_input_grad(g, dy, *window, [shape_x[2], shape_x[3]]),
                    _ => self.conv2d(x, g, *window),
                }
            }
            Op::Closeness { dims } => self.closeness_grad(x, g, *dims),
            Op::ClosenessGrad { dims } => {
                let (x, dy) = (node.inputs[0], node.inputs[1]);
                self.closeness_grad_rule(x, dy, g, *dims, slot)
            }
        }
    }

    /// The contribution of the adjoint h of y = closeness_grad(x, dy), y_ci = sum over j of (dy_i + dy_j) e_ij s_cij with
    /// s_cij = sign(x_cj - x_ci), to that of x or (slot 1) of dy. With p_ij = sum over c of s_cij (h_ci - h_cj), which is the same for
    /// ij and ji: to dy_i the sum over j of e_ij p_ij, to x_ci that of (dy_i + dy_j) e_ij p_ij s_cij, since e_ij grows with x_ci by
    /// e_ij s_cij. These are tensors of n^2.
    fn closeness_grad_rule(
        &mut self,
        x: Expr,
        dy: Expr,
        h: Expr,
        dims: usize,
        slot: usize,
    ) -> Result<Expr> {
        let (b, n) = (self.shape(dy)[0], self.shape(dy)[1]);
        let mut pairs = |e: Expr, dims: usize| -> Result<[Expr; 2]> {
            Ok([
                self.reshape(e, [b, dims, n, 1])?,
                self.reshape(e, [b, dims, 1, n])?,
            ])
        };
        let ([x_i, x_j], [h_i, h_j], [dy_i, dy_j]) =
            (pairs(x, dims)?, pairs(h, dims)?, pairs(dy, 1)?);
        let between = self.sub(x_j, x_i)?;
        let far = self.abs(between);
        let far = self.sum(far, &[1])?;
        let near = self.neg(far);
        let e = self.exp(near);
        let s = self.unary(Unary::Sign, between);
        let s = self.stop_gradient(s);
        let p = self.sub(h_i, h_j)?;
        let p = self.mul(s, p)?;
        let p = self.sum(p, &[1])?;
        let ep = self.mul(e, p)?;
        if slot == 1 {
            let sum = self.sum(ep, &[3])?;
            return self.reshape(sum, [b, n]);
        }
        let weight = self.add(dy_i, dy_j)?;
        let weighed = self.mul(weight, ep)?;
        let each = self.mul(weighed, s)?;
        let sum = self.sum(each, &[3])?;
        self.reshape(sum, [b * dims, n])
    }

    /// Rules read the output y where they can, so that the input need not be kept.
    fn unary_rule(&mut self, f: Unary, x: Expr, y: Expr, g: Expr) -> Result<Expr> {
        let zero = self.scalar(0.0);
        match f {
            Unary::Neg => Ok(self.neg(g)),
            Unary::Exp => self.mul(g, y),
            Unary::Log => self.div(g, x),
            Unary::Sqrt => {
                let half = self.scale(g, 0.5)?;
                self.div(half, y)
            }
            Unary::Abs => {
                let sign = self.unary(Unary::Sign, x);
                let sign = self.stop_gradient(sign);
                self.mul(g, sign)
            }
            Unary::Tanh => {
                let y2 = self.square(y)?;
                let one = self.scalar(1.0);
                let d = self.sub(one, y2)?;
                self.mul(g, d)
            }
            Unary::Sigmoid => {
                let one = self.scalar(1.0);
                let rest = self.sub(one, y)?;
                let d = self.mul(y, rest)?;
                self.mul(g, d)
            }
            Unary::Softplus => {
                let s = self.sigmoid(x);
                self.mul(g, s)
            }
            Unary::Relu | Unary::LeakyRelu(_) => {
                // A slope that is not positive loses the sign of x.
                let signed = match f {
                    Unary::LeakyRelu(slope) if slope.0 <= 0.0 => x,
                    _ => y,
                };
                let positive = self.less(zero, signed)?;
                let positive = self.stop_gradient(positive);
                match f {
                    Unary::LeakyRelu(slope) => {
                        let low = self.scale(g, slope.0)?;
                        self.select(positive, g, low)
                    }
                    _ => self.select(positive, g, zero),
                }
            }
            Unary::Sin => {
                let c = self.cos(x);
                self.mul(g, c)
            }
            Unary::Cos => {
                let s = self.sin(x);
                let t = self.mul(g, s)?;
                Ok(self.neg(t))
            }
            Unary::Floor | Unary::Sign => Err(GraphError::NotDifferentiable {
                op: Op::Unary(f).name(),
                input: "operand",
            }),
        }
    }
}
