//! Axes: what range they show, where their ticks stand and what is written there.
use std::ops::RangeInclusive;

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

/// Where a tick stands, and its word.
pub(super) type Tick = (f64, String);

/// How many ticks an axis has where both share a step.
const SHARED: [usize; 2] = [4, 7];

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
    pub(super) fn ticks(&self, view: [f64; 2], count: usize) -> Vec<Tick> {
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

/// Ticks of both axes, about `counts` of them; where one unit is as long on both (`equal`), one step serves both.
pub(super) fn ticks_of_both(
    axes: [&Axis; 2],
    views: [[f64; 2]; 2],
    counts: [usize; 2],
    equal: bool,
) -> [Vec<Tick>; 2] {
    let is_plain = |axis: &Axis| axis.ticks == Ticks::Numbers && axis.scale == Scale::Linear;
    if equal && axes.into_iter().all(is_plain) {
        let step = shared_step(views);
        views.map(|view| multiples(view, step))
    } else {
        [0, 1].map(|k: usize| axes[k].ticks(views[k], counts[k]))
    }
}

/// The step that gives both axes as many ticks as [`SHARED`] says, or nearly: 1, 2 or 5 times a power of ten, else a step less round.
fn shared_step(views: [[f64; 2]; 2]) -> f64 {
    let [width, height] = views.map(|[low, high]| high - low);
    let power = 10f64.powf((width.max(height) / 10.0).log10().floor());
    let rank = |&(last_resort, step): &(bool, f64)| {
        let counts = views.map(|view| factors(view, step).count());
        let [fewest, most] = SHARED;
        let outside = |n: usize| fewest.saturating_sub(n) + n.saturating_sub(most);
        (
            counts.map(outside).iter().sum::<usize>(),
            last_resort,
            counts.map(|n| n.abs_diff(5)).iter().sum::<usize>(),
        )
    };
    [
        (false, 1.0),
        (false, 2.0),
        (true, 2.5),
        (true, 4.0),
        (false, 5.0),
        (true, 6.0),
        (false, 10.0),
        (true, 15.0),
        (false, 20.0),
    ]
    .map(|(last_resort, times)| (last_resort, times * power))
    .into_iter()
    .min_by_key(rank)
    .map_or(power, |(_, step)| step)
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(view: [f64; 2], count: usize) -> Vec<Tick> {
    let rough = (view[1] - view[0]) / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    multiples(view, step)
}

/// The multiples of `step` in view.
fn multiples(view: [f64; 2], step: f64) -> Vec<Tick> {
    let leading = (-(step.log10() + 1e-9).floor()).max(0.0);
    let digits = step * 10f64.powf(leading);
    // 2.5 has a decimal more than its first digit does.
    let is_whole = (digits - digits.round()).abs() < 1e-6 * digits;
    let decimals = leading as usize + usize::from(!is_whole);
    factors(view, step)
        .map(|k| {
            let value = k as f64 * step;
            (value, number(value, decimals))
        })
        .collect()
}

/// What `step` is multiplied by to be in view.
fn factors([low, high]: [f64; 2], step: f64) -> RangeInclusive<i64> {
    (low / step - 1e-9).ceil() as i64..=(high / step + 1e-9).floor() as i64
}

/// Powers of ten; with 2 and 5 between them where there would be fewer than three.
fn log_ticks([low, high]: [f64; 2], count: usize) -> Vec<Tick> {
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

    fn words(ticks: Vec<Tick>) -> Vec<String> {
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
    fn axes_of_one_scale_share_their_step() {
        let axes = [&Axis::new("x"), &Axis::new("y")];
        let both = |views| ticks_of_both(axes, views, [2, 9], true).map(words);
        let grid = ["\u{2212}6", "\u{2212}4", "\u{2212}2", "0", "2", "4", "6"].map(String::from);
        assert_eq!(both([[-6.1, 6.1], [-6.2, 6.2]]), [&grid[..], &grid[..]]);
        // Of 2 there would be eight, of 5 three.
        let quarters = ["2.5", "5.0", "7.5", "10.0", "12.5", "15.0"];
        assert_eq!(both([[0.5, 17.0], [0.5, 17.0]])[0], quarters);
        // Whatever the range and wherever the two begin.
        for i in 1..400 {
            let (low, wide) = (f64::from(i * 37 % 101) / 7.0 - 5.0, f64::from(i) / 9.0);
            for other in [low, low + 0.3 * wide, -low] {
                let ticks = both([[low, low + wide], [other, other + wide]]);
                let all_fit = ticks.iter().all(|t| (4..=7).contains(&t.len()));
                assert!(all_fit, "{low} {other} {wide}: {ticks:?}");
            }
        }
        // Each its own where the scales differ, and where one has words.
        let apart = ticks_of_both(axes, [[0.0, 1.0], [0.0, 1.0]], [2, 9], false);
        assert_ne!(apart[0].len(), apart[1].len());
        let named = Axis::new("y").words([(0.0, "zero")]);
        let mixed = ticks_of_both([axes[0], &named], [[0.0, 1.0]; 2], [2, 9], true);
        assert_eq!(mixed.map(words), [vec!["0.0", "0.5", "1.0"], vec!["zero"]]);
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
