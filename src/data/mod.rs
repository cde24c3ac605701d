//! Data on the host: image files, the built-in sets, and the pure functions that sampling on the device is checked
//! against. Plain CPU code.
//!
//! | format | file | what it reads |
//! |---|---|---|
//! | IDX | `idx.rs` | MNIST, Fashion-MNIST and their kin; .gz or not; a file or the folder |
//! | CIFAR-10 | `cifar10.rs` | the binary version; .gz or not; a file or the folder |
//! | pictures | `folder.rs` | PNG and JPEG; flat, or one sub-folder per class |
//!
//! A new format is one file here and one row of [`FORMATS`].

mod bytes;
pub mod cifar10;
pub mod density;
mod error;
pub mod fit;
pub mod folder;
pub mod glyphs;
pub mod idx;
mod parallel;
pub mod permutation;
pub mod rng;
pub mod stacked;
pub mod toy;

pub use error::{DataError, Size};
pub use fit::Fit;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toy::ToySet;

/// A set larger than this cannot be addressed by the 32-bit byte index of `kernels::dataset_batch`.
pub const MAX_SET_BYTES: u64 = 1 << 32;

/// Images of one size in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSet {
    /// For people: the file's or folder's name.
    pub name: String,
    pub count: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// `[count, channels, height, width]`, 0..=255.
    pub pixels: Vec<u8>,
    /// One per image, indices into `class_names` where there are names.
    pub labels: Option<Vec<u32>>,
    pub class_names: Option<Vec<String>>,
    pub source: PathBuf,
}

impl ImageSet {
    /// Bytes of one image.
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Image `i` as `[channels, height, width]`. Panics if there is no such image.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.image_len()..(i + 1) * self.image_len()]
    }

    /// The pixels with zeros behind them up to a whole number of 32-bit words, as the device keeps them.
    pub fn words(&self) -> Vec<u8> {
        let mut bytes = self.pixels.clone();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// The number of classes: of the names, or one more than the largest label; `None` without labels.
    pub fn classes(&self) -> Option<usize> {
        let labels = self.labels.as_ref()?;
        let seen = labels.iter().max().map_or(0, |&label| label as usize + 1);
        Some(self.class_names.as_ref().map_or(seen, Vec::len))
    }
}

/// Which part of a set that comes in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Split {
    #[default]
    Train,
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = DataError;

    fn from_str(s: &str) -> Result<Self, DataError> {
        match s {
            "train" => Ok(Split::Train),
            "test" => Ok(Split::Test),
            _ => Err(DataError::Option {
                option: "split",
                got: s.into(),
                expected: "train or test",
            }),
        }
    }
}

/// How images are brought to one shape. The default takes them as they are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ImageOptions {
    /// (height, width); by default the files' own, which then must be one.
    pub size: Option<(usize, usize)>,
    /// What to do with an image of another size than `size`.
    pub fit: Fit,
    /// 1 or 3; by default the files' own (a folder is grey if all its pictures are).
    pub channels: Option<usize>,
    /// What transparent pixels are composited on and what [`Fit::Pad`] fills with; black by default.
    pub background: [u8; 3],
    /// At most this many images: the first ones; from class folders, the first of each class in turn.
    pub limit: Option<usize>,
    pub split: Split,
}

impl ImageOptions {
    fn check(&self) -> Result<(), DataError> {
        let bad = |option, got: String, expected| {
            Err(DataError::Option {
                option,
                got,
                expected,
            })
        };
        match (self.size, self.channels, self.limit) {
            (Some((h, w)), _, _) if h == 0 || w == 0 || h > 16_384 || w > 16_384 => {
                bad("size", format!("{h}x{w}"), "1..=16384 for height and width")
            }
            (_, Some(c), _) if c != 1 && c != 3 => bad("channels", c.to_string(), "1 or 3"),
            (_, _, Some(0)) => bad("limit", "0".into(), "at least 1"),
            _ => Ok(()),
        }
    }
}

/// A row of the table of formats.
pub struct Format {
    pub name: &'static str,
    pub what: &'static str,
    /// Whether an existing file or folder looks like this format, by its names and first bytes.
    pub recognises: fn(&Path) -> Result<bool, DataError>,
    /// Whether what it recognises comes in parts, of which [`ImageOptions::split`] picks one; otherwise all of it is taken for either.
    pub has_parts: fn(&Path) -> Result<bool, DataError>,
    pub load: fn(&Path, &ImageOptions) -> Result<ImageSet, DataError>,
}

/// The formats in the order in which they are tried.
pub const FORMATS: &[Format] = &[idx::FORMAT, cifar10::FORMAT, folder::FORMAT];

/// Loads the images at `path`, whatever their format.
pub fn load(path: &Path, options: &ImageOptions) -> Result<ImageSet, DataError> {
    options.check()?;
    let metadata = match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::NotFound { path: path.into() });
        }
        other => other.map_err(|source| DataError::Io {
            path: path.into(),
            doing: "read",
            source,
        })?,
    };
    if metadata.is_file() && metadata.len() == 0 {
        return Err(DataError::EmptyFile { path: path.into() });
    }
    for format in FORMATS {
        if (format.recognises)(path)? {
            return (format.load)(path, options);
        }
    }
    if metadata.is_dir() {
        return Err(DataError::EmptyFolder { path: path.into() });
    }
    if folder::is_picture(path) {
        return Err(DataError::SinglePicture { path: path.into() });
    }
    Err(DataError::UnknownFormat {
        path: path.into(),
        start: bytes::first_bytes(path, 8)?,
    })
}

