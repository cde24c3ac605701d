//! Every data format on synthetic files: what loads, and the one error that each kind of damage gives.

use flate2::{Compression, write::GzEncoder};
use gan_gpu::data::{DataError, Fit, ImageOptions, ImageSet, Size, Split, load};
use image::{ExtendedColorType, ImageEncoder};
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

// ---- IDX

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

fn pixels(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 37 % 251) as u8).collect()
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

// ---- CIFAR-10

fn cifar(labels: &[u8]) -> Vec<u8> {
    labels
        .iter()
        .flat_map(|&label| [vec![label], pixels(3072)].concat())
        .collect()
}

#[test]
fn cifar10_loads_as_a_file_or_a_folder_compressed_or_not() {
    let dir = TempDir::new().unwrap();
    let second = write(&dir, "c/data_batch_2.bin", &cifar(&[4]));
    write(&dir, "c/data_batch_1.bin.gz", &gzip(&cifar(&[3, 9])));
    write(&dir, "c/test_batch.bin", &cifar(&[0, 1, 2]));
    let set = load(&dir.path().join("c"), &defaults()).unwrap();
    assert_eq!(
        (set.count, set.channels, set.height, set.width),
        (3, 3, 32, 32)
    );
    assert_eq!(set.labels, Some(vec![3, 9, 4]));
    assert_eq!(set.class_names.as_ref().unwrap()[9], "truck");
    assert_eq!(set.image(2), pixels(3072));
    let test = load(
        &dir.path().join("c"),
        &ImageOptions {
            split: Split::Test,
            limit: Some(2),
            ..defaults()
        },
    )
    .unwrap();
    assert_eq!(test.labels, Some(vec![0, 1]));
    assert_eq!(load(&second, &defaults()).unwrap().labels, Some(vec![4]));
    let grey = load(
        &second,
        &ImageOptions {
            channels: Some(1),
            size: Some((16, 16)),
            fit: Fit::Resize,
            ..defaults()
        },
    );
    assert_eq!(grey.unwrap().pixels.len(), 256);
}

#[test]
fn cifar10_damage_is_named() {
    let dir = TempDir::new().unwrap();
    let good = cifar(&[1, 2]);
    let path = write(&dir, "cut.bin", &good[..5000]);
    let error = error_of(&path, &defaults());
    assert!(
        matches!(
            error,
            DataError::PartialRecord {
                size: 5000,
                offset: 3073,
                got: 1927,
                ..
            }
        ),
        "{error}"
    );

    let path = write(&dir, "label.bin", &cifar(&[1, 10]));
    let error = error_of(&path, &defaults());
    assert!(
        matches!(
            error,
            DataError::LabelRange {
                offset: 3073,
                image: 1,
                got: 10,
                ..
            }
        ),
        "{error}"
    );

    let path = write(&dir, "hundred.bin", &[0; 3074]);
    assert!(
        error_of(&path, &defaults())
            .to_string()
            .contains("CIFAR-100")
    );

    let path = write(&dir, "nothing.bin.gz", &gzip(&[]));
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::EmptyFile { .. }
    ));

    write(&dir, "odd/batch.bin", &good);
    assert!(matches!(
        error_of(&dir.path().join("odd"), &defaults()),
        DataError::MissingSplit { .. }
    ));
}

// ---- folders of pictures

fn png(width: u32, height: u32, kind: ExtendedColorType, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(data, width, height, kind)
        .unwrap();
    bytes
}

