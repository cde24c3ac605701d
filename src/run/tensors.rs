//! Named f32 tensors in safetensors files, written so that equal content gives equal bytes.
//!
//! The `safetensors` crate keeps a file's metadata in a hash map, whose order changes from run to run; so the header is
//! written here, with sorted keys, and only the reading is the crate's. Layout: u64 header length (little-endian), JSON
//! header padded with spaces to a multiple of 8, then the tensors' bytes in the order of their names.
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A row-major f32 tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Tensor {
    /// # Panics
    /// If `shape` does not hold exactly `values`: the caller's bug, never an input's.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "a tensor of shape {shape:?}"
        );
        Self { shape, values }
    }
}

/// The content of a safetensors file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
}

/// Why a tensor file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{} is truncated: its header promises {expected} bytes, the file has {got}; use an earlier checkpoint",
        path.display()
    )]
    Truncated {
        path: PathBuf,
        expected: u64,
        got: u64,
    },
    #[error("{} is not a safetensors file: {reason}", path.display())]
    NotSafetensors { path: PathBuf, reason: String },
    #[error("{}: tensor `{tensor}` is stored as {got}, expected F32", path.display())]
    Type {
        path: PathBuf,
        tensor: String,
        got: String,
    },
    #[error("{}: there is no tensor `{tensor}`; the file has {}", path.display(), list(.has))]
    Missing {
        path: PathBuf,
        tensor: String,
        has: Vec<String>,
    },
    #[error("{}: tensor `{tensor}` has shape {got:?}, expected {expected}", path.display())]
    Shape {
        path: PathBuf,
        tensor: String,
        expected: String,
        got: Vec<usize>,
    },
}

/// The first few names, for a message.
fn list(names: &[String]) -> String {
    match names {
        [] => "none at all".into(),
        [.., _] if names.len() > 6 => {
            format!("{}, ... ({} in all)", names[..6].join(", "), names.len())
        }
        _ => names.join(", "),
    }
}

impl TensorFile {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        if !self.metadata.is_empty() {
            header.insert("__metadata__".into(), serde_json::json!(self.metadata));
        }
        let mut offset = 0;
        for (name, tensor) in &self.tensors {
            let end = offset + 4 * tensor.values.len();
            let entry = serde_json::json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end] });
            header.insert(name.clone(), entry);
            offset = end;
        }
        let mut header = serde_json::Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = Vec::with_capacity(8 + header.len() + offset);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        for tensor in self.tensors.values() {
            bytes.extend(tensor.values.iter().flat_map(|v| v.to_le_bytes()));
        }
        bytes
    }

    /// Writes the file as a whole or not at all: to a temporary name beside it, synced to disk, then renamed.
    pub fn write(&self, path: &Path) -> Result<(), TensorFileError> {
        write_atomic(path, &self.to_bytes()).map_err(|source| TensorFileError::Io {
            path: path.into(),
            source,
        })
    }

    /// # Errors
    /// One sentence for every way in which a file can fail to be a whole safetensors file of f32 tensors.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        let bytes = fs::read(path).map_err(|source| TensorFileError::Io {
            path: path.into(),
            source,
        })?;
        Self::from_bytes(&bytes, path)
    }

    /// `path` only names the file in errors.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, TensorFileError> {
        let foreign = |reason: String| TensorFileError::NotSafetensors {
            path: path.into(),
            reason,
        };
        if let Some(expected) = promised_bytes(bytes)
            && expected > bytes.len() as u64
        {
            return Err(TensorFileError::Truncated {
                path: path.into(),
                expected,
                got: bytes.len() as u64,
            });
        }
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes)
            .map_err(|error| foreign(error.to_string()))?;
        let metadata = header
            .metadata()
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let file = safetensors::SafeTensors::deserialize(bytes)
            .map_err(|error| foreign(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != safetensors::Dtype::F32 {
                let got = view.dtype().to_string();
                return Err(TensorFileError::Type {
                    path: path.into(),
                    tensor: name.into(),
                    got,
                });
            }
            let values = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            tensors.insert(name.to_string(), Tensor::new(view.shape(), values));
        }
        Ok(Self { tensors, metadata })
    }

    /// The tensor `name`; `path` only names the file in the error.
    pub fn get(&self, name: &str, path: &Path) -> Result<&Tensor, TensorFileError> {
        self.tensors
            .get(name)
            .ok_or_else(|| TensorFileError::Missing {
                path: path.into(),
                tensor: name.into(),
                has: self.tensors.keys().cloned().collect(),
            })
    }
}

