//! Every operation's first- and second-order gradient against finite differences, and what is built from them.
mod checker;
mod layers;
mod op_cases;
mod stories;

use checker::{Tamper, check};
use gan_gpu::graph::{Graph, GraphError, Op};
use op_cases::{cases, every_op, no_derivative};

const NONE: Tamper = |_, e| e;

#[test]
fn every_op_has_correct_first_and_second_order_gradients() {
    for op in every_op() {
        for (i, case) in cases(&op).iter().enumerate() {
            let (mut g, at, leaves, y) = case.instantiate();
            let used = g.exprs().any(|e| g.node(e).op.name() == op.name());
            assert!(
                used,
                "case {i} of {} does not hold that operation",
                op.name()
            );
            if let Err((order, mismatch)) = check(&mut g, &at, &[y], &leaves, 2, NONE) {
                panic!(
                    "{}, case {i} {:?}, order {order}: {mismatch:?}",
                    op.name(),
                    case.operands
                );
            }
        }
    }
}

/// The rules are themselves differentiable: a third order costs nothing more.
#[test]
fn third_order_gradients_are_correct() {
    for op in every_op() {
        if let Some(case) = cases(&op).first() {
            let (mut g, at, leaves, y) = case.instantiate();
            if let Err((order, mismatch)) = check(&mut g, &at, &[y], &leaves, 3, NONE) {
                panic!("{}, order {order}: {mismatch:?}", op.name());
            }
        }
    }
}

#[test]
fn an_op_without_cases_names_the_input_it_is_not_differentiable_in() {
    for op in every_op() {
        let Some((ask, input)) = no_derivative(&op) else {
            let exempt = matches!(op, Op::Source(_) | Op::StopGradient);
            assert!(
                exempt || !cases(&op).is_empty(),
                "{} is in no test",
                op.name()
            );
            continue;
        };
        let mut g = Graph::new();
        let x = g.leaf("x", [3]);
        // Behind a differentiable operation, so that the path is followed and not only its first step.
        let inner = g.square(x).unwrap();
        let y = ask(&mut g, inner).unwrap();
        let loss = g.sum_all(y).unwrap();
        let op = op.name();
        assert_eq!(
            g.gradients(loss, &[x]),
            Err(GraphError::NotDifferentiable { op, input })
        );
        // The same loss has a gradient once the operand is meant to be a constant.
        let mut g = Graph::new();
        let x = g.leaf("x", [3]);
        let inner = g.stop_gradient(x);
        let y = ask(&mut g, inner).unwrap();
        let y = g.mul(y, x).unwrap();
        let loss = g.sum_all(y).unwrap();
        g.gradients(loss, &[x]).unwrap();
    }
}

/// Gradients that are wrong in one way each: every case of every operation must notice, at the order where it is wrong.
#[test]
fn the_checker_catches_wrong_rules() {
    let flipped: Tamper = |g, e| g.neg(e);
    let slightly_off: Tamper = |g, e| g.scale(e, 1.0 + 1e-4).unwrap();
    let zero: Tamper = |g, e| g.scale(e, 0.0).unwrap();
    // Right to first order; the second order loses its path.
    let frozen: Tamper = |g, e| g.stop_gradient(e);
    for (name, tamper, caught_at) in [
        ("flipped", flipped, 1),
        ("slightly off", slightly_off, 1),
        ("zero", zero, 1),
        ("frozen", frozen, 2),
    ] {
        for op in every_op() {
            for (i, case) in cases(&op).iter().enumerate() {
                let (mut g, at, leaves, y) = case.instantiate();
                match check(&mut g, &at, &[y], &leaves, 2, tamper) {
                    Ok(()) => panic!("{} case {i}: a {name} gradient passed", op.name()),
                    Err((order, _)) => {
                        assert_eq!(order, caught_at, "{} case {i}, {name}", op.name())
                    }
                }
            }
        }
    }
}
