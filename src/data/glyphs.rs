//! `glyphs`: an unlimited set of digits drawn by the program, in the manner of MNIST.
//!
//! The skeletons in `assets/glyphs.txt` are posed at random (rotation, shear, scale, translation, thickness) and stroked
//! by the distance to the nearest segment: white on black, anti-aliased over one pixel. `shaders/glyphs.wgsl` draws the
//! same on the device; sample `index` of a batch is the same digit in the same pose on both sides.

use super::rng::{Stream, below, uniform01};
use super::{ImageSet, Source};
use std::sync::LazyLock;

pub const CLASSES: usize = 10;

/// Lengths of a pose are in pixels of an image of this side, and scale with the image.
const DESIGN_SIDE: f64 = 28.0;
/// Side of the skeletons' unit box in those pixels, as in MNIST.
const BOX_SIDE: f64 = 20.0;

/// A straight piece of a skeleton, `[x0, y0, x1, y1]` in the unit box.
pub type Segment = [f32; 4];

/// How a digit is placed and stroked. Fields are applied in their order, about the centre of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// x moves by `shear` times y.
    pub shear: f32,
    /// Radians, clockwise on the screen.
    pub rotation: f32,
    pub scale: f32,
    /// Right and down, in pixels of a 28-pixel image.
    pub translation: [f32; 2],
    /// Width of the stroke, in pixels of a 28-pixel image.
    pub thickness: f32,
}

impl Pose {
    pub const UPRIGHT: Pose = Pose {
        shear: 0.0,
        rotation: 0.0,
        scale: 1.0,
        translation: [0.0; 2],
        thickness: 2.0,
    };

    /// The label and pose of sample `index`: rotation within 15 degrees, shear 0.2, translation 2 pixels either way;
    /// scale 0.8..1.1, thickness 1.2..2.4; all uniform.
    pub fn random(stream: &Stream, index: u32) -> (u32, Pose) {
        let between = |bits, low: f32, high: f32| low + (high - low) * uniform01(bits);
        let [label, rotation] = stream.block(index, 0);
        let [shear, scale] = stream.block(index, 1);
        let [x, y] = stream.block(index, 2);
        let [thickness, _] = stream.block(index, 3);
        let turn = 15f32.to_radians();
        let pose = Pose {
            shear: between(shear, -0.2, 0.2),
            rotation: between(rotation, -turn, turn),
            scale: between(scale, 0.8, 1.1),
            translation: [between(x, -2.0, 2.0), between(y, -2.0, 2.0)],
            thickness: between(thickness, 1.2, 2.4),
        };
        (below(label, CLASSES as u32), pose)
    }
}

/// The skeleton of a digit (0..=9).
pub fn segments(label: u32) -> &'static [Segment] {
    &SKELETONS[label as usize]
}

static SKELETONS: LazyLock<[Vec<Segment>; CLASSES]> = LazyLock::new(|| {
    // The text is part of the program, and a test parses it.
    parse(include_str!("../../assets/glyphs.txt"))
        .unwrap_or_else(|error| panic!("assets/glyphs.txt: {error}"))
});

/// Reads the skeletons; an error names the line (from 1).
fn parse(text: &str) -> Result<[Vec<Segment>; CLASSES], String> {
    let mut skeletons: [Vec<Segment>; CLASSES] = Default::default();
    let mut digit = None;
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", number + 1);
        let mut words = line.split_whitespace();
        let Some(verb) = words.next().filter(|word| !word.starts_with('#')) else {
            continue;
        };
        let values = words.map(|word| {
            word.parse()
                .map_err(|_| wrong(&format!("{word:?} is no number")))
        });
        let values: Vec<f64> = values.collect::<Result<_, _>>()?;
        if verb == "digit" {
            match values[..] {
                [d] if (0.0..CLASSES as f64).contains(&d) && d.fract() == 0.0 => {
                    digit = Some(d as usize)
                }
                _ => return Err(wrong("expected `digit 0..9`")),
            }
            continue;
        }
        let points: Vec<[f32; 2]> = match (verb, &values[..]) {
            ("line", xy) if xy.len() >= 4 && xy.len() % 2 == 0 => xy
                .chunks_exact(2)
                .map(|p| [p[0] as f32, p[1] as f32])
                .collect(),
            ("arc", &[cx, cy, rx, ry, from, to, pieces])
                if pieces >= 1.0 && pieces.fract() == 0.0 =>
            {
                let on_ellipse = |i: usize| {
                    let angle = (from + (to - from) * i as f64 / pieces).to_radians();
                    [
                        (cx + rx * angle.cos()) as f32,
                        (cy + ry * angle.sin()) as f32,
                    ]
                };
                (0..=pieces as usize).map(on_ellipse).collect()
            }
            _ => {
                return Err(wrong(
                    "expected `line x y x y ...` or `arc cx cy rx ry from to pieces`",
                ));
            }
        };
        let skeleton = digit.ok_or_else(|| wrong("a stroke before the first `digit`"))?;
        skeletons[skeleton].extend(
            points
                .windows(2)
                .map(|p| [p[0][0], p[0][1], p[1][0], p[1][1]]),
        );
    }
    match skeletons.iter().position(Vec::is_empty) {
        Some(d) => Err(format!("digit {d} has no strokes")),
        None => Ok(skeletons),
    }
}

