//! Ctrl-C: the first ends the run after its block with a checkpoint, the second ends the process at once.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a run that was interrupted (128 + SIGINT).
pub const EXIT_CODE: u8 = 130;

/// Whether the run has been asked to stop. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Handles Ctrl-C (and SIGTERM and SIGHUP) from here on. One per process.
    ///
    /// # Errors
    /// If the system refuses, or a handler is there already.
    pub fn install() -> Result<Self, ctrlc::Error> {
        let interrupt = Self::default();
        let flag = interrupt.clone();
        ctrlc::set_handler(move || {
            if flag.0.swap(true, Ordering::SeqCst) {
                std::process::exit(EXIT_CODE.into());
            }
            eprintln!("\nstopping after this block with a checkpoint; Ctrl-C again stops at once");
        })?;
        Ok(interrupt)
    }

    /// Asks the run to stop, as Ctrl-C does.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
