//! From a chart to pixels, through the plotting crate. Everything is drawn at thrice the size and averaged down, which smooths the
//! edges that the crate leaves jagged.
use super::PlotError;
use super::axis::{Tick, Ticks, ticks_of_both};
use super::chart::{Chart, Legend, Mark};
use super::clip::Window;
use super::look::{self, FRAME, GAP, GRID, INK, LABEL, PAPER, STROKE, TICK, TITLE};
use crate::run::grid::Picture;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::element::{DashedPathElement, DynElement, IntoDynElement};
use plotters::prelude::{
    BitMapBackend, ChartBuilder, Circle, Color, DrawingArea, DrawingBackend, IntoDrawingArea,
    PathElement, Polygon, Rectangle, SeriesLabelPosition, ShapeStyle, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontFamily, FontStyle, FontTransform, RGBAColor};

/// Pixels drawn per pixel of the picture, each way.
const OVERSAMPLING: usize = 3;

/// By how many pixels the crate sets a line of text above the middle that it is given.
const RAISED: usize = 3;

/// Radius of the disc for a point alone, in widths of its line.
const LONE: f64 = 1.6;

/// Width of a key in a legend, with the space up to its name.
const KEY: usize = 44;
/// Height of a row of a legend below the axes.
pub(super) const LEGEND_ROW: usize = TICK + GAP;

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// A rectangle of the finished picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

fn px(size: usize) -> i32 {
    (size * OVERSAMPLING) as i32
}

fn font(height: usize, style: FontStyle) -> FontDesc<'static> {
    FontDesc::new(FontFamily::Name(look::FAMILY), f64::from(px(height)), style)
}

fn text(height: usize, style: FontStyle, h: HPos, v: VPos) -> TextStyle<'static> {
    font(height, style).color(&INK.rgb()).pos(Pos::new(h, v))
}

fn stroke(colour: look::Colour, width: f64, opacity: f64) -> ShapeStyle {
    ShapeStyle {
        color: colour.rgb().mix(opacity),
        filled: false,
        stroke_width: (width * OVERSAMPLING as f64).round() as u32,
    }
}

fn fill(colour: look::Colour, opacity: f64) -> RGBAColor {
    colour.rgb().mix(opacity)
}

/// A surface of `width` x `height` pixels: `paint` draws on it. All functions below take places in pixels of the finished picture.
pub(super) fn paint(
    [width, height]: [usize; 2],
    paint: impl FnOnce(&Canvas) -> Result<(), PlotError>,
) -> Result<Picture, PlotError> {
    look::fonts()?;
    let (w, h) = (width * OVERSAMPLING, height * OVERSAMPLING);
    let mut pixels = vec![255u8; w * h * 3];
    {
        let backend = BitMapBackend::with_buffer(&mut pixels, (w as u32, h as u32));
        let root = backend.into_drawing_area();
        root.fill(&PAPER.rgb()).map_err(failed)?;
        paint(&Canvas { root: root.clone() })?;
        root.present().map_err(failed)?;
    }
    Ok(averaged(&pixels, width, height))
}

/// Means over `OVERSAMPLING` x `OVERSAMPLING` pixels.
fn averaged(pixels: &[u8], width: usize, height: usize) -> Picture {
    let mut picture = Picture::filled(width, height, 3, 0);
    let stride = width * OVERSAMPLING * 3;
    for (i, value) in picture.pixels.iter_mut().enumerate() {
        let (channel, x, y) = (i % 3, i / 3 % width, i / 3 / width);
        let sum: u32 = (0..OVERSAMPLING)
            .flat_map(|dy| (0..OVERSAMPLING).map(move |dx| (dx, dy)))
            .map(|(dx, dy)| {
                let at = (y * OVERSAMPLING + dy) * stride + (x * OVERSAMPLING + dx) * 3;
                u32::from(pixels[at + channel])
            })
            .sum();
        let parts = (OVERSAMPLING * OVERSAMPLING) as u32;
        *value = ((sum + parts / 2) / parts) as u8;
    }
    picture
}

pub(super) struct Canvas<'a> {
    root: Area<'a>,
}

/// Which way text runs, and which end of it stands at the place given.
#[derive(Clone, Copy)]
pub(super) enum Run {
    Centred,
    Upwards,
}

