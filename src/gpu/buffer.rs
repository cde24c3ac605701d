//! Device memory: creation within the adapter's limits, and writing.
use super::device::{Gpu, attempt};
use super::error::GpuError;
use super::shader::chain;
use super::traffic::Counters;
use std::ops::Range;
use std::rc::Rc;

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

    pub(super) fn check_range(&self, range: &Range<u64>) -> Result<(), GpuError> {
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
pub(super) const GRAIN: u64 = 16;
/// wgpu's alignment of copies.
pub(super) const COPY_ALIGN: u64 = wgpu::COPY_BUFFER_ALIGNMENT;
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
        self.inner.counters.buffer_created(raw.size());
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
        if !offset.is_multiple_of(COPY_ALIGN) || (ragged != 0 && end != buffer.bytes()) {
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

    pub(super) fn owns(&self, buffer: &Buffer) -> Result<(), GpuError> {
        if buffer.inner.gpu_id == self.inner.id {
            return Ok(());
        }
        Err(GpuError::ForeignBuffer {
            label: buffer.label().into(),
        })
    }

    /// Creates memory; the caller counts it.
    pub(super) fn create_raw(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, GpuError> {
        let descriptor = wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        };
        let raw = attempt(&self.inner.device, |device| {
            device.create_buffer(&descriptor)
        })
        .map_err(|error| self.refused(label, size, &error))?;
        self.healthy()?;
        Ok(raw)
    }

    /// What `error` is that the creation of `label`, of `bytes` bytes, met.
    pub(super) fn refused(&self, label: &str, bytes: u64, error: &wgpu::Error) -> GpuError {
        match error {
            wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory {
                label: label.into(),
                adapter: self.report().name.clone(),
                bytes,
                current_bytes: self.traffic().current_bytes,
            },
            _ => GpuError::Device {
                message: format!("creating `{label}`: {}", chain(error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceOptions;
    use crate::gpu::testing::gpu;

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
        let other = gpu.another(DeviceOptions::default())().unwrap();
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
        assert!(now.staging_bytes > start.staging_bytes);
        let held = now.current_bytes;
        assert_eq!(held, start.current_bytes + 112, "staging is no part of it");
        drop(buffer);
        assert_eq!(gpu.traffic().current_bytes, held - 112);
        assert_eq!(gpu.traffic().peak_bytes, held);
    }
}
