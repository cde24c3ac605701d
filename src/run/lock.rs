//! Files that one process at a time holds.
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A locked file. The lock goes with the process, however it ends; the file stays: a process that removed it could lock what another has
/// already opened.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// `None` where another process, or another part of this one, holds it. The file is made if it is not there.
    ///
    /// # Errors
    /// Where the file cannot be made or locked.
    pub fn take(path: &Path) -> io::Result<Option<Lock>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path).unwrap();
        assert!(held.is_some() && Lock::take(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&path).unwrap().is_some());
        assert!(Lock::take(&folder.path().join("none/lock")).is_err());
    }
}
