//! IDX: MNIST and its kin.

use super::*;
use gan_gpu::data::{Fit, Size, Split};

fn idx_images(count: u32, rows: u32, columns: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = 0x803u32.to_be_bytes().to_vec();
    for dimension in [count, rows, columns] {
        bytes.extend(dimension.to_be_bytes());
    }
    bytes.extend(pixels);
    bytes
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes = 0x801u32.to_be_bytes().to_vec();
    bytes.extend((labels.len() as u32).to_be_bytes());
    bytes.extend(labels);
    bytes
}

#[test]
fn idx_loads_as_a_file_or_a_folder_compressed_or_not() {
    let dir = TempDir::new().unwrap();
    let images = idx_images(3, 2, 5, &pixels(30));
    let plain = write(&dir, "plain/train-images-idx3-ubyte", &images);
    write(
        &dir,
        "plain/train-labels-idx1-ubyte.gz",
        &gzip(&idx_labels(&[7, 0, 9])),
    );
    write(
        &dir,
        "plain/t10k-images-idx3-ubyte",
        &idx_images(1, 2, 5, &[1; 10]),
    );
    let packed = write(&dir, "packed/train-images-idx3-ubyte.gz", &gzip(&images));
    // Neither the name nor .gz matter to a file that is named itself.
    let renamed = write(&dir, "renamed", &gzip(&images));
    for path in [
        plain.as_path(),
        plain.parent().unwrap(),
        &packed,
        packed.parent().unwrap(),
        &renamed,
    ] {
        let set = load(path, &defaults()).unwrap();
        assert_eq!(
            (set.count, set.channels, set.height, set.width),
            (3, 1, 2, 5),
            "{}",
            path.display()
        );
        assert_eq!(set.pixels, pixels(30));
        let has_labels = path.starts_with(plain.parent().unwrap());
        assert_eq!(set.labels, has_labels.then(|| vec![7, 0, 9]));
    }
    let set = load(plain.parent().unwrap(), &defaults()).unwrap();
    assert_eq!(
        (set.name.as_str(), set.classes(), set.image(2)),
        ("plain", Some(10), &pixels(30)[20..])
    );
    let test = load(
        plain.parent().unwrap(),
        &ImageOptions {
            split: Split::Test,
            ..defaults()
        },
    )
    .unwrap();
    assert_eq!((test.count, test.labels), (1, None));
    let first = load(
        &plain,
        &ImageOptions {
            limit: Some(2),
            ..defaults()
        },
    )
    .unwrap();
    // The classes are those of the whole set.
    assert_eq!(first.classes(), Some(10));
    assert_eq!(
        (first.count, first.pixels.len(), first.labels),
        (2, 20, Some(vec![7, 0]))
    );
}

#[test]
fn idx_images_take_size_and_channels() {
    let dir = TempDir::new().unwrap();
    let path = write(
        &dir,
        "train-images-idx3-ubyte",
        &idx_images(2, 28, 28, &vec![200; 2 * 784]),
    );
    let options = ImageOptions {
        size: Some((32, 40)),
        fit: Fit::Pad,
        channels: Some(3),
        background: [9, 8, 7],
        ..defaults()
    };
    let set = load(&path, &options).unwrap();
    assert_eq!(
        (set.channels, set.height, set.width, set.pixels.len()),
        (3, 32, 40, 2 * 3 * 32 * 40)
    );
    // 28x28 scales to 32x32; four columns of background on either side.
    let row = &set.image(1)[..40];
    assert_eq!(
        (&row[..4], row[4], row[35], &row[36..]),
        (&[9; 4][..], 200, 200, &[9; 4][..])
    );
    assert_eq!(set.image(1)[2 * 32 * 40], 7);
    let error = error_of(
        &path,
        &ImageOptions {
            size: Some((32, 32)),
            ..defaults()
        },
    );
    assert!(
        matches!(
            error,
            DataError::WrongSize {
                got: Size {
                    height: 28,
                    width: 28
                },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn idx_damage_is_named() {
    let dir = TempDir::new().unwrap();
    let good = idx_images(3, 2, 5, &pixels(30));

    let path = write(&dir, "short-images-idx3-ubyte", &good[..40]);
    let error = error_of(&path, &defaults());
    assert!(
        matches!(
            error,
            DataError::Truncated {
                offset: 16,
                expected: 30,
                got: 24,
                ..
            }
        ),
        "{error}"
    );

    let path = write(&dir, "header-images-idx3-ubyte", &good[..9]);
    let error = error_of(&path, &defaults());
    assert!(
        matches!(
            error,
            DataError::Truncated {
                offset: 8,
                expected: 4,
                got: 1,
                ..
            }
        ),
        "{error}"
    );

    let path = write(
        &dir,
        "long-images-idx3-ubyte",
        &[good.as_slice(), &[0]].concat(),
    );
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::TrailingBytes { offset: 46, .. }
    ));

    let path = write(
        &dir,
        "magic-images-idx3-ubyte",
        &[&[0, 0, 0x0d, 3], &good[4..]].concat(),
    );
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::BadMagic {
            got: 0x0d03,
            expected: 0x803,
            ..
        }
    ));

    let path = write(&dir, "a-labels-idx1-ubyte", &idx_labels(&[1, 2]));
    let error = error_of(&path, &defaults());
    assert!(error.to_string().contains("labels file"), "{error}");

    let path = write(&dir, "none-images-idx3-ubyte", &idx_images(0, 28, 28, &[]));
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::NoImages { .. }
    ));

    let path = write(&dir, "flat-images-idx3-ubyte", &idx_images(3, 0, 28, &[]));
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::BadHeader {
            offset: 8,
            got: 0,
            ..
        }
    ));

    let path = write(
        &dir,
        "wide-images-idx3-ubyte",
        &idx_images(3, 28, 1 << 20, &[]),
    );
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::BadHeader { offset: 12, .. }
    ));
}

