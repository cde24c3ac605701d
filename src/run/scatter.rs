//! Pictures of point sets: generated points over real ones in 2-D, two histograms in 1-D.
//!
//! Drawn directly into pixels, without axes or text: a plotting library would need a font from the system for them, and
//! the real points, always drawn in grey, are the scale.
use super::grid::Picture;

const SIDE: usize = 512;
/// How far the view reaches beyond the real data, in parts of its extent.
const MARGIN: f32 = 0.25;
const PAPER: [f32; 3] = [255.0; 3];
const REAL: [f32; 3] = [150.0, 150.0, 150.0];
const GENERATED: [f32; 3] = [214.0, 60.0, 30.0];

/// Values from `low` to `high` along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    low: f32,
    high: f32,
}

impl Range {
    /// The extent of `values` with a margin. A function of the real data alone, so that pictures along a run compare.
    fn around(values: impl Iterator<Item = f32>) -> Self {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        if low > high {
            return Self {
                low: -1.0,
                high: 1.0,
            };
        }
        let margin = ((high - low) * MARGIN).max(1e-3);
        Self {
            low: low - margin,
            high: high + margin,
        }
    }

    /// Position of `value` in 0..1, if it is in view.
    fn place(self, value: f32) -> Option<f32> {
        let at = (value - self.low) / (self.high - self.low);
        (0.0..1.0).contains(&at).then_some(at)
    }
}

/// Lays `colour` over the pixel with the given opacity.
fn blend(picture: &mut Picture, x: usize, y: usize, colour: [f32; 3], opacity: f32) {
    let pixel = &mut picture.pixels[(y * picture.width + x) * 3..][..3];
    for (channel, c) in pixel.iter_mut().zip(colour) {
        *channel = (f32::from(*channel) * (1.0 - opacity) + c * opacity).round() as u8;
    }
}

/// Two-dimensional sets: real points grey, generated ones red, both translucent so that density shows; x to the right,
/// y upwards. Generated points outside the view are left out.
pub fn scatter(real: &[[f32; 2]], generated: &[[f32; 2]]) -> Picture {
    let x_range = Range::around(real.iter().map(|p| p[0]));
    let y_range = Range::around(real.iter().map(|p| p[1]));
    let mut picture = Picture::filled(SIDE, SIDE, 3, PAPER[0] as u8);
    for (points, colour, radius) in [(real, REAL, 2i32), (generated, GENERATED, 1)] {
        for point in points {
            let (Some(x), Some(y)) = (x_range.place(point[0]), y_range.place(point[1])) else {
                continue;
            };
            let (cx, cy) = ((x * SIDE as f32) as i32, ((1.0 - y) * SIDE as f32) as i32);
            for (dx, dy) in
                (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy)))
            {
                let (px, py) = (cx + dx, cy + dy);
                let inside = (0..SIDE as i32).contains(&px) && (0..SIDE as i32).contains(&py);
                if inside && dx * dx + dy * dy <= radius * radius + 1 {
                    blend(&mut picture, px as usize, py as usize, colour, 0.35);
                }
            }
        }
    }
    picture
}

/// One-dimensional sets: the real density as grey bars, the generated one as a red outline over them.
pub fn histogram(real: &[f32], generated: &[f32]) -> Picture {
    const BINS: usize = 64;
    const WIDTH: usize = SIDE / BINS;
    let range = Range::around(real.iter().copied());
    let density = |values: &[f32]| -> Vec<f32> {
        let mut bins = vec![0f32; BINS];
        for at in values.iter().filter_map(|&v| range.place(v)) {
            bins[((at * BINS as f32) as usize).min(BINS - 1)] += 1.0;
        }
        bins.iter()
            .map(|count| count / values.len().max(1) as f32)
            .collect()
    };
    let (real, generated) = (density(real), density(generated));
    // Twice the real peak: a generator that has collapsed to a needle is cut off rather than flattening the rest.
    let peak = real.iter().fold(0f32, |a, &b| a.max(b)).max(1e-6) * 2.0;
    let height = |density: f32| ((density / peak).min(1.0) * (SIDE - 1) as f32) as usize;
    let mut picture = Picture::filled(SIDE, SIDE, 3, PAPER[0] as u8);
    let mut column = |x: usize, from: usize, to: usize, colour| {
        for h in from..=to {
            blend(&mut picture, x, SIDE - 1 - h.min(SIDE - 1), colour, 1.0);
        }
    };
    for (bin, &density) in real.iter().enumerate() {
        for x in bin * WIDTH..(bin + 1) * WIDTH {
            column(x, 0, height(density), REAL);
        }
    }
    let mut previous = 0;
    for (bin, &density) in generated.iter().enumerate() {
        let top = height(density);
        column(bin * WIDTH, previous.min(top), previous.max(top), GENERATED);
        for x in bin * WIDTH..(bin + 1) * WIDTH {
            column(x, top.saturating_sub(1), top, GENERATED);
        }
        previous = top;
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reddish(picture: &Picture, x: usize, y: usize) -> bool {
        let p = &picture.pixels[(y * picture.width + x) * 3..][..3];
        i32::from(p[0]) - i32::from(p[2]) > 40
    }

    #[test]
    fn generated_points_land_where_they_are() {
        let real = [[0.0, 0.0], [1.0, 1.0]];
        // The view is -0.25..1.25 in both axes; (1, 0.25) lies five sixths to the right, one third up.
        let picture = scatter(&real, &[[1.0, 0.25]]);
        let (x, y) = (512 * 5 / 6, 512 * 2 / 3);
        assert!(reddish(&picture, x, y));
        assert!(!reddish(&picture, y, x) && !reddish(&picture, x, SIDE - y));
    }

    #[test]
    fn points_out_of_view_and_non_finite_ones_are_left_out() {
        let real = [[0.0, 0.0], [1.0, 1.0]];
        let blank = scatter(&real, &[]);
        assert_eq!(
            scatter(&real, &[[9.0, 0.0], [f32::NAN, 0.5], [0.5, f32::INFINITY]]),
            blank
        );
        assert_eq!(scatter(&[], &[]).pixels.iter().find(|&&v| v != 255), None);
    }

    #[test]
    fn the_histogram_s_outline_follows_the_generated_density() {
        let real: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let picture = histogram(&real, &vec![0.25; 500]);
        // View -0.25..1.25: 0.25 lies a third from the left. The needle reaches the top, and there is none elsewhere.
        let columns: Vec<usize> = (0..SIDE).filter(|&x| reddish(&picture, x, 0)).collect();
        let (first, last) = (columns[0], columns[columns.len() - 1]);
        assert!(first >= 160 && last <= 180, "{first}..{last}");
        assert!((0..SIDE).all(
            |x| picture.pixels[((SIDE - 10) * SIDE + x) * 3] != 255 || !(100..400).contains(&x)
        ));
    }
}
