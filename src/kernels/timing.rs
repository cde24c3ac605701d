//! How long dispatches take, for benchmarks and for choosing among variants.
use crate::gpu::{Dispatch, Gpu, GpuError};
use std::time::{Duration, Instant};

/// What one execution of some dispatches took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    pub median_s: f64,
    pub min_s: f64,
    /// How many submissions were timed.
    pub samples: usize,
}

/// One submission is filled with executions up to about this.
const SUBMISSION: Duration = Duration::from_millis(50);

/// Times submissions for about `budget`, three at least. The dispatches ran before: this does not wait for a compiler.
///
/// # Errors
/// Those of the device.
pub fn time(gpu: &Gpu, dispatches: &[Dispatch], budget: Duration) -> Result<Timing, GpuError> {
    let once = seconds(gpu, dispatches, 1)?;
    let repeats = (SUBMISSION.as_secs_f64() / once.max(1e-6)).clamp(1.0, 1000.0) as usize;
    let begun = Instant::now();
    let mut all = Vec::new();
    while all.len() < 3 || begun.elapsed() < budget {
        all.push(seconds(gpu, dispatches, repeats)? / repeats as f64);
    }
    all.sort_by(f64::total_cmp);
    Ok(Timing {
        median_s: all[all.len() / 2],
        min_s: all[0],
        samples: all.len(),
    })
}

/// Of one submission of `repeats` executions.
///
/// # Errors
/// Those of the device.
pub fn seconds(gpu: &Gpu, dispatches: &[Dispatch], repeats: usize) -> Result<f64, GpuError> {
    let begun = Instant::now();
    let all = std::iter::repeat_n(dispatches, repeats).flatten();
    gpu.wait(&gpu.submit(all)?)?;
    Ok(begun.elapsed().as_secs_f64())
}
