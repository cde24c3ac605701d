//! Pictures of point sets: generated points over real ones in 2-D, two histograms in 1-D.
//!
//! The view is a function of the real data alone, so that pictures along a run compare.
use super::grid::Picture;
use super::plot::{Axis, Chart, Drawn, Figure, Legend, PlotError, look, outline};

/// How far the view reaches beyond the real data, in parts of its extent.
const MARGIN: f64 = 0.25;
/// Width and height of the picture of a 2-D set.
const SQUARE: [usize; 2] = [640, 640];
/// Bins of a histogram.
const BINS: usize = 64;

/// The extent of `values` with a margin.
pub fn view(values: impl Iterator<Item = f32>) -> [f64; 2] {
    let (low, high) = values
        .map(f64::from)
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if low > high {
        return [-1.0, 1.0];
    }
    let margin = ((high - low) * MARGIN).max(1e-3);
    [low - margin, high + margin]
}

/// Names are needed where there is more than one thing to tell apart; below the axes they cover nothing.
fn legend<T>(real: &[T], generated: &[T]) -> Legend {
    if real.is_empty() || generated.is_empty() {
        Legend::None
    } else {
        Legend::Below
    }
}

/// A chart of a 2-D set: real points grey, generated ones red, both translucent so that density shows. Generated points outside the
/// view are left out.
pub fn scatter_chart(title: &str, real: &[[f32; 2]], generated: &[[f32; 2]]) -> Chart {
    let range = |k: usize| view(real.iter().map(|p| p[k]));
    let axis = |k: usize| Axis::new("").within(range(k)[0], range(k)[1]);
    let wide = |points: &[[f32; 2]]| points.iter().map(|p| p.map(f64::from)).collect();
    Chart::new(title, axis(0), axis(1))
        .legend(legend(real, generated))
        .equal_scale()
        .dots("data", look::REAL, 3.0, wide(real))
        .dots("generated", look::GENERATED, 2.0, wide(generated))
}

/// The picture of a 2-D set.
///
/// # Errors
/// As [`Figure::draw`].
pub fn scatter(real: &[[f32; 2]], generated: &[[f32; 2]]) -> Result<Picture, PlotError> {
    Ok(draw_scatter(real, generated)?.picture)
}

/// As [`scatter`], with the place of its axes.
pub(super) fn draw_scatter(real: &[[f32; 2]], generated: &[[f32; 2]]) -> Result<Drawn, PlotError> {
    let chart = scatter_chart("", real, generated);
    Figure::grid(vec![vec![chart.into()]], SQUARE).draw_with_frames()
}

/// Densities of `values` in `bins` equal bins of `range`, and the bins' edges. Values out of range count towards the total.
pub fn density(values: &[f32], [low, high]: [f64; 2], bins: usize) -> (Vec<f64>, Vec<f64>) {
    let width = (high - low) / bins as f64;
    let mut heights = vec![0f64; bins];
    for &value in values {
        let at = (f64::from(value) - low) / width;
        if at >= 0.0 && at < bins as f64 {
            heights[at as usize] += 1.0 / (values.len() as f64 * width);
        }
    }
    let edges = (0..=bins).map(|i| low + i as f64 * width).collect();
    (edges, heights)
}

/// A chart of a 1-D set: the real density grey, the generated one as a red outline over it.
pub fn histogram_chart(title: &str, real: &[f32], generated: &[f32]) -> Chart {
    let legend = legend(real, generated);
    let range = view(real.iter().copied());
    let (edges, real) = density(real, range, BINS);
    let (_, generated) = density(generated, range, BINS);
    // Twice the real peak: a generator that has collapsed to a needle is cut off rather than flattening the rest.
    let peak = real.iter().fold(0f64, |a, &b| a.max(b)).max(1e-6) * 2.0;
    Chart::new(
        title,
        Axis::new("").within(range[0], range[1]),
        Axis::new("density").within(0.0, peak),
    )
    .legend(legend)
    .area("data", look::REAL, &outline(&edges, &real))
    .line("generated", look::GENERATED, outline(&edges, &generated))
}

/// The picture of a 1-D set.
///
/// # Errors
/// As [`Figure::draw`].
pub fn histogram(real: &[f32], generated: &[f32]) -> Result<Picture, PlotError> {
    Ok(draw_histogram(real, generated)?.picture)
}