/// The file size that the header implies; `None` if there is no header to go by.
fn promised_bytes(bytes: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    // Text or pictures read as a length give an absurd one; the format allows headers of up to 100 MB.
    if length > 100_000_000 {
        return None;
    }
    let Some(header) = bytes.get(8..8 + length as usize) else {
        return bytes
            .get(8)
            .is_none_or(|&b| b == b'{')
            .then_some(8 + length);
    };
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    let ends = header
        .as_object()?
        .values()
        .filter_map(|entry| entry.get("data_offsets")?.get(1)?.as_u64());
    Some(ends.max().unwrap_or(0).saturating_add(8 + length))
}

/// Replaces `path` by `bytes`: a reader, another process that does the same, and a machine that loses power, see the old file or the
/// new one.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = temporary(path);
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // The rename itself lives in the folder. Only Unix lets a folder be opened and synced.
    #[cfg(unix)]
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Makes the folder of a file that will be written once some work is done, and tries whether a file can be: what is wrong with the path is
/// said before the work, not after it.
pub fn prepare_for(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let probe = temporary(path);
    fs::File::create(&probe)?;
    fs::remove_file(&probe)
}

/// Where a file is written before it takes its name: this process's own, beside it.
fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}{TEMPORARY_SUFFIX}", std::process::id()));
    path.with_file_name(name)
}

/// How the names of files end that [`write_atomic`] has not finished.
pub const TEMPORARY_SUFFIX: &str = ".partial";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_found_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b/c.json");
        prepare_for(&file).unwrap();
        let left = fs::read_dir(file.parent().unwrap()).unwrap();
        assert_eq!(left.count(), 0, "the probe is gone");
        write_atomic(&file, b"{}").unwrap();
        prepare_for(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"{}");
        assert!(prepare_for(&folder.path().join("a/b")).is_err());
        assert!(prepare_for(&file.join("below a file")).is_err());
    }

    fn example() -> TensorFile {
        let mut file = TensorFile::default();
        file.tensors.insert(
            "g.0.weight".into(),
            Tensor::new([2, 3], vec![1.0, -2.5, 0.0, 4.0, f32::MIN_POSITIVE, 6.0]),
        );
        file.tensors
            .insert("d.0.bias".into(), Tensor::new([1], vec![0.1]));
        file.tensors
            .insert("a.scalar".into(), Tensor::new([], vec![7.0]));
        for i in 0..20 {
            file.metadata
                .insert(format!("key {i}"), format!("value \"{i}\"\nline"));
        }
        file
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        example().write(&path).unwrap();
        assert_eq!(TensorFile::read(&path).unwrap(), example());
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a.safetensors"], "no temporary file stays behind");
    }

    #[test]
    fn equal_content_gives_equal_bytes() {
        let mut reversed = TensorFile::default();
        for (name, tensor) in example().tensors.into_iter().rev() {
            reversed.tensors.insert(name, tensor);
        }
        for (key, value) in example().metadata.into_iter().rev() {
            reversed.metadata.insert(key, value);
        }
        assert_eq!(reversed.to_bytes(), example().to_bytes());
        // Data starts at a multiple of 8 bytes, as the format asks.
        let length = u64::from_le_bytes(example().to_bytes()[..8].try_into().unwrap());
        assert_eq!(length % 8, 0);
    }

    #[test]
    fn every_truncation_is_an_error_that_says_so() {
        let bytes = example().to_bytes();
        for cut in 8..bytes.len() {
            match TensorFile::from_bytes(&bytes[..cut], Path::new("a.safetensors")) {
                Err(TensorFileError::Truncated { got, .. }) => assert_eq!(got, cut as u64),
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
        for cut in 0..8 {
            assert!(TensorFile::from_bytes(&bytes[..cut], Path::new("a")).is_err());
        }
    }

    #[test]
    fn foreign_files_are_named_as_such() {
        let long = [example().to_bytes(), vec![0]].concat();
        let png = b"\x89PNG\r\n\x1a\n and so on".to_vec();
        for bytes in [
            long,
            png,
            b"# a text file, longer than eight bytes".to_vec(),
            vec![0; 64],
        ] {
            let error = TensorFile::from_bytes(&bytes, Path::new("x/y.bin")).unwrap_err();
            assert!(
                matches!(error, TensorFileError::NotSafetensors { .. }),
                "{error}"
            );
            assert!(error.to_string().contains("y.bin"), "{error}");
        }
    }

    #[test]
    fn other_element_types_name_the_tensor() {
        let header = br#"{"z":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([0; 8]);
        let message = TensorFile::from_bytes(&bytes, Path::new("l.safetensors"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "l.safetensors: tensor `z` is stored as F64, expected F32"
        );
    }

    #[test]
    fn a_missing_tensor_lists_what_there_is() {
        let message = example().get("z", Path::new("l")).unwrap_err().to_string();
        assert_eq!(
            message,
            "l: there is no tensor `z`; the file has a.scalar, d.0.bias, g.0.weight"
        );
    }
}
