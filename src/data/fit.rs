//! Bringing images to one size and number of channels.

use super::{DataError, ImageOptions, ImageSet, Size, parallel};
use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};
use std::path::Path;
use std::str::FromStr;

/// What to do with an image of another size than asked for. Scaling is bilinear, and averages when it shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fit {
    /// Refuse it.
    #[default]
    Exact,
    /// Stretch it, whatever its aspect ratio.
    Resize,
    /// Cut the largest centred part of the right aspect ratio, then scale: the shorter side fits, the longer is cropped.
    CropCenter,
    /// Scale it to fit inside, then fill the margins with the background.
    Pad,
}

impl FromStr for Fit {
    type Err = DataError;

    fn from_str(s: &str) -> Result<Self, DataError> {
        match s {
            "exact" => Ok(Fit::Exact),
            "resize" => Ok(Fit::Resize),
            "crop" => Ok(Fit::CropCenter),
            "pad" => Ok(Fit::Pad),
            _ => Err(DataError::Option {
                option: "fit",
                got: s.into(),
                expected: "exact, resize, crop or pad",
            }),
        }
    }
}

/// ITU-R BT.601 luma in 16-bit fixed point, as PIL and torchvision convert: r = g = b gives exactly that value.
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 0x8000) >> 16) as u8
}

/// One image's planes, `[channels, height, width]`.
pub(super) struct Planes {
    pub channels: usize,
    pub size: Size,
    pub data: Vec<u8>,
}

/// The common shape that images are brought to.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub channels: usize,
    pub size: Size,
    pub fit: Fit,
    pub background: [u8; 3],
}

impl Target {
    pub fn len(&self) -> usize {
        self.channels * self.size.height * self.size.width
    }
}

/// Writes `image`, from the file `path`, into `out` (of `target.len()` bytes).
pub(super) fn fit_into(
    image: Planes,
    target: &Target,
    path: &Path,
    out: &mut [u8],
) -> Result<(), DataError> {
    if image.size != target.size && target.fit == Fit::Exact {
        return Err(DataError::WrongSize {
            path: path.into(),
            expected: target.size,
            got: image.size,
        });
    }
    let image = convert_channels(image, target.channels);
    let grey_background = luma(target.background);
    let source_len = image.size.height * image.size.width;
    let out_len = target.size.height * target.size.width;
    for channel in 0..target.channels {
        let plane = &image.data[channel * source_len..(channel + 1) * source_len];
        let background = if target.channels == 1 {
            grey_background
        } else {
            target.background[channel]
        };
        let fitted = fit_plane(plane, image.size, target.size, target.fit, background);
        out[channel * out_len..(channel + 1) * out_len].copy_from_slice(&fitted);
    }
    Ok(())
}

fn convert_channels(image: Planes, channels: usize) -> Planes {
    let plane = image.size.height * image.size.width;
    let data = match (image.channels, channels) {
        (1, 3) => image.data.repeat(3),
        (3, 1) => {
            let (r, rest) = image.data.split_at(plane);
            let (g, b) = rest.split_at(plane);
            (0..plane).map(|i| luma([r[i], g[i], b[i]])).collect()
        }
        _ => image.data,
    };
    Planes {
        channels,
        size: image.size,
        data,
    }
}

fn fit_plane(plane: &[u8], from: Size, to: Size, fit: Fit, background: u8) -> Vec<u8> {
    let row_of =
        |y: usize, x: usize, width: usize| &plane[y * from.width + x..y * from.width + x + width];
    let (scale_y, scale_x) = (
        to.height as f64 / from.height as f64,
        to.width as f64 / from.width as f64,
    );
    let at_scale = |length: usize, scale: f64, most: usize| {
        ((length as f64 * scale).round() as usize).clamp(1, most)
    };
    match fit {
        _ if from == to => plane.to_vec(),
        Fit::Exact | Fit::Resize => resize(plane.to_vec(), from, to),
        Fit::CropCenter => {
            let scale = scale_y.max(scale_x);
            let cut = Size {
                height: at_scale(to.height, 1.0 / scale, from.height),
                width: at_scale(to.width, 1.0 / scale, from.width),
            };
            let (top, left) = ((from.height - cut.height) / 2, (from.width - cut.width) / 2);
            let part = (top..top + cut.height)
                .flat_map(|y| row_of(y, left, cut.width))
                .copied()
                .collect();
            resize(part, cut, to)
        }
        Fit::Pad => {
            let scale = scale_y.min(scale_x);
            let inner = Size {
                height: at_scale(from.height, scale, to.height),
                width: at_scale(from.width, scale, to.width),
            };
            let scaled = resize(plane.to_vec(), from, inner);
            let (top, left) = ((to.height - inner.height) / 2, (to.width - inner.width) / 2);
            let mut padded = vec![background; to.height * to.width];
            for (y, row) in scaled.chunks_exact(inner.width).enumerate() {
                let start = (top + y) * to.width + left;
                padded[start..start + inner.width].copy_from_slice(row);
            }
            padded
        }
    }
}

/// `plane` holds `from`'s pixels and both sizes are at least 1x1 and at most 65,535 a side.
fn resize(plane: Vec<u8>, from: Size, to: Size) -> Vec<u8> {
    if from == to {
        return plane;
    }
    let image = GrayImage::from_fn(from.width as u32, from.height as u32, |x, y| {
        Luma([plane[y as usize * from.width + x as usize]])
    });
    imageops::resize(
        &image,
        to.width as u32,
        to.height as u32,
        FilterType::Triangle,
    )
    .into_raw()
}

