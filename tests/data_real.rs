//! The real sets, where they lie: `GAN_GPU_SHARED_DATA`, or `../shared/data` beside the repository. Each test says so and
//! passes where its set is absent. The expected figures are the sets' published statistics.

use gan_gpu::data::{Fit, ImageOptions, ImageSet, Split, load};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("GAN_GPU_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!(
        "skipped: no {name} at {} (set GAN_GPU_SHARED_DATA to the folder that holds it)",
        path.display()
    );
    None
}

fn mean(set: &ImageSet) -> f64 {
    set.pixels.iter().map(|&v| f64::from(v)).sum::<f64>() / set.pixels.len() as f64 / 255.0
}

fn label_counts(set: &ImageSet) -> Vec<usize> {
    let mut counts = vec![0; set.classes().unwrap_or(0)];
    for &label in set.labels.iter().flatten() {
        counts[label as usize] += 1;
    }
    counts
}

#[test]
fn mnist() {
    let Some(path) = shared("mnist") else { return };
    let train = load(&path, &ImageOptions::default()).unwrap();
    assert_eq!(
        (train.count, train.channels, train.height, train.width),
        (60_000, 1, 28, 28)
    );
    assert_eq!(
        train.labels.as_ref().unwrap()[..8],
        [5, 0, 4, 1, 9, 2, 1, 3]
    );
    assert_eq!(
        label_counts(&train),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    // torchvision's Normalize((0.1307,), (0.3081,)).
    assert!((mean(&train) - 0.1307).abs() < 5e-5, "{}", mean(&train));
    let test = load(
        &path,
        &ImageOptions {
            split: Split::Test,
            ..Default::default()
        },
    )
    .unwrap();
    assert_eq!((test.count, test.labels.as_ref().unwrap()[0]), (10_000, 7));
    let file = load(
        &path.join("t10k-images-idx3-ubyte.gz"),
        &ImageOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (file.pixels == test.pixels, file.labels == test.labels),
        (true, true)
    );
}

#[test]
fn fashion_mnist() {
    let Some(path) = shared("fashion-mnist") else {
        return;
    };
    let train = load(&path, &ImageOptions::default()).unwrap();
    assert_eq!(
        (train.count, train.labels.as_ref().unwrap()[0]),
        (60_000, 9)
    );
    assert_eq!(label_counts(&train), [6000; 10]);
    assert!((mean(&train) - 0.2860).abs() < 5e-5, "{}", mean(&train));
}

#[test]
fn cifar10() {
    let Some(path) = shared("cifar10") else {
        return;
    };
    let train = load(&path, &ImageOptions::default()).unwrap();
    assert_eq!((train.count, train.channels, train.height), (10_000, 3, 32));
    assert_eq!(train.labels.as_ref().unwrap()[..5], [6, 9, 9, 4, 1]);
    assert_eq!(
        label_counts(&train),
        [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
    );
    // The first image is the frog, whose first pixels are 59, 43, 50 in red.
    assert_eq!(train.image(0)[..3], [59, 43, 50]);
    let test = load(
        &path,
        &ImageOptions {
            split: Split::Test,
            ..Default::default()
        },
    )
    .unwrap();
    assert_eq!((test.count, test.labels.as_ref().unwrap()[0]), (2_000, 3));
}

#[test]
fn a_flat_folder_of_png() {
    let Some(path) = shared("noto-emoji-64") else {
        return;
    };
    let set = load(&path, &ImageOptions::default()).unwrap();
    assert_eq!(
        (set.count, set.channels, set.height, set.width),
        (3573, 3, 64, 64)
    );
    assert_eq!(set.labels, None);
    // Composited on white: the corners of nearly all pictures are white, and the same bytes come out each time.
    let white = (0..set.count).filter(|&i| set.image(i)[0] == 255).count();
    assert!(white > 3000, "{white}");
    let again = load(&path, &ImageOptions::default()).unwrap();
    assert_eq!(Sha256::digest(&set.pixels), Sha256::digest(&again.pixels));
    let small = ImageOptions {
        size: Some((16, 16)),
        fit: Fit::Resize,
        channels: Some(1),
        limit: Some(100),
        ..Default::default()
    };
    assert_eq!(load(&path, &small).unwrap().pixels.len(), 100 * 256);
}

#[test]
fn class_folders_with_transparency() {
    let Some(path) = shared("tinyhero-64") else {
        return;
    };
    let options = ImageOptions {
        background: [255; 3],
        ..Default::default()
    };
    let set = load(&path, &options).unwrap();
    assert_eq!(
        (set.count, set.channels, set.height, set.width),
        (4 * 912, 3, 64, 64)
    );
    assert_eq!(label_counts(&set), [912; 4]);
    assert_eq!(
        set.class_names,
        Some(["0", "1", "2", "3"].map(String::from).to_vec())
    );
    assert_eq!(set.image(0)[0], 255);
    let black = load(&path, &ImageOptions::default()).unwrap();
    assert_eq!(black.image(0)[0], 0);
    assert_ne!(mean(&set), mean(&black));
}
