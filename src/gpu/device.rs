//! Opening one adapter's device, and the errors that it reports outside any call.
use super::adapter::{self, AdapterReport, Caps};
use super::cache::CacheFolder;
use super::choice::{self, AdapterChoice};
use super::error::GpuError;
use super::pipeline::PipelineStore;
use super::traffic::{Counters, Traffic};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Who sees to it that shaders stay within their buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checks {
    /// naga's run-time checks: bounds (left to the driver where it has them), loop limits, zeroed workgroup memory, division. Of tests.
    Shaders,
    /// The driver's own comparison of every access with the buffer's size (Vulkan's robust buffer access). Of runs.
    #[default]
    Driver,
    /// Nobody, where Vulkan's can be left out; elsewhere as [`Checks::Driver`].
    None,
}

impl Checks {
    /// [`Checks::None`] with `GAN_GPU_ROBUSTNESS=off`, otherwise these.
    pub(super) fn unless_off(self) -> Checks {
        let value = std::env::var("GAN_GPU_ROBUSTNESS").unwrap_or_default();
        match value.as_str() {
            "off" => return Checks::None,
            "" | "on" => {}
            _ => log::warn!(
                "GAN_GPU_ROBUSTNESS is on or off, not `{value}`: the driver's checks stay on"
            ),
        }
        self
    }
}

/// How a device is opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceOptions {
    pub checks: Checks,
    /// Where compiled pipelines are kept from one process to the next. By default they are not.
    pub cache: CacheFolder,
}

impl DeviceOptions {
    /// Of runs: the driver's checks, and with `GAN_GPU_ROBUSTNESS=off` none.
    pub fn of_runs(cache: CacheFolder) -> DeviceOptions {
        DeviceOptions {
            checks: Checks::Driver.unless_off(),
            cache,
        }
    }
}

/// One open device. Cheap to clone; every clone is the same device. Not `Send`: submit and poll from one thread
/// (wgpu-core 30 races otherwise).
#[derive(Clone)]
pub struct Gpu {
    pub(super) inner: Rc<Inner>,
}

/// A list of dispatches handed to the device.
#[derive(Debug, Clone)]
pub struct Submission(pub(super) wgpu::SubmissionIndex);

pub(super) struct Inner {
    /// Distinguishes devices, so that a buffer of another one is an error and not a panic.
    pub id: u64,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub report: AdapterReport,
    pub options: DeviceOptions,
    pub pipelines: PipelineStore,
    pub counters: Rc<Counters>,
    /// Idle staging buffers for reading back, smallest first.
    pub staging: RefCell<Vec<super::readback::Staging>>,
    /// Bytes that wgpu holds in upload staging until the next submit.
    pub pending_upload_bytes: Cell<u64>,
    in_flight: RefCell<VecDeque<Submission>>,
    fault: Arc<Mutex<Option<GpuError>>>,
}

/// Submissions that may be under way before `submit` waits for the oldest. Enough to keep a GPU busy; a bound, because
/// queueing without end has grown memory until the device was lost.
const MAX_IN_FLIGHT: usize = 8;

#[cfg_attr(target_vendor = "apple", expect(unused_variables))]
fn request(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor,
    checks: Checks,
) -> Result<(wgpu::Device, wgpu::Queue), String> {
    #[cfg(not(target_vendor = "apple"))]
    if checks == Checks::None {
        // SAFETY: kernels index inside their buffers, as where Metal runs them without any checks.
        if let Some(made) = unsafe { super::robustness::request_device(adapter, descriptor) } {
            return made;
        }
    }
    let made = pollster::block_on(adapter.request_device(descriptor));
    made.map_err(|error| error.to_string())
}

