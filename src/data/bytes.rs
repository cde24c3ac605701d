//! Reading bytes from plain and gzip files alike, counting them, without trusting any header about how many there are.

use super::DataError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// A file read from its start, decompressed if its first two bytes say gzip (whatever its name says).
pub(super) struct ByteSource {
    path: PathBuf,
    reader: Box<dyn Read>,
    gzip: bool,
    /// Bytes handed out so far.
    offset: u64,
}

impl ByteSource {
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let gzip = first_bytes(path, 2)? == [0x1f, 0x8b];
        let file = BufReader::new(open(path)?);
        let reader: Box<dyn Read> = if gzip {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        Ok(Self {
            path: path.into(),
            reader,
            gzip,
            offset: 0,
        })
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Up to `limit` bytes; fewer only at the end. Memory grows with what is really there, not with `limit`.
    pub fn read_up_to(&mut self, limit: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let result = self.reader.by_ref().take(limit).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        result.map_err(|source| self.error(source))?;
        Ok(bytes)
    }

    /// Exactly `expected` bytes of `what`.
    pub fn read(&mut self, expected: u64, what: &'static str) -> Result<Vec<u8>, DataError> {
        let offset = self.offset;
        let bytes = self.read_up_to(expected)?;
        let got = bytes.len() as u64;
        if got < expected {
            return Err(DataError::Truncated {
                path: self.path.clone(),
                offset,
                what,
                expected,
                got,
            });
        }
        Ok(bytes)
    }

    /// A big-endian u32.
    pub fn read_u32(&mut self, what: &'static str) -> Result<u32, DataError> {
        let bytes = self.read(4, what)?;
        Ok(bytes
            .iter()
            .fold(0, |word, &byte| word << 8 | u32::from(byte)))
    }

    /// That nothing follows. For gzip this also reads, and so checks, the trailing checksum.
    pub fn expect_end(&mut self) -> Result<(), DataError> {
        let offset = self.offset;
        if self.read_up_to(1)?.is_empty() {
            return Ok(());
        }
        Err(DataError::TrailingBytes {
            path: self.path.clone(),
            offset,
        })
    }

    fn error(&self, source: io::Error) -> DataError {
        let path = self.path.clone();
        if self.gzip {
            DataError::Gzip {
                path,
                offset: self.offset,
                source,
            }
        } else {
            DataError::Io {
                path,
                doing: "read",
                source,
            }
        }
    }
}

fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|source| DataError::Io {
        path: path.into(),
        doing: "open",
        source,
    })
}

/// The first `n` bytes as stored (not decompressed); fewer if the file is shorter.
pub(super) fn first_bytes(path: &Path, n: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let result = open(path)?.take(n).read_to_end(&mut bytes);
    result.map_err(|source| DataError::Io {
        path: path.into(),
        doing: "read",
        source,
    })?;
    Ok(bytes)
}

/// The names of a folder's files and sub-folders, sorted, without hidden ones.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let error = |source| DataError::Io {
        path: folder.into(),
        doing: "list",
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if !name(&path).starts_with(['.']) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The last part of a path, for people and for matching (lossy where it is not UTF-8).
pub(super) fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// How a set read from `path` is called: as the file or folder is, also for `.` and `..`.
pub(super) fn set_name(path: &Path) -> String {
    match name(path) {
        name if name.is_empty() => {
            std::fs::canonicalize(path).map_or_else(|_| "data".into(), |full| self::name(&full))
        }
        name => name,
    }
}
