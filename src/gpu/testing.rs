//! What tests of every floor share: the adapter that `GAN_GPU_ADAPTER` picks, and comparison against a reference.
use super::device::Inner;
use super::{ADAPTER_VARIABLE, AdapterChoice, Buffer, Checks, DeviceOptions, Gpu, GpuError};
use std::cell::RefCell;
use std::io::Write;
use std::rc::{Rc, Weak};
use std::sync::Once;

/// The device of this test thread, opened on first use with the run-time checks on and closed with its last handle.
/// `GAN_GPU_ADAPTER` picks the adapter, as `--adapter` does; its name is printed once per process.
///
/// # Panics
/// Without an adapter: a test without one fails, it does not skip.
pub fn gpu() -> Gpu {
    // Weak, because wgpu uses thread-locals of its own while a device closes, which may be gone
    // by the time this one is destroyed: closing there aborts the process.
    thread_local!(static GPU: RefCell<Weak<Inner>> = const { RefCell::new(Weak::new()) });
    GPU.with_borrow_mut(|weak| match weak.upgrade() {
        Some(inner) => Gpu { inner },
        None => {
            let gpu = open();
            *weak = Rc::downgrade(&gpu.inner);
            gpu
        }
    })
}

fn open() -> Gpu {
    let wanted = std::env::var(ADAPTER_VARIABLE).unwrap_or_default();
    let Ok(choice) = wanted.parse::<AdapterChoice>();
    let options = DeviceOptions {
        // Off for tools/check-bounds.
        checks: Checks::Shaders.unless_off(),
        ..DeviceOptions::default()
    };
    let gpu = match Gpu::open(&choice, options) {
        Ok(gpu) => gpu,
        Err(error @ GpuError::NoAdapter { .. }) => panic!(
            "{error}\nThis test needs a GPU or a software one. On Debian and Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1 (tools/test does it); GAN_GPU_ADAPTER picks one of several."
        ),
        Err(error) => panic!("{error}"),
    };
    static PRINTED: Once = Once::new();
    PRINTED.call_once(|| {
        let report = gpu.report();
        // Past libtest's capture, so that the name stands in the log of a passing run too.
        let _ = writeln!(
            std::io::stderr(),
            "test adapter: {} {}",
            report.summary(),
            report.driver
        );
    });
    gpu
}

/// A buffer with `values` in it.
pub fn buffer_of(gpu: &Gpu, label: &str, values: &[f32]) -> Buffer {
    gpu.buffer_from(label, bytemuck::cast_slice(values))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A buffer of `len` NaNs: an output that a kernel fails to write shows.
pub fn nan_buffer(gpu: &Gpu, label: &str, len: usize) -> Buffer {
    buffer_of(gpu, label, &vec![f32::NAN; len])
}

/// The whole of `buffer`, as f32.
pub fn read_f32(gpu: &Gpu, buffer: &Buffer) -> Vec<f32> {
    let bytes = gpu
        .download(buffer, 0..buffer.bytes())
        .unwrap_or_else(|error| panic!("{error}"));
    bytemuck::pod_collect_to_vec(&bytes)
}

/// Whether every `got[i]` is within `abs + rel * |want[i]|` of `want[i]`; otherwise a sentence with the worst index.
/// A NaN or infinity in either is never close, unless both are the same infinity.
pub fn close(got: &[f32], want: &[f64], abs: f64, rel: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} values, {} expected", got.len(), want.len()));
    }
    let excess = |i: usize| {
        let (got, want) = (f64::from(got[i]), want[i]);
        if got == want {
            return 0.0;
        }
        let ratio = (got - want).abs() / (abs + rel * want.abs());
        if ratio.is_nan() || want.is_infinite() {
            f64::INFINITY
        } else {
            ratio
        }
    };
    let bad = (0..got.len()).filter(|&i| excess(i) > 1.0).count();
    let Some(worst) =
        (0..got.len()).max_by(|&a, &b| excess(a).total_cmp(&excess(b)).then(b.cmp(&a)))
    else {
        return Ok(());
    };
    if bad == 0 {
        return Ok(());
    }
    Err(format!(
        "{bad} of {} values are off; worst at [{worst}]: got {}, want {} (difference {:e}, allowed {:e})",
        got.len(),
        got[worst],
        want[worst],
        (f64::from(got[worst]) - want[worst]).abs(),
        abs + rel * want[worst].abs(),
    ))
}

/// # Panics
/// Unless [`close`], with `label` and the worst index.
#[track_caller]
pub fn assert_close(label: &str, got: &[f32], want: &[f64], abs: f64, rel: f64) {
    if let Err(message) = close(got, want, abs, rel) {
        panic!("{label}: {message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_off_by_more_than_allowed_is_named() {
        let want = [1.0, -100.0, 0.0];
        close(&[1.001, -100.05, 0.0005], &want, 1e-3, 1e-3).unwrap();
        let message = close(&[1.0, -100.3, 0.01], &want, 1e-3, 1e-3).unwrap_err();
        assert!(
            message.contains("2 of 3") && message.contains("worst at [2]"),
            "{message}"
        );
    }

    #[test]
    fn nan_infinity_and_length_are_caught() {
        assert!(
            close(&[f32::NAN], &[0.0], 1.0, 1.0)
                .unwrap_err()
                .contains("worst at [0]")
        );
        assert!(close(&[0.0], &[f64::NAN], 1.0, 1.0).is_err());
        assert!(close(&[f32::INFINITY], &[1.0], 1.0, 1.0).is_err());
        assert!(close(&[1.0], &[f64::INFINITY], 1.0, 1.0).is_err());
        close(&[f32::INFINITY], &[f64::INFINITY], 0.0, 0.0).unwrap();
        close(&[3.0], &[3.0], 0.0, 0.0).unwrap();
        assert!(
            close(&[1.0], &[1.0, 2.0], 1.0, 1.0)
                .unwrap_err()
                .contains("1 values, 2 expected")
        );
        close(&[], &[], 0.0, 0.0).unwrap();
    }

    #[test]
    fn one_device_per_thread_while_it_is_held() {
        let first = gpu();
        let second = gpu();
        assert_eq!(first.inner.id, second.inner.id);
        let elsewhere = std::thread::spawn(|| gpu().inner.id).join().unwrap();
        assert_ne!(elsewhere, first.inner.id);
        let id = first.inner.id;
        drop((first, second));
        assert_ne!(gpu().inner.id, id);
    }
}
