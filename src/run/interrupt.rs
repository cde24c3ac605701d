//! Ctrl-C: while there is something to keep, the first ends the work after its block and keeps it, the second ends the process at once;
//! before that, during set-up, the first does.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a run that was interrupted (128 + SIGINT).
pub const EXIT_CODE: u8 = 130;

/// Whether the run has been asked to stop. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    /// Whether something would be lost if the process ended at once.
    holding: Arc<AtomicBool>,
}

impl Interrupt {
    /// Handles Ctrl-C (and SIGTERM and SIGHUP) from here on. One per process.
    ///
    /// # Errors
    /// If the system refuses, or a handler is there already.
    pub fn install() -> Result<Self, ctrlc::Error> {
        let interrupt = Self::default();
        let shared = interrupt.clone();
        ctrlc::set_handler(move || {
            if !shared.holding.load(Ordering::SeqCst) {
                eprintln!("\ninterrupted before there was anything to keep");
                std::process::exit(EXIT_CODE.into());
            }
            if shared.requested.swap(true, Ordering::SeqCst) {
                std::process::exit(EXIT_CODE.into());
            }
            eprintln!("\nstopping after this block, which is kept; Ctrl-C again stops at once");
        })?;
        Ok(interrupt)
    }

    /// From here on there is something to keep: whoever calls this looks at [`Interrupt::requested`] and ends in good order.
    pub fn hold(&self) {
        self.holding.store(true, Ordering::SeqCst);
    }

    /// Asks the run to stop, as Ctrl-C does.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}
