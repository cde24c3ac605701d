//! Compiling before first use, on the cores that wait.
//!
//! Software drivers compile a kernel when it is first executed, one after the other on the thread that executes, which made the first
//! step of a process take half a minute while the other cores stood idle. Their machine code goes to a cache on disk (Mesa:
//! `mesa_shader_cache`), from which every device loads it in a few milliseconds. So other threads, each with a device of its own on
//! the same adapter, run the kernels of a program once, on no workgroups at all, from the last to the first, while the program itself
//! runs from the first on. Where they meet, everything is compiled. Results cannot depend on it: it is the same code, whoever compiled
//! it.
//!
//! Drivers of GPUs compile when a pipeline is made: see [`Gpu::prepare_pipelines`].
use super::adapter::{AdapterClass, GpuBackend};
use super::device::Gpu;
use super::dispatch::Kernel;
use super::error::GpuError;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Threads at most; each has a device, and kernels differ so much in cost that more would wait for the dearest.
const MAX_THREADS: usize = 8;

/// Compilation under way. Dropping it ends it, after the kernels that are being compiled.
#[derive(Default)]
pub struct CompileAhead {
    stop: Arc<AtomicBool>,
    compiled: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl CompileAhead {
    /// Waits until all kernels are compiled; returns how many were.
    pub fn finish(mut self) -> usize {
        self.join();
        self.compiled.load(Ordering::Relaxed)
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::info!("a thread that compiled ahead has panicked");
            }
        }
    }
}

impl Drop for CompileAhead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.join();
    }
}

impl Gpu {
    /// Starts to compile `kernels`, given in the order of their first use, last to first. Does nothing on adapters that compile when
    /// a pipeline is made, nor where only one core is there to compile.
    pub fn compile_ahead(&self, kernels: impl IntoIterator<Item = Kernel>) -> CompileAhead {
        let report = self.report();
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let at_first_use =
            report.caps.class == AdapterClass::Software && report.backend == GpuBackend::Vulkan;
        let count = (cores - 1).min(MAX_THREADS);
        if !at_first_use || count == 0 {
            return CompileAhead::default();
        }
        let mut seen = HashSet::new();
        let mut work: Vec<Kernel> = kernels.into_iter().collect();
        work.retain(|kernel| seen.insert(Arc::clone(&kernel.source)));
        work.reverse();
        let shared = Arc::new((work, AtomicUsize::new(0)));
        let mut ahead = CompileAhead::default();
        for _ in 0..count {
            let shared = Arc::clone(&shared);
            let (stop, compiled) = (Arc::clone(&ahead.stop), Arc::clone(&ahead.compiled));
            let open = self.another(self.options().clone());
            let compile = move || -> Result<(), GpuError> {
                let gpu = open()?;
                let (work, next) = &*shared;
                while !stop.load(Ordering::Relaxed) {
                    let Some(kernel) = work.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        break;
                    };
                    gpu.execute_nowhere(kernel)?;
                    compiled.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            };
            let logged = move || {
                if let Err(error) = compile() {
                    log::info!("compiling ahead: {error}");
                }
            };
            match std::thread::Builder::new()
                .name("compile ahead".into())
                .spawn(logged)
            {
                Ok(thread) => ahead.threads.push(thread),
                Err(error) => log::info!("compiling ahead: {error}"),
            }
        }
        ahead
    }

    /// Executes `kernel` on no workgroups, bound to buffers as small as it allows: the driver compiles it, nothing is computed.
    fn execute_nowhere(&self, kernel: &Kernel) -> Result<(), GpuError> {
        let pipeline = self.pipeline(&kernel.label, &kernel.source)?;
        let bindings = &pipeline.reflection.bindings;
        let buffers = bindings
            .iter()
            .map(|binding| self.buffer(&binding.name, binding.min_bytes.max(4)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut dispatch = self.prepare(kernel, &buffers.iter().collect::<Vec<_>>())?;
        dispatch.grid[0] = 0;
        let submission = self.submit([&dispatch])?;
        self.wait(&submission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;

    fn kernel(text: &str) -> Kernel {
        let source = format!(
            "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
            @group(0) @binding(1) var<storage, read_write> y: array<f32>;
            var<immediate> n: u32;
            @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {{ y[i] = {text}; }}"
        );
        Kernel {
            label: text.into(),
            source: source.into(),
            grid: [3, 2, 1],
            immediates: vec![7],
        }
    }

    #[test]
    fn every_text_is_compiled_once_and_a_broken_one_only_ends_it() {
        let gpu = gpu();
        let cores = std::thread::available_parallelism().unwrap().get();
        let report = gpu.report();
        let used = cores > 1
            && report.caps.class == AdapterClass::Software
            && report.backend == GpuBackend::Vulkan;
        let texts = ["x[i].y", "f32(n)", "x[i].y", "2.0"].map(kernel);
        assert_eq!(
            gpu.compile_ahead(texts.clone()).finish(),
            if used { 3 } else { 0 }
        );
        assert!(gpu.compile_ahead([kernel("missing")]).finish() == 0);
        drop(gpu.compile_ahead(texts));
    }

    #[test]
    fn nothing_is_computed_and_broken_kernels_are_errors() {
        let gpu = gpu();
        let before = gpu.traffic();
        gpu.execute_nowhere(&kernel("x[i].z")).unwrap();
        let after = gpu.traffic();
        assert_eq!(after.dispatches - before.dispatches, 1);
        assert_eq!(after.device_to_host_bytes, before.device_to_host_bytes);
        assert!(gpu.execute_nowhere(&kernel("missing")).is_err());
    }
}
