//! Axes: what range they show, where their ticks stand and what is written there.

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    #[default]
    Linear,
    /// By powers of ten; values that are not positive are left out.
    Log,
}

/// What is written along an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Ticks {
    /// Round numbers.
    #[default]
    Numbers,
    /// These words at these values: categories.
    Words(Vec<(f64, String)>),
    /// Nothing, for small panels.
    None,
}

/// One axis of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// Quantity and unit; no room is taken for an empty one.
    pub label: String,
    /// Lowest and highest value in view; by the data where there is none.
    pub range: Option<[f64; 2]>,
    pub scale: Scale,
    pub ticks: Ticks,
}

impl Axis {
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    pub fn log(label: impl Into<String>) -> Self {
        Self {
            scale: Scale::Log,
            ..Self::new(label)
        }
    }

    /// Without label and ticks.
    pub fn bare() -> Self {
        Self {
            ticks: Ticks::None,
            ..Self::default()
        }
    }

    pub fn within(mut self, low: f64, high: f64) -> Self {
        self.range = Some([low, high]);
        self
    }

    pub fn words<S: Into<String>>(mut self, words: impl IntoIterator<Item = (f64, S)>) -> Self {
        self.ticks = Ticks::Words(words.into_iter().map(|(at, w)| (at, w.into())).collect());
        self
    }

    /// Where `value` lies on the paper's own linear scale; None where it has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let placed = match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => return None,
        };
        placed.is_finite().then_some(placed)
    }

    /// The range in view on that scale: the given one, or around the data with a margin.
    pub(super) fn view(&self, values: impl Iterator<Item = f64>) -> [f64; 2] {
        if let Some([low, high]) = self.range
            && let (Some(low), Some(high)) = (self.place(low), self.place(high))
            && low < high
        {
            return [low, high];
        }
        let (low, high) = values
            .filter_map(|v| self.place(v))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        if low > high {
            return [0.0, 1.0];
        }
        let margin = if high > low {
            (high - low) * 0.04
        } else {
            0.5 * low.abs().max(1.0)
        };
        [low - margin, high + margin]
    }

    /// Places of ticks within `view` with their words, about `count` of them.
    pub(super) fn ticks(&self, view: [f64; 2], count: usize) -> Vec<(f64, String)> {
        match (&self.ticks, self.scale) {
            (Ticks::None, _) => vec![],
            (Ticks::Words(words), _) => words
                .iter()
                .filter_map(|(at, word)| Some((self.place(*at)?, word.clone())))
                .filter(|(at, _)| (view[0]..=view[1]).contains(at))
                .collect(),
            (Ticks::Numbers, Scale::Linear) => linear_ticks(view, count),
            (Ticks::Numbers, Scale::Log) => log_ticks(view, count),
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks([low, high]: [f64; 2], count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|k| {
            let value = k as f64 * step;
            (value, number(value, decimals))
        })
        .collect()
}

/// Powers of ten; with 2 and 5 between them where there would be fewer than three.
fn log_ticks([low, high]: [f64; 2], count: usize) -> Vec<(f64, String)> {
    let (first, last) = (low.ceil() as i32, high.floor() as i32);
    if last - first < 2 {
        return (low.floor() as i32..=last)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|m: f64| (power, m)))
            .map(|(power, m)| (f64::from(power) + m.log10(), m * 10f64.powi(power)))
            .filter(|(at, _)| (low..=high).contains(at))
            .map(|(at, value)| (at, plain(value)))
            .collect();
    }
    let every = ((last - first) / count.max(1) as i32 + 1).max(1);
    (first..=last)
        .filter(|power| power.rem_euclid(every) == 0)
        .map(|power| {
            let word = if (-3..=4).contains(&power) {
                plain(10f64.powi(power))
            } else {
                format!("1e{power}")
            };
            (f64::from(power), word)
        })
        .collect()
}

fn plain(value: f64) -> String {
    number(value, (-value.log10().floor()).max(0.0) as usize)
}

/// With a comma between thousands from 10,000 on.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = text
        .strip_prefix("-0")
        .filter(|rest| rest.chars().all(|c| c == '0' || c == '.'))
        .map_or(text.clone(), |rest| format!("0{rest}"));
    let (sign, digits) = match text.strip_prefix('-') {
        // A proper minus sign, as wide as a plus.
        Some(digits) => ("\u{2212}", digits),
        None => ("", text.as_str()),
    };
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = match whole.len() {
        0..=4 => whole.to_string(),
        n => whole
            .char_indices()
            .map(|(i, c)| {
                if i > 0 && (n - i).is_multiple_of(3) {
                    format!(",{c}")
                } else {
                    c.to_string()
                }
            })
            .collect(),
    };
    if rest.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(ticks: Vec<(f64, String)>) -> Vec<String> {
        ticks.into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn ticks_are_round_numbers_in_view() {
        let axis = Axis::new("x");
        assert_eq!(words(axis.ticks([-0.3, 1.1], 5)), ["0.0", "0.5", "1.0"]);
        assert_eq!(
            words(axis.ticks([-4.0, 4.0], 4)),
            ["\u{2212}4", "\u{2212}2", "0", "2", "4"]
        );
        assert_eq!(
            words(axis.ticks([0.0, 40_000.0], 4)),
            ["0", "10,000", "20,000", "30,000", "40,000"]
        );
        assert_eq!(words(axis.ticks([-0.02, 0.02], 4)).len(), 5);
        assert_eq!(words(Axis::bare().ticks([0.0, 1.0], 4)).len(), 0);
    }

    #[test]
    fn log_axes_show_powers_of_ten_and_leave_out_what_has_no_place() {
        let axis = Axis::log("norm");
        assert_eq!(
            words(axis.ticks([-2.2, 1.3], 6)),
            ["0.01", "0.1", "1", "10"]
        );
        assert_eq!(words(axis.ticks([-0.1, 0.8], 6)), ["1", "2", "5"]);
        assert_eq!(words(axis.ticks([-9.5, -4.5], 6))[0], "1e-9");
        assert_eq!(axis.place(0.0), None);
        assert_eq!(axis.place(-1.0), None);
        assert_eq!(axis.place(100.0), Some(2.0));
        let [low, high] = axis.view([0.0, 1.0, 100.0, f64::INFINITY].into_iter());
        assert!(low < 0.0 && low > -0.2 && high > 2.0 && high < 2.2);
    }

    #[test]
    fn a_view_without_extent_still_is_one() {
        assert_eq!(Axis::new("x").view([].into_iter()), [0.0, 1.0]);
        let [low, high] = Axis::new("x").view([3.0].into_iter());
        assert!(low < 3.0 && high > 3.0);
        assert_eq!(
            Axis::new("x").within(-1.0, 2.0).view([50.0].into_iter()),
            [-1.0, 2.0]
        );
    }
}
