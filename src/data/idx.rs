//! IDX, the format of MNIST, Fashion-MNIST, KMNIST and EMNIST.
//!
//! Big-endian: magic `00 00 type dims`, one u32 per dimension, then the values in row-major order. Images are magic
//! `0x00000803` (u8, 3 dimensions: count, rows, columns), labels `0x00000801` (u8, 1 dimension).
//! Specification: Y. LeCun, "The MNIST database of handwritten digits".

use super::bytes::{ByteSource, entries, name, set_name};
use super::{DataError, Format, ImageOptions, ImageSet, Size, Split, fit};
use std::path::{Path, PathBuf};

pub const FORMAT: Format = Format {
    name: "idx",
    what: "MNIST's IDX files (.gz or not): the images file, or the folder; labels are read when they lie beside it",
    recognises,
    has_parts: |path| Ok(path.is_dir()),
    load,
};

const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;
const IMAGES_HEADER_BYTES: u64 = 16;
/// A side beyond this is a damaged header, not a picture.
const MAX_SIDE: u32 = 65_535;

fn is_images_name(name: &str) -> bool {
    name.contains("idx3-ubyte")
}

fn recognises(path: &Path) -> Result<bool, DataError> {
    if path.is_dir() {
        return Ok(entries(path)?
            .iter()
            .any(|entry| is_images_name(&name(entry))));
    }
    let name = name(path);
    if name.contains("-ubyte") {
        return Ok(true);
    }
    // By content; but a CIFAR-10 file may start with the same four bytes by chance, and tells itself by its name.
    if name.trim_end_matches(".gz").ends_with(".bin") {
        return Ok(false);
    }
    let start = ByteSource::open(path)?.read_up_to(4);
    Ok(matches!(start.as_deref(), Ok([0, 0, 8, 1 | 3])))
}

fn load(path: &Path, options: &ImageOptions) -> Result<ImageSet, DataError> {
    let images_path = if path.is_dir() {
        find_images(path, options.split)?
    } else {
        path.to_path_buf()
    };
    let mut source = ByteSource::open(&images_path)?;
    let magic = source.read_u32("the magic number")?;
    if magic != IMAGES_MAGIC {
        let advice = match magic {
            LABELS_MAGIC => "this is a labels file: name the images file or the folder",
            _ => "the file is damaged, of another element type, or not IDX",
        };
        let meaning = "IDX, unsigned bytes, 3 dimensions";
        return Err(DataError::BadMagic {
            path: images_path,
            expected: IMAGES_MAGIC,
            got: magic,
            meaning,
            advice,
        });
    }
    let count = u64::from(source.read_u32("the number of images")?);
    let mut side = |field: &'static str| {
        let offset = source.offset();
        match source.read_u32(field)? {
            got if got == 0 || got > MAX_SIDE => {
                let path = images_path.clone();
                Err(DataError::BadHeader {
                    path,
                    offset,
                    field,
                    got: got.into(),
                    expected: "1..=65535",
                })
            }
            got => Ok(got as usize),
        }
    };
    let size = Size {
        height: side("the number of rows")?,
        width: side("the number of columns")?,
    };
    if count == 0 {
        return Err(DataError::NoImages { path: images_path });
    }

    let labels = match labels_beside(&images_path) {
        Some(labels_path) => Some(read_labels(&labels_path, &images_path, count)?),
        None => None,
    };
    // Of all images: the first few may lack some classes.
    let class_names = labels.as_ref().map(|labels: &Vec<u8>| {
        let last = labels.iter().max().copied().unwrap_or(0);
        (0..=last).map(|label| label.to_string()).collect()
    });
    let wanted = options.limit.map_or(count, |limit| count.min(limit as u64));
    let pixels = source.read(fit::set_bytes(&images_path, wanted, 1, size)?, "the pixels")?;
    if wanted == count {
        source.expect_end()?;
    }
    debug_assert_eq!(pixels.len() as u64 + IMAGES_HEADER_BYTES, source.offset());
    let set = ImageSet {
        name: set_name(path),
        count: wanted as usize,
        channels: 1,
        height: size.height,
        width: size.width,
        pixels,
        labels: labels.map(|bytes| {
            bytes
                .into_iter()
                .take(wanted as usize)
                .map(u32::from)
                .collect()
        }),
        class_names,
        source: images_path,
    };
    fit::conform(set, options)
}

/// The images file of `split` in a folder. Of a file and its .gz, the plain one.
fn find_images(folder: &Path, split: Split) -> Result<PathBuf, DataError> {
    let all: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|path| is_images_name(&name(path)))
        .collect();
    let stems: &[&str] = match split {
        Split::Train => &["train-images"],
        Split::Test => &["t10k-images", "test-images"],
    };
    let mut found: Vec<&PathBuf> = all
        .iter()
        .filter(|path| stems.iter().any(|stem| name(path).contains(stem)))
        .collect();
    found.dedup_by(|b, a| name(b) == format!("{}.gz", name(a)));
    let names = |paths: &mut dyn Iterator<Item = &PathBuf>| paths.map(|path| name(path)).collect();
    match found.as_slice() {
        [one] => Ok(one.to_path_buf()),
        [] => Err(DataError::MissingSplit {
            path: folder.into(),
            split,
            found: names(&mut all.iter()),
        }),
        _ => Err(DataError::AmbiguousSplit {
            path: folder.into(),
            split,
            found: names(&mut found.into_iter()),
        }),
    }
}

/// The labels file that belongs to an images file by its name, compressed or not.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = name(images);
    if !name.contains("images") {
        return None;
    }
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    let other = labels
        .strip_suffix(".gz")
        .map_or_else(|| format!("{labels}.gz"), String::from);
    [labels, other]
        .into_iter()
        .map(|name| images.with_file_name(name))
        .find(|path| path.is_file())
}

fn read_labels(path: &Path, images: &Path, image_count: u64) -> Result<Vec<u8>, DataError> {
    let mut source = ByteSource::open(path)?;
    let got = source.read_u32("the magic number")?;
    if got != LABELS_MAGIC {
        return Err(DataError::BadMagic {
            path: path.into(),
            expected: LABELS_MAGIC,
            got,
            meaning: "IDX, unsigned bytes, 1 dimension",
            advice: "the file is damaged or holds no labels; move it away to load the images alone",
        });
    }
    let label_count = u64::from(source.read_u32("the number of labels")?);
    if label_count != image_count {
        let (images, labels) = (images.to_path_buf(), path.to_path_buf());
        return Err(DataError::LabelCount {
            images,
            image_count,
            labels,
            label_count,
        });
    }
    let labels = source.read(label_count, "the labels")?;
    source.expect_end()?;
    Ok(labels)
}
