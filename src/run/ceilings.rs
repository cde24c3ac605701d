//! What an adapter reaches with this program's own kernels when they have nothing but bandwidth or arithmetic to do.
use super::session::EngineError;
use crate::gpu::{AdapterClass, Dispatch, Gpu, GpuError};
use crate::graph::plan::{Environment, Plan, Region, Stage, Target};
use crate::graph::{Graph, GraphError};
use crate::kernels::gemm::bench::{BenchCase, run};
use crate::kernels::gemm::{GemmOp, Variant};
use crate::kernels::{Form, Scalar, copy};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Best of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ceilings {
    /// Bytes moved per second, in units of 1e9, where they are too many for any cache.
    pub copy_gb_s: f64,
    /// The same for dispatches that move less, the smallest first.
    pub copies: Vec<Moving>,
    /// Of a square matrix product in f32, in units of 1e9 operations per second.
    pub gemm_gflop_s: f64,
    /// Side of that product.
    pub gemm_size: u32,
}

/// How fast a dispatch moves so many bytes, time after time: from a cache, where they fit one. The fastest of a copy, of an
/// elementwise kernel with one operand, and of a sum, which reads only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moving {
    /// Read and written.
    pub bytes: u64,
    pub gb_s: f64,
}

impl Ceilings {
    /// GB/s that a dispatch which moves `bytes` could reach: of the sizes measured the next one below or above, whichever is faster.
    pub fn moving(&self, bytes: u64) -> f64 {
        let above = self.copies.partition_point(|m| m.bytes < bytes);
        let near = &self.copies[above.saturating_sub(1)..(above + 1).min(self.copies.len())];
        let best = near.iter().map(|m| m.gb_s).fold(0.0, f64::max);
        if best > 0.0 { best } else { self.copy_gb_s }
    }
}

const ROUNDS: usize = 5;
/// Bytes of the smallest dispatch that is measured: a smaller one takes its launch.
const LEAST_MOVED: u64 = 1 << 12;
/// As many sums at once as a batch norm of some width takes.
const SUMMED_ROWS: usize = 128;

/// Measures them: about a second on a GPU, a few on a software adapter.
///
/// # Errors
/// Those of the device.
pub fn measure(gpu: &Gpu) -> Result<Ceilings, EngineError> {
    let software = gpu.caps().class == AdapterClass::Software;
    // Moved by one dispatch: half of it read, half of it written.
    let (most, gemm_size) = match software {
        true => (64 << 20, 1024),
        false => (512 << 20, 4096),
    };
    let device = |e: GpuError| EngineError::device(e.to_string());
    let limit = gpu
        .caps()
        .max_binding_bytes
        .min(gpu.caps().max_buffer_bytes);
    let most: u64 = most.min(2 * (limit / 16 * 16));
    let sizes = (0..).map(|k| LEAST_MOVED << (2 * k));
    let sizes: Vec<u64> = sizes.take_while(|&bytes| bytes < most).collect();
    let mut copies = vec![];
    for bytes in sizes.into_iter().chain([most]) {
        let gb_s = copy_speed(gpu, bytes / 2)?;
        copies.push(Moving { bytes, gb_s });
    }
    let case = BenchCase {
        name: "ceiling".into(),
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
        copy_gb_s: copies.last().map_or(0.0, |m| m.gb_s),
        copies,
        gemm_gflop_s: case.op.flops() as f64 / product.ms_min / 1e6,
        gemm_size,
    })
}

/// GB/s of the copy kernel, of an elementwise kernel with one operand, which reads vectors of four, or of a sum over what both move
/// together: whichever is fastest.
fn copy_speed(gpu: &Gpu, bytes: u64) -> Result<f64, EngineError> {
    let device = |e: GpuError| EngineError::device(e.to_string());
    let words = |e: GraphError| EngineError::device(e.to_string());
    let elements = (bytes / 4) as usize;
    let table = [
        gpu.buffer("from", bytes).map_err(device)?,
        gpu.buffer("to", bytes).map_err(device)?,
        gpu.buffer("more", bytes).map_err(device)?,
    ];
    let plain = copy::kernel(gpu.caps(), elements, 0, 0);
    let mut dispatches = vec![
        gpu.prepare(&plain, &[&table[0], &table[1]])
            .map_err(device)?,
    ];
    let rows = SUMMED_ROWS.min(elements);
    for summed in [false, true] {
        let mut g = Graph::new();
        let x = g.leaf("x", [rows, elements / rows]);
        let z = g.leaf("z", [rows, elements / rows]);
        let y = match summed {
            true => {
                let both = g.add(x, z).map_err(words)?;
                g.sum(both, &[1]).map_err(words)?
            }
            false => g.neg(x),
        };
        let mut env = Environment::new(Target::of(gpu.caps()), table.len(), 0, 0);
        let at = |buffer| Region { buffer, offset: 0 };
        for (leaf, buffer) in [(x, 0), (z, 2)] {
            if let Some(id) = g.leaf_id(leaf) {
                env.leaves.insert(id, at(buffer));
            }
        }
        let stage = Stage {
            outputs: vec![(y, at(1))],
            effects: vec![],
        };
        let plan = Plan::compile(&g, &[stage], &env).map_err(words)?;
        dispatches.extend(plan.prepare(gpu, &table).map_err(device)?);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispatch_is_compared_with_what_moves_about_as_much() {
        let at = |bytes, gb_s| Moving { bytes, gb_s };
        let ceilings = Ceilings {
            copy_gb_s: 4.0,
            copies: vec![at(1000, 2.0), at(4000, 8.0), at(16000, 4.0)],
            gemm_gflop_s: 1.0,
            gemm_size: 1,
        };
        let found = [1, 1000, 1001, 4000, 4001, 16000, 1 << 40].map(|b| ceilings.moving(b));
        assert_eq!(found, [2.0, 2.0, 8.0, 8.0, 8.0, 8.0, 4.0]);
    }
}
