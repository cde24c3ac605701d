//! Latent codes traversed, as InfoGAN's figures show them: along a row one code takes all its values, everything else stays.
//! Chen et al., arXiv 1606.03657, figure 2.
use super::session::EngineError;
use crate::gan::methods::Info;

/// Which code moves along a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The categorical one: column c is category c; each row has its own noise.
    Categorical,
    /// A continuous one, from -1 to 1; row r is category r, if there are categories, of one and the same noise.
    Continuous(usize),
}

impl std::str::FromStr for Code {
    type Err = String;
    fn from_str(text: &str) -> Result<Code, String> {
        match (text, text.parse()) {
            ("categorical", _) => Ok(Code::Categorical),
            (_, Ok(k)) => Ok(Code::Continuous(k)),
            _ => Err(format!(
                "`{text}` is no code; give `categorical`, or the number of a continuous code from 0 on"
            )),
        }
    }
}

/// Rows and columns of a traversal, where the run's own grid is `rows` x `cols`.
///
/// # Errors
/// [`EngineError::Input`] where the run has no such code.
pub fn grid(
    code: Code,
    info: Option<&Info>,
    [rows, cols]: [usize; 2],
) -> Result<[usize; 2], EngineError> {
    let no = |what: String| Err(EngineError::input(format!("--traverse: {what}")));
    let Some(info) = info else {
        return no("this run has no codes; it was not trained with --info".into());
    };
    match code {
        Code::Categorical if info.categorical == 0 => no("this run has no categorical code".into()),
        Code::Continuous(k) if k >= info.continuous => no(format!(
            "there is no continuous code {k}; this run has {}",
            info.continuous
        )),
        Code::Categorical => Ok([rows, info.categorical]),
        Code::Continuous(_) if info.categorical > 0 => Ok([info.categorical, cols]),
        Code::Continuous(_) => Ok([rows, cols]),
    }
}

/// The category of one row of latents.
pub fn category(latents: &[f32], info: &Info) -> usize {
    let noise = latents.len().saturating_sub(info.width());
    let one_hot = latents[noise..].iter().take(info.categorical);
    let largest = one_hot.enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    largest.map_or(0, |(k, _)| k)
}

/// Latents `[rows x cols, width]` of a traversal; `drawn` are at least `rows` draws of the run's latents, of which noise and the codes
/// that stay are taken. The codes are the last components.
pub fn latents(
    code: Code,
    info: &Info,
    [rows, cols]: [usize; 2],
    drawn: &[f32],
    width: usize,
) -> Vec<f32> {
    let noise = width.saturating_sub(info.width());
    let continuous = noise + info.categorical;
    let mut all = Vec::with_capacity(rows * cols * width);
    for row in 0..rows {
        for col in 0..cols {
            let source = match code {
                Code::Categorical => row,
                Code::Continuous(_) if info.categorical > 0 => 0,
                Code::Continuous(_) => row,
            };
            let mut z = drawn[source * width..(source + 1) * width].to_vec();
            let category = match code {
                Code::Categorical => col,
                Code::Continuous(_) => row,
            };
            if info.categorical > 0 {
                z[noise..continuous].fill(0.0);
                z[noise + category % info.categorical] = 1.0;
            }
            if info.categorical > 0 || matches!(code, Code::Continuous(_)) {
                z[continuous..].fill(0.0);
            }
            if let Code::Continuous(k) = code {
                let share = col as f32 / (cols.max(2) - 1) as f32;
                z[continuous + k] = 2.0 * share - 1.0;
            }
            all.extend(z);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: Info = Info {
        categorical: 3,
        continuous: 2,
        weight: 1.0,
    };
    /// Two draws of one noise component, three categories and two continuous codes.
    const DRAWN: [f32; 12] = [
        0.5, 0.0, 1.0, 0.0, 0.3, -0.3, //
        -0.5, 1.0, 0.0, 0.0, 0.6, -0.6,
    ];

    #[test]
    fn categories_change_along_a_row_and_noise_from_row_to_row() {
        assert_eq!(
            grid(Code::Categorical, Some(&INFO), [2, 8]).unwrap(),
            [2, 3]
        );
        let z = latents(Code::Categorical, &INFO, [2, 3], &DRAWN, 6);
        assert_eq!(z[..6], [0.5, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(z[12..18], [0.5, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(z[18..24], [-0.5, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let categories: Vec<usize> = z.chunks(6).map(|z| category(z, &INFO)).collect();
        assert_eq!(categories, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_continuous_code_goes_from_end_to_end_within_each_category() {
        let code = Code::Continuous(1);
        assert_eq!(grid(code, Some(&INFO), [8, 5]).unwrap(), [3, 5]);
        let z = latents(code, &INFO, [3, 5], &DRAWN, 6);
        assert_eq!(z[..6], [0.5, 1.0, 0.0, 0.0, 0.0, -1.0]);
        assert_eq!(z[4 * 6..5 * 6], [0.5, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(z[7 * 6..8 * 6], [0.5, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn codes_that_are_not_there_are_refused() {
        let none = Info {
            categorical: 0,
            continuous: 1,
            weight: 1.0,
        };
        for (code, info, said) in [
            (Code::Categorical, None, "--info"),
            (Code::Categorical, Some(&none), "no categorical"),
            (Code::Continuous(1), Some(&none), "this run has 1"),
        ] {
            let error = grid(code, info, [2, 2]).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!("x".parse::<Code>().is_err());
        assert_eq!("1".parse::<Code>().unwrap(), Code::Continuous(1));
    }
}
