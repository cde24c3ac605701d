//! How long each dispatch takes on the device.
use super::device::{Gpu, attempt};
use super::dispatch::{Dispatch, check_owner, encode_alone};
use super::error::GpuError;

/// Timestamps that one query set may hold (WebGPU's limit).
const QUERIES_PER_SET: usize = 4096;

impl Gpu {
    /// Runs `dispatches` like [`submit`](Gpu::submit), waits, and returns the seconds each took on the device; NaN where the
    /// driver recorded no time (a timestamp of 0, seen on macOS).
    ///
    /// Every dispatch has its own pass here, which costs some 50 us each that these figures do not contain.
    ///
    /// # Errors
    /// [`GpuError::Unsupported`] without timestamp queries, [`GpuError::ForeignDispatch`], and what the device reported.
    pub fn submit_timed<'a>(
        &self,
        dispatches: impl IntoIterator<Item = &'a Dispatch>,
    ) -> Result<Vec<f64>, GpuError> {
        self.healthy()?;
        if !self.caps().timestamps {
            return Err(GpuError::Unsupported {
                adapter: self.report().name.clone(),
                feature: "timestamp queries",
                what_to_do: "time whole submissions on the host, or profile on another adapter",
            });
        }
        let dispatches: Vec<&Dispatch> = dispatches.into_iter().collect();
        let mut seconds = Vec::with_capacity(dispatches.len());
        for piece in dispatches.chunks(QUERIES_PER_SET / 2) {
            self.time_piece(piece, &mut seconds)?;
        }
        Ok(seconds)
    }

    fn time_piece(&self, dispatches: &[&Dispatch], seconds: &mut Vec<f64>) -> Result<(), GpuError> {
        let device = &self.inner.device;
        let count = 2 * dispatches.len() as u32;
        let bytes = u64::from(count) * 8;
        let descriptor = wgpu::QuerySetDescriptor {
            label: Some("timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count,
        };
        let queries = attempt(device, |device| device.create_query_set(&descriptor))
            .map_err(|error| self.refused("timestamps", bytes, &error))?;
        let ticks = self.query_target(bytes)?;
        let mut encoder =
            device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        let mut immediate_bytes = 0;
        for (index, dispatch) in dispatches.iter().enumerate() {
            check_owner(self, dispatch)?;
            let index = index as u32;
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(dispatch.label()),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(2 * index),
                    end_of_pass_write_index: Some(2 * index + 1),
                }),
            });
            immediate_bytes += encode_alone(&mut pass, dispatch);
        }
        encoder.resolve_query_set(&queries, 0..count, &ticks.inner.raw, 0);
        self.submit_commands(encoder.finish())?;
        self.inner.counters.update(|t| {
            t.dispatches += dispatches.len() as u64;
            t.immediate_bytes += immediate_bytes;
        });
        let bytes = self.download(&ticks, 0..ticks.bytes())?;
        let period_s = f64::from(self.inner.queue.get_timestamp_period()) * 1e-9;
        seconds.extend(bytes.chunks_exact(16).map(|pair| {
            let at = |i: usize| u64::from_le_bytes(std::array::from_fn(|byte| pair[8 * i + byte]));
            match (at(0), at(1)) {
                (0, _) | (_, 0) => f64::NAN,
                (start, end) => end.saturating_sub(start) as f64 * period_s,
            }
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Kernel;
    use crate::gpu::testing::{gpu, nan_buffer, read_f32};

    /// `rounds` dependent operations per invocation.
    fn work(gpu: &Gpu, rounds: u32) -> Dispatch {
        let source = "
            @group(0) @binding(0) var<storage, read_write> y: array<f32>;
            var<immediate> rounds: u32;
            @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                var v = f32(id.x);
                for (var i = 0u; i < rounds; i++) { v = v * 0.5 + 1.0; }
                y[id.x] = v;
            }";
        let kernel = Kernel {
            label: "work".into(),
            source: source.into(),
            grid: [64, 1, 1],
            immediates: vec![rounds],
        };
        gpu.prepare(&kernel, &[&nan_buffer(gpu, "y", 64 * 64)])
            .unwrap()
    }

    #[test]
    fn longer_work_takes_longer() {
        let gpu = gpu();
        let (short, long) = (work(&gpu, 100), work(&gpu, 20_000));
        if !gpu.caps().timestamps {
            let error = gpu.submit_timed([&short]).unwrap_err();
            assert!(matches!(error, GpuError::Unsupported { .. }), "{error}");
            return;
        }
        gpu.submit_timed([&short, &long]).unwrap(); // compiled at the first dispatch
        let before = gpu.traffic();
        let started = std::time::Instant::now();
        let seconds = gpu
            .submit_timed([&short, &long, &short, &long, &short, &long])
            .unwrap();
        let wall_s = started.elapsed().as_secs_f64();
        assert_eq!(gpu.traffic().dispatches - before.dispatches, 6);
        assert!(
            seconds.iter().sum::<f64>() <= wall_s,
            "{seconds:?} in {wall_s}"
        );
        // 200 times the work. The least of three, because other load on the machine adds to any one.
        let least = |first: usize| {
            seconds
                .iter()
                .skip(first)
                .step_by(2)
                .copied()
                .fold(f64::INFINITY, f64::min)
        };
        assert!(least(0) >= 0.0 && least(1) > 3.0 * least(0), "{seconds:?}");
        assert_eq!(read_f32(&gpu, &long.buffers()[0])[4095], 2.0);
    }

    #[test]
    fn more_dispatches_than_one_query_set_holds() {
        let gpu = gpu();
        if gpu.caps().timestamps {
            let dispatch = work(&gpu, 1);
            let count = QUERIES_PER_SET / 2 + 1;
            assert_eq!(
                gpu.submit_timed(std::iter::repeat_n(&dispatch, count))
                    .unwrap()
                    .len(),
                count
            );
        }
    }
}
