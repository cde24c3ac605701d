//! The generated part of winograd_points.wgsl and winograd_finish.wgsl.
use super::filter::Matrix;
use crate::gpu::shader::line;
use crate::kernels::{Fours, Scalar};

/// WGSL of the sum of `factors` times the terms called `name(j)`.
fn combination(factors: &[f64], name: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (j, &factor) in factors.iter().enumerate().filter(|(_, f)| **f != 0.0) {
        let sign = match (text.is_empty(), factor < 0.0) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        };
        let size = factor.abs();
        text += sign;
        if size != 1.0 {
            // The nearest f32, so that every compiler has the same.
            text += &format!("{:?} * ", size as f32);
        }
        text += &name(j);
    }
    text
}

/// Which numbers of a row an invocation needs: element j of the tile of phase f is number `of[f][j]`, below `length`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub of: Vec<Vec<u32>>,
    pub length: u32,
}

impl Segment {
    /// `count` elements `step` apart for each phase, which begins at `shift`.
    pub fn spaced(step: u32, shifts: &[u32], count: u32) -> Self {
        let tile = |&shift: &u32| (0..count).map(|j| shift + step * j).collect();
        Self::new(shifts.iter().map(tile).collect())
    }

    pub fn new(of: Vec<Vec<u32>>) -> Self {
        let length = of.iter().flatten().max().map_or(0, |last| last + 1);
        Self { of, length }
    }

    /// The same numbers behind `lead` others.
    pub fn after(mut self, lead: u32) -> Self {
        self.of.iter_mut().flatten().for_each(|n| *n += lead);
        self.length += lead;
        self
    }
}

/// `fn transform(at: u32)` that puts T tile T^t of every phase at the points, for numbers that are read `per_elem` at a time.
pub fn transform_to_points(t: &Matrix, segment: &Segment, per_elem: u32) -> String {
    let (points, side) = (t.len(), t[0].len());
    let mut text = String::from("fn transform(at: u32) {\n");
    for i in 0..side {
        line(&mut text, format_args!("    place_row({i}u);"));
        for n in (0..segment.length).step_by(per_elem as usize) {
            let k = n / per_elem;
            line(&mut text, format_args!("    let d{i}_{k} = numbers({n}u);"));
        }
        for (f, of) in segment.of.iter().enumerate() {
            let number = |j: usize| {
                let (k, rest) = (of[j] / per_elem, of[j] % per_elem);
                format!("d{i}_{k}.{}", ['x', 'y'][rest as usize])
            };
            for (q, row) in t.iter().enumerate() {
                let sum = combination(row, number);
                line(&mut text, format_args!("    let e{f}_{i}{q} = {sum};"));
            }
        }
    }
    for f in 0..segment.of.len() {
        for (p, row) in t.iter().enumerate() {
            for q in 0..points {
                let sum = combination(row, |i| format!("e{f}_{i}{q}"));
                line(
                    &mut text,
                    format_args!(
                        "    put(at + {f}u * im.phase_twos, {}u, {sum});",
                        p * points + q
                    ),
                );
            }
        }
    }
    text + "}\n"
}

/// `fn transform(at: u32)` that finishes the tile T points T^t of every phase, whose numbers are written `per_elem` at a time.
pub fn transform_from_points(t: &Matrix, segment: &Segment, per_elem: u32) -> String {
    let points = t[0].len();
    let mut text = String::from("fn transform(at: u32) {\n");
    for f in 0..segment.of.len() {
        for p in 0..points {
            for q in 0..points {
                line(
                    &mut text,
                    format_args!(
                        "    let m{f}_{p}{q} = point(at + {f}u * im.phase_twos, {}u);",
                        p * points + q
                    ),
                );
            }
            for (j, row) in t.iter().enumerate() {
                let sum = combination(row, |q| format!("m{f}_{p}{q}"));
                line(&mut text, format_args!("    let e{f}_{p}{j} = {sum};"));
            }
        }
    }
    // The phase and the element of every number.
    let mut owner = vec![(0, 0); segment.length as usize];
    for (f, of) in segment.of.iter().enumerate() {
        for (j, &n) in of.iter().enumerate() {
            owner[n as usize] = (f, j);
        }
    }
    for (i, row) in t.iter().enumerate() {
        line(&mut text, format_args!("    place_row({i}u);"));
        for (k, element) in owner.chunks(per_elem as usize).enumerate() {
            let mut sums: Vec<String> = element
                .iter()
                .map(|(f, j)| combination(row, |p| format!("e{f}_{p}{j}")))
                .collect();
            sums.resize(2, "vec2<f32>()".into());
            line(
                &mut text,
                format_args!("    finish({}u, {});", k as u32 * per_elem, sums.join(", ")),
            );
        }
    }
    text + "}\n"
}

/// How operand `x` is bound by passes that read or write one number at a time, or two.
pub fn bound_twos(x: char, format: Scalar, per_elem: u32, fours: Fours) -> String {
    let (elem, loaded, stored) = match (per_elem, fours) {
        (1, _) => (
            format.wgsl(),
            "vec2<f32>(f32(v), 0.0)",
            format!("{x}_elem(v.x)"),
        ),
        (_, Fours::Vector) => ("vec2<f32>", "v", "v".to_string()),
        (_, Fours::Words) => (
            "u64",
            "bitcast<vec2<f32>>(vec2<u32>(u32(v), u32(v >> 32u)))",
            "u64(bitcast<u32>(v.x)) | (u64(bitcast<u32>(v.y)) << 32u)".to_string(),
        ),
    };
    format!(
        "alias {x}_elem = {elem};\nconst {}_NUMBERS = {per_elem}u;\n\
         fn {x}_loaded(v: {x}_elem) -> vec2<f32> {{ return {loaded}; }}\n\
         fn {x}_stored(v: vec2<f32>) -> {x}_elem {{ return {stored}; }}\n",
        x.to_ascii_uppercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_written_without_zeros_and_ones() {
        let name = |j| format!("d{j}");
        assert_eq!(
            combination(&[0.0, -1.0, 0.5, -0.25], name),
            "-d1 + 0.5 * d2 - 0.25 * d3"
        );
        assert_eq!(combination(&[1.0, 0.0], name), "d0");
    }
}
