//! Figures: one look for every picture that is no sample itself.
//!
//! A [`Figure`] is a grid of panels; a panel is a [`Chart`] (marks over two axes) or a picture. `draw` gives a
//! [`Picture`](super::grid::Picture), which writes itself as a PNG; [`animate`] makes a GIF of several.
//!
//! ```no_run
//! use gan_gpu::run::plot::{Axis, Chart, Figure, look};
//! let loss = vec![[0.0, 1.4], [1000.0, 0.9]];
//! let chart = Chart::new("Loss", Axis::new("step"), Axis::log("nats")).line("D", look::series(0), loss);
//! let picture = Figure::single(chart).draw()?;
//! # Ok::<(), gan_gpu::run::plot::PlotError>(())
//! ```
//!
//! Drawn by `plotters`, the plotting crate that most of the Rust world uses (criterion among them), on its bitmap backend and with
//! embedded fonts, so that figures are the same on every machine.
mod axis;
mod chart;
mod clip;
mod draw;
mod figure;
mod gif;
pub mod look;
#[cfg(test)]
mod tests;

pub use axis::{Axis, Scale, Ticks};
pub use chart::{Bar, Chart, Legend, Mark, outline};
pub use draw::Rect;
pub use figure::{Drawn, Figure, Frame, Panel};
pub use gif::animate;

#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("a figure without panels cannot be drawn")]
    Empty,
    #[error("the figure could not be drawn: {0}")]
    Draw(String),
    #[error(
        "frame {index} of the animation is {width}x{height} with {channels} channels, the first is {first_width}x{first_height}; all must have one size and 3 channels"
    )]
    Frame {
        index: usize,
        width: usize,
        height: usize,
        channels: usize,
        first_width: usize,
        first_height: usize,
    },
    #[error("an animation of {width}x{height} pixels is beyond GIF's 65535 a side")]
    GifSize { width: usize, height: usize },
}
