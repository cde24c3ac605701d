//! Gradients against central finite differences, in f64, to any order.
use gan_gpu::graph::{Expr, Graph, Reference, Result};

/// Step of the central differences. The graph's values are of order 1, so truncation costs about 1e-9 and cancellation 1e-11.
const STEP: f64 = 2e-5;
/// Largest allowed error, relative to 1 + the largest derivative.
const TOLERANCE: f64 = 2e-7;

/// A small generator of test values; its quality does not matter.
pub struct Values(u64);
impl Values {
    pub fn new(seed: u64) -> Self {
        Values(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        low + (high - low) * ((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
    pub fn vec(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        (0..count).map(|_| self.uniform(low, high)).collect()
    }
}

/// Where a computed derivative and the finite difference part.
#[derive(Debug)]
#[allow(dead_code)] // read through Debug, when a test fails
pub struct Mismatch {
    pub input: usize,
    pub element: usize,
    pub computed: f64,
    pub difference: f64,
}

/// Compares `gradients`, one per leaf of `wrt`, with central differences of `loss`.
pub fn compare(
    g: &Graph,
    at: &Reference,
    loss: Expr,
    wrt: &[Expr],
    gradients: &[Expr],
) -> std::result::Result<(), Mismatch> {
    let evaluate = |at: &Reference, e: &[Expr]| at.evaluate(g, e).unwrap();
    let computed = evaluate(at, gradients);
    let mut moved = at.clone();
    for (input, &x) in wrt.iter().enumerate() {
        let id = g.leaf_id(x).expect("finite differences need a leaf");
        let differences: Vec<f64> = (0..g.shape(x).numel())
            .map(|element| {
                let mut loss_at = |offset: f64| {
                    let mut values = at.leaves[&id].clone();
                    values[element] += offset;
                    moved.leaves.insert(id, values);
                    evaluate(&moved, &[loss])[0][0]
                };
                (loss_at(STEP) - loss_at(-STEP)) / (2.0 * STEP)
            })
            .collect();
        moved.leaves.insert(id, at.leaves[&id].clone());
        let scale = 1.0 + differences.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
        assert_eq!(computed[input].len(), differences.len());
        for (element, (&computed, &difference)) in
            computed[input].iter().zip(&differences).enumerate()
        {
            // Written so that a NaN is a mismatch.
            let close = (computed - difference).abs() <= TOLERANCE * scale;
            if !close {
                return Err(Mismatch {
                    input,
                    element,
                    computed,
                    difference,
                });
            }
        }
    }
    Ok(())
}

/// <random, tensors>: a scalar that depends on every element; the random factors become leaves themselves.
pub fn project(
    g: &mut Graph,
    at: &mut Reference,
    tensors: &[Expr],
    values: &mut Values,
) -> Result<(Expr, Vec<Expr>)> {
    let mut total = g.scalar(0.0);
    let mut factors = vec![];
    for &t in tensors {
        let shape = g.shape(t).clone();
        let v = g.leaf("v", shape.clone());
        // Away from zero, so that no element's derivative is hidden.
        let v_values = values.vec(shape.numel(), 0.5, 1.5);
        at.bind(g, v, v_values);
        let product = g.mul(t, v)?;
        let sum = g.sum_all(product)?;
        total = g.add(total, sum)?;
        factors.push(v);
    }
    Ok((total, factors))
}

/// Something done to a gradient before it is compared; the identity but in the tests of the checker itself.
pub type Tamper = fn(&mut Graph, Expr) -> Expr;

/// Checks y's derivatives of orders 1 to `orders`: each next scalar is <random, gradient of the one before>, and each is
/// differentiated with respect to `wrt` and to the random factors of its predecessors.
pub fn check(
    g: &mut Graph,
    at: &Reference,
    y: &[Expr],
    wrt: &[Expr],
    orders: usize,
    tamper: Tamper,
) -> std::result::Result<(), (usize, Mismatch)> {
    let (mut at, mut values) = (at.clone(), Values::new(77));
    let (mut loss, mut factors) = project(g, &mut at, y, &mut values).unwrap();
    let mut wrt = wrt.to_vec();
    for order in 1..=orders {
        let gradients = g.gradients(loss, &wrt).unwrap();
        let gradients: Vec<Expr> = gradients.into_iter().map(|e| tamper(g, e)).collect();
        compare(g, &at, loss, &wrt, &gradients).map_err(|m| (order, m))?;
        wrt.append(&mut factors);
        (loss, factors) = project(g, &mut at, &gradients, &mut values).unwrap();
    }
    Ok(())
}
