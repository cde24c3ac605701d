//! What has passed between host and device, counted where it happens.
use std::cell::Cell;

/// Totals since the device was opened. Two readings subtracted give the traffic between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Bytes written into buffers by `upload`.
    pub host_to_device_bytes: u64,
    /// Bytes copied back by `download` and `download_begin`.
    pub device_to_host_bytes: u64,
    /// Bytes of immediates (the few constants recorded with each dispatch).
    pub immediate_bytes: u64,
    pub submits: u64,
    pub dispatches: u64,
    pub buffers_created: u64,
    pub bind_groups_created: u64,
    pub pipelines_created: u64,
    /// Bytes of the buffers that kernels may bind, alive now.
    pub current_bytes: u64,
    /// The most that those were.
    pub peak_bytes: u64,
    /// Bytes of the staging buffers that reads go through, alive now: memory of the host's where the device has its own.
    pub staging_bytes: u64,
}

/// The counters of one device.
#[derive(Default)]
pub(super) struct Counters(Cell<Traffic>);

impl Counters {
    pub(super) fn get(&self) -> Traffic {
        self.0.get()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Traffic)) {
        let mut traffic = self.0.get();
        change(&mut traffic);
        self.0.set(traffic);
    }

    pub(super) fn buffer_created(&self, bytes: u64) {
        self.update(|t| {
            t.buffers_created += 1;
            t.current_bytes += bytes;
            t.peak_bytes = t.peak_bytes.max(t.current_bytes);
        });
    }

    pub(super) fn buffer_freed(&self, bytes: u64) {
        self.update(|t| t.current_bytes -= bytes);
    }

    pub(super) fn staging_created(&self, bytes: u64) {
        self.update(|t| {
            t.buffers_created += 1;
            t.staging_bytes += bytes;
        });
    }

    pub(super) fn staging_freed(&self, bytes: u64) {
        self.update(|t| t.staging_bytes -= bytes);
    }
}
