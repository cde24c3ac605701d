//! The one look of all figures: font, sizes, colours. Sizes are pixels of the finished picture, chosen so that all text stays
//! legible when a README shows the picture at half its size.
use super::PlotError;
use plotters::style::{FontStyle, RGBColor, register_font};
use std::sync::OnceLock;

/// The family that [`fonts`] registers.
pub(super) const FAMILY: &str = "figure";
static REGULAR: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans.ttf");
static BOLD: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans-Bold.ttf");

/// Heights of text.
pub const TICK: usize = 21;
pub const LABEL: usize = 24;
pub const TITLE: usize = 26;
pub const HEADING: usize = 30;
/// Width of a series' line.
pub const STROKE: f64 = 3.5;
/// Around a panel, and between text and what it names.
pub const GAP: usize = 10;
/// Width and height of a panel that stands alone.
pub const SINGLE: [usize; 2] = [960, 600];

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

impl Colour {
    pub(super) fn rgb(self) -> RGBColor {
        RGBColor(self.0, self.1, self.2)
    }
}

pub const PAPER: Colour = Colour(255, 255, 255);
pub const INK: Colour = Colour(40, 40, 40);
pub const GRID: Colour = Colour(226, 226, 226);
pub const FRAME: Colour = Colour(130, 130, 130);

/// Real data, in every figure.
pub const REAL: Colour = Colour(150, 150, 150);
/// Generated data, in every figure.
pub const GENERATED: Colour = Colour(214, 60, 30);
/// The discriminator, in every figure.
pub const CRITIC: Colour = BLUE;

// Okabe and Ito's palette, which people tell apart whatever their colour vision.
pub const BLUE: Colour = Colour(0, 114, 178);
pub const VERMILLION: Colour = Colour(213, 94, 0);
pub const GREEN: Colour = Colour(0, 158, 115);
pub const PURPLE: Colour = Colour(204, 121, 167);
pub const ORANGE: Colour = Colour(230, 159, 0);
pub const SKY: Colour = Colour(86, 180, 233);

/// The colours of series without a meaning of their own, in order.
pub const SERIES: [Colour; 7] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK];

/// The colour of series `index`; they repeat after seven.
pub fn series(index: usize) -> Colour {
    SERIES[index % SERIES.len()]
}

/// Makes the embedded fonts known; no font of the system is ever read.
pub(super) fn fonts() -> Result<(), PlotError> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, REGULAR).is_ok()
            && register_font(FAMILY, FontStyle::Bold, BOLD).is_ok()
    });
    if *registered {
        Ok(())
    } else {
        Err(PlotError::Draw(
            "the embedded font cannot be read: assets/fonts is damaged".into(),
        ))
    }
}
