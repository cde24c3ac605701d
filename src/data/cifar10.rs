//! CIFAR-10, the binary version: records of 1 label byte and 3 x 32 x 32 pixel bytes, planar red, green, blue, row-major.
//! <https://www.cs.toronto.edu/~kriz/cifar.html>

use super::bytes::{ByteSource, entries, name, set_name};
use super::{DataError, Format, ImageOptions, ImageSet, Size, Split, fit};
use std::path::{Path, PathBuf};

pub const FORMAT: Format = Format {
    name: "cifar10",
    what: "CIFAR-10's binary files (.bin, .bin.gz): one batch, or the folder (data_batch_* or test_batch*)",
    recognises,
    has_parts: |path| Ok(path.is_dir()),
    load,
};

const SIDE: usize = 32;
const IMAGE_BYTES: usize = 3 * SIDE * SIDE;
const RECORD_BYTES: usize = 1 + IMAGE_BYTES;
/// In the order of the labels (`batches.meta.txt`).
pub const CLASS_NAMES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

fn is_batch_name(name: &str) -> bool {
    name.ends_with(".bin") || name.ends_with(".bin.gz")
}

fn recognises(path: &Path) -> Result<bool, DataError> {
    if path.is_dir() {
        return Ok(entries(path)?
            .iter()
            .any(|entry| is_batch_name(&name(entry))));
    }
    Ok(is_batch_name(&name(path)))
}

fn load(path: &Path, options: &ImageOptions) -> Result<ImageSet, DataError> {
    let files = if path.is_dir() {
        find_batches(path, options.split)?
    } else {
        vec![path.to_path_buf()]
    };
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in &files {
        let wanted = options.limit.map(|limit| limit - labels.len());
        if wanted == Some(0) {
            break;
        }
        read_batch(file, wanted, &mut pixels, &mut labels)?;
    }
    let size = Size {
        height: SIDE,
        width: SIDE,
    };
    fit::set_bytes(path, labels.len() as u64, 3, size)?;
    let set = ImageSet {
        name: set_name(path),
        count: labels.len(),
        channels: 3,
        height: SIDE,
        width: SIDE,
        pixels,
        labels: Some(labels),
        class_names: Some(CLASS_NAMES.map(String::from).to_vec()),
        source: path.into(),
    };
    fit::conform(set, options)
}

/// The batches of `split`, in the order of their names. Of a file and its .gz, the plain one.
fn find_batches(folder: &Path, split: Split) -> Result<Vec<PathBuf>, DataError> {
    let stem = match split {
        Split::Train => "data_batch",
        Split::Test => "test_batch",
    };
    let all: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|path| is_batch_name(&name(path)))
        .collect();
    let mut found: Vec<PathBuf> = all
        .iter()
        .filter(|path| name(path).starts_with(stem))
        .cloned()
        .collect();
    found.dedup_by(|b, a| name(b) == format!("{}.gz", name(a)));
    if found.is_empty() {
        let found = all.iter().map(|path| name(path)).collect();
        return Err(DataError::MissingSplit {
            path: folder.into(),
            split,
            found,
        });
    }
    Ok(found)
}

/// Appends the records of one file, at most `wanted` of them.
fn read_batch(
    path: &Path,
    wanted: Option<usize>,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<(), DataError> {
    // One byte beyond the addressable limit, so that a larger file is refused by its size instead of being cut.
    let limit = wanted.map_or(super::MAX_SET_BYTES + 1, |n| n as u64 * RECORD_BYTES as u64);
    let bytes = ByteSource::open(path)?.read_up_to(limit)?;
    if bytes.is_empty() {
        return Err(DataError::EmptyFile { path: path.into() });
    }
    let (size, rest) = (bytes.len() as u64, (bytes.len() % RECORD_BYTES) as u64);
    if rest != 0 {
        let hint = if size.is_multiple_of(3074) {
            "; it is a whole number of CIFAR-100 records (3,074 bytes), which this program does not read"
        } else {
            "; download or copy it again"
        };
        return Err(DataError::PartialRecord {
            path: path.into(),
            size,
            offset: size - rest,
            got: rest,
            hint,
        });
    }
    for (i, record) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        if record[0] > 9 {
            let offset = (i * RECORD_BYTES) as u64;
            return Err(DataError::LabelRange {
                path: path.into(),
                offset,
                image: i,
                got: record[0],
            });
        }
        labels.push(u32::from(record[0]));
        pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}
