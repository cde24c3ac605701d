//! Sample grids: packed images side by side in one PNG.
use super::tensors::write_atomic;
use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use std::path::{Path, PathBuf};

/// Pixels between the images and around them.
const PADDING: usize = 2;
/// Smaller images are enlarged by a whole factor until their longer side is about this many pixels.
const LEGIBLE: usize = 56;

#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("{}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("a picture could not be encoded as a PNG: {0}")]
    Encode(image::ImageError),
    #[error("{}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: image::ImageError,
    },
    #[error(
        "a PNG of samples takes 1 or 3 channels, these have {channels}; write them with --raw instead"
    )]
    Channels { channels: usize },
}

/// Packed images on the host: `[n, height, width, channels]`, one byte each.
#[derive(Clone, Copy, Debug)]
pub struct PackedImages<'a> {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub nhwc: &'a [u8],
}

/// A picture in memory, 1 (grey) or 3 (RGB) bytes per pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
}

impl Picture {
    pub fn filled(width: usize, height: usize, channels: usize, value: u8) -> Self {
        Self {
            width,
            height,
            channels,
            pixels: vec![value; width * height * channels],
        }
    }

    /// Reads a PNG as RGB.
    pub fn read(path: &Path) -> Result<Self, PictureError> {
        let image = image::open(path).map_err(|source| PictureError::Read {
            path: path.into(),
            source,
        })?;
        let image = image.into_rgb8();
        Ok(Self {
            width: image.width() as usize,
            height: image.height() as usize,
            channels: 3,
            pixels: image.into_raw(),
        })
    }

    /// The picture as a PNG. The encoder adds no time stamp: equal pictures are equal bytes.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let colour = match self.channels {
            1 => image::ExtendedColorType::L8,
            3 => image::ExtendedColorType::Rgb8,
            channels => return Err(PictureError::Channels { channels }),
        };
        let mut bytes = vec![];
        // The crate's fastest compression makes files 1.4 times as large.
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
            .write_image(&self.pixels, self.width as u32, self.height as u32, colour)
            .map_err(PictureError::Encode)?;
        Ok(bytes)
    }

    /// Writes a PNG, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), PictureError> {
        write_atomic(path, &self.png()?).map_err(|source| PictureError::Write {
            path: path.into(),
            source,
        })
    }
}

/// `rows` x `cols` images, left to right and top to bottom, enlarged if they are tiny, on black. With
/// fewer images the last cells stay black; with more, the last images are left out.
pub fn grid(images: PackedImages, rows: usize, cols: usize) -> Result<Picture, PictureError> {
    let PackedImages {
        height,
        width,
        channels,
        nhwc,
    } = images;
    if channels != 1 && channels != 3 {
        return Err(PictureError::Channels { channels });
    }
    let scale = (LEGIBLE / height.max(width).max(1)).max(1);
    let side = |n: usize, pixels: usize| n * (pixels * scale + PADDING) + PADDING;
    let mut picture = Picture::filled(side(cols, width), side(rows, height), channels, 0);
    for (index, image) in nhwc
        .chunks_exact(height * width * channels)
        .take(rows * cols)
        .enumerate()
    {
        let top = side(index / cols, height);
        let left = side(index % cols, width);
        for y in 0..height * scale {
            let row = &image[(y / scale) * width * channels..][..width * channels];
            let start = ((top + y) * picture.width + left) * channels;
            for x in 0..width * scale {
                let pixel = &row[(x / scale) * channels..][..channels];
                picture.pixels[start + x * channels..][..channels].copy_from_slice(pixel);
            }
        }
    }
    Ok(picture)
}

/// Image `index` alone, at its own size.
pub fn single(images: PackedImages, index: usize) -> Picture {
    let PackedImages {
        height,
        width,
        channels,
        nhwc,
        ..
    } = images;
    let len = height * width * channels;
    Picture {
        width,
        height,
        channels,
        pixels: nhwc[index * len..][..len].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_row_by_row_with_padding() {
        // Six 1x2 grey images with values 10 i + x + 1, at 28 times their size.
        let nhwc: Vec<u8> = (0..6u8).flat_map(|i| [10 * i + 1, 10 * i + 2]).collect();
        let images = PackedImages {
            height: 1,
            width: 2,
            channels: 1,
            nhwc: &nhwc,
        };
        let picture = grid(images, 2, 3).unwrap();
        let scale = LEGIBLE / 2;
        assert_eq!(
            (picture.width, picture.height),
            (3 * (2 * scale + 2) + 2, 2 * (scale + 2) + 2)
        );
        let at = |x: usize, y: usize| picture.pixels[y * picture.width + x];
        for i in 0..6 {
            let (left, top) = (2 + (i % 3) * (2 * scale + 2), 2 + (i / 3) * (scale + 2));
            assert_eq!(at(left, top), 10 * i as u8 + 1);
            assert_eq!(at(left + scale - 1, top + scale - 1), 10 * i as u8 + 1);
            assert_eq!(at(left + scale, top), 10 * i as u8 + 2);
            assert_eq!(
                (
                    at(left - 1, top),
                    at(left, top - 1),
                    at(left + 2 * scale, top)
                ),
                (0, 0, 0)
            );
        }
    }

    #[test]
    fn large_images_keep_their_size_and_colours() {
        let nhwc: Vec<u8> = (0..64 * 64 * 3).map(|i| (i % 251) as u8).collect();
        let images = PackedImages {
            height: 64,
            width: 64,
            channels: 3,
            nhwc: &nhwc,
        };
        let picture = grid(images, 1, 1).unwrap();
        assert_eq!(
            (picture.width, picture.height, picture.channels),
            (68, 68, 3)
        );
        for y in 0..64 {
            let row = &picture.pixels[((y + 2) * 68 + 2) * 3..][..64 * 3];
            assert_eq!(row, &nhwc[y * 64 * 3..][..64 * 3]);
        }
        assert_eq!(single(images, 0).pixels, nhwc);
    }

    #[test]
    fn a_written_png_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture = Picture {
            width: 2,
            height: 1,
            channels: 3,
            pixels: vec![1, 2, 3, 250, 251, 252],
        };
        picture.write(&path).unwrap();
        assert_eq!(Picture::read(&path).unwrap(), picture);
        let missing = Picture::read(&folder.path().join("b.png"));
        assert!(matches!(missing, Err(PictureError::Read { .. })));
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let images = PackedImages {
            height: 1,
            width: 1,
            channels: 2,
            nhwc: &[0, 0],
        };
        assert!(matches!(
            grid(images, 1, 1),
            Err(PictureError::Channels { channels: 2 })
        ));
        let missing = Path::new("no/such/folder/a.png");
        assert!(matches!(
            Picture::filled(1, 1, 1, 0).write(missing),
            Err(PictureError::Write { .. })
        ));
    }
}