/// The skeletons as the device reads them, in groups of four: for each digit `[first group, one past its last, 0, 0]`,
/// then all segments.
pub fn table() -> Vec<f32> {
    let mut table = Vec::new();
    let mut first = CLASSES;
    for skeleton in SKELETONS.iter() {
        table.extend([first as f32, (first + skeleton.len()) as f32, 0.0, 0.0]);
        first += skeleton.len();
    }
    table.extend(SKELETONS.iter().flatten().flatten());
    table
}

/// Draws one digit: the stroke's coverage of each pixel, `[height, width]`, 0 (black) to 1 (white).
///
/// With d the distance from the pixel's centre to the posed skeleton, coverage is `clamp(thickness/2 - d + 1/2, 0, 1)`.
pub fn render(label: u32, pose: &Pose, height: usize, width: usize) -> Vec<f64> {
    let unit = height.min(width) as f64 / DESIGN_SIDE;
    let (sin, cos) = f64::from(pose.rotation).sin_cos();
    let size = BOX_SIDE * unit * f64::from(pose.scale);
    let centre = [width as f64 / 2.0, height as f64 / 2.0];
    let place = |x: f32, y: f32| {
        let (x, y) = (f64::from(x) - 0.5, f64::from(y) - 0.5);
        let x = x + f64::from(pose.shear) * y;
        let turned = [x * cos - y * sin, x * sin + y * cos];
        [0, 1].map(|d| size * turned[d] + centre[d] + unit * f64::from(pose.translation[d]))
    };
    let placed: Vec<_> = segments(label)
        .iter()
        .map(|s| (place(s[0], s[1]), place(s[2], s[3])))
        .collect();
    let half = 0.5 * unit * f64::from(pose.thickness);
    let pixel = |i: usize| {
        let p = [(i % width) as f64 + 0.5, (i / width) as f64 + 0.5];
        let nearest = placed
            .iter()
            .map(|&(a, b)| squared_distance(p, a, b))
            .fold(f64::INFINITY, f64::min);
        (half - nearest.sqrt() + 0.5).clamp(0.0, 1.0)
    };
    (0..height * width).map(pixel).collect()
}

/// From p to the segment from a to b.
fn squared_distance(p: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
    let (along, to_p) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length2 = along[0] * along[0] + along[1] * along[1];
    let t = ((to_p[0] * along[0] + to_p[1] * along[1]) / length2.max(1e-12)).clamp(0.0, 1.0);
    (to_p[0] - t * along[0]).powi(2) + (to_p[1] - t * along[1]).powi(2)
}

