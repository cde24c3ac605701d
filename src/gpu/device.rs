//! Opening one adapter's device, and the errors that it reports outside any call.
use super::adapter::{self, AdapterReport, Caps};
use super::cache::CacheFolder;
use super::choice::{self, AdapterChoice};
use super::error::GpuError;
use super::pipeline::PipelineStore;
use super::traffic::{Counters, Traffic};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Who sees to it that shaders stay within their buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checks {
    /// naga's run-time checks: bounds (left to the driver where it has them), loop limits, zeroed workgroup memory, division. Of tests.
    Shaders,
    /// Whoever compares accesses with the buffer's size below wgpu: with Vulkan the driver (robust buffer access), with DX12 the runtime
    /// and the driver, with Metal nobody. Of runs.
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
    /// What further devices are opened on.
    adapter: wgpu::Adapter,
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
    fault: Fault,
}

/// The first error that a device reports outside any call.
#[derive(Clone, Default)]
struct Fault(Arc<Mutex<Option<GpuError>>>);

impl Fault {
    fn keep(&self, error: GpuError) {
        log::error!("{error}");
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(error);
    }

    fn check(&self) -> Result<(), GpuError> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// Creates something on `device`. What the driver or wgpu has against it is returned, and no fault of the device; what is recorded and
/// submitted is in nobody's scope, because its failure leaves contents that cannot be trusted.
pub(super) fn attempt<T>(
    device: &wgpu::Device,
    create: impl FnOnce(&wgpu::Device) -> T,
) -> Result<T, wgpu::Error> {
    // Scopes are a thread's own, and popped in reverse order.
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let created = create(device);
    let [validation, internal, memory] =
        [validation, internal, memory].map(|scope| pollster::block_on(scope.pop()));
    // Using what could not be made is a validation error: the cause stands before it.
    match memory.or(internal).or(validation) {
        Some(error) => Err(error),
        None => Ok(created),
    }
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
        Gpu::on(adapter, report, options)
    }

    /// What opens another device on this one's adapter, on any thread; with GL only on this one, because its devices share a context.
    pub(super) fn another(
        &self,
        options: DeviceOptions,
    ) -> impl FnOnce() -> Result<Gpu, GpuError> + Send + use<> {
        let (adapter, report) = (self.inner.adapter.clone(), self.report().clone());
        move || Gpu::on(adapter, report, options)
    }

    fn on(
        adapter: wgpu::Adapter,
        report: AdapterReport,
        options: DeviceOptions,
    ) -> Result<Gpu, GpuError> {
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

        let fault = Fault::default();
        let from_errors = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            from_errors.keep(GpuError::Device {
                message: super::shader::chain(&error),
            });
        }));
        let from_loss = fault.clone();
        device.set_device_lost_callback(move |reason, message| {
            // Also called when the device is dropped, which is no fault.
            if reason != wgpu::DeviceLostReason::Destroyed {
                from_loss.keep(GpuError::DeviceLost { message });
            }
        });

        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let pipelines = PipelineStore::new(&device, &report, &options);
        Ok(Gpu {
            inner: Rc::new(Inner {
                id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
                adapter,
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
        self.inner.fault.check()
    }

    /// The one place that polls.
    pub(super) fn poll(&self, how: wgpu::PollType) -> Result<(), GpuError> {
        self.polled(|| self.inner.device.poll(how))
    }

    fn polled(
        &self,
        poll: impl FnOnce() -> Result<wgpu::PollStatus, wgpu::PollError>,
    ) -> Result<(), GpuError> {
        self.healthy()?;
        // wgpu 30 reports the loss of the device, returns from its core, and then panics. Any other panic goes on.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(poll));
        self.healthy()?;
        match polled {
            Ok(polled) => polled.map(drop).map_err(|error| GpuError::Device {
                message: error.to_string(),
            }),
            Err(panic) => std::panic::resume_unwind(panic),
        }
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
    fn a_panic_of_polling_a_lost_device_is_an_error_and_no_other_is() {
        let gpu = gpu();
        let defect = || gpu.polled(|| panic!("a defect, on purpose"));
        assert!(std::panic::catch_unwind(AssertUnwindSafe(defect)).is_err());
        gpu.wait_idle().unwrap();

        // As wgpu does it: first the callback, then the panic.
        let error = gpu
            .polled(|| {
                let message = "reset".to_string();
                gpu.inner.fault.keep(GpuError::DeviceLost { message });
                panic!("Error in Device::poll, on purpose")
            })
            .unwrap_err();
        assert!(
            matches!(&error, GpuError::DeviceLost { message } if message == "reset"),
            "{error}"
        );
        let again = gpu.polled(|| panic!("polled again")).unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
    }

    #[test]
    fn what_cannot_be_created_is_no_fault_of_the_device() {
        let gpu = gpu();
        let unusable = wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: wgpu::BufferUsages::empty(),
            mapped_at_creation: false,
        };
        let created = attempt(&gpu.inner.device, |device| device.create_buffer(&unusable));
        assert!(matches!(created, Err(wgpu::Error::Validation { .. })));
        gpu.wait_idle().unwrap();
        gpu.buffer("b", 16).unwrap();
    }

    #[test]
    fn another_device_is_on_the_same_adapter() {
        let first = gpu();
        let second = first.another(first.options().clone())().unwrap();
        assert_ne!(first.inner.id, second.inner.id);
        let info = |gpu: &Gpu| gpu.inner.device.adapter_info();
        assert_eq!(info(&first), info(&second));
        assert_eq!(first.report(), second.report());
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
