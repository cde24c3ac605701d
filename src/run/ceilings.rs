//! What an adapter reaches with this program's own kernels when they have nothing but bandwidth or arithmetic to do.
use super::session::EngineError;
use crate::gpu::{AdapterClass, Dispatch, Gpu, GpuError};
use crate::graph::Graph;
use crate::graph::plan::{Environment, Plan, Region, Stage, Target};
use crate::kernels::gemm::bench::{BenchCase, run};
use crate::kernels::gemm::{GemmOp, Variant};
use crate::kernels::{Form, Scalar, copy};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Best of several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ceilings {
    /// Bytes read and written per second, in units of 1e9.
    pub copy_gb_s: f64,
    /// Of a square matrix product in f32, in units of 1e9 operations per second.
    pub gemm_gflop_s: f64,
    /// Side of that product.
    pub gemm_size: u32,
}

const ROUNDS: usize = 5;

/// Measures them: about a second on a GPU, a few on a software adapter.
///
/// # Errors
/// Those of the device.
pub fn measure(gpu: &Gpu) -> Result<Ceilings, EngineError> {
    let software = gpu.caps().class == AdapterClass::Software;
    let (bytes, gemm_size) = match software {
        true => (32 << 20, 1024),
        false => (256 << 20, 4096),
    };
    let device = |e: GpuError| EngineError::device(e.to_string());
    let limit = gpu
        .caps()
        .max_binding_bytes
        .min(gpu.caps().max_buffer_bytes);
    let copy_gb_s = copy_speed(gpu, bytes.min(limit / 16 * 16))?;
    let case = BenchCase {
        name: "ceiling",
        op: GemmOp::Matmul {
            m: gemm_size,
            n: gemm_size,
            k: gemm_size,
            batch: 1,
            trans_a: false,
            trans_b: false,
        },
        formats: [Scalar::F32; 3],
    };
    let budget = Duration::from_millis(1000);
    let form = Form::of(gpu.caps().class);
    let variant = Variant::by_rule(gpu.caps(), form, &case.op, case.formats)
        .map_err(|e| EngineError::device(e.to_string()))?;
    let product =
        run(gpu, &case, variant, budget).map_err(|e| EngineError::device(e.to_string()))?;
    gpu.wait_idle().map_err(device)?;
    Ok(Ceilings {
        copy_gb_s,
        gemm_gflop_s: case.op.flops() as f64 / product.ms_min / 1e6,
        gemm_size,
    })
}

/// GB/s of the copy kernel or of an elementwise kernel with one operand, which reads vectors of four: whichever is faster.
fn copy_speed(gpu: &Gpu, bytes: u64) -> Result<f64, EngineError> {
    let device = |e: GpuError| EngineError::device(e.to_string());
    let elements = (bytes / 4) as usize;
    let table = [
        gpu.buffer("from", bytes).map_err(device)?,
        gpu.buffer("to", bytes).map_err(device)?,
    ];
    let plain = copy::kernel(gpu.caps(), elements, 0, 0);
    let plain = gpu
        .prepare(&plain, &[&table[0], &table[1]])
        .map_err(device)?;
    let mut g = Graph::new();
    let x = g.leaf("x", [elements]);
    let y = g.neg(x);
    let mut env = Environment::new(Target::of(gpu.caps()), table.len(), 0, 0);
    let at = |buffer| Region { buffer, offset: 0 };
    if let Some(id) = g.leaf_id(x) {
        env.leaves.insert(id, at(0));
    }
    let stage = Stage {
        outputs: vec![(y, at(1))],
        effects: vec![],
    };
    let plan = Plan::compile(&g, &[stage], &env).map_err(|e| EngineError::device(e.to_string()))?;
    let mut dispatches = plan.prepare(gpu, &table).map_err(device)?;
    dispatches.push(plain);
    let mut best = f64::INFINITY;
    for dispatch in &dispatches {
        seconds(gpu, dispatch).map_err(device)?; // compiled at the first dispatch
        for _ in 0..ROUNDS {
            best = best.min(seconds(gpu, dispatch).map_err(device)?);
        }
    }
    Ok(2.0 * bytes as f64 / best / 1e9)
}

/// By timestamps where there are any.
fn seconds(gpu: &Gpu, dispatch: &Dispatch) -> Result<f64, GpuError> {
    if gpu.caps().timestamps {
        let timed = gpu.submit_timed([dispatch])?;
        if let Some(&s) = timed.first().filter(|s| **s > 0.0) {
            return Ok(s);
        }
    }
    let begun = Instant::now();
    let submission = gpu.submit([dispatch])?;
    gpu.wait(&submission)?;
    Ok(begun.elapsed().as_secs_f64())
}
