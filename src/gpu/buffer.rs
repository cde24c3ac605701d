//! Device memory: creation within the adapter's limits, writing, and reading back.
use super::device::Gpu;
use super::error::GpuError;
use super::traffic::Counters;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A piece of device memory that kernels bind. Cheap to clone; the memory goes when the last clone and the last
/// [`Dispatch`](super::Dispatch) bound to it have gone.
#[derive(Clone)]
pub struct Buffer {
    pub(super) inner: Rc<BufferInner>,
}

pub(super) struct BufferInner {
    pub label: String,
    /// As asked for. The memory is rounded up to 16 bytes, so that kernels may read whole vec4s.
    pub bytes: u64,
    pub raw: wgpu::Buffer,
    pub gpu_id: u64,
    counters: Rc<Counters>,
}

impl Drop for BufferInner {
    fn drop(&mut self) {
        self.counters.buffer_freed(self.raw.size());
    }
}

impl Buffer {
    pub fn label(&self) -> &str {
        &self.inner.label
    }

    /// Bytes as asked for at creation.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    /// Whether both are the same memory.
    pub fn same(&self, other: &Buffer) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }

    fn check_range(&self, range: &Range<u64>) -> Result<(), GpuError> {
        if range.start > range.end || range.end > self.inner.bytes {
            return Err(GpuError::OutOfRange {
                label: self.inner.label.clone(),
                start: range.start,
                end: range.end,
                bytes: self.inner.bytes,
            });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "Buffer({}, {} bytes)",
            self.inner.label, self.inner.bytes
        )
    }
}

/// Rounding of buffer sizes: one vec4<f32>.
const GRAIN: u64 = 16;
/// wgpu's alignment of copies.
const COPY_ALIGN: u64 = wgpu::COPY_BUFFER_ALIGNMENT;
/// Blocking reads go through staging in pieces of at most this size.
const STAGING_BYTES: u64 = 32 << 20;
/// wgpu keeps what is written in host memory until a submit: one is forced at this many bytes.
const UPLOAD_BYTES: u64 = 64 << 20;

impl Gpu {
    /// A zeroed buffer of `bytes` bytes for kernels, uploads and downloads.
    ///
    /// # Errors
    /// [`GpuError::BufferTooLarge`] over the adapter's limits, [`GpuError::EmptyBuffer`], [`GpuError::OutOfMemory`].
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer, GpuError> {
        self.healthy()?;
        if bytes == 0 {
            return Err(GpuError::EmptyBuffer {
                label: label.into(),
            });
        }
        let caps = self.caps();
        for (limit, limit_name) in [
            (caps.max_binding_bytes, "max_storage_buffer_binding_size"),
            (caps.max_buffer_bytes, "max_buffer_size"),
        ] {
            if bytes > limit / GRAIN * GRAIN {
                return Err(GpuError::BufferTooLarge {
                    label: label.into(),
                    adapter: self.report().name.clone(),
                    bytes,
                    limit,
                    limit_name,
                });
            }
        }
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        self.create(label, bytes, usage)
    }

    /// A buffer that timestamps are resolved into and read from.
    pub(super) fn query_target(&self, bytes: u64) -> Result<Buffer, GpuError> {
        self.create(
            "timestamps",
            bytes,
            wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
        )
    }

