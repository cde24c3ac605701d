//! `bench kernels`: every kernel at the shapes of the models, timed, with its result compared with a reference in f64.
mod cases;
mod plans;
mod products;

use super::session::EngineError;
use crate::gpu::{Buffer, CacheFolder, Gpu, GpuError, Kernel};
use crate::kernels::timing::{seconds, time};
use serde::Serialize;
use std::time::Duration;

/// One kernel, or the kernels of one small plan, with operands and what must come out.
pub struct Case {
    pub name: String,
    /// The form of the kernel.
    pub variant: String,
    pub launches: Vec<(Kernel, Vec<usize>)>,
    pub operands: Vec<Operand>,
    pub flops: u64,
    /// Read and written if every operand moves once.
    pub bytes: u64,
    /// The operand that is compared, after one execution.
    pub output: usize,
    pub check: Check,
}

/// What a buffer starts with.
pub enum Operand {
    Floats(Vec<f32>),
    Words(Vec<u32>),
    Bytes(Vec<u8>),
    /// So many NaNs: what a kernel fails to write shows.
    Unset(usize),
}

/// Compares an output.
pub type Check = Box<dyn Fn(&[u8]) -> Checked>;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checked {
    /// Largest difference; infinite where a value is NaN.
    pub max_error: f64,
    /// Values that differ by more than is allowed.
    pub wrong: usize,
    pub compared: usize,
}

impl Checked {
    pub fn none() -> Checked {
        Checked {
            max_error: 0.0,
            wrong: 0,
            compared: 0,
        }
    }
    /// Takes one more value in.
    pub fn compare(&mut self, got: f32, want: f64, allowed: f64) {
        let error = (f64::from(got) - want).abs();
        let error = if error.is_nan() { f64::INFINITY } else { error };
        self.max_error = self.max_error.max(error);
        self.wrong += usize::from(error > allowed);
        self.compared += 1;
    }
    /// Of whole tensors of f32, within `abs + rel |want|`.
    pub fn of(got: &[u8], want: &[f64], abs: f64, rel: f64) -> Checked {
        let got: Vec<f32> = bytemuck::pod_collect_to_vec(got);
        let mut all = Checked::none();
        for (i, &want) in want.iter().enumerate() {
            let got = got.get(i).copied().unwrap_or(f32::NAN);
            all.compare(got, want, abs + rel * want.abs());
        }
        all
    }
}

/// One line of output.
#[derive(Clone, Debug, Serialize)]
pub struct KernelResult {
    pub name: String,
    pub variant: String,
    /// The kernels' labels.
    pub kernel: String,
    pub adapter: String,
    /// The first execution, most of which is the driver compiling, unless that was done before.
    pub first_s: f64,
    pub ms_median: f64,
    pub ms_min: f64,
    /// Samples of time.
    pub n: usize,
    /// At the median; 0 where a kernel has no products.
    pub gflop_s: f64,
    pub gb_s: f64,
    /// Against f64, over `compared` values: all of them, or a fixed draw of a large product's.
    pub max_error: f64,
    pub compared: usize,
    pub wrong: usize,
    pub ok: bool,
}

/// Opens the adapter that `--adapter` means.
///
/// # Errors
/// [`EngineError::Adapter`].
pub fn open(adapter: &str) -> Result<Gpu, EngineError> {
    // No cache: what compilation takes is among the figures.
    super::engine::open_gpu(adapter, &CacheFolder::default())
}

/// Cases whose name or variant contains `filter`; those of other classes of adapters only if `all_variants`.
///
/// # Errors
/// Where a kernel cannot be made for this adapter.
pub fn select(gpu: &Gpu, filter: &str, all_variants: bool) -> Result<Vec<Builder>, EngineError> {
    let mut all = products::builders(gpu, all_variants);
    all.extend(cases::builders());
    all.extend(plans::builders(gpu, all_variants));
    all.retain(|b| b.name.contains(filter) || b.variant.contains(filter));
    match all.is_empty() {
        true => Err(EngineError::input(format!(
            "--filter: no kernel's name contains `{filter}`"
        ))),
        false => Ok(all),
    }
}

/// A case before its operands are made.
pub struct Builder {
    pub name: String,
    pub variant: String,
    pub build: Build,
}

/// Makes a case for this adapter; errors are the kernel's own words.
pub type Build = Box<dyn Fn(&Gpu) -> Result<Case, String>>;