impl Canvas<'_> {
    /// A line of text around (x, y).
    pub fn write(
        &self,
        words: &str,
        height: usize,
        run: Run,
        (x, y): (usize, usize),
    ) -> Result<(), PlotError> {
        let mut style = text(height, FontStyle::Bold, HPos::Center, VPos::Center);
        if matches!(run, Run::Upwards) {
            style = style.transform(FontTransform::Rotate270);
        }
        self.root
            .draw_text(words, &style, (px(x), px(y)))
            .map_err(failed)
    }

    /// The lines of a title around x at the top of a panel, each as large as fits into the panel.
    pub fn titles(&self, words: &str, x: usize, panel: Rect) -> Result<(), PlotError> {
        // As far as x lies from the nearer side.
        let room = (2 * (x - panel.left).min(panel.left + panel.width - x)).saturating_sub(GAP);
        for (i, line) in words.lines().enumerate() {
            // Bold is wider than what is measured, by a sixth; and neighbours must not read as one line.
            let width = (width_of(line, TITLE)? * 5 / 4).max(1);
            let height = (TITLE * room / width).clamp(TITLE / 2, TITLE);
            let y = panel.top + GAP + TITLE / 2 + i * TITLE;
            self.write(line, height, Run::Centred, (x, y))?;
        }
        Ok(())
    }

    /// Words in the middle of `room`, each line as large as fits.
    pub fn note(&self, words: &str, room: Rect) -> Result<(), PlotError> {
        let lines = words.lines().count();
        let first =
            (room.top + room.height / 2).saturating_sub(lines.saturating_sub(1) * TITLE / 2);
        for (i, line) in words.lines().enumerate() {
            let height =
                (LABEL * room.width / width_of(line, LABEL)?.max(1)).clamp(LABEL / 2, LABEL);
            let style = text(height, FontStyle::Normal, HPos::Center, VPos::Center);
            let at = (room.left + room.width / 2, first + i * TITLE);
            self.root
                .draw_text(line, &style, (px(at.0), px(at.1)))
                .map_err(failed)?;
        }
        Ok(())
    }

    /// A chart within `rect`; gives the rectangle between its axes and what is in view there.
    pub fn chart(&self, chart: &Chart, rect: Rect) -> Result<(Rect, [[f64; 2]; 2]), PlotError> {
        let mut views = chart.views();
        let legend = match chart.legend {
            Legend::Below => legend_rows(&chart.marks, rect.width.saturating_sub(2 * GAP))?,
            _ => vec![],
        };
        let counts = [rect.width / 130, rect.height / 75].map(|n| n.clamp(2, 10));
        let ticks = |views: [[f64; 2]; 2]| {
            ticks_of_both([&chart.x, &chart.y], views, counts, chart.equal_scale)
        };
        let frame = |views: [[f64; 2]; 2]| -> Result<Rect, PlotError> {
            let widest = ticks(views)[1]
                .iter()
                .map(|(_, word)| width_of(word, TICK))
                .try_fold(0, |a, b| b.map(|b| a.max(b)))?;
            let has = |text: &str, room: usize| if text.is_empty() { 0 } else { room };
            let ticked = |ticks: &Ticks, room: usize| match ticks {
                Ticks::None => 0,
                _ => room,
            };
            let left = ticked(&chart.y.ticks, widest + GAP) + has(&chart.y.label, LABEL + GAP);
            let below = ticked(&chart.x.ticks, TICK + GAP)
                + has(&chart.x.label, LABEL + GAP)
                + legend.len() * LEGEND_ROW;
            let above = titles_height(&chart.title);
            // The last tick's word reaches beyond its axis.
            let right = ticked(&chart.x.ticks, 2 * GAP);
            Ok(Rect {
                left: rect.left + GAP + left,
                top: rect.top + GAP + above,
                width: rect.width.saturating_sub(2 * GAP + left + right).max(16),
                height: rect.height.saturating_sub(2 * GAP + above + below).max(16),
            })
        };
        let mut inner = frame(views)?;
        if chart.equal_scale {
            views = equal(views, inner);
            inner = frame(views)?;
            views = equal(chart.views(), inner);
        }
        self.titles(&chart.title, inner.left + inner.width / 2, rect)?;
        self.axes_and_marks(chart, views, &ticks(views), inner)?;
        if !chart.x.label.is_empty() {
            let style = text(LABEL, FontStyle::Normal, HPos::Center, VPos::Bottom);
            let at = (
                inner.left + inner.width / 2,
                rect.top + rect.height - GAP / 2 - legend.len() * LEGEND_ROW,
            );
            self.root
                .draw_text(&chart.x.label, &style, (px(at.0), px(at.1)))
                .map_err(failed)?;
        }
        if !chart.y.label.is_empty() {
            let style = text(LABEL, FontStyle::Normal, HPos::Center, VPos::Top)
                .transform(FontTransform::Rotate270);
            let at = (rect.left + GAP / 2, inner.top + inner.height / 2);
            self.root
                .draw_text(&chart.y.label, &style, (px(at.0), px(at.1)))
                .map_err(failed)?;
        }
        for (k, row) in legend.iter().enumerate() {
            let top = rect.top + rect.height - (legend.len() - k) * LEGEND_ROW;
            self.legend_row(row, (rect.left + rect.width / 2, top + LEGEND_ROW / 2))?;
        }
        Ok((inner, views))
    }

    /// A row of keys with their names, its middle at (x, y).
    pub fn legend_row(
        &self,
        row: &[LegendEntry<'_>],
        (x, y): (usize, usize),
    ) -> Result<(), PlotError> {
        let width: usize = row.iter().map(|entry| entry.width).sum();
        let mut left = x.saturating_sub(width / 2);
        for entry in row {
            self.root
                .draw(&entry.key.at((px(left), px(y))))
                .map_err(failed)?;
            let style = text(TICK, FontStyle::Normal, HPos::Left, VPos::Center);
            self.root
                .draw_text(entry.name, &style, (px(left + KEY), px(y)))
                .map_err(failed)?;
            left += entry.width;
        }
        Ok(())
    }

    fn axes_and_marks(
        &self,
        chart: &Chart,
        [x_view, y_view]: [[f64; 2]; 2],
        ticks: &[Vec<Tick>; 2],
        inner: Rect,
    ) -> Result<(), PlotError> {
        let places = |k: usize| ticks[k].iter().map(|t| t.0).collect::<Vec<f64>>();
        // The crate's own label areas hold the words of the ticks.
        let (left, below) = (inner.left, TICK + GAP);
        let area = self.root.clone().shrink(
            (px(inner.left - left), px(inner.top)),
            (px(left + inner.width), px(inner.height + below)),
        );
        let mut panel = ChartBuilder::on(&area)
            .x_label_area_size(px(below))
            .y_label_area_size(px(left))
            .build_cartesian_2d(
                Along {
                    view: x_view,
                    ticks: places(0),
                },
                Along {
                    view: y_view,
                    ticks: places(1),
                },
            )
            .map_err(failed)?;
        let word = |k: usize, value: &f64| {
            let found = ticks[k].iter().find(|(at, _)| at == value);
            found.map(|(_, word)| word.clone()).unwrap_or_default()
        };
        let (x_word, y_word) = (|v: &f64| word(0, v), |v: &f64| word(1, v));
        panel
            .configure_mesh()
            .axis_style(stroke(FRAME, 1.5, 1.0))
            .bold_line_style(stroke(GRID, 1.0, 1.0))
            .light_line_style(fill(GRID, 0.0))
            .label_style(font(TICK, FontStyle::Normal).color(&INK.rgb()))
            .x_label_formatter(&x_word)
            .y_label_formatter(&y_word)
            .y_label_offset(px(RAISED))
            .set_all_tick_mark_size(px(4))
            .draw()
            .map_err(failed)?;
        let window = Window {
            x: x_view,
            y: y_view,
        };
        let place = |[x, y]: [f64; 2]| Some([chart.x.place(x)?, chart.y.place(y)?]);
        let mut named = false;
        for (name, mark) in &chart.marks {
            let pair = |p: [f64; 2]| (p[0], p[1]);
            match mark {
                Mark::Line {
                    points,
                    colour,
                    dashed,
                    width,
                } => {
                    let style = stroke(*colour, *width, 1.0);
                    let placed: Vec<_> = points.iter().map(|&p| place(p)).collect();
                    for piece in window.line(&placed) {
                        let piece = piece.into_iter().map(pair);
                        match dashed {
                            false => {
                                let path = PathElement::new(piece.collect::<Vec<_>>(), style);
                                panel.draw_series([path]).map_err(failed)?;
                            }
                            true => {
                                let dashes = DashedPathElement::new(piece, px(12), px(8), style);
                                panel.draw_series([dashes]).map_err(failed)?;
                            }
                        }
                    }
                    let radius = (LONE * width * OVERSAMPLING as f64).round() as i32;
                    let style = ShapeStyle::from(fill(*colour, 1.0)).filled();
                    let lone = window.lone(&placed).into_iter();
                    let discs = lone.map(|p| Circle::new(pair(p), radius, style));
                    panel.draw_series(discs).map_err(failed)?;
                }
                Mark::Band {
                    points,
                    colour,
                    opacity,
                } => {
                    let clamp = |y: f64| {
                        // Zero has no place on a log axis: down to the lower edge.
                        let placed = chart.y.place(y).unwrap_or(y_view[0]);
                        placed.clamp(y_view[0], y_view[1])
                    };
                    let placed: Vec<_> = points
                        .iter()
                        .filter(|p| p[1].is_finite() && p[2].is_finite())
                        .filter_map(|p| Some((chart.x.place(p[0])?, clamp(p[1]), clamp(p[2]))))
                        .filter(|p| (x_view[0]..=x_view[1]).contains(&p.0))
                        .collect();
                    let upper = placed.iter().map(|p| (p.0, p.2));
                    let lower = placed.iter().rev().map(|p| (p.0, p.1));
                    let outline: Vec<_> = upper.chain(lower).collect();
                    if placed.len() > 1 {
                        let polygon = Polygon::new(outline, fill(*colour, *opacity));
                        panel.draw_series([polygon]).map_err(failed)?;
                    }
                }
                Mark::Dots {
                    points,
                    colour,
                    radius,
                    opacity,
                } => {
                    let radius = (radius * OVERSAMPLING as f64).round() as i32;
                    let style = ShapeStyle::from(fill(*colour, *opacity)).filled();
                    let placed = points.iter().filter_map(|&p| place(p));
                    let discs = placed
                        .filter(|&p| window.contains(p))
                        .map(|p| Circle::new(pair(p), radius, style));
                    panel.draw_series(discs).map_err(failed)?;
                }
                Mark::Bars {
                    bars,
                    width,
                    colour,
                } => {
                    for bar in bars {
                        let clamp = |y: f64| {
                            let placed = chart.y.place(y).unwrap_or(y_view[0]);
                            placed.clamp(y_view[0], y_view[1])
                        };
                        let [low, high] = [bar.x - 0.5 * width, bar.x + 0.5 * width];
                        let corners = [(low, clamp(0.0)), (high, clamp(bar.height))];
                        let style = ShapeStyle::from(fill(*colour, 0.85)).filled();
                        panel
                            .draw_series([Rectangle::new(corners, style)])
                            .map_err(failed)?;
                        if let Some([from, to]) = bar.error {
                            let line = vec![(bar.x, clamp(from)), (bar.x, clamp(to))];
                            panel
                                .draw_series([PathElement::new(line, stroke(INK, 2.0, 1.0))])
                                .map_err(failed)?;
                        }
                    }
                }
            }
            if !name.is_empty() {
                named = true;
                let nothing = std::iter::empty::<PathElement<(f64, f64)>>();
                let entry = panel.draw_series(nothing).map_err(failed)?;
                let key = Key::of(mark);
                entry.label(name).legend(move |at| key.at(at));
            }
        }
        let position = match chart.legend {
            Legend::None | Legend::Below => return Ok(()),
            Legend::UpperLeft => SeriesLabelPosition::UpperLeft,
            Legend::UpperRight => SeriesLabelPosition::UpperRight,
            Legend::LowerLeft => SeriesLabelPosition::LowerLeft,
            Legend::LowerRight => SeriesLabelPosition::LowerRight,
        };
        if named {
            panel
                .configure_series_labels()
                .position(position)
                .margin(px(GAP))
                .legend_area_size(px(KEY))
                .border_style(stroke(GRID, 1.0, 1.0))
                .background_style(fill(PAPER, 0.82))
                .label_font(font(TICK, FontStyle::Normal).color(&INK.rgb()))
                .draw()
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// An axis as the plotting crate sees it: linear, with our ticks. (Its own `WithKeyPoints` over floats has no formatter.)
struct Along {
    view: [f64; 2],
    ticks: Vec<f64>,
}

impl Ranged for Along {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value - self.view[0]) / (self.view[1] - self.view[0]);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            vec![]
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.view[0]..self.view[1]
    }
}

/// What stands before a name in the legend.
#[derive(Clone, Copy)]
enum Key {
    Line { colour: look::Colour, dashed: bool },
    Block { colour: look::Colour, opacity: f64 },
    Disc { colour: look::Colour },
}

impl Key {
    fn of(mark: &Mark) -> Key {
        match *mark {
            Mark::Line { colour, dashed, .. } => Key::Line { colour, dashed },
            Mark::Band {
                colour, opacity, ..
            } => Key::Block { colour, opacity },
            Mark::Bars { colour, .. } => Key::Block {
                colour,
                opacity: 0.85,
            },
            Mark::Dots { colour, .. } => Key::Disc { colour },
        }
    }

    /// Its drawing, from the middle of its left edge on.
    fn at<DB: DrawingBackend>(self, (x, y): (i32, i32)) -> DynElement<'static, DB, (i32, i32)> {
        // The crate sets text a little too high: keys go up with it.
        let y = y - px(RAISED);
        let (left, right) = (x + px(4), x + px(38));
        let line = [(left, y), (right, y)];
        let filled = |colour, opacity| ShapeStyle::from(fill(colour, opacity)).filled();
        match self {
            Key::Line { colour, dashed } => {
                let style = stroke(colour, STROKE, 1.0);
                match dashed {
                    false => PathElement::new(line, style).into_dyn(),
                    true => DashedPathElement::new(line, px(10), px(6), style).into_dyn(),
                }
            }
            Key::Block { colour, opacity } => {
                let corners = [(left, y - px(8)), (right, y + px(8))];
                Rectangle::new(corners, filled(colour, opacity)).into_dyn()
            }
            Key::Disc { colour } => {
                Circle::new((x + px(21), y), px(6), filled(colour, 0.9)).into_dyn()
            }
        }
    }
}

