//! CIFAR-10, the binary version.

use super::*;
use gan_gpu::data::{Fit, Split};

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
