//! Everything that can be wrong with a data set, each with the file, the place in it, and what to do.

use super::Split;
use std::io;
use std::path::PathBuf;

/// A height and a width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub height: usize,
    pub width: usize,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// Why a data set was refused. Sizes read "height x width"; offsets are in bytes from the start of the file, after
/// decompression where it is compressed.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "no data at {path}: no such file or folder, and no built-in set of that name (built-in: {})",
        super::Source::built_in_names().join(", ")
    )]
    NotFound { path: PathBuf },

    #[error(
        "no data at `{path}`: no such file or folder; stacked:PATH takes the path of a grey set, such as MNIST's folder"
    )]
    NothingToStack { path: PathBuf },

    #[error("cannot {doing} {path}: {source}")]
    Io {
        path: PathBuf,
        doing: &'static str,
        source: io::Error,
    },

    #[error("{path} is empty (0 bytes); download or copy it again")]
    EmptyFile { path: PathBuf },

    #[error("{path} holds no images (its header says 0)")]
    NoImages { path: PathBuf },

    #[error(
        "no data found in the folder {path}; expected IDX files (train-images-idx3-ubyte[.gz]), CIFAR-10 files \
         (data_batch_1.bin[.gz]), or .png/.jpg/.jpeg pictures, flat or in one sub-folder per class"
    )]
    EmptyFolder { path: PathBuf },

    #[error(
        "{path} is no known data file: it starts with the bytes {start:02x?}; expected IDX (00 00 08 03, gzip or not), \
         CIFAR-10 (*.bin, *.bin.gz) or a folder of PNG/JPEG"
    )]
    UnknownFormat { path: PathBuf, start: Vec<u8> },

    #[error("{path} is a single picture; name the folder that holds the pictures")]
    SinglePicture { path: PathBuf },

    #[error(
        "{path}, byte 0: magic number is {got:#010x}, expected {expected:#010x} ({meaning}); {advice}"
    )]
    BadMagic {
        path: PathBuf,
        expected: u32,
        got: u32,
        meaning: &'static str,
        advice: &'static str,
    },

    #[error(
        "{path}, byte {offset}: {field} is {got}, expected {expected}; the header is damaged or not of this format"
    )]
    BadHeader {
        path: PathBuf,
        offset: u64,
        field: &'static str,
        got: u64,
        expected: &'static str,
    },

    #[error(
        "{path} is truncated: {what} need {expected} bytes from byte {offset} on, the file has {got}; download or copy \
         it again"
    )]
    Truncated {
        path: PathBuf,
        offset: u64,
        what: &'static str,
        expected: u64,
        got: u64,
    },

    #[error(
        "{path}: more data after byte {offset}, where the header says the file ends; the header is damaged, or the file \
         is of another format"
    )]
    TrailingBytes { path: PathBuf, offset: u64 },

    #[error(
        "{path}: the gzip stream breaks off or is corrupt after {offset} decompressed bytes ({source}); download or \
         copy it again"
    )]
    Gzip {
        path: PathBuf,
        offset: u64,
        source: io::Error,
    },

    #[error(
        "{path}: {size} bytes are no whole number of CIFAR-10 records (1 label byte + 3,072 pixel bytes = 3,073); the \
         last record starts at byte {offset} and has {got} bytes{hint}"
    )]
    PartialRecord {
        path: PathBuf,
        size: u64,
        offset: u64,
        got: u64,
        hint: &'static str,
    },

    #[error(
        "{labels} has {label_count} labels, but {images} has {image_count} images; the files are not of one set"
    )]
    LabelCount {
        images: PathBuf,
        image_count: u64,
        labels: PathBuf,
        label_count: u64,
    },

    #[error(
        "{path}, byte {offset}: the label of image {image} is {got}, expected 0..=9; the file is damaged or not CIFAR-10"
    )]
    LabelRange {
        path: PathBuf,
        offset: u64,
        image: usize,
        got: u8,
    },

    #[error(
        "the pictures differ in size: {first} is {first_size}, {other} is {other_size}; give one size and a way to fit \
         (resize, crop or pad)"
    )]
    MixedSizes {
        first: PathBuf,
        first_size: Size,
        other: PathBuf,
        other_size: Size,
    },

    #[error(
        "{path} is {got}, but {expected} was asked for with exact fit; choose resize, crop or pad, or ask for its own size"
    )]
    WrongSize {
        path: PathBuf,
        expected: Size,
        got: Size,
    },

    #[error(
        "{path} ({bytes} bytes) cannot be decoded as a picture: {source}; replace or remove it"
    )]
    Decode {
        path: PathBuf,
        bytes: u64,
        source: image::ImageError,
    },

    #[error(
        "{path} is a truncated JPEG: no end-of-image marker (ff d9) in its {bytes} bytes; replace or remove it"
    )]
    TruncatedJpeg { path: PathBuf, bytes: u64 },

    #[error(
        "{path}: the header claims {size}, more than a picture of {limit} decoded bytes; it is damaged or too large"
    )]
    HugePicture {
        path: PathBuf,
        size: Size,
        limit: u64,
    },

    #[error("the class folder {path} holds no .png/.jpg/.jpeg; remove it, or put its pictures in")]
    EmptyClass { path: PathBuf },

    #[error(
        "{path} holds both pictures ({picture}) and folders of pictures ({class}); keep either a flat folder, or one \
         sub-folder per class"
    )]
    MixedFolder {
        path: PathBuf,
        picture: PathBuf,
        class: PathBuf,
    },

    #[error("{path} has no {split} part; it holds {}", .found.join(", "))]
    MissingSplit {
        path: PathBuf,
        split: Split,
        found: Vec<String>,
    },

    #[error("{path} holds several {split} sets: {}; name one of the files", .found.join(", "))]
    AmbiguousSplit {
        path: PathBuf,
        split: Split,
        found: Vec<String>,
    },

    #[error(
        "{path}: {count} images of {channels}x{size} are {bytes} bytes, the limit is {limit}; limit the number of images, \
         or ask for a smaller size"
    )]
    TooLarge {
        path: PathBuf,
        count: u64,
        channels: usize,
        size: Size,
        bytes: u128,
        limit: u64,
    },

    #[error(
        "not enough memory for the {bytes} bytes of {path}; limit the number of images, or ask for a smaller size"
    )]
    OutOfMemory { path: PathBuf, bytes: u64 },

    #[error("image option {option} is {got}; expected {expected}")]
    Option {
        option: &'static str,
        got: String,
        expected: &'static str,
    },
}
