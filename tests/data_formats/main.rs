//! Every data format on synthetic files: what loads, and the one error that each kind of damage gives.

mod cifar10;
mod folder;
mod idx;

use flate2::{Compression, write::GzEncoder};
use gan_gpu::data::{DataError, ImageOptions, load};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn defaults() -> ImageOptions {
    ImageOptions::default()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// The error of loading `path`, whose text must name the file.
fn error_of(path: &Path, options: &ImageOptions) -> DataError {
    let error = match load(path, options) {
        Ok(set) => panic!("{} loaded as {} images", path.display(), set.count),
        Err(error) => error,
    };
    let (text, name) = (
        error.to_string(),
        path.file_name().unwrap().to_string_lossy().into_owned(),
    );
    assert!(text.contains(&name), "{text:?} does not name {name}");
    error
}

/// Bytes without a pattern that a shift would leave alike.
fn pixels(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 37 % 251) as u8).collect()
}