    fn create(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Buffer, GpuError> {
        let raw = self.create_raw(label, bytes.next_multiple_of(GRAIN), usage)?;
        Ok(Buffer {
            inner: Rc::new(BufferInner {
                label: label.into(),
                bytes,
                raw,
                gpu_id: self.inner.id,
                counters: Rc::clone(&self.inner.counters),
            }),
        })
    }

    /// A buffer that holds `bytes` from the start.
    pub fn buffer_from(&self, label: &str, bytes: &[u8]) -> Result<Buffer, GpuError> {
        let buffer = self.buffer(label, bytes.len() as u64)?;
        self.upload(&buffer, 0, bytes)?;
        Ok(buffer)
    }

    /// Writes `bytes` at `offset`, before anything submitted later runs.
    ///
    /// # Errors
    /// [`GpuError::OutOfRange`]; [`GpuError::Misaligned`] unless it starts at a multiple of 4 bytes and ends at one or at the
    /// end of the buffer.
    pub fn upload(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<(), GpuError> {
        self.healthy()?;
        self.owns(buffer)?;
        let end = offset.saturating_add(bytes.len() as u64);
        buffer.check_range(&(offset..end))?;
        let ragged = end % COPY_ALIGN;
        if offset % COPY_ALIGN != 0 || (ragged != 0 && end != buffer.bytes()) {
            return Err(GpuError::Misaligned {
                label: buffer.label().into(),
                start: offset,
                end,
            });
        }
        let (whole, tail) = bytes.split_at(bytes.len() - (ragged as usize).min(bytes.len()));
        let mut at = offset;
        for piece in whole.chunks(UPLOAD_BYTES as usize) {
            self.write(buffer, at, piece)?;
            at += piece.len() as u64;
        }
        if !tail.is_empty() {
            // The buffer itself is rounded up, so the padding has a place.
            let mut padded = [0; COPY_ALIGN as usize];
            padded[..tail.len()].copy_from_slice(tail);
            self.write(buffer, at, &padded)?;
        }
        self.inner
            .counters
            .update(|t| t.host_to_device_bytes += bytes.len() as u64);
        Ok(())
    }

    fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<(), GpuError> {
        self.inner
            .queue
            .write_buffer(&buffer.inner.raw, offset, bytes);
        let pending = self.inner.pending_upload_bytes.get() + bytes.len() as u64;
        self.inner.pending_upload_bytes.set(pending);
        if pending >= UPLOAD_BYTES {
            self.inner.queue.submit([]);
            self.inner.pending_upload_bytes.set(0);
            self.wait_idle()?;
        }
        self.healthy()
    }

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
        self.submit_commands(encoder.finish())?;
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
            staging: Some(staging),
            state,
            copied: copied.max(COPY_ALIGN),
            inside,
        })
    }

    pub(super) fn owns(&self, buffer: &Buffer) -> Result<(), GpuError> {
        if buffer.inner.gpu_id == self.inner.id {
            return Ok(());
        }
        Err(GpuError::ForeignBuffer {
            label: buffer.label().into(),
        })
    }

    /// Creates and counts memory; the caller uncounts it.
    pub(super) fn create_raw(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, GpuError> {
        let scope = self
            .inner
            .device
            .push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let raw = self.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(GpuError::OutOfMemory {
                label: label.into(),
                adapter: self.report().name.clone(),
                bytes: size,
                current_bytes: self.traffic().current_bytes,
            });
        }
        self.healthy()?;
        self.inner.counters.buffer_created(size);
        Ok(raw)
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
        self.counters.buffer_freed(self.raw.size());
    }
}

const WAITING: u8 = 0;
const READY: u8 = 1;
const FAILED: u8 = 2;

/// A read under way. Dropping it abandons the bytes.
pub struct Pending {
    gpu: Gpu,
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
            self.gpu.poll(wgpu::PollType::wait_indefinitely())?;
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
    use crate::gpu::{AdapterChoice, DeviceOptions};

    #[test]
    fn buffers_start_as_zeros_and_keep_what_is_written() {
        let gpu = gpu();
        let buffer = gpu.buffer("b", 40).unwrap();
        assert_eq!(gpu.download(&buffer, 0..40).unwrap(), [0; 40]);
        gpu.upload(&buffer, 8, &[1, 2, 3, 4]).unwrap();
        assert_eq!(
            gpu.download(&buffer, 6..14).unwrap(),
            [0, 0, 1, 2, 3, 4, 0, 0]
        );
        assert_eq!(gpu.download(&buffer, 9..10).unwrap(), [2]);
        assert!(gpu.download(&buffer, 40..40).unwrap().is_empty());
    }

    #[test]
    fn any_length_can_be_written_whole() {
        let gpu = gpu();
        for len in [1, 2, 3, 4, 5, 15, 16, 17, 33] {
            let bytes: Vec<u8> = (1..=len).collect();
            let buffer = gpu.buffer_from("bytes", &bytes).unwrap();
            assert_eq!(buffer.bytes(), u64::from(len));
            assert_eq!(gpu.download(&buffer, 0..len.into()).unwrap(), bytes);
        }
    }

