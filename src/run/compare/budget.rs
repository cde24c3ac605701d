//! `2000steps`, `50kimg`, `20epochs`, `60s`, `10m`, `2h`: one budget for all runs of a comparison, written with its unit.
use crate::run::config::Budget;

/// # Errors
/// If the text is no whole number above 0 with one of the units.
pub fn parse(text: &str) -> Result<Budget, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let refuse = || {
        format!(
            "`{text}` is no budget; give a number and its unit, like 2000steps, 50kimg, 20epochs, 60s, 10m, 2h"
        )
    };
    let n: u64 = number.parse().map_err(|_| refuse())?;
    if n == 0 {
        return Err(refuse());
    }
    let time = |seconds: u64| Budget {
        max_time_s: n.checked_mul(seconds),
        ..Budget::default()
    };
    let budget = match unit.trim() {
        "steps" | "step" => Budget {
            steps: Some(n),
            ..Budget::default()
        },
        "kimg" => Budget {
            kimg: Some(n),
            ..Budget::default()
        },
        "epochs" | "epoch" => Budget {
            epochs: Some(n),
            ..Budget::default()
        },
        "s" => time(1),
        "m" => time(60),
        "h" => time(3600),
        _ => return Err(refuse()),
    };
    if budget == Budget::default() {
        return Err(refuse());
    }
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart() {
        assert_eq!(parse("2000steps").unwrap().steps, Some(2000));
        assert_eq!(parse("50 kimg").unwrap().kimg, Some(50));
        assert_eq!(parse("1epoch").unwrap().epochs, Some(1));
        assert_eq!(parse("60s").unwrap().max_time_s, Some(60));
        assert_eq!(parse("2h").unwrap().max_time_s, Some(7200));
    }

    #[test]
    fn anything_else_says_what_it_takes() {
        for text in [
            "",
            "2000",
            "steps",
            "0steps",
            "-1s",
            "1.5h",
            "10x",
            "99999999999999999999h",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("like 2000steps"), "{message}");
        }
    }
}