/// Whether the images at `path` come in a part to train on and one to test on.
///
/// # Errors
/// Where it cannot be looked at.
pub fn has_parts(path: &Path) -> Result<bool, DataError> {
    for format in FORMATS {
        if (format.recognises)(path)? {
            return (format.has_parts)(path);
        }
    }
    Ok(false)
}

/// What `--data` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Toy(ToySet),
    /// Digits drawn by the program, without end.
    Glyphs,
    /// `stacked:PATH`: triples of the grey images at a path, as the channels of one, drawn without end.
    Stacked(PathBuf),
    /// A file or folder; `./ring8` is a folder, `ring8` the built-in set.
    Path(PathBuf),
}

impl Source {
    pub const GLYPHS: &'static str = "glyphs";

    /// Never fails: what is no built-in name is a path, and [`load`] says if nothing is there.
    pub fn parse(text: &str) -> Self {
        if text == Self::GLYPHS {
            return Source::Glyphs;
        }
        if let Some(path) = text.strip_prefix(stacked::PREFIX) {
            return Source::Stacked(path.into());
        }
        text.parse()
            .map_or_else(|_| Source::Path(text.into()), Source::Toy)
    }

    /// That the images of `stacked:PATH` are there.
    ///
    /// # Errors
    /// [`DataError::NothingToStack`].
    pub fn check_stacked(&self) -> Result<(), DataError> {
        match self {
            Source::Stacked(path) if !path.exists() => {
                Err(DataError::NothingToStack { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    pub fn built_in_names() -> Vec<&'static str> {
        ToySet::ALL
            .into_iter()
            .map(ToySet::name)
            .chain([Self::GLYPHS])
            .collect()
    }
}

/// As [`Source::parse`] takes it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Toy(set) => f.write_str(set.name()),
            Source::Glyphs => f.write_str(Self::GLYPHS),
            Source::Stacked(path) => write!(f, "{}{}", stacked::PREFIX, path.display()),
            Source::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_as_they_are_read() {
        for text in ["ring8", "glyphs", "stacked:a/b", "a/b"] {
            assert_eq!(Source::parse(text).to_string(), text);
        }
    }

    #[test]
    fn a_stack_of_what_is_not_there_is_refused() {
        for text in ["stacked:/no/such/place", "stacked:"] {
            let error = Source::parse(text).check_stacked().unwrap_err();
            assert!(error.to_string().contains("stacked:PATH"), "{error}");
        }
        for text in ["stacked:.", "/no/such/place", "ring8"] {
            assert!(Source::parse(text).check_stacked().is_ok(), "{text}");
        }
    }

    #[test]
    fn built_in_names_parse_and_the_rest_are_paths() {
        assert_eq!(Source::parse("ring8"), Source::Toy(ToySet::Ring8));
        assert_eq!(Source::parse("glyphs"), Source::Glyphs);
        assert_eq!(Source::parse("stacked:a/b"), Source::Stacked("a/b".into()));
        assert_eq!(Source::parse("./ring8"), Source::Path("./ring8".into()));
    }

    #[test]
    fn a_missing_path_names_the_built_in_sets() {
        let error = load(Path::new("/no/such/place"), &ImageOptions::default()).unwrap_err();
        assert!(matches!(error, DataError::NotFound { .. }));
        let text = error.to_string();
        assert!(
            text.contains("/no/such/place") && text.contains("ring8") && text.contains("glyphs"),
            "{text}"
        );
    }

    #[test]
    fn bad_options_are_refused_before_anything_is_read() {
        let place = Path::new("/no/such/place");
        for (options, word) in [
            (
                ImageOptions {
                    size: Some((0, 5)),
                    ..Default::default()
                },
                "size",
            ),
            (
                ImageOptions {
                    size: Some((5, 20_000)),
                    ..Default::default()
                },
                "size",
            ),
            (
                ImageOptions {
                    channels: Some(2),
                    ..Default::default()
                },
                "channels",
            ),
            (
                ImageOptions {
                    limit: Some(0),
                    ..Default::default()
                },
                "limit",
            ),
        ] {
            let error = load(place, &options).unwrap_err();
            assert!(
                matches!(error, DataError::Option { option, .. } if option == word),
                "{error}"
            );
        }
        assert!("valid".parse::<Split>().is_err());
    }

    #[test]
    fn empty_and_foreign_files_and_empty_folders() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(
            load(&file, &ImageOptions::default()),
            Err(DataError::EmptyFile { .. })
        ));
        std::fs::write(&file, "hello, world").unwrap();
        let error = load(&file, &ImageOptions::default()).unwrap_err();
        assert!(
            matches!(&error, DataError::UnknownFormat { start, .. } if start == b"hello, w"),
            "{error}"
        );
        let picture = dir.path().join("one.png");
        std::fs::write(&picture, "x").unwrap();
        assert!(matches!(
            load(&picture, &ImageOptions::default()),
            Err(DataError::SinglePicture { .. })
        ));
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        std::fs::write(empty.join("readme.txt"), "nothing here").unwrap();
        assert!(matches!(
            load(&empty, &ImageOptions::default()),
            Err(DataError::EmptyFolder { .. })
        ));
    }
}
