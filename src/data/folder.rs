//! Folders of PNG and JPEG pictures: flat, or one sub-folder per class (labels are the sub-folders' positions in sorted
//! order, as torchvision's `ImageFolder` numbers them). Sub-folders named `train` and `test` (or `val`) are splits.
//!
//! Pictures come in the order of their names, so that runs repeat. Transparency is composited on the background;
//! 16-bit samples are rounded to 8; EXIF rotation is not applied.

use super::bytes::{entries, name, set_name};
use super::fit::{self, Planes, Target, fit_into};
use super::{DataError, Fit, Format, ImageOptions, ImageSet, Size, Split, parallel};
use image::{ImageDecoder, ImageReader};
use std::io::Cursor;
use std::path::{Path, PathBuf};

pub const FORMAT: Format = Format {
    name: "folder",
    what: "PNG and JPEG pictures (grey, RGB, RGBA): a flat folder, or one sub-folder per class",
    recognises,
    has_parts: |path| Ok(Listing::read(path)?.is_parts()),
    load,
};

/// A picture that decodes to more than this is refused: a damaged header can claim anything.
const MAX_DECODED_BYTES: u64 = 512 << 20;

/// By the name's extension.
pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

fn recognises(path: &Path) -> Result<bool, DataError> {
    Ok(path.is_dir() && {
        let listing = Listing::read(path)?;
        !listing.pictures.is_empty() || !listing.folders.is_empty()
    })
}

/// A folder's pictures, and those of its sub-folders that hold anything at all.
struct Listing {
    pictures: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Listing {
    fn read(path: &Path) -> Result<Self, DataError> {
        let mut listing = Listing {
            pictures: Vec::new(),
            folders: Vec::new(),
        };
        for entry in entries(path)? {
            if entry.is_dir() {
                if !name(&entry).starts_with("__") {
                    listing.folders.push(entry);
                }
            } else if is_picture(&entry) {
                listing.pictures.push(entry);
            }
        }
        Ok(listing)
    }

    /// Whether there are sub-folders, and none but `train`, `test`, `val` and `valid`.
    fn is_parts(&self) -> bool {
        let is_part =
            |folder: &PathBuf| matches!(name(folder).as_str(), "train" | "test" | "val" | "valid");
        self.pictures.is_empty() && !self.folders.is_empty() && self.folders.iter().all(is_part)
    }
}

fn load(path: &Path, options: &ImageOptions) -> Result<ImageSet, DataError> {
    let root = descend_to_split(path, options.split)?;
    let Listing {
        mut pictures,
        folders,
    } = Listing::read(&root)?;
    let mut labels = None;
    let mut class_names = None;
    if pictures.is_empty() {
        let mut classes = Vec::new();
        for folder in &folders {
            let pictures = Listing::read(folder)?.pictures;
            if pictures.is_empty() {
                return Err(DataError::EmptyClass {
                    path: folder.clone(),
                });
            }
            classes.push(pictures);
        }
        take_in_turn(&mut classes, options.limit.unwrap_or(usize::MAX));
        let with_label = |(label, class): (usize, &Vec<PathBuf>)| vec![label as u32; class.len()];
        labels = Some(
            classes
                .iter()
                .enumerate()
                .flat_map(with_label)
                .collect::<Vec<u32>>(),
        );
        class_names = Some(folders.iter().map(|folder| name(folder)).collect());
        pictures = classes.into_iter().flatten().collect();
    } else {
        for folder in folders {
            if !Listing::read(&folder)?.pictures.is_empty() {
                return Err(DataError::MixedFolder {
                    path: root,
                    picture: pictures.swap_remove(0),
                    class: folder,
                });
            }
        }
        pictures.truncate(options.limit.unwrap_or(usize::MAX));
    }
    if pictures.is_empty() {
        return Err(DataError::EmptyFolder { path: root });
    }

    let target = choose_target(&pictures, options)?;
    let mut pixels = fit::zeroed(&root, pictures.len() as u64, target.channels, target.size)?;
    let count = pictures.len();
    let work: Vec<_> = pictures
        .iter()
        .zip(pixels.chunks_exact_mut(target.len()))
        .collect();
    parallel::map(work, |(picture, out)| {
        fit_into(decode(picture, options.background)?, &target, picture, out)
    })?;
    Ok(ImageSet {
        name: set_name(path),
        count,
        channels: target.channels,
        height: target.size.height,
        width: target.size.width,
        pixels,
        labels,
        class_names,
        source: root,
    })
}

/// Of a folder that comes in parts, the one of `split`; otherwise the folder itself.
fn descend_to_split(path: &Path, split: Split) -> Result<PathBuf, DataError> {
    let listing = Listing::read(path)?;
    if !listing.is_parts() {
        return Ok(path.into());
    }
    let names: Vec<String> = listing.folders.iter().map(|folder| name(folder)).collect();
    let wanted: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["test", "val", "valid"],
    };
    match wanted
        .iter()
        .find(|wanted| names.iter().any(|name| name == *wanted))
    {
        Some(name) => Ok(path.join(name)),
        None => Err(DataError::MissingSplit {
            path: path.into(),
            split,
            found: names,
        }),
    }
}