/// Runs a case once for its check, then for about `budget`.
///
/// # Errors
/// Those of the device, and of a kernel that cannot be made.
pub fn run(gpu: &Gpu, builder: &Builder, budget: Duration) -> Result<KernelResult, EngineError> {
    let device = |e: GpuError| EngineError::device(e.to_string());
    let case = (builder.build)(gpu).map_err(EngineError::device)?;
    let buffers = case
        .operands
        .iter()
        .map(|operand| buffer(gpu, operand))
        .collect::<Result<Vec<_>, _>>()
        .map_err(device)?;
    let dispatches = case
        .launches
        .iter()
        .map(|(kernel, at)| {
            let bound: Vec<&Buffer> = at.iter().map(|&b| &buffers[b]).collect();
            gpu.prepare(kernel, &bound)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(device)?;
    let first_s = seconds(gpu, &dispatches, 1).map_err(device)?;
    let output = &buffers[case.output];
    let got = gpu.download(output, 0..output.bytes()).map_err(device)?;
    let checked = (case.check)(&got);

    let timing = time(gpu, &dispatches, budget).map_err(device)?;
    let labels: Vec<&str> = case
        .launches
        .iter()
        .map(|(k, _)| k.label.as_str())
        .collect();
    Ok(KernelResult {
        name: case.name,
        variant: case.variant,
        kernel: labels.join("; "),
        adapter: gpu.report().name.clone(),
        first_s,
        ms_median: timing.median_s * 1e3,
        ms_min: timing.min_s * 1e3,
        n: timing.samples,
        gflop_s: case.flops as f64 / timing.median_s / 1e9,
        gb_s: case.bytes as f64 / timing.median_s / 1e9,
        max_error: checked.max_error,
        compared: checked.compared,
        wrong: checked.wrong,
        ok: checked.wrong == 0 && checked.compared > 0,
    })
}

fn buffer(gpu: &Gpu, operand: &Operand) -> Result<Buffer, GpuError> {
    match operand {
        Operand::Floats(values) => gpu.buffer_from("operand", bytemuck::cast_slice(values)),
        Operand::Words(values) => gpu.buffer_from("operand", bytemuck::cast_slice(values)),
        Operand::Bytes(values) => gpu.buffer_from("operand", values),
        Operand::Unset(count) => {
            gpu.buffer_from("result", bytemuck::cast_slice(&vec![f32::NAN; *count]))
        }
    }
}

/// `count` values in [low, high), the same for the same salt.
fn values(count: usize, salt: u32, low: f32, high: f32) -> Vec<f32> {
    use crate::data::rng::{threefry2x32, uniform01};
    (0..count as u32)
        .map(|i| low + (high - low) * uniform01(threefry2x32([salt, 77], [i, 0])[0]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;

    #[test]
    fn every_kernel_that_is_not_large_passes_its_check() {
        let gpu = gpu();
        for name in [
            "linear 128->2",
            "adam",
            "ema",
            "pack_u8",
            "random",
            "dataset_batch",
        ] {
            for builder in select(&gpu, name, false).unwrap() {
                let result = run(&gpu, &builder, Duration::ZERO).unwrap();
                assert!(result.ok, "{result:?}");
                assert!(result.ms_min > 0.0 && result.gb_s > 0.0, "{result:?}");
            }
        }
    }

    #[test]
    fn a_wrong_kernel_is_caught() {
        let gpu = gpu();
        let builder = &select(&gpu, "adam", false).unwrap()[0];
        let wrong = Builder {
            name: builder.name.clone(),
            variant: builder.variant.clone(),
            build: Box::new(|gpu| {
                let mut case =
                    (select(gpu, "adam", false).map_err(|e| e.to_string())?[0].build)(gpu)?;
                let kernel = &mut case.launches[0].0;
                assert!(kernel.source.contains("old_p - step_size"));
                let text = kernel
                    .source
                    .replace("old_p - step_size", "old_p + step_size");
                kernel.source = text.into();
                Ok(case)
            }),
        };
        let result = run(&gpu, &wrong, Duration::ZERO).unwrap();
        assert!(!result.ok && result.wrong > 0, "{result:?}");
    }

    #[test]
    fn what_is_not_written_is_wrong() {
        let nan: &[f32] = &[1.0, f32::NAN];
        let checked = Checked::of(bytemuck::cast_slice(nan), &[1.0, 2.0], 1e-6, 1e-6);
        assert_eq!((checked.wrong, checked.compared), (1, 2));
        assert!(checked.max_error.is_infinite());
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(matches!(
            select(&gpu(), "no such kernel", false),
            Err(EngineError::Input(_))
        ));
    }
}
