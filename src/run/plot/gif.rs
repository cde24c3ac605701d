//! Animated GIFs: one palette for all frames, and of each frame only what changed.
use super::PlotError;
use crate::run::grid::Picture;
use gif::{DisposalMethod, Encoder, Frame, Repeat};
use std::collections::HashMap;

/// Colours of the palette; its last entry is the transparent one.
const COLOURS: usize = 255;
const TRANSPARENT: u8 = 255;
/// The commonest colours are kept exactly: paper, ink and the flat parts of a chart stay clean.
const EXACT: usize = 48;
/// Pixels from which the other colours are learnt.
const LEARNT_FROM: usize = 200_000;
/// How closely the quantiser looks, 1 (slow) to 30.
const THOROUGHNESS: i32 = 3;

/// The bytes of a GIF that shows `frames` one after the other without end, each for `centiseconds` and the last four times as long.
///
/// # Errors
/// [`PlotError::Empty`] without frames, [`PlotError::Frame`] where one has another size than the first, [`PlotError::GifSize`].
pub fn animate(frames: &[Picture], centiseconds: u16) -> Result<Vec<u8>, PlotError> {
    let first = frames.first().ok_or(PlotError::Empty)?;
    for (index, frame) in frames.iter().enumerate() {
        if (frame.width, frame.height, frame.channels) != (first.width, first.height, 3) {
            return Err(PlotError::Frame {
                index,
                width: frame.width,
                height: frame.height,
                channels: frame.channels,
                first_width: first.width,
                first_height: first.height,
            });
        }
    }
    let too_large = || PlotError::GifSize {
        width: first.width,
        height: first.height,
    };
    let width = u16::try_from(first.width).map_err(|_| too_large())?;
    let height = u16::try_from(first.height).map_err(|_| too_large())?;
    let failed = |error: gif::EncodingError| PlotError::Draw(error.to_string());
    let palette = Palette::of(frames);
    let mut bytes = vec![];
    {
        let mut encoder =
            Encoder::new(&mut bytes, width, height, &palette.bytes()).map_err(failed)?;
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        let mut shown: Option<Vec<u8>> = None;
        for (index, frame) in frames.iter().enumerate() {
            let indices = palette.indices(frame);
            let [left, top, w, h] = match &shown {
                Some(shown) => changed(shown, &indices, first.width),
                None => [0, 0, first.width, first.height],
            };
            let cut = (top..top + h).flat_map(|y| (left..left + w).map(move |x| (x, y)));
            let buffer: Vec<u8> = cut
                .map(|(x, y)| y * first.width + x)
                .map(|at| match &shown {
                    Some(shown) if shown[at] == indices[at] => TRANSPARENT,
                    _ => indices[at],
                })
                .collect();
            let last = index + 1 == frames.len();
            let frame = Frame {
                delay: centiseconds.saturating_mul(if last { 4 } else { 1 }),
                dispose: DisposalMethod::Keep,
                transparent: Some(TRANSPARENT),
                // Within the picture, whose sides fit.
                left: left as u16,
                top: top as u16,
                width: w as u16,
                height: h as u16,
                buffer: buffer.into(),
                ..Frame::default()
            };
            encoder.write_frame(&frame).map_err(failed)?;
            shown = Some(indices);
        }
    }
    Ok(bytes)
}

/// Left, top, width and height of the smallest rectangle with every difference in it; one pixel where there is none.
fn changed(before: &[u8], after: &[u8], width: usize) -> [usize; 4] {
    let different = (0..after.len()).filter(|&i| before[i] != after[i]);
    let found = different.fold(None, |found: Option<[usize; 4]>, i| {
        let (x, y) = (i % width, i / width);
        Some(match found {
            None => [x, y, x, y],
            Some([l, t, r, b]) => [l.min(x), t.min(y), r.max(x), b.max(y)],
        })
    });
    found.map_or([0, 0, 1, 1], |[l, t, r, b]| [l, t, r - l + 1, b - t + 1])
}

type Rgb = [u8; 3];

fn pixels(picture: &Picture) -> impl Iterator<Item = Rgb> {
    picture.pixels.chunks_exact(3).map(|p| [p[0], p[1], p[2]])
}

struct Palette {
    colours: Vec<Rgb>,
    /// The entry for every colour that occurs.
    nearest: HashMap<Rgb, u8>,
}

impl Palette {
    fn of(frames: &[Picture]) -> Self {
        let mut counts: HashMap<Rgb, u64> = HashMap::new();
        for colour in frames.iter().flat_map(pixels) {
            *counts.entry(colour).or_default() += 1;
        }
        let mut by_count: Vec<(Rgb, u64)> = counts.into_iter().collect();
        // Ties by colour: equal frames give equal files.
        by_count.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let kept = if by_count.len() <= COLOURS {
            by_count.len()
        } else {
            EXACT
        };
        let mut colours: Vec<Rgb> = by_count[..kept].iter().map(|c| c.0).collect();
        let rest = &by_count[kept..];
        if !rest.is_empty() {
            // Each colour as often as the square root of its count, so that rare series are not drowned by anti-aliased text.
            let weight = |count: u64| (count as f64).sqrt().ceil();
            let total: f64 = rest.iter().map(|c| weight(c.1)).sum();
            let scale = (LEARNT_FROM as f64 / total).min(1.0);
            let mut learnt = vec![];
            let mut due = 0.0;
            for &([r, g, b], count) in rest {
                due += weight(count) * scale;
                while due >= 1.0 {
                    learnt.extend([r, g, b, 255]);
                    due -= 1.0;
                }
            }
            let quantiser = color_quant::NeuQuant::new(THOROUGHNESS, COLOURS - kept, &learnt);
            let made = quantiser.color_map_rgb();
            colours.extend(made.chunks_exact(3).map(|c| [c[0], c[1], c[2]]));
        }
        let distance = |a: Rgb, b: Rgb| -> i32 {
            (0..3)
                .map(|k| (i32::from(a[k]) - i32::from(b[k])).pow(2))
                .sum()
        };
        let nearest = by_count
            .iter()
            .map(|&(colour, _)| {
                let all = colours.iter().enumerate();
                let found = all.min_by_key(|(_, c)| distance(**c, colour));
                (colour, found.map_or(0, |(index, _)| index as u8))
            })
            .collect();
        Self { colours, nearest }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.colours.iter().flatten().copied().collect();
        bytes.resize((COLOURS + 1) * 3, 0);
        bytes
    }

    fn indices(&self, frame: &Picture) -> Vec<u8> {
        let index = |colour: Rgb| self.nearest.get(&colour).copied().unwrap_or(0);
        pixels(frame).map(index).collect()
    }
}