/// A header may claim anything: the claim is refused, or found out by reading, but never allocated.
#[test]
fn idx_claims_of_absurd_size_are_refused() {
    let dir = TempDir::new().unwrap();
    let path = write(
        &dir,
        "huge-images-idx3-ubyte",
        &idx_images(u32::MAX, 65_535, 65_535, &[]),
    );
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::TooLarge { .. }
    ));
    // 3.9 GB are within the limit; the file has ten bytes.
    let path = write(
        &dir,
        "big-images-idx3-ubyte",
        &idx_images(5_000_000, 28, 28, &[0; 10]),
    );
    let error = error_of(&path, &defaults());
    assert!(
        matches!(
            error,
            DataError::Truncated {
                expected: 3_920_000_000,
                got: 10,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn idx_labels_must_belong() {
    let dir = TempDir::new().unwrap();
    let images = idx_images(3, 1, 2, &pixels(6));
    let path = write(&dir, "a/train-images-idx3-ubyte", &images);
    write(&dir, "a/train-labels-idx1-ubyte", &idx_labels(&[1, 2]));
    let error = error_of(&path, &defaults());
    assert!(
        matches!(
            error,
            DataError::LabelCount {
                image_count: 3,
                label_count: 2,
                ..
            }
        ),
        "{error}"
    );

    let path = write(&dir, "b/train-images-idx3-ubyte", &images);
    let labels = write(&dir, "b/train-labels-idx1-ubyte", &images);
    let error = load(&path, &defaults()).unwrap_err();
    assert!(
        matches!(&error, DataError::BadMagic { path, expected: 0x801, .. } if *path == labels),
        "{error}"
    );

    let path = write(&dir, "c/train-images-idx3-ubyte", &images);
    write(
        &dir,
        "c/train-labels-idx1-ubyte",
        &idx_labels(&[1, 2, 3])[..10],
    );
    let error = load(&path, &defaults()).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Truncated {
                expected: 3,
                got: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn gzip_damage_is_named() {
    let dir = TempDir::new().unwrap();
    let packed = gzip(&idx_images(3, 20, 50, &pixels(3000)));
    let path = write(
        &dir,
        "cut-images-idx3-ubyte.gz",
        &packed[..packed.len() / 2],
    );
    let error = error_of(&path, &defaults());
    assert!(matches!(error, DataError::Gzip { .. }), "{error}");

    // The stored checksum, eight bytes before the end: the pixels are all there, but are not the original's.
    let mut wrong_sum = packed.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let path = write(&dir, "sum-images-idx3-ubyte.gz", &wrong_sum);
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::Gzip { offset: 3016, .. }
    ));
}

#[test]
fn idx_folders_say_what_they_hold() {
    let dir = TempDir::new().unwrap();
    write(
        &dir,
        "one/t10k-images-idx3-ubyte",
        &idx_images(1, 1, 1, &[0]),
    );
    let error = error_of(&dir.path().join("one"), &defaults());
    assert!(
        matches!(&error, DataError::MissingSplit { found, .. } if found == &["t10k-images-idx3-ubyte"]),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.ends_with("it holds t10k-images-idx3-ubyte"), "{text}");
    for name in [
        "emnist-letters-train-images-idx3-ubyte",
        "emnist-digits-train-images-idx3-ubyte",
    ] {
        write(&dir, &format!("two/{name}"), &idx_images(1, 1, 1, &[0]));
    }
    assert!(matches!(
        error_of(&dir.path().join("two"), &defaults()),
        DataError::AmbiguousSplit { .. }
    ));
}
