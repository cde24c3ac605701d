//! Folders of PNG and JPEG.

use super::*;
use gan_gpu::data::{Fit, ImageSet, Size, Split, has_parts};
use image::{ExtendedColorType, ImageEncoder};

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
    assert!(has_parts(&path).unwrap());
    assert!(!has_parts(&path.join("test")).unwrap());
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

type Expected = fn(&DataError) -> bool;

#[test]
fn damaged_pictures_are_named() {
    let dir = TempDir::new().unwrap();
    let noise: Vec<u8> = pixels(64 * 64 * 3);
    let whole_png = png(64, 64, ExtendedColorType::Rgb8, &noise);
    let whole_jpeg = jpeg(64, 64, &noise);
    let mut flipped = whole_png.clone();
    flipped[whole_png.len() / 2] ^= 0x10;
    let cases: [(&str, Vec<u8>, Expected); 6] = [
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