    #[test]
    fn large_reads_come_in_pieces() {
        let gpu = gpu();
        let words: Vec<u32> = (0..(STAGING_BYTES / 4 + 1000) as u32).collect();
        let buffer = gpu
            .buffer_from("large", bytemuck::cast_slice(&words))
            .unwrap();
        let read = gpu.download(&buffer, 0..buffer.bytes()).unwrap();
        assert!(read == bytemuck::cast_slice::<u32, u8>(&words));
        let staging: u64 = gpu
            .inner
            .staging
            .borrow()
            .iter()
            .map(|s| s.raw.size())
            .sum();
        assert!(staging <= 2 * STAGING_BYTES, "{staging} bytes of staging");
    }

    #[test]
    fn ranges_and_alignment_are_checked() {
        let gpu = gpu();
        let buffer = gpu.buffer("b", 10).unwrap();
        for (offset, len) in [(8, 4), (u64::MAX, 1), (12, 0)] {
            let error = gpu.upload(&buffer, offset, &vec![0; len]).unwrap_err();
            assert!(
                matches!(error, GpuError::OutOfRange { bytes: 10, .. }),
                "{error}"
            );
        }
        for (offset, len) in [(1, 4), (0, 3), (2, 8)] {
            let error = gpu.upload(&buffer, offset, &vec![0; len]).unwrap_err();
            assert!(matches!(error, GpuError::Misaligned { .. }), "{error}");
        }
        let error = gpu.download(&buffer, 0..11).unwrap_err();
        assert!(
            matches!(error, GpuError::OutOfRange { end: 11, .. }),
            "{error}"
        );
        let other = Gpu::open(
            &AdapterChoice::Index(gpu.report().index),
            DeviceOptions::default(),
        )
        .unwrap();
        let error = other.download(&buffer, 0..4).unwrap_err();
        assert!(matches!(error, GpuError::ForeignBuffer { .. }), "{error}");
    }

    #[test]
    fn sizes_over_the_limits_are_refused_with_advice() {
        let gpu = gpu();
        let limit = gpu
            .caps()
            .max_binding_bytes
            .min(gpu.caps().max_buffer_bytes);
        let error = gpu.buffer("activations", limit + 1).unwrap_err();
        let GpuError::BufferTooLarge { label, bytes, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((label.as_str(), *bytes), ("activations", limit + 1));
        assert!(error.to_string().contains("smaller batch"), "{error}");
        assert!(matches!(
            gpu.buffer("nothing", 0),
            Err(GpuError::EmptyBuffer { .. })
        ));
        assert_eq!(gpu.traffic().buffers_created, 0);
    }

    #[test]
    fn traffic_and_memory_are_counted_where_they_happen() {
        let gpu = gpu();
        let start = gpu.traffic();
        let buffer = gpu.buffer("b", 100).unwrap();
        assert_eq!(gpu.traffic().current_bytes, start.current_bytes + 112);
        gpu.upload(&buffer, 0, &[7; 100]).unwrap();
        gpu.upload(&buffer, 4, &[8; 8]).unwrap();
        gpu.download(&buffer, 1..4).unwrap();
        gpu.download(&buffer, 0..100).unwrap();
        let now = gpu.traffic();
        assert_eq!(now.host_to_device_bytes - start.host_to_device_bytes, 108);
        assert_eq!(now.device_to_host_bytes - start.device_to_host_bytes, 103);
        assert_eq!(
            now.buffers_created - start.buffers_created,
            2,
            "the buffer and one staging buffer"
        );
        let held = now.current_bytes;
        drop(buffer);
        assert_eq!(gpu.traffic().current_bytes, held - 112);
        assert_eq!(gpu.traffic().peak_bytes, held);
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
        let before = gpu.traffic().current_bytes;
        drop(gpu.download_begin(&buffer, 0..16).unwrap());
        gpu.wait_idle().unwrap();
        assert_eq!(gpu.traffic().current_bytes, before);
    }
}
