//! Values of flags: durations, grids, sizes, colours. Each says what it takes when it refuses.
use std::time::Duration;

/// `90s`, `10m`, `1.5h`, `1h30m`; a bare number is seconds. At least one second.
pub fn duration(text: &str) -> Result<Duration, String> {
    at_least(1.0, text)
}

/// The same, from a millisecond on: `0.1s`.
pub fn short_duration(text: &str) -> Result<Duration, String> {
    at_least(0.001, text)
}

/// A century is 3.2e9 seconds.
const MOST_SECONDS: f64 = 1e9;

fn at_least(least: f64, text: &str) -> Result<Duration, String> {
    let refuse =
        || format!("`{text}` is no duration; give seconds, minutes or hours, like 90s, 10m, 1h30m");
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if let Ok(bare) = rest.parse::<f64>() {
        (seconds, rest) = (bare, "");
    } else if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(refuse)?;
        let value: f64 = rest[..end].parse().map_err(|_| refuse())?;
        let unit = match rest.as_bytes()[end] {
            b's' => 1.0,
            b'm' => 60.0,
            b'h' => 3600.0,
            b'd' => 86400.0,
            _ => return Err(refuse()),
        };
        seconds += value * unit;
        rest = &rest[end + 1..];
    }
    if seconds.is_nan() {
        return Err(refuse());
    }
    if seconds < least {
        return Err(format!("`{text}` is too short; give at least {least}s"));
    }
    if seconds > MOST_SECONDS {
        return Err(format!(
            "`{text}` is too long; give at most {MOST_SECONDS}s"
        ));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// `8x8`: two whole numbers of at least 1.
fn pair(text: &str, example: &str) -> Result<[usize; 2], String> {
    let parts = text.split_once(['x', 'X']);
    let numbers = parts.and_then(|(a, b)| Some([a.trim().parse().ok()?, b.trim().parse().ok()?]));
    numbers
        .filter(|n| !n.contains(&0))
        .ok_or_else(|| format!("`{text}` is not of the form {example}"))
}

/// Rows and columns, `4x8`.
pub fn grid(text: &str) -> Result<[usize; 2], String> {
    pair(text, "ROWSxCOLUMNS, like 4x8")
}

/// Kernels and numbers per kernel of minibatch discrimination, `16x5`.
pub fn kernels(text: &str) -> Result<[usize; 2], String> {
    pair(text, "KERNELSxDIMS, like 16x5")
}

/// Height and width, `28x28`, or one number for both.
pub fn size(text: &str) -> Result<[usize; 2], String> {
    match text.parse() {
        Ok(0) | Err(_) => pair(text, "HEIGHTxWIDTH, like 28x28, or one number for both"),
        Ok(side) => Ok([side, side]),
    }
}

/// `black`, `white` or `RRGGBB`.
pub fn colour(text: &str) -> Result<[u8; 3], String> {
    match text {
        "black" => return Ok([0; 3]),
        "white" => return Ok([255; 3]),
        _ => {}
    }
    let digits = text.strip_prefix('#').unwrap_or(text);
    if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let number = u32::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
        let [_, r, g, b] = number.to_be_bytes();
        return Ok([r, g, b]);
    }
    Err(format!(
        "`{text}` is no colour; give black, white or six hexadecimal digits like ffcc00"
    ))
}

/// A finite number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err(format!("`{text}` is no number above 0")),
    }
}

/// A number in 0..1, 1 excluded.
pub fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err(format!(
            "`{text}` is no number from 0 up to, but not including, 1"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("10m", 600.0),
            ("1h", 3600.0),
            ("1h30m", 5400.0),
            ("1.5m", 90.0),
            ("45", 45.0),
        ] {
            assert_eq!(
                duration(text).map(|d| d.as_secs_f64()),
                Ok(seconds),
                "{text}"
            );
        }
        for text in [
            "", "m", "10x", "ten", "10m5", "-5s", "0s", "1e99", "nan", "inf", "5µs", "..s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, part) in [
            ("0.5s", "at least 1s"),
            ("-5", "at least 1s"),
            ("99999999999999999999h", "at most 1000000000s"),
            ("nan", "is no duration"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn grids_and_sizes() {
        assert_eq!(grid("4x8"), Ok([4, 8]));
        assert_eq!(size("28x32"), Ok([28, 32]));
        assert_eq!(size("64"), Ok([64, 64]));
        for text in ["", "x", "4x", "0x4", "4x8x2", "-1x4", "4*8"] {
            assert!(grid(text).is_err() && size(text).is_err(), "{text}");
        }
        assert!(size("0").is_err());
        assert_eq!(kernels("16x5"), Ok([16, 5]));
        assert!(kernels("0x5").unwrap_err().contains("KERNELSxDIMS"));
    }

    #[test]
    fn colours() {
        assert_eq!(colour("white"), Ok([255; 3]));
        assert_eq!(colour("#ff8001"), Ok([255, 128, 1]));
        for text in ["", "red", "12345", "1234567", "+12345", "ééé"] {
            assert!(colour(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(positive("2e-4"), Ok(2e-4));
        assert!(
            ["0", "-1", "nan", "inf", "x"]
                .iter()
                .all(|text| positive(text).is_err())
        );
        assert_eq!(fraction("0"), Ok(0.0));
        assert!(
            ["1", "-0.1", "nan", "x"]
                .iter()
                .all(|text| fraction(text).is_err())
        );
    }
}
