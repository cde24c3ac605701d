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
    let points = t.len();
    let mut reads = String::from("        place_row(row);\n");
    for n in (0..segment.length).step_by(per_elem as usize) {
        let k = n / per_elem;
        line(
            &mut reads,
            format_args!("        let d{k} = numbers({n}u);"),
        );
    }
    let names = |of: &Vec<u32>| {
        let name = |&n: &u32| {
            let element = ['x', 'y'][(n % per_elem) as usize];
            format!("d{}.{element}", n / per_elem)
        };
        of.iter().map(name).collect()
    };
    let tiles: Vec<Vec<String>> = segment.of.iter().map(names).collect();
    let mut writes = String::new();
    for f in 0..tiles.len() {
        for q in 0..points {
            line(
                &mut writes,
                format_args!(
                    "        put(at + {f}u * im.phase_twos, row * {points}u + {q}u, {});",
                    column(t, f, q)
                ),
            );
        }
    }
    transform(t, &reads, &tiles, &writes)
}

/// `fn transform(at: u32)` that finishes the tile T points T^t of every phase, whose numbers are written `per_elem` at a time.
pub fn transform_from_points(t: &Matrix, segment: &Segment, per_elem: u32) -> String {
    let points = t[0].len();
    let mut reads = String::new();
    for f in 0..segment.of.len() {
        for q in 0..points {
            line(
                &mut reads,
                format_args!(
                    "        let m{f}_{q} = point(at + {f}u * im.phase_twos, row * {points}u + {q}u);"
                ),
            );
        }
    }
    let names = |f: usize| (0..points).map(|q| format!("m{f}_{q}")).collect();
    let tiles: Vec<Vec<String>> = (0..segment.of.len()).map(names).collect();
    // The phase and the element of every number.
    let mut owner = vec![(0, 0); segment.length as usize];
    for (f, of) in segment.of.iter().enumerate() {
        for (j, &n) in of.iter().enumerate() {
            owner[n as usize] = (f, j);
        }
    }
    let mut writes = String::from("        place_row(row);\n");
    for (k, element) in owner.chunks(per_elem as usize).enumerate() {
        let mut sums: Vec<String> = element.iter().map(|&(f, j)| column(t, f, j)).collect();
        sums.resize(2, "vec2<f32>()".into());
        line(
            &mut writes,
            format_args!(
                "        finish({}u, {});",
                k as u32 * per_elem,
                sums.join(", ")
            ),
        );
    }
    transform(t, &reads, &tiles, &writes)
}

/// `fn transform(at: u32)` for T tile T^t: one loop over the rows of the tiles, which `reads` a row, whose elements the names in `tiles`
/// (phase by phase) are, and one over the rows of the result, which `writes` what [`column`] says. Straight code of a hundred loads and
/// stores, each of which lavapipe makes several branches for every lane, took LLVM five times as long and ran no faster.
fn transform(t: &Matrix, reads: &str, tiles: &[Vec<String>], writes: &str) -> String {
    let side = t[0].len();
    let mut text = String::from("fn transform(at: u32) {\n    var row = 0u;\n");
    let mut moves = String::new();
    for (f, names) in tiles.iter().enumerate() {
        for (j, factors) in t.iter().enumerate() {
            for i in 0..side {
                line(&mut text, format_args!("    var e{f}_{i}{j}: vec2<f32>;"));
            }
            // An array would be scattered into and gathered from, lane by lane, where names are registers.
            for i in 1..side {
                line(
                    &mut moves,
                    format_args!("        e{f}_{}{j} = e{f}_{i}{j};", i - 1),
                );
            }
            let sum = combination(factors, |q| names[q].clone());
            line(
                &mut moves,
                format_args!("        e{f}_{}{j} = {sum};", side - 1),
            );
        }
    }
    let mut row_of_t = String::new();
    for i in 0..side {
        line(
            &mut row_of_t,
            format_args!("        let t{i} = {};", entry_of_row(t, i)),
        );
    }
    text += &format!("    loop {{\n{reads}{moves}{}    }}\n", until("tile_rows"));
    text += &format!(
        "    row = 0u;\n    loop {{\n{row_of_t}{writes}{}    }}\n",
        until("result_rows")
    );
    text + "}\n"
}

/// The end of a loop over `row` that no compiler unrolls: it knows no constant for `im.{rows}`.
fn until(rows: &str) -> String {
    format!(
        "        continuing {{\n            row++;\n            break if row == im.{rows};\n        }}\n"
    )
}

/// Element i of row `row` of `t`.
fn entry_of_row(t: &Matrix, i: usize) -> String {
    let mut text = String::new();
    let mut before = f32::NAN;
    for (r, factors) in t.iter().enumerate() {
        let value = factors[i] as f32;
        if r == 0 {
            text = format!("{value:?}");
        } else if value != before {
            text = format!("select({text}, {value:?}, row >= {r}u)");
        }
        before = value;
    }
    text
}

/// Element j of the row at hand of T tile T^t, of phase f.
fn column(t: &Matrix, f: usize, j: usize) -> String {
    let terms: Vec<String> = (0..t[0].len())
        .map(|i| format!("t{i} * e{f}_{i}{j}"))
        .collect();
    terms.join(" + ")
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
