//! Panels in a grid, with titles over columns and beside rows, as one picture.
use super::PlotError;
use super::chart::{Chart, Mark};
use super::draw::{LEGEND_ROW, Rect, Run, legend_rows, paint, titles_height};
use super::look::{GAP, HEADING, SINGLE, TITLE, fonts};
use crate::run::grid::Picture;

/// What one cell of a figure shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Panel {
    Chart(Box<Chart>),
    /// Enlarged by a whole factor as far as it fits, else reduced; with words above (empty: none).
    Picture {
        title: String,
        picture: Picture,
    },
    /// Words where a picture would be, with a title above (empty: none).
    Note {
        title: String,
        note: String,
    },
    Blank,
}

impl From<Chart> for Panel {
    fn from(chart: Chart) -> Self {
        Panel::Chart(Box::new(chart))
    }
}

/// A grid of panels of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub title: String,
    /// One per column, above them, or none at all.
    pub columns: Vec<String>,
    /// One per row, written upwards beside them, or none at all.
    pub rows: Vec<String>,
    /// Row by row; a short row leaves its last cells blank.
    pub panels: Vec<Vec<Panel>>,
    /// Width and height of each panel, axes and title included.
    pub size: [usize; 2],
    /// The names of these marks stand below all panels: for many that show the same.
    pub legend: Vec<(String, Mark)>,
}

/// A drawn figure, and where its charts lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    pub picture: Picture,
    pub frames: Vec<Frame>,
}

/// The rectangle between a chart's axes, and what is in view there (on the axes' linear scales).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    pub row: usize,
    pub column: usize,
    pub rect: Rect,
    pub x: [f64; 2],
    pub y: [f64; 2],
}

impl Frame {
    /// The pixel at which a point lies.
    pub fn pixel(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let part = |v: f64, [low, high]: [f64; 2]| (v - low) / (high - low);
        [
            self.rect.left as f64 + part(x, self.x) * self.rect.width as f64,
            self.rect.top as f64 + (1.0 - part(y, self.y)) * self.rect.height as f64,
        ]
    }
}

impl Figure {
    /// One panel alone.
    pub fn single(panel: impl Into<Panel>) -> Self {
        Self::grid(vec![vec![panel.into()]], SINGLE)
    }

    pub fn grid(panels: Vec<Vec<Panel>>, size: [usize; 2]) -> Self {
        Self {
            title: String::new(),
            columns: vec![],
            rows: vec![],
            panels,
            size,
            legend: vec![],
        }
    }

    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    pub fn columns<S: Into<String>>(mut self, titles: impl IntoIterator<Item = S>) -> Self {
        self.columns = titles.into_iter().map(Into::into).collect();
        self
    }

    pub fn rows<S: Into<String>>(mut self, titles: impl IntoIterator<Item = S>) -> Self {
        self.rows = titles.into_iter().map(Into::into).collect();
        self
    }

    pub fn legend(mut self, marks: Vec<(String, Mark)>) -> Self {
        self.legend = marks;
        self
    }

    /// # Errors
    /// [`PlotError::Empty`] without a panel; [`PlotError::Draw`] where the plotting crate fails.
    pub fn draw(&self) -> Result<Picture, PlotError> {
        Ok(self.draw_with_frames()?.picture)
    }