/// A name in a legend below the axes.
pub(super) struct LegendEntry<'a> {
    name: &'a str,
    key: Key,
    /// Key, name and the space behind them, in pixels of the finished picture.
    width: usize,
}

/// The names of marks in rows of at most `width` pixels; a longer name has a row of its own.
pub(super) fn legend_rows(
    marks: &[(String, Mark)],
    width: usize,
) -> Result<Vec<Vec<LegendEntry<'_>>>, PlotError> {
    let mut rows: Vec<Vec<LegendEntry<'_>>> = vec![];
    let mut left = 0;
    for (name, mark) in marks.iter().filter(|(name, _)| !name.is_empty()) {
        let entry = LegendEntry {
            name,
            key: Key::of(mark),
            width: KEY + width_of(name, TICK)? + 2 * GAP,
        };
        match rows.last_mut().filter(|_| entry.width <= left) {
            Some(row) => {
                left -= entry.width;
                row.push(entry);
            }
            None => {
                left = width.saturating_sub(entry.width);
                rows.push(vec![entry]);
            }
        }
    }
    Ok(rows)
}

/// Grows the view that has fewer units per pixel until both have the same.
fn equal(views: [[f64; 2]; 2], inner: Rect) -> [[f64; 2]; 2] {
    let sizes = [inner.width as f64, inner.height as f64];
    let per_pixel = |k: usize| (views[k][1] - views[k][0]) / sizes[k];
    let unit = per_pixel(0).max(per_pixel(1));
    [0, 1].map(|k: usize| {
        let centre = 0.5 * (views[k][0] + views[k][1]);
        let half = 0.5 * unit * sizes[k];
        [centre - half, centre + half]
    })
}

/// What [`Canvas::titles`] takes of a panel's height.
pub(super) fn titles_height(words: &str) -> usize {
    match words.lines().count() {
        0 => 0,
        lines => lines * TITLE + GAP,
    }
}

/// Width of a line of text, in pixels of the finished picture.
fn width_of(words: &str, height: usize) -> Result<usize, PlotError> {
    let (width, _) = font(height, FontStyle::Normal)
        .box_size(words)
        .map_err(failed)?;
    Ok((width as usize).div_ceil(OVERSAMPLING))
}
