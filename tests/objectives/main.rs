//! Objectives and penalties against their closed forms, against PyTorch and against finite differences.
#[path = "../support/critics.rs"]
mod critics;
#[path = "../support/torch.rs"]
mod torch;

mod closed_forms;
mod combinations;
mod flops;
mod methods;
mod penalties;
mod settings;
mod torch_penalties;
mod torch_steps;

use gan_gpu::graph::{Expr, Graph};

/// A deliberate mistake in an expression; `unspoilt` is none. Every check here must fail under `flipped`.
type Spoil = fn(&mut Graph, Expr) -> Expr;
fn unspoilt(_: &mut Graph, e: Expr) -> Expr {
    e
}
fn flipped(g: &mut Graph, e: Expr) -> Expr {
    g.neg(e)
}

/// `Ok` when the numbers agree to `tolerance`, relative to the larger of the expected one and 1.
fn agree(what: &str, got: f64, expected: f64, tolerance: f64) -> Result<(), String> {
    if (got - expected).abs() <= tolerance * expected.abs().max(1.0) {
        return Ok(());
    }
    Err(format!("{what}: {got}, expected {expected}"))
}

/// Runs a check without a mistake and with one.
#[track_caller]
fn holds_and_can_fail(what: &str, check: impl Fn(Spoil) -> Result<(), String>) {
    check(unspoilt).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(check(flipped).is_err(), "{what}: a flipped sign passes");
}
