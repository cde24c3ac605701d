//! One chart: marks over two axes.
use super::axis::{Axis, Scale};
use super::look::{Colour, STROKE};

/// Something drawn over the axes. Coordinates are the data's own; what is out of view is cut off, and what is not finite left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A line through the points in order; it breaks at a point that has no place, and one alone is a disc.
    Line {
        points: Vec<[f64; 2]>,
        colour: Colour,
        dashed: bool,
        width: f64,
    },
    /// Between two curves: `[x, low, high]`.
    Band {
        points: Vec<[f64; 3]>,
        colour: Colour,
        opacity: f64,
    },
    /// Discs, translucent so that density shows.
    Dots {
        points: Vec<[f64; 2]>,
        colour: Colour,
        /// Pixels.
        radius: f64,
        opacity: f64,
    },
    /// Columns from zero (or the lower edge) to `height`, centred on x.
    Bars {
        bars: Vec<Bar>,
        /// In units of x.
        width: f64,
        colour: Colour,
    },
}

/// One column; `error` is drawn as a whisker from the first value to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    pub x: f64,
    pub height: f64,
    pub error: Option<[f64; 2]>,
}

/// Where the legend stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Legend {
    UpperLeft,
    #[default]
    UpperRight,
    LowerLeft,
    LowerRight,
    /// Under the x axis, in room of its own: for curves that leave no corner free.
    Below,
    None,
}

/// Marks over two axes, with a title.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    /// In the order in which they are drawn, with their names in the legend (empty: none).
    pub marks: Vec<(String, Mark)>,
    pub legend: Legend,
    /// One unit of x is as long as one of y, and ticks are as far apart; the ranges grow to fill the panel.
    pub equal_scale: bool,
}

impl Chart {
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            x,
            y,
            ..Self::default()
        }
    }

    pub fn mark(mut self, name: impl Into<String>, mark: Mark) -> Self {
        self.marks.push((name.into(), mark));
        self
    }

    pub fn line(self, name: impl Into<String>, colour: Colour, points: Vec<[f64; 2]>) -> Self {
        self.mark(
            name,
            Mark::Line {
                points,
                colour,
                dashed: false,
                width: STROKE,
            },
        )
    }

    pub fn dashed(self, name: impl Into<String>, colour: Colour, points: Vec<[f64; 2]>) -> Self {
        self.mark(
            name,
            Mark::Line {
                points,
                colour,
                dashed: true,
                width: STROKE,
            },
        )
    }

    /// For the spread behind a mean: minimum to maximum, or a deviation either way.
    pub fn band(self, name: impl Into<String>, colour: Colour, points: Vec<[f64; 3]>) -> Self {
        self.mark(
            name,
            Mark::Band {
                points,
                colour,
                opacity: 0.22,
            },
        )
    }

    /// The area under a curve down to zero.
    pub fn area(self, name: impl Into<String>, colour: Colour, points: &[[f64; 2]]) -> Self {
        let points = points.iter().map(|p| [p[0], 0.0, p[1]]).collect();
        self.mark(
            name,
            Mark::Band {
                points,
                colour,
                opacity: 0.55,
            },
        )
    }

    pub fn dots(
        self,
        name: impl Into<String>,
        colour: Colour,
        radius: f64,
        points: Vec<[f64; 2]>,
    ) -> Self {
        self.mark(
            name,
            Mark::Dots {
                points,
                colour,
                radius,
                opacity: 0.4,
            },
        )
    }

    pub fn legend(mut self, legend: Legend) -> Self {
        self.legend = legend;
        self
    }

    pub fn equal_scale(mut self) -> Self {
        self.equal_scale = true;
        self
    }

    /// The ranges in view, on the axes' own linear scales.
    pub(super) fn views(&self) -> [[f64; 2]; 2] {
        let mut x = vec![];
        let mut y = vec![];
        for (_, mark) in &self.marks {
            match mark {
                Mark::Line { points, .. } | Mark::Dots { points, .. } => {
                    x.extend(points.iter().map(|p| p[0]));
                    y.extend(points.iter().map(|p| p[1]));
                }
                Mark::Band { points, .. } => {
                    x.extend(points.iter().map(|p| p[0]));
                    y.extend(points.iter().flat_map(|p| [p[1], p[2]]));
                }
                Mark::Bars { bars, width, .. } => {
                    x.extend(
                        bars.iter()
                            .flat_map(|b| [b.x - 0.7 * width, b.x + 0.7 * width]),
                    );
                    y.extend(bars.iter().flat_map(|b| {
                        let error = b.error.unwrap_or([b.height; 2]);
                        [0.0, b.height, error[0], error[1]]
                    }));
                }
            }
        }
        let mut views = [self.x.view(x.into_iter()), self.y.view(y.iter().copied())];
        // Columns stand on the axis.
        let bars = |m: &Mark| matches!(m, Mark::Bars { .. });
        if self.y.range.is_none()
            && self.y.scale == Scale::Linear
            && self.marks.iter().any(|(_, m)| bars(m))
            && y.iter().all(|&v| v >= 0.0)
        {
            views[1][0] = 0.0;
        }
        views
    }
}

/// The outline of a histogram: `density[i]` between `edges[i]` and `edges[i + 1]`, from zero back to zero.
pub fn outline(edges: &[f64], density: &[f64]) -> Vec<[f64; 2]> {
    let mut points = Vec::with_capacity(2 * density.len() + 2);
    points.extend(edges.first().map(|&x| [x, 0.0]));
    for (pair, &height) in edges.windows(2).zip(density) {
        points.extend([[pair[0], height], [pair[1], height]]);
    }
    points.extend(edges.last().map(|&x| [x, 0.0]));
    points
}