impl Gpu {
    /// Opens the adapter that `choice` means.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`], [`GpuError::AdapterUnusable`], [`GpuError::OpenDevice`].
    pub fn open(choice: &AdapterChoice, options: DeviceOptions) -> Result<Gpu, GpuError> {
        let reports = |adapters: &[(_, AdapterReport)]| -> Vec<AdapterReport> {
            adapters.iter().map(|(_, report)| report.clone()).collect()
        };
        let mut adapters = adapter::enumerate_primary();
        let listed = reports(&adapters);
        let primary = choice::select(choice, &listed)
            .ok()
            .filter(|report| choice::settled(choice, report))
            .map(|report| report.index);
        let index = match primary {
            Some(index) => index,
            None => {
                adapters = adapter::with_gl(adapters);
                choice::select(choice, &reports(&adapters))?.index
            }
        };
        let (adapter, report) = adapters.swap_remove(index);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gan-gpu"),
            required_features: adapter::REQUIRED | (adapter.features() & adapter::WANTED),
            required_limits: adapter.limits(),
            // SAFETY: the experimental features asked for are cooperative matrices, used only by kernels that check the
            // adapter's list of tiles and the uniformity rules naga enforces.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = request(&adapter, &descriptor, options.checks).map_err(|reason| {
            GpuError::OpenDevice {
                adapter: report.name.clone(),
                reason,
            }
        })?;

        let fault = Arc::new(Mutex::new(None));
        let keep_first = |fault: &Arc<Mutex<Option<GpuError>>>, error: GpuError| {
            log::error!("{error}");
            fault
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        };
        let from_errors = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            keep_first(
                &from_errors,
                GpuError::Device {
                    message: super::shader::chain(&error),
                },
            );
        }));
        let from_loss = Arc::clone(&fault);
        device.set_device_lost_callback(move |reason, message| {
            // Also called when the device is dropped, which is no fault.
            if reason != wgpu::DeviceLostReason::Destroyed {
                keep_first(&from_loss, GpuError::DeviceLost { message });
            }
        });

        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let pipelines = PipelineStore::new(&device, &report, &options);
        Ok(Gpu {
            inner: Rc::new(Inner {
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                device,
                queue,
                report,
                options,
                pipelines,
                counters: Rc::default(),
                staging: RefCell::default(),
                pending_upload_bytes: Cell::new(0),
                in_flight: RefCell::default(),
                fault,
            }),
        })
    }

    pub fn report(&self) -> &AdapterReport {
        &self.inner.report
    }

    pub fn caps(&self) -> &Caps {
        &self.inner.report.caps
    }

    pub fn options(&self) -> &DeviceOptions {
        &self.inner.options
    }

    pub fn traffic(&self) -> Traffic {
        self.inner.counters.get()
    }

    /// Blocks until `submission` is done.
    ///
    /// # Errors
    /// What the device reported meanwhile.
    pub fn wait(&self, submission: &Submission) -> Result<(), GpuError> {
        self.poll(wgpu::PollType::Wait {
            submission_index: Some(submission.0.clone()),
            timeout: None,
        })
    }

    /// Blocks until everything submitted is done.
    ///
    /// # Errors
    /// What the device reported meanwhile.
    pub fn wait_idle(&self) -> Result<(), GpuError> {
        self.poll(wgpu::PollType::wait_indefinitely())?;
        self.inner.in_flight.borrow_mut().clear();
        Ok(())
    }

    /// Returns the error that the device reported, if any: it is kept, and returned by every later call.
    pub(super) fn healthy(&self) -> Result<(), GpuError> {
        match &*self
            .inner
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    pub(super) fn poll(&self, how: wgpu::PollType) -> Result<(), GpuError> {
        let polled = self.inner.device.poll(how);
        self.healthy()?;
        polled.map(drop).map_err(|error| GpuError::Device {
            message: error.to_string(),
        })
    }

    /// Hands `commands` to the queue, and waits for older ones if too many are under way.
    pub(super) fn submit_commands(
        &self,
        commands: wgpu::CommandBuffer,
    ) -> Result<Submission, GpuError> {
        let inner = &*self.inner;
        let submission = Submission(inner.queue.submit([commands]));
        inner.counters.update(|t| t.submits += 1);
        inner.pending_upload_bytes.set(0);
        let oldest = {
            let mut in_flight = inner.in_flight.borrow_mut();
            in_flight.push_back(submission.clone());
            if in_flight.len() > MAX_IN_FLIGHT {
                in_flight.pop_front()
            } else {
                None
            }
        };
        match oldest {
            Some(oldest) => self.wait(&oldest)?,
            // Submitting without polling keeps finished work's memory.
            None => self.poll(wgpu::PollType::Poll)?,
        }
        Ok(submission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::testing::gpu;

    #[test]
    fn an_error_outside_any_call_is_kept_and_returned() {
        let gpu = gpu();
        // Behind the back of this floor's checks: a copy past the end of a buffer.
        let buffer = gpu.buffer("b", 16).unwrap();
        gpu.inner.queue.write_buffer(&buffer.inner.raw, 8, &[0; 32]);
        let error = gpu.wait_idle().unwrap_err();
        assert!(matches!(error, GpuError::Device { .. }), "{error}");
        let again = gpu.buffer("c", 16).unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
    }

    #[test]
    fn a_lost_device_is_an_error() {
        let gpu = gpu();
        let buffer = gpu.buffer("b", 16).unwrap();
        gpu.inner.device.destroy();
        assert!(gpu.download(&buffer, 0..16).is_err());
    }

    #[test]
    fn waiting_for_one_submission_leaves_its_results() {
        let gpu = gpu();
        let buffer = gpu.buffer("b", 16).unwrap();
        let empty = gpu.submit([]).unwrap();
        gpu.wait(&empty).unwrap();
        gpu.wait(&empty).unwrap();
        assert_eq!(gpu.download(&buffer, 0..16).unwrap(), [0; 16]);
    }

    #[test]
    fn no_match_is_an_error_that_lists_what_there_is() {
        let present = gpu().report().name.clone();
        let choice = AdapterChoice::Name("no such adapter".into());
        let Err(error) = Gpu::open(&choice, DeviceOptions::default()) else {
            panic!("opened")
        };
        assert!(error.to_string().contains(&present), "{error}");
    }
}