/// As [`histogram`], with the place of its axes.
pub(super) fn draw_histogram(real: &[f32], generated: &[f32]) -> Result<Drawn, PlotError> {
    Figure::single(histogram_chart("", real, generated)).draw_with_frames()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(drawn: &Drawn, [x, y]: [f64; 2]) -> [i32; 3] {
        let at = (y as usize * drawn.picture.width + x as usize) * 3;
        [0, 1, 2].map(|k| i32::from(drawn.picture.pixels[at + k]))
    }

    fn reddish([r, _, b]: [i32; 3]) -> bool {
        r - b > 40
    }

    #[test]
    fn generated_points_land_where_they_are() {
        let real = [[0.0, 0.0], [1.0, 1.0]];
        let drawn = draw_scatter(&real, &[[1.0, 0.25]]).unwrap();
        let frame = drawn.frames[0];
        // A quarter of the extent beyond the real points on every side, and more where the picture has room for it.
        for [low, high] in [frame.x, frame.y] {
            assert!(low < -0.249 && high > 1.249, "{low} {high}");
            assert!(low > -0.4 && high < 1.4, "{low} {high}");
        }
        assert!(reddish(pixel(&drawn, frame.pixel([1.0, 0.25]))));
        for elsewhere in [[0.25, 1.0], [0.25, 0.25], [1.0, 0.75]] {
            assert!(!reddish(pixel(&drawn, frame.pixel(elsewhere))));
        }
    }

    #[test]
    fn points_out_of_view_and_non_finite_ones_are_left_out() {
        let real = [[0.0, 0.0], [1.0, 1.0]];
        let blank = scatter(&real, &[[f32::NAN; 2]]).unwrap();
        let stray = [[9.0, 0.0], [f32::NAN, 0.5], [0.5, f32::INFINITY]];
        assert_eq!(scatter(&real, &stray).unwrap(), blank);
        assert!(scatter(&[], &[]).is_ok());
    }

    #[test]
    fn a_circle_is_round_whatever_the_data_s_extent() {
        for wide in [0.2f32, 1.0, 30.0] {
            let real = [[-wide, -1.0], [wide, 1.0]];
            let frame = draw_scatter(&real, &real).unwrap().frames[0];
            let [a, b] = [frame.pixel([0.0, 0.0]), frame.pixel([1.0, 1.0])];
            let (right, up) = (b[0] - a[0], a[1] - b[1]);
            assert!((right - up).abs() < 1e-6 * up, "{wide}: {right} {up}");
        }
    }

    #[test]
    fn a_legend_names_both_and_stands_beside_the_points() {
        let real = [[0.0, 0.0], [1.0, 1.0]];
        let height = |real: &[[f32; 2]], generated: &[[f32; 2]]| {
            let drawn = draw_scatter(real, generated).unwrap();
            drawn.frames[0].rect.height
        };
        assert!(height(&real, &real) < height(&real, &[]));
        assert_eq!(height(&real, &[]), height(&[], &[[0.5, 0.5]]));
        let names = |chart: Chart| chart.marks.into_iter().map(|m| m.0).collect::<Vec<_>>();
        assert_eq!(names(scatter_chart("", &[], &[])), ["data", "generated"]);
        assert_eq!(names(histogram_chart("", &[], &[])), ["data", "generated"]);
    }

    #[test]
    fn density_counts_every_value() {
        let (edges, heights) = density(&[0.1, 0.1, 0.9, 7.0], [0.0, 1.0], 2);
        assert_eq!(edges, [0.0, 0.5, 1.0]);
        // Two and one of four values in bins of width 0.5.
        assert_eq!(heights, [1.0, 0.5]);
    }

    #[test]
    fn the_histogram_s_outline_follows_the_generated_density() {
        let real: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let drawn = draw_histogram(&real, &vec![0.25; 500]).unwrap();
        let frame = drawn.frames[0];
        // The needle at 0.25 reaches half-way up on both sides, and there is none elsewhere.
        let row = frame.pixel([0.0, 1.5])[1];
        let columns: Vec<usize> = (0..drawn.picture.width)
            .filter(|&x| reddish(pixel(&drawn, [x as f64, row])))
            .collect();
        let (first, last) = (columns[0] as f64, columns[columns.len() - 1] as f64);
        let (left, right) = (frame.pixel([0.22, 0.0])[0], frame.pixel([0.28, 0.0])[0]);
        assert!(first >= left && last <= right, "{first}..{last}");
        // The real density is a plateau of height 1.
        let grey = pixel(&drawn, frame.pixel([0.7, 0.3]));
        let paper = pixel(&drawn, frame.pixel([-0.12, 0.3]));
        assert!(grey[0] < 230 && paper[0] == 255, "{grey:?} {paper:?}");
    }
}