    /// As [`Figure::draw`], for those who look at single pixels.
    pub fn draw_with_frames(&self) -> Result<Drawn, PlotError> {
        let (rows, columns) = (
            self.panels.len(),
            self.panels.iter().map(Vec::len).max().unwrap_or(0),
        );
        if columns == 0 {
            return Err(PlotError::Empty);
        }
        let [width, height] = self.size;
        let heading = if self.title.is_empty() {
            0
        } else {
            HEADING + 2 * GAP
        };
        let left = if self.rows.is_empty() { 0 } else { TITLE + GAP };
        let top = heading
            + if self.columns.is_empty() {
                0
            } else {
                TITLE + GAP
            };
        let cell = |row: usize, column: usize| Rect {
            left: left + column * width,
            top: top + row * height,
            width,
            height,
        };
        // Names are measured before the surface is there.
        fonts()?;
        let bottom = top + rows * height;
        let legend = legend_rows(
            &self.legend,
            (left + columns * width).saturating_sub(2 * GAP),
        )?;
        let size = [left + columns * width, bottom + legend.len() * LEGEND_ROW];
        let mut frames = vec![];
        let mut picture = paint(size, |canvas| {
            if !self.title.is_empty() {
                canvas.write(
                    &self.title,
                    HEADING,
                    Run::Centred,
                    (size[0] / 2, heading / 2),
                )?;
            }
            for (column, title) in self.columns.iter().enumerate() {
                let at = (left + column * width + width / 2, top - (TITLE + GAP) / 2);
                canvas.write(title, TITLE, Run::Centred, at)?;
            }
            for (row, title) in self.rows.iter().enumerate() {
                let at = (left / 2 + GAP / 2, top + row * height + height / 2);
                canvas.write(title, TITLE, Run::Upwards, at)?;
            }
            for (row, panels) in self.panels.iter().enumerate() {
                for (column, panel) in panels.iter().enumerate() {
                    let rect = cell(row, column);
                    match panel {
                        Panel::Chart(chart) => {
                            let (rect, [x, y]) = canvas.chart(chart, rect)?;
                            frames.push(Frame {
                                row,
                                column,
                                rect,
                                x,
                                y,
                            });
                        }
                        Panel::Picture { title, .. } => {
                            canvas.titles(title, rect.left + width / 2, rect)?;
                        }
                        Panel::Note { title, note } => {
                            canvas.titles(title, rect.left + width / 2, rect)?;
                            canvas.note(note, under(title, rect))?;
                        }
                        Panel::Blank => {}
                    }
                }
            }
            for (k, row) in legend.iter().enumerate() {
                let middle = bottom + k * LEGEND_ROW + LEGEND_ROW / 2;
                canvas.legend_row(row, (size[0] / 2, middle))?;
            }
            Ok(())
        })?;
        for (row, panels) in self.panels.iter().enumerate() {
            for (column, panel) in panels.iter().enumerate() {
                if let Panel::Picture {
                    title,
                    picture: inset,
                } = panel
                {
                    paste(&mut picture, inset, under(title, cell(row, column)));
                }
            }
        }
        Ok(Drawn { picture, frames })
    }
}

/// What a title leaves of a panel, with space around.
fn under(title: &str, panel: Rect) -> Rect {
    let above = titles_height(title);
    Rect {
        left: panel.left + GAP,
        top: panel.top + GAP + above,
        width: panel.width.saturating_sub(2 * GAP),
        height: panel.height.saturating_sub(2 * GAP + above),
    }
}

/// Lays `inset` into the middle of `room`: repeated pixels where it is enlarged, means where it is reduced.
fn paste(picture: &mut Picture, inset: &Picture, room: Rect) {
    if inset.width == 0 || inset.height == 0 || room.width == 0 || room.height == 0 {
        return;
    }
    let whole = (room.width / inset.width).min(room.height / inset.height);
    let (width, height) = if whole >= 1 {
        (inset.width * whole, inset.height * whole)
    } else {
        let part =
            (room.width as f64 / inset.width as f64).min(room.height as f64 / inset.height as f64);
        let side = |n: usize| ((n as f64 * part) as usize).max(1);
        (side(inset.width), side(inset.height))
    };
    let (left, top) = (
        room.left + (room.width - width) / 2,
        room.top + (room.height - height) / 2,
    );
    // Source pixels that fall into target pixel i of n.
    let span = |i: usize, n: usize, of: usize| {
        let from = i * of / n;
        from..((i + 1) * of / n).max(from + 1)
    };
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let (mut sum, mut count) = (0u32, 0u32);
                for sy in span(y, height, inset.height) {
                    for sx in span(x, width, inset.width) {
                        let at = (sy * inset.width + sx) * inset.channels;
                        sum += u32::from(inset.pixels[at + channel.min(inset.channels - 1)]);
                        count += 1;
                    }
                }
                let at = ((top + y) * picture.width + left + x) * 3 + channel;
                picture.pixels[at] = ((sum + count / 2) / count.max(1)) as u8;
            }
        }
    }
}