/// The first `count` samples of a stream as a set in memory, with labels: for looking at, and for metrics that want a
/// reference.
pub fn image_set(stream: &Stream, count: usize, height: usize, width: usize) -> ImageSet {
    let mut pixels = Vec::with_capacity(count * height * width);
    let mut labels = Vec::with_capacity(count);
    for index in 0..count as u32 {
        let (label, pose) = Pose::random(stream, index);
        labels.push(label);
        pixels.extend(
            render(label, &pose, height, width)
                .into_iter()
                .map(|v| (v * 255.0).round() as u8),
        );
    }
    ImageSet {
        name: Source::GLYPHS.into(),
        count,
        channels: 1,
        height,
        width,
        pixels,
        labels: Some(labels),
        class_names: Some((0..CLASSES).map(|d| d.to_string()).collect()),
        source: Source::GLYPHS.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skeletons_parse_and_stay_in_their_box() {
        for digit in 0..10 {
            let skeleton = segments(digit);
            assert!(
                (2..=24).contains(&skeleton.len()),
                "{digit}: {} segments",
                skeleton.len()
            );
            assert!(
                skeleton.iter().flatten().all(|v| (0.0..=1.0).contains(v)),
                "{digit}"
            );
        }
    }

    #[test]
    fn parse_errors_name_the_line() {
        for (text, words) in [
            ("line 0 0 1 1", "line 1: a stroke before"),
            ("# a\ndigit 10", "line 2: expected `digit"),
            ("digit 1\nline 0 0 1", "line 2: expected `line"),
            ("digit 1\n\narc 0 0 1 1 0 x 3", "line 3: \"x\" is no number"),
            ("digit 1\nline 0 0 1 1", "digit 0 has no strokes"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn the_table_points_at_every_digit_s_segments() {
        let table = table();
        let groups: Vec<&[f32]> = table.chunks_exact(4).collect();
        for digit in 0..10 {
            let (first, end) = (groups[digit][0] as usize, groups[digit][1] as usize);
            assert!(
                groups[first..end]
                    .iter()
                    .zip(segments(digit as u32))
                    .all(|(group, segment)| *group == segment)
            );
            assert_eq!(end - first, segments(digit as u32).len());
        }
        assert_eq!(groups[9][1] as usize, groups.len());
    }

    /// A vertical stroke of the 1 has the width that the pose says, and black around it.
    #[test]
    fn strokes_have_their_thickness_and_scale_with_the_image() {
        for side in [14, 28, 64] {
            for thickness in [1.5, 2.0, 3.0] {
                let image = render(
                    1,
                    &Pose {
                        thickness,
                        ..Pose::UPRIGHT
                    },
                    side,
                    side,
                );
                let row: f64 = image[side / 2 * side..][..side].iter().sum();
                let expected = f64::from(thickness) * side as f64 / 28.0;
                assert!(
                    (row - expected).abs() < 0.26,
                    "side {side}, thickness {thickness}: {row}"
                );
                assert_eq!(image[0], 0.0);
            }
        }
    }

    #[test]
    fn poses_move_the_image_as_they_say() {
        let centroid = |pose: Pose| {
            let image = render(0, &pose, 28, 28);
            let mass: f64 = image.iter().sum();
            let moment = |f: fn(usize) -> usize| {
                image
                    .iter()
                    .enumerate()
                    .map(|(i, v)| v * (f(i) as f64 + 0.5))
                    .sum::<f64>()
                    / mass
            };
            [moment(|i| i % 28), moment(|i| i / 28)]
        };
        let [x, y] = centroid(Pose {
            translation: [2.0, -1.0],
            ..Pose::UPRIGHT
        });
        assert!(
            (x - 16.0).abs() < 0.02 && (y - 13.0).abs() < 0.02,
            "{x} {y}"
        );
        // Clockwise: the foot of the 1, below the centre, goes left.
        let image = render(
            1,
            &Pose {
                rotation: 0.26,
                ..Pose::UPRIGHT
            },
            28,
            28,
        );
        let row = |y: usize| (0..28).map(|x| image[y * 28 + x] * x as f64).sum::<f64>();
        assert!(row(21) < row(10), "{} {}", row(21), row(10));
    }

    #[test]
    fn samples_cover_the_ranges_and_the_labels() {
        let stream = Stream::new(1, 0, 0);
        let samples: Vec<(u32, Pose)> = (0..5000).map(|i| Pose::random(&stream, i)).collect();
        for digit in 0..10 {
            let share = samples.iter().filter(|(label, _)| *label == digit).count();
            assert!((400..600).contains(&share), "{digit}: {share} of 5000");
        }
        let range = |f: fn(&Pose) -> f32| {
            let values = samples.iter().map(|(_, pose)| f(pose));
            values.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| {
                [low.min(v), high.max(v)]
            })
        };
        for (got, low, high) in [
            (range(|p| p.rotation.to_degrees()), -15.0, 15.0),
            (range(|p| p.shear), -0.2, 0.2),
            (range(|p| p.scale), 0.8, 1.1),
            (range(|p| p.translation[0]), -2.0, 2.0),
            (range(|p| p.translation[1]), -2.0, 2.0),
            (range(|p| p.thickness), 1.2, 2.4),
        ] {
            let slack = 0.01 * (high - low);
            assert!(
                got[0] >= low - 1e-5 && got[0] < low + slack,
                "{got:?} {low}"
            );
            assert!(
                got[1] <= high + 1e-5 && got[1] > high - slack,
                "{got:?} {high}"
            );
        }
    }

    #[test]
    fn a_set_is_labelled_and_repeats() {
        let set = image_set(&Stream::new(4, 0, 0), 20, 28, 28);
        assert_eq!(
            (set.count, set.classes(), set.pixels.len()),
            (20, Some(10), 20 * 784)
        );
        assert_eq!(set, image_set(&Stream::new(4, 0, 0), 20, 28, 28));
        assert_ne!(
            set.pixels,
            image_set(&Stream::new(5, 0, 0), 20, 28, 28).pixels
        );
        assert!(set.pixels.contains(&0) && set.pixels.contains(&255));
    }

    /// Every digit is nearest to its own kind: 1-nearest-neighbour over fresh samples. Digits that could not be told
    /// apart would fail here.
    #[test]
    fn digits_can_be_told_apart() {
        let reference = image_set(&Stream::new(1, 0, 0), 1500, 28, 28);
        let fresh = image_set(&Stream::new(2, 0, 0), 150, 28, 28);
        let distance = |a: &[u8], b: &[u8]| -> u64 {
            a.iter()
                .zip(b)
                .map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2))
                .sum()
        };
        let (of, to) = (
            fresh.labels.as_ref().unwrap(),
            reference.labels.as_ref().unwrap(),
        );
        let right = (0..fresh.count).filter(|&i| {
            let nearest =
                (0..reference.count).min_by_key(|&j| distance(fresh.image(i), reference.image(j)));
            nearest.is_some_and(|j| to[j] == of[i])
        });
        let right = right.count();
        assert!(right >= 141, "{right} of 150 (94 %)");
    }
}
