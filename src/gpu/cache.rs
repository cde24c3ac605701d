//! The user's cache folder: what can be made again at any time, kept to save that time.
//!
//! Nothing here is an error. A folder that is missing, full or read-only, a file that is damaged or of another program: the log
//! says so (`RUST_LOG=gan_gpu=info`) and everything works as if there were no cache.
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The environment variable that names another folder than the user's, or `off`.
pub const CACHE_VARIABLE: &str = "GAN_GPU_CACHE_DIR";

/// Files larger than this are not read: a pipeline cache only ever grows, and starts anew there.
const MAX_BYTES: u64 = 256 << 20;

/// First bytes of a sealed file; the SHA-256 of the rest follows them.
const MAGIC: &[u8] = b"gan-gpu cache 1\n";
const HASH_BYTES: usize = 32;

/// A folder for small files that may vanish at any time. The default keeps nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheFolder {
    path: Option<PathBuf>,
}

impl CacheFolder {
    /// What `GAN_GPU_CACHE_DIR` says: a folder, or `off`. Without it `gan-gpu` in the system's place for caches: `$XDG_CACHE_HOME` or
    /// `~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
    pub fn of_user() -> Self {
        match std::env::var_os(CACHE_VARIABLE) {
            Some(word) if word == "off" => Self::default(),
            Some(path) if !path.is_empty() => Self::at(path),
            _ => Self {
                path: system_folder(),
            },
        }
    }

    /// This folder, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Some(path.into()),
        }
    }

    /// Where file `name` lies; `None` if nothing is kept.
    pub fn path_of(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.as_ref()?.join(name))
    }

    /// The bytes of file `name`, if it can be had.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path_of(name)?;
        let size = std::fs::metadata(&path).ok()?.len();
        if size > MAX_BYTES {
            log::info!("cache file {} is too large, starts anew", path.display());
            return None;
        }
        match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                log::info!("cache file {}: {error}", path.display());
                None
            }
        }
    }

    /// Replaces file `name` as a whole: other processes see the old bytes or the new ones. Returns whether it is written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> bool {
        let Some(path) = self.path_of(name) else {
            return false;
        };
        match replace(&path, bytes) {
            Ok(()) => true,
            Err(error) => {
                log::info!("cache file {} is not written: {error}", path.display());
                false
            }
        }
    }

    /// The contents of a file that [`write_sealed`](Self::write_sealed) wrote; `None` if a single bit of it has changed since.
    pub fn read_sealed(&self, name: &str) -> Option<Vec<u8>> {
        let bytes = self.read(name)?;
        let contents = unsealed(&bytes);
        if contents.is_none() {
            log::info!("cache file {name} is damaged, it is ignored");
        }
        contents.map(<[u8]>::to_vec)
    }

    /// [`write`](Self::write)s `contents` behind a checksum.
    pub fn write_sealed(&self, name: &str, contents: &[u8]) -> bool {
        let hash = Sha256::digest(contents);
        self.write(name, &[MAGIC, hash.as_slice(), contents].concat())
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digits = bytes.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn system_folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    match etcetera::base_strategy::choose_native_strategy() {
        Ok(strategy) => Some(strategy.cache_dir().join("gan-gpu")),
        Err(error) => {
            log::info!("no cache folder: {error}");
            None
        }
    }
}

/// Through a temporary file of its own name, so that processes that write at once do not meet.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (hash, contents) = bytes.strip_prefix(MAGIC)?.split_at_checked(HASH_BYTES)?;
    (Sha256::digest(contents).as_slice() == hash).then_some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheFolder::at(folder.path().join("not/yet/there"));
        assert_eq!(cache.read_sealed("a"), None);
        assert!(cache.write_sealed("a", b"old") && cache.write_sealed("a", b"contents"));
        assert_eq!(cache.read_sealed("a").unwrap(), b"contents");
        let path = cache.path_of("a").unwrap();
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "temporary files are left"
        );

        let whole = std::fs::read(&path).unwrap();
        for damaged in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[damaged] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(cache.read_sealed("a"), None, "byte {damaged}");
            std::fs::write(&path, &whole[..damaged]).unwrap();
            assert_eq!(cache.read_sealed("a"), None, "cut at {damaged}");
        }
        assert!(cache.write_sealed("a", b"replaced"));
        assert_eq!(cache.read_sealed("a").unwrap(), b"replaced");
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        // Below a file there is no folder, for root too, who may write into read-only ones.
        for cache in [
            CacheFolder::default(),
            CacheFolder::at(folder.path().join("file/below")),
        ] {
            assert!(!cache.write("a", b"x"));
            assert_eq!(cache.read("a"), None);
        }
        // A folder stands where the file should.
        let cache = CacheFolder::at(folder.path());
        std::fs::create_dir(folder.path().join("a")).unwrap();
        assert!(!cache.write("a", b"x"));
        assert_eq!(cache.read("a"), None);
    }
}