/// Cuts the classes to `limit` pictures in all, as evenly as they allow: the first of each class in turn.
fn take_in_turn(classes: &mut [Vec<PathBuf>], limit: usize) {
    let longest = classes.iter().map(Vec::len).max().unwrap_or(0);
    let total = |length: usize| {
        classes
            .iter()
            .map(|class| class.len().min(length))
            .sum::<usize>()
    };
    let Some(length) = (0..longest).rev().find(|&length| total(length) <= limit) else {
        return;
    };
    if total(longest) <= limit {
        return;
    }
    let mut spare = limit - total(length);
    for class in classes {
        let one_more = usize::from(spare > 0 && class.len() > length);
        class.truncate(length + one_more);
        spare -= one_more;
    }
}

/// One shape for all, from the headers alone, so that a misfit is found before anything is decoded.
fn choose_target(pictures: &[PathBuf], options: &ImageOptions) -> Result<Target, DataError> {
    let headers = parallel::map(pictures.iter().collect(), |picture| read_header(picture))?;
    let first = headers[0].size;
    let misfit = |size: Size| headers.iter().position(|header| header.size != size);
    let size = match options.size {
        Some((height, width)) => Size { height, width },
        None => match misfit(first) {
            Some(i) => {
                return Err(DataError::MixedSizes {
                    first: pictures[0].clone(),
                    first_size: first,
                    other: pictures[i].clone(),
                    other_size: headers[i].size,
                });
            }
            None => first,
        },
    };
    if options.fit == Fit::Exact
        && let Some(i) = misfit(size)
    {
        return Err(DataError::WrongSize {
            path: pictures[i].clone(),
            expected: size,
            got: headers[i].size,
        });
    }
    let any_colour = headers.iter().any(|header| header.colour);
    let channels = options.channels.unwrap_or(if any_colour { 3 } else { 1 });
    Ok(Target {
        channels,
        size,
        fit: options.fit,
        background: options.background,
    })
}

struct Header {
    size: Size,
    colour: bool,
}

fn read_header(path: &Path) -> Result<Header, DataError> {
    let io = |source| DataError::Io {
        path: path.into(),
        doing: "open",
        source,
    };
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes == 0 {
        return Err(DataError::EmptyFile { path: path.into() });
    }
    let reader = ImageReader::open(path)
        .map_err(io)?
        .with_guessed_format()
        .map_err(io)?;
    let decoder = reader.into_decoder().map_err(|source| DataError::Decode {
        path: path.into(),
        bytes,
        source,
    })?;
    let (width, height) = decoder.dimensions();
    let size = Size {
        height: height as usize,
        width: width as usize,
    };
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(DataError::HugePicture {
            path: path.into(),
            size,
            limit: MAX_DECODED_BYTES,
        });
    }
    Ok(Header {
        size,
        colour: decoder.color_type().has_color(),
    })
}

/// A picture's red, green and blue planes, composited on `background`.
fn decode(path: &Path, background: [u8; 3]) -> Result<Planes, DataError> {
    let io = |source| DataError::Io {
        path: path.into(),
        doing: "read",
        source,
    };
    let file = std::fs::read(path).map_err(io)?;
    let bytes = file.len() as u64;
    // The decoder fills what is missing from a JPEG with grey, without a word.
    if file.starts_with(&[0xff, 0xd8]) && !has_jpeg_end(&file) {
        return Err(DataError::TruncatedJpeg {
            path: path.into(),
            bytes,
        });
    }
    let reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(io)?;
    let image = reader.decode().map_err(|source| DataError::Decode {
        path: path.into(),
        bytes,
        source,
    })?;
    let image = image.into_rgba8();
    let size = Size {
        height: image.height() as usize,
        width: image.width() as usize,
    };
    let plane = size.height * size.width;
    let mut data = vec![0; 3 * plane];
    for (i, pixel) in image.pixels().enumerate() {
        let alpha = u32::from(pixel[3]);
        for c in 0..3 {
            let over = u32::from(pixel[c]) * alpha + u32::from(background[c]) * (255 - alpha);
            data[c * plane + i] = ((over + 127) / 255) as u8;
        }
    }
    Ok(Planes {
        channels: 3,
        size,
        data,
    })
}

/// Whether an end-of-image marker follows the last start of scan. Within a scan's data every ff is followed by 00 or a
/// restart marker, so neither marker can occur there by chance.
fn has_jpeg_end(file: &[u8]) -> bool {
    let last = |marker: [u8; 2]| file.windows(2).rposition(|pair| pair == marker);
    match (last([0xff, 0xda]), last([0xff, 0xd9])) {
        (Some(scan), Some(end)) => end > scan,
        // No scan at all: the decoder has the better words for it.
        (None, _) => true,
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_take_from_the_classes_in_turn() {
        let class = |n: usize| {
            (0..n)
                .map(|i| PathBuf::from(i.to_string()))
                .collect::<Vec<_>>()
        };
        for (lengths, limit, expected) in [
            ([5, 5, 5], 100, [5, 5, 5]),
            ([5, 5, 5], 15, [5, 5, 5]),
            ([5, 5, 5], 14, [5, 5, 4]),
            ([5, 5, 5], 4, [2, 1, 1]),
            ([1, 9, 2], 7, [1, 4, 2]),
            ([3, 3, 3], 1, [1, 0, 0]),
        ] {
            let mut classes = lengths.map(class);
            take_in_turn(&mut classes, limit);
            assert_eq!(
                classes.map(|c| c.len()),
                expected,
                "{lengths:?} limited to {limit}"
            );
        }
    }

    #[test]
    fn picture_names() {
        for (name, is) in [
            ("a.png", true),
            ("b.JPG", true),
            ("c.jpeg", true),
            ("d.txt", false),
            ("png", false),
        ] {
            assert_eq!(is_picture(Path::new(name)), is, "{name}");
        }
    }
}
