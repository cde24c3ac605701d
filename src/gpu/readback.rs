//! Reading buffers back, at once or without blocking, through staging memory that is reused.
use super::buffer::{Buffer, COPY_ALIGN, GRAIN};
use super::device::{Gpu, Submission};
use super::error::GpuError;
use super::traffic::Counters;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Blocking reads go through staging in pieces of at most this size.
const STAGING_BYTES: u64 = 32 << 20;

impl Gpu {
    /// Bytes `range` of `buffer`, after everything submitted so far. Blocks.
    ///
    /// # Errors
    /// [`GpuError::OutOfRange`], and what the device reported.
    pub fn download(&self, buffer: &Buffer, range: Range<u64>) -> Result<Vec<u8>, GpuError> {
        buffer.check_range(&range)?;
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + STAGING_BYTES);
            self.download_begin(buffer, at..end)?
                .wait_into(&mut bytes)?;
            at = end;
        }
        Ok(bytes)
    }

    /// Starts reading bytes `range` of `buffer` as they are after everything submitted so far, without blocking.
    /// Staging memory is reused by later reads once the bytes are taken.
    ///
    /// # Errors
    /// [`GpuError::OutOfRange`], and what the device reported.
    pub fn download_begin(&self, buffer: &Buffer, range: Range<u64>) -> Result<Pending, GpuError> {
        self.healthy()?;
        self.owns(buffer)?;
        buffer.check_range(&range)?;
        let start = range.start / COPY_ALIGN * COPY_ALIGN;
        let copied = range.end.next_multiple_of(COPY_ALIGN) - start;
        let inside = (range.start - start) as usize..(range.end - start) as usize;
        let staging = self.take_staging(copied.max(COPY_ALIGN))?;
        let mut encoder = self
            .inner
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        if copied > 0 {
            encoder.copy_buffer_to_buffer(&buffer.inner.raw, start, &staging.raw, 0, copied);
        }
        let submission = self.submit_commands(encoder.finish())?;
        let state = Arc::new(AtomicU8::new(WAITING));
        let done = Arc::clone(&state);
        staging.raw.map_async(
            wgpu::MapMode::Read,
            0..copied.max(COPY_ALIGN),
            move |result| {
                done.store(
                    if result.is_ok() { READY } else { FAILED },
                    Ordering::Release,
                );
            },
        );
        self.inner
            .counters
            .update(|t| t.device_to_host_bytes += range.end - range.start);
        Ok(Pending {
            gpu: self.clone(),
            submission,
            staging: Some(staging),
            state,
            copied: copied.max(COPY_ALIGN),
            inside,
        })
    }

    /// The smallest idle staging buffer of at least `bytes`, or a new one.
    fn take_staging(&self, bytes: u64) -> Result<Staging, GpuError> {
        let mut idle = self.inner.staging.borrow_mut();
        if let Some(position) = idle.iter().position(|staging| staging.raw.size() >= bytes) {
            return Ok(idle.remove(position));
        }
        drop(idle);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let size = bytes
            .next_power_of_two()
            .clamp(256, self.caps().max_buffer_bytes / GRAIN * GRAIN);
        let raw = self.create_raw("staging", size.max(bytes), usage)?;
        self.inner.counters.staging_created(raw.size());
        Ok(Staging {
            raw,
            counters: Rc::clone(&self.inner.counters),
        })
    }
}

/// Host-readable memory that reads go through.
pub(super) struct Staging {
    pub raw: wgpu::Buffer,
    counters: Rc<Counters>,
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.counters.staging_freed(self.raw.size());
    }
}

const WAITING: u8 = 0;
const READY: u8 = 1;
const FAILED: u8 = 2;

/// A read under way. Dropping it abandons the bytes.
pub struct Pending {
    gpu: Gpu,
    /// The copy; later submissions are not waited for.
    submission: Submission,
    staging: Option<Staging>,
    state: Arc<AtomicU8>,
    /// Bytes mapped.
    copied: u64,
    /// The bytes asked for, within those mapped.
    inside: Range<usize>,
}

impl Pending {
    /// The bytes, if they have arrived; `None` while they have not. After they were taken: empty.
    ///
    /// # Errors
    /// What the device reported.
    pub fn try_take(&mut self) -> Result<Option<Vec<u8>>, GpuError> {
        self.gpu.poll(wgpu::PollType::Poll)?;
        if self.staging.is_some() && self.state.load(Ordering::Acquire) == WAITING {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(self.inside.len());
        self.finish(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Blocks until the bytes have arrived.
    ///
    /// # Errors
    /// What the device reported.
    pub fn wait(self) -> Result<Vec<u8>, GpuError> {
        let mut bytes = Vec::with_capacity(self.inside.len());
        self.wait_into(&mut bytes)?;
        Ok(bytes)
    }

    fn wait_into(mut self, bytes: &mut Vec<u8>) -> Result<(), GpuError> {
        while self.state.load(Ordering::Acquire) == WAITING {
            self.gpu.wait(&self.submission)?;
        }
        self.finish(bytes)
    }

    fn finish(&mut self, bytes: &mut Vec<u8>) -> Result<(), GpuError> {
        let Some(staging) = self.staging.take() else {
            return Ok(());
        };
        let lost = |message: String| GpuError::DeviceLost { message };
        if self.state.load(Ordering::Acquire) != READY {
            return Err(lost("a buffer could not be mapped for reading".into()));
        }
        {
            let view = staging
                .raw
                .get_mapped_range(0..self.copied)
                .map_err(|error| lost(error.to_string()))?;
            bytes.extend_from_slice(&view[self.inside.clone()]);
        }
        staging.raw.unmap();
        let mut idle = self.gpu.inner.staging.borrow_mut();
        let position = idle.partition_point(|other| other.raw.size() < staging.raw.size());
        idle.insert(position, staging);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;

    #[test]
    fn large_reads_come_in_pieces() {
        let gpu = gpu();
        let words: Vec<u32> = (0..(STAGING_BYTES / 4 + 1000) as u32).collect();
        let buffer = gpu
            .buffer_from("large", bytemuck::cast_slice(&words))
            .unwrap();
        let read = gpu.download(&buffer, 0..buffer.bytes()).unwrap();
        assert!(read == bytemuck::cast_slice::<u32, u8>(&words));
        let staging = gpu.traffic().staging_bytes;
        assert!(staging <= 2 * STAGING_BYTES, "{staging} bytes of staging");
    }

    #[test]
    fn asynchronous_reads_arrive_and_reuse_their_staging() {
        let gpu = gpu();
        let buffer = gpu.buffer_from("ring", &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let mut created = 0;
        for round in 0..10 {
            let mut first = gpu.download_begin(&buffer, 0..4).unwrap();
            let second = gpu.download_begin(&buffer, 4..8).unwrap();
            assert_eq!(second.wait().unwrap(), [5, 6, 7, 8]);
            let taken = loop {
                if let Some(bytes) = first.try_take().unwrap() {
                    break bytes;
                }
            };
            assert_eq!(taken, [1, 2, 3, 4]);
            if round == 0 {
                created = gpu.traffic().buffers_created;
            }
        }
        assert_eq!(gpu.traffic().buffers_created, created);
    }

    #[test]
    fn an_abandoned_read_frees_its_staging() {
        let gpu = gpu();
        let buffer = gpu.buffer("b", 16).unwrap();
        let pending = gpu.download_begin(&buffer, 0..16).unwrap();
        assert!(gpu.traffic().staging_bytes > 0);
        drop(pending);
        gpu.wait_idle().unwrap();
        assert_eq!(gpu.traffic().staging_bytes, 0);
    }
}