fn jpeg(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95)
        .write_image(data, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

fn grey(value: u8) -> Vec<u8> {
    png(3, 2, ExtendedColorType::L8, &[value; 6])
}

fn folder(dir: &TempDir, files: &[(&str, Vec<u8>)]) -> PathBuf {
    for (name, bytes) in files {
        write(dir, &format!("pictures/{name}"), bytes);
    }
    dir.path().join("pictures")
}

#[test]
fn flat_folders_load_in_the_order_of_their_names() {
    let dir = TempDir::new().unwrap();
    let names: Vec<String> = (0..40).map(|i| format!("{i:02}.png")).collect();
    for (i, name) in names.iter().enumerate().rev() {
        folder(&dir, &[(name, grey(i as u8))]);
    }
    let path = folder(
        &dir,
        &[
            ("LICENSE", b"free".to_vec()),
            (".hidden.png", b"junk".to_vec()),
        ],
    );
    let set = load(&path, &defaults()).unwrap();
    assert_eq!(
        (set.count, set.channels, set.height, set.width),
        (40, 1, 2, 3)
    );
    assert_eq!(
        set.pixels,
        (0..40).flat_map(|i| [i; 6]).collect::<Vec<u8>>()
    );
    assert_eq!((set.labels, set.name.as_str()), (None, "pictures"));
    assert_eq!(
        load(
            &path,
            &ImageOptions {
                limit: Some(3),
                ..defaults()
            }
        )
        .unwrap()
        .count,
        3
    );
}

#[test]
fn every_kind_of_pixel_becomes_eight_bits() {
    let dir = TempDir::new().unwrap();
    let deep: Vec<u8> = [0u16, 257, 32_896, 65_535, 128, 65_279]
        .iter()
        .flat_map(|v| v.to_ne_bytes())
        .collect();
    let path = folder(
        &dir,
        &[("deep.png", png(3, 2, ExtendedColorType::L16, &deep))],
    );
    let set = load(&path, &defaults()).unwrap();
    assert_eq!(
        (set.channels, set.pixels),
        (1, vec![0, 1, 128, 255, 0, 254])
    );

    // Grey and colour together are colour; grey repeats over the channels, and planes are separate.
    let rgb: Vec<u8> = [[10, 20, 30]; 6].concat();
    let path = folder(
        &dir,
        &[("rgb.png", png(3, 2, ExtendedColorType::Rgb8, &rgb))],
    );
    let set = load(&path, &defaults()).unwrap();
    assert_eq!((set.count, set.channels), (2, 3));
    assert_eq!(set.image(0), [0, 1, 128, 255, 0, 254].repeat(3));
    assert_eq!(set.image(1), [[10; 6], [20; 6], [30; 6]].concat());
    let set = load(
        &path,
        &ImageOptions {
            channels: Some(1),
            ..defaults()
        },
    )
    .unwrap();
    assert_eq!(set.image(1), [18; 6]);
}

#[test]
fn transparency_is_composited_on_the_background() {
    let dir = TempDir::new().unwrap();
    let rgba = [[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]].concat();
    let path = folder(
        &dir,
        &[("a.png", png(3, 1, ExtendedColorType::Rgba8, &rgba))],
    );
    let set = load(
        &path,
        &ImageOptions {
            background: [0, 50, 255],
            ..defaults()
        },
    )
    .unwrap();
    // A fifth of the picture over four fifths of the background.
    assert_eq!(set.pixels, [200, 0, 40, 100, 50, 60, 0, 255, 204]);
}

#[test]
fn jpegs_load_under_any_of_their_names() {
    let dir = TempDir::new().unwrap();
    let data: Vec<u8> = [[250, 20, 30]; 64].concat();
    let path = folder(
        &dir,
        &[
            ("a.jpg", jpeg(8, 8, &data)),
            ("b.JPEG", jpeg(8, 8, &data)),
            ("c.png", jpeg(8, 8, &data)),
        ],
    );
    let set = load(&path, &defaults()).unwrap();
    assert_eq!((set.count, set.channels), (3, 3));
    for i in 0..3 {
        assert!(
            set.image(i)[..64].iter().all(|v| v.abs_diff(250) < 6),
            "{:?}",
            set.image(i)
        );
    }
}

#[test]
fn class_folders_give_labels_and_names() {
    let dir = TempDir::new().unwrap();
    let files = [
        ("dog/1.png", 1),
        ("dog/2.png", 2),
        ("cat/9.png", 9),
        ("cat/8.png", 8),
        ("ant/5.png", 5),
    ];
    let path = folder(&dir, &files.map(|(name, value)| (name, grey(value))));
    let set = load(&path, &defaults()).unwrap();
    assert_eq!(set.labels, Some(vec![0, 1, 1, 2, 2]));
    assert_eq!(
        set.class_names,
        Some(["ant", "cat", "dog"].map(String::from).to_vec())
    );
    assert_eq!(
        (0..5).map(|i| set.image(i)[0]).collect::<Vec<_>>(),
        [5, 8, 9, 1, 2]
    );
    let set = load(
        &path,
        &ImageOptions {
            limit: Some(4),
            ..defaults()
        },
    )
    .unwrap();
    assert_eq!(
        (set.labels, set.class_names.unwrap().len()),
        (Some(vec![0, 1, 1, 2]), 3)
    );
}

#[test]
fn train_and_test_folders_are_splits() {
    let dir = TempDir::new().unwrap();
    let path = folder(
        &dir,
        &[
            ("train/a/1.png", grey(1)),
            ("test/a/2.png", grey(2)),
            ("test/a/3.png", grey(3)),
        ],
    );
    let count = |split| {
        load(
            &path,
            &ImageOptions {
                split,
                ..defaults()
            },
        )
        .map(|set: ImageSet| set.count)
    };
    assert_eq!(
        (count(Split::Train).unwrap(), count(Split::Test).unwrap()),
        (1, 2)
    );
    fs::remove_dir_all(path.join("test")).unwrap();
    assert!(matches!(
        count(Split::Test),
        Err(DataError::MissingSplit { .. })
    ));
}

#[test]
fn mixed_sizes_are_an_error_unless_fitted() {
    let dir = TempDir::new().unwrap();
    let wide = png(
        6,
        2,
        ExtendedColorType::L8,
        &[10, 10, 80, 80, 10, 10, 10, 10, 80, 80, 10, 10],
    );
    let path = folder(&dir, &[("a.png", grey(7)), ("b.png", wide)]);
    let error = error_of(&path.join("b.png"), &defaults());
    assert!(matches!(error, DataError::SinglePicture { .. }));
    let error = load(&path, &defaults()).unwrap_err();
    let expected = (
        Size {
            height: 2,
            width: 3,
        },
        Size {
            height: 2,
            width: 6,
        },
    );
    assert!(
        matches!(&error, DataError::MixedSizes { first_size, other_size, other, .. }
            if (*first_size, *other_size) == expected && other.ends_with("b.png")),
        "{error}"
    );
    let fitted = |fit| {
        load(
            &path,
            &ImageOptions {
                size: Some((2, 2)),
                fit,
                ..defaults()
            },
        )
    };
    assert!(matches!(
        fitted(Fit::Exact),
        Err(DataError::WrongSize { .. })
    ));
    assert_eq!(fitted(Fit::CropCenter).unwrap().image(1), [80; 4]);
    assert_eq!(fitted(Fit::Resize).unwrap().count, 2);
    // 6x2 into 2x2: one scaled row, centred; rounding puts the odd row of background below.
    assert_eq!(fitted(Fit::Pad).unwrap().image(1)[2..], [0, 0]);
}

#[test]
fn damaged_pictures_are_named() {
    let dir = TempDir::new().unwrap();
    let noise: Vec<u8> = pixels(64 * 64 * 3);
    let whole_png = png(64, 64, ExtendedColorType::Rgb8, &noise);
    let whole_jpeg = jpeg(64, 64, &noise);
    let mut flipped = whole_png.clone();
    flipped[whole_png.len() / 2] ^= 0x10;
    let cases: [(&str, Vec<u8>, fn(&DataError) -> bool); 6] = [
        ("cut.png", whole_png[..whole_png.len() / 2].to_vec(), |e| {
            matches!(e, DataError::Decode { .. })
        }),
        ("head.png", whole_png[..20].to_vec(), |e| {
            matches!(e, DataError::Decode { .. })
        }),
        ("flipped.png", flipped, |e| {
            matches!(e, DataError::Decode { .. })
        }),
        (
            "cut.jpg",
            whole_jpeg[..whole_jpeg.len() / 2].to_vec(),
            |e| matches!(e, DataError::TruncatedJpeg { .. }),
        ),
        ("text.jpg", b"<html>404 not found</html>".to_vec(), |e| {
            matches!(e, DataError::Decode { .. })
        }),
        ("zero.png", Vec::new(), |e| {
            matches!(e, DataError::EmptyFile { .. })
        }),
    ];
    for (name, bytes, expected) in cases {
        let path = folder(
            &dir,
            &[
                ("a.png", whole_png.clone()),
                (name, bytes),
                ("z.png", whole_png.clone()),
            ],
        );
        let error = load(&path, &defaults()).unwrap_err();
        assert!(expected(&error), "{name}: {error:?}");
        assert!(error.to_string().contains(name), "{error}");
        fs::remove_file(path.join(name)).unwrap();
        assert_eq!(load(&path, &defaults()).unwrap().count, 2);
    }
}

#[test]
fn a_png_that_claims_to_be_huge_is_refused_by_its_header() {
    let dir = TempDir::new().unwrap();
    let mut bytes = grey(1);
    // IHDR: width and height at bytes 16 and 20, its CRC at 29.
    bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    let path = folder(&dir, &[("huge.png", bytes)]);
    let error = load(
        &path,
        &ImageOptions {
            size: Some((8, 8)),
            fit: Fit::Resize,
            ..defaults()
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            DataError::HugePicture {
                size: Size {
                    height: 65_536,
                    width: 65_536
                },
                ..
            }
        ),
        "{error}"
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn folders_that_are_half_classes_are_refused() {
    let dir = TempDir::new().unwrap();
    let path = folder(&dir, &[("a/1.png", grey(1)), ("2.png", grey(2))]);
    assert!(matches!(
        error_of(&path, &defaults()),
        DataError::MixedFolder { .. }
    ));
    fs::remove_file(path.join("2.png")).unwrap();
    fs::create_dir(path.join("b")).unwrap();
    let error = load(&path, &defaults()).unwrap_err();
    assert!(
        matches!(&error, DataError::EmptyClass { path } if path.ends_with("b")),
        "{error}"
    );
}