/// Brings a set whose images already share one shape to the shape that `options` ask for.
pub(super) fn conform(mut set: ImageSet, options: &ImageOptions) -> Result<ImageSet, DataError> {
    let from = Size {
        height: set.height,
        width: set.width,
    };
    let target = Target {
        channels: options.channels.unwrap_or(set.channels),
        size: options
            .size
            .map_or(from, |(height, width)| Size { height, width }),
        fit: options.fit,
        background: options.background,
    };
    if (target.channels, target.size) == (set.channels, from) {
        return Ok(set);
    }
    let mut pixels = zeroed(&set.source, set.count as u64, target.channels, target.size)?;
    let items: Vec<_> = set
        .pixels
        .chunks_exact(set.image_len())
        .zip(pixels.chunks_exact_mut(target.len()))
        .collect();
    parallel::map(items, |(image, out)| {
        let image = Planes {
            channels: set.channels,
            size: from,
            data: image.to_vec(),
        };
        fit_into(image, &target, &set.source, out)
    })?;
    set.pixels = pixels;
    (set.channels, set.height, set.width) =
        (target.channels, target.size.height, target.size.width);
    Ok(set)
}

/// The number of bytes of `count` images, refused beyond [`super::MAX_SET_BYTES`].
pub(super) fn set_bytes(
    path: &Path,
    count: u64,
    channels: usize,
    size: Size,
) -> Result<u64, DataError> {
    let sides = [channels, size.height, size.width];
    let bytes = sides.iter().fold(u128::from(count), |bytes, &side| {
        bytes.saturating_mul(side as u128)
    });
    let limit = super::MAX_SET_BYTES;
    match u64::try_from(bytes) {
        Ok(bytes) if bytes <= limit => Ok(bytes),
        _ => Err(DataError::TooLarge {
            path: path.into(),
            count,
            channels,
            size,
            bytes,
            limit,
        }),
    }
}

/// Room for `count` images.
pub(super) fn zeroed(
    path: &Path,
    count: u64,
    channels: usize,
    size: Size,
) -> Result<Vec<u8>, DataError> {
    let bytes = set_bytes(path, count, channels, size)?;
    let refused = || DataError::OutOfMemory {
        path: path.into(),
        bytes,
    };
    let length = usize::try_from(bytes).map_err(|_| refused())?;
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(length).map_err(|_| refused())?;
    pixels.resize(length, 0);
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(height: usize, width: usize) -> Size {
        Size { height, width }
    }

    #[test]
    fn luma_is_pil_s() {
        // PIL: Image.new("RGB", (1, 1), c).convert("L").
        for (rgb, l) in [
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([10, 200, 30], 124),
        ] {
            assert_eq!(luma(rgb), l);
        }
        assert!((0..=255).all(|v| luma([v, v, v]) == v));
    }

    #[test]
    fn padding_centres_and_fills() {
        // 2x4 into 4x4: no scaling, one row of background above and below.
        let plane: Vec<u8> = (1..=8).collect();
        let padded = fit_plane(&plane, size(2, 4), size(4, 4), Fit::Pad, 9);
        assert_eq!(padded, [9, 9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]);
    }

    #[test]
    fn cropping_keeps_the_centre() {
        // 2x6 to 2x2: columns 2 and 3.
        let plane: Vec<u8> = (0..12).collect();
        assert_eq!(
            fit_plane(&plane, size(2, 6), size(2, 2), Fit::CropCenter, 0),
            [2, 3, 8, 9]
        );
    }

    #[test]
    fn resizing_ignores_the_aspect_ratio_and_averages() {
        let plane = [0, 100, 200, 40];
        let small = fit_plane(&plane, size(1, 4), size(1, 1), Fit::Resize, 0);
        assert_eq!(small.len(), 1);
        assert!((60..=115).contains(&small[0]), "{small:?}");
        assert_eq!(
            fit_plane(&[7; 12], size(3, 4), size(5, 2), Fit::Resize, 0),
            [7; 10]
        );
    }

    #[test]
    fn extreme_shapes_stay_in_bounds() {
        for fit in [Fit::Resize, Fit::CropCenter, Fit::Pad] {
            for (from, to) in [
                (size(1, 1000), size(8, 8)),
                (size(1000, 1), size(3, 7)),
                (size(1, 1), size(5, 9)),
            ] {
                let plane = vec![3; from.height * from.width];
                assert_eq!(
                    fit_plane(&plane, from, to, fit, 0).len(),
                    to.height * to.width
                );
            }
        }
    }

    #[test]
    fn names_parse() {
        assert_eq!("crop".parse::<Fit>().unwrap(), Fit::CropCenter);
        assert!(matches!(
            "zoom".parse::<Fit>(),
            Err(DataError::Option { option: "fit", .. })
        ));
    }

    #[test]
    fn sets_beyond_32_bit_addresses_are_refused_before_any_allocation() {
        let path = Path::new("x");
        assert_eq!(
            set_bytes(path, 4, 1, size(1 << 15, 1 << 15)).unwrap(),
            1 << 32
        );
        assert!(matches!(
            set_bytes(path, 5, 1, size(1 << 15, 1 << 15)),
            Err(DataError::TooLarge { .. })
        ));
        assert!(matches!(
            zeroed(path, u64::MAX, 3, size(usize::MAX, 1)),
            Err(DataError::TooLarge { .. })
        ));
    }
}
