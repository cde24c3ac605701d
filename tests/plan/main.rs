//! Compiled plans on the device against the f64 reference: fusion, views, reductions, random numbers, both kernel forms.
mod fusion;
mod models;
mod results;

use gan_gpu::gpu::testing;
use gan_gpu::graph::plan::evaluate::{Options, evaluate};
use gan_gpu::graph::plan::{Form, Precision};
use gan_gpu::graph::{Expr, Graph, Reference, Result};

/// Deterministic values away from 0 and of both signs.
fn values(seed: usize, count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| {
            let x = ((i * 7919 + seed * 104_729 + 13) % 1999) as f32 / 1000.0 - 1.0;
            if x.abs() < 0.05 { x + 0.2 } else { x }
        })
        .collect()
}

/// Builds expressions over leaves of the given shapes and compares device and reference.
fn check(
    name: &str,
    shapes: &[&[usize]],
    build: impl Fn(&mut Graph, &[Expr]) -> Result<Vec<Expr>>,
) {
    let gpu = testing::gpu();
    let mut g = Graph::new();
    let leaves: Vec<Expr> = shapes
        .iter()
        .enumerate()
        .map(|(k, s)| g.leaf(&format!("x{k}"), s.to_vec()))
        .collect();
    let outputs = build(&mut g, &leaves).unwrap_or_else(|e| panic!("{name}: {e}"));
    let data: Vec<Vec<f32>> = leaves
        .iter()
        .enumerate()
        .map(|(k, &l)| values(k, g.shape(l).numel()))
        .collect();
    let mut reference = Reference::new();
    for (&l, v) in leaves.iter().zip(&data) {
        reference.bind(&g, l, v.iter().map(|&x| x as f64).collect());
    }
    reference.seed = 7;
    reference.execution = 3;
    let want = reference.evaluate(&g, &outputs).unwrap();
    let inputs: Vec<(Expr, &[f32])> = leaves
        .iter()
        .copied()
        .zip(data.iter().map(|v| v.as_slice()))
        .collect();
    for form in [Form::Cpu, Form::Gpu] {
        let options = Options {
            form: Some(form),
            precision: Precision::F32,
            seed: 7,
            execution: 3,
        };
        let got = evaluate(&gpu, &g, &inputs, &outputs, options)
            .unwrap_or_else(|e| panic!("{name} ({form:?}): {e}"));
        for (k, (got, want)) in got.iter().zip(&want).enumerate() {
            testing::assert_close(
                &format!("{name} ({form:?}), output {k}"),
                got,
                want,
                2e-6,
                2e-5,
            );
        }
    }
}
