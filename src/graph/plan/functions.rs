//! WGSL of constants and elementwise functions.
use super::super::{Binary, Unary};

/// A constant, exactly.
pub fn literal(v: f32) -> String {
    if v.is_finite() {
        let text = format!("{v:?}");
        if v.is_sign_negative() {
            format!("f32({text})")
        } else {
            format!("{text}f")
        }
    } else {
        format!("bitcast<f32>({}u)", v.to_bits())
    }
}

/// Whether x is a NaN, by its bits: compilers that assume there is none (Metal's fast math) fold `x != x` to false.
fn is_nan(x: &str, wide: bool) -> String {
    match wide {
        true => {
            format!("((bitcast<vec4<u32>>({x}) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u))")
        }
        false => format!("((bitcast<u32>({x}) & 0x7fffffffu) > 0x7f800000u)"),
    }
}

/// max(x, 0) + ln(1 + e^-|x|). Where e^-|x| is small, 1 + e^-|x| has lost most of it: there the logarithm's series, to 2e-7 of it.
fn softplus(x: &str, wide: bool) -> String {
    let v = |v: &str| match wide {
        true => format!("vec4<f32>({v})"),
        false => v.into(),
    };
    let e = format!("exp(-abs({x}))");
    let mut series = v("0.16666667");
    for term in ["0.2", "0.25", "0.33333334", "0.5", "1.0"] {
        series = format!("({} - {e} * {series})", v(term));
    }
    let [zero, one, small] = ["0.0", "1.0", "0.1"].map(v);
    format!("max({x}, {zero}) + select(log({one} + {e}), {e} * {series}, {e} < {small})")
}

/// f(x); `wide` tells a vec4<f32> from an f32. A NaN passes all but `Sign`.
pub fn unary(f: Unary, x: &str, wide: bool) -> String {
    let vec = |v: &str| {
        if wide {
            format!("vec4<f32>({v})")
        } else {
            v.to_string()
        }
    };
    match f {
        Unary::Neg => format!("-{x}"),
        Unary::Exp => format!("exp({x})"),
        Unary::Log => format!("log({x})"),
        Unary::Sqrt => format!("sqrt({x})"),
        Unary::Abs => format!("abs({x})"),
        // tanh overflows to inf/inf in some drivers beyond |x| = 44; it is 1 in f32 from 9.02 on. NaN must pass.
        Unary::Tanh => format!(
            "select(tanh(clamp({x}, {}, {})), {x}, {})",
            vec("-15.0"),
            vec("15.0"),
            is_nan(x, wide)
        ),
        Unary::Sigmoid => format!("{} / ({} + exp(-{x}))", vec("1.0"), vec("1.0")),
        Unary::Softplus => softplus(x, wide),
        // Not max(x, 0): that turns NaN into 0 on some drivers, and so may x <= 0 where it is compiled as not x > 0. As integers the
        // numbers from -inf to -0 are those up to the bits of -inf; NaNs are above.
        Unary::Relu => match wide {
            true => format!(
                "select({x}, vec4<f32>(0.0), bitcast<vec4<i32>>({x}) <= vec4<i32>(-8388608i))"
            ),
            false => format!("select({x}, 0.0, bitcast<i32>({x}) <= -8388608i)"),
        },
        // A NaN times 0 is 0 to compilers that assume there is none.
        Unary::LeakyRelu(s) if s.0 == 0.0 => format!(
            "select({x} * {}, {x}, ({x} > {}) | {})",
            literal(s.0),
            vec("0.0"),
            is_nan(x, wide)
        ),
        // Either side of the comparison keeps one.
        Unary::LeakyRelu(s) => format!("select({x} * {}, {x}, {x} > {})", literal(s.0), vec("0.0")),
        Unary::Sin => format!("sin({x})"),
        Unary::Cos => format!("cos({x})"),
        Unary::Floor => format!("floor({x})"),
        Unary::Sign => format!("sign({x})"),
    }
}

/// f(a, b), both of one type. A NaN passes all but the comparisons.
pub fn binary(f: Binary, a: &str, b: &str, wide: bool) -> String {
    // min and max of a NaN and a number are the number on some drivers.
    let extreme = |f: &str| {
        let (in_a, in_b) = (is_nan(a, wide), is_nan(b, wide));
        format!("select({f}({a}, {b}), {a} + {b}, {in_a} | {in_b})")
    };
    let truth = |op: &str| {
        if wide {
            format!("select(vec4<f32>(0.0), vec4<f32>(1.0), {a} {op} {b})")
        } else {
            format!("select(0.0, 1.0, {a} {op} {b})")
        }
    };
    match f {
        Binary::Add => format!("{a} + {b}"),
        Binary::Sub => format!("{a} - {b}"),
        Binary::Mul => format!("{a} * {b}"),
        Binary::Div => format!("{a} / {b}"),
        Binary::Min => extreme("min"),
        Binary::Max => extreme("max"),
        Binary::Less => truth("<"),
        Binary::LessEqual => truth("<="),
        Binary::Equal => truth("=="),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Scalar;
    use super::*;
    use crate::gpu::testing::{buffer_of, gpu, nan_buffer, read_f32};
    use crate::gpu::{Kernel, shader};

    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;
    /// Two vec4s with what comparisons lose.
    const X: [f32; 8] = [NAN, -NAN, INF, -INF, 0.0, -0.0, 3.0, -3.0];

    /// `text`, a function of `v`, of each of X.
    fn values(text: &str, wide: bool) -> Vec<f32> {
        values_at(text, wide, &X)
    }

    fn values_at(text: &str, wide: bool, at: &[f32; 8]) -> Vec<f32> {
        let gpu = gpu();
        let (element, lanes) = if wide { ("vec4<f32>", 2) } else { ("f32", 8) };
        let source = format!(
            "@group(0) @binding(0) var<storage, read> x: array<{element}>;
            @group(0) @binding(1) var<storage, read_write> y: array<{element}>;
            @compute @workgroup_size({lanes}) fn main(@builtin(local_invocation_index) i: u32) {{
                let v = x[i];
                y[i] = {text};
            }}"
        );
        shader::portability(&source).unwrap();
        let kernel = Kernel {
            label: text.into(),
            source: source.into(),
            grid: [1, 1, 1],
            immediates: vec![],
        };
        let (x, y) = (buffer_of(&gpu, "x", at), nan_buffer(&gpu, "y", at.len()));
        let dispatch = gpu.prepare(&kernel, &[&x, &y]).unwrap();
        gpu.submit([&dispatch]).unwrap();
        read_f32(&gpu, &y)
    }

    fn assert_same(text: &str, wide: bool, want: [f32; 8]) {
        let got = values(text, wide);
        let same = |(got, want): (&f32, &f32)| match want.is_nan() {
            true => got.is_nan(),
            false => got == want || (got - want).abs() < 1e-5,
        };
        assert!(
            got.iter().zip(&want).all(same),
            "{text}: {got:?}, not {want:?}"
        );
    }

    #[test]
    fn a_nan_stays_one() {
        let leaky = Unary::LeakyRelu(Scalar(0.5));
        let t = 3f32.tanh();
        let unaries = [
            (Unary::Tanh, [NAN, NAN, 1.0, -1.0, 0.0, 0.0, t, -t]),
            (Unary::Relu, [NAN, NAN, INF, 0.0, 0.0, 0.0, 3.0, 0.0]),
            (leaky, [NAN, NAN, INF, -INF, 0.0, 0.0, 3.0, -1.5]),
        ];
        let binaries = [
            (Binary::Max, [NAN, NAN, INF, 1.0, 1.0, 1.0, 3.0, 1.0]),
            (Binary::Min, [NAN, NAN, 1.0, -INF, 0.0, 0.0, 1.0, -3.0]),
        ];
        for wide in [false, true] {
            let one = if wide { "vec4<f32>(1.0f)" } else { "1.0f" };
            for (f, want) in unaries {
                assert_same(&unary(f, "v", wide), wide, want);
            }
            // What comes of -inf is left to the driver.
            let flat = values(&unary(Unary::LeakyRelu(Scalar(0.0)), "v", wide), wide);
            assert!(flat[0].is_nan() && flat[1].is_nan(), "{flat:?}");
            assert_eq!(flat[4..], [0.0, 0.0, 3.0, 0.0]);
            for (f, want) in binaries {
                assert_same(&binary(f, "v", one, wide), wide, want);
                assert_same(&binary(f, one, "v", wide), wide, want);
            }
        }
    }

    #[test]
    fn softplus_is_right_where_it_is_small() {
        for at in [
            [-1e-3, -1.0, -2.3, -2.4, -5.0, -10.0, -17.0, -40.0],
            [0.0, 1.0, 2.3, 2.4, 5.0, 10.0, 17.0, 90.0],
        ] {
            for wide in [false, true] {
                let got = values_at(&unary(Unary::Softplus, "v", wide), wide, &at);
                for (x, got) in at.iter().zip(got) {
                    let want = Unary::Softplus.eval(f64::from(*x));
                    let off = (f64::from(got) - want).abs() / want;
                    assert!(off < 1e-5, "softplus({x}) = {got}, not {want}");
                }
            }
        }
        let text = unary(Unary::Softplus, "v", false);
        assert!(values(&text, false)[..2].iter().all(|v| v.is_nan()));
    }

    /// What compilers may take for a comparison of floats does not decide about NaNs.
    #[test]
    fn nans_are_told_by_their_bits() {
        for wide in [false, true] {
            let texts = [
                unary(Unary::Tanh, "v", wide),
                unary(Unary::Relu, "v", wide),
                binary(Binary::Max, "v", "w", wide),
            ];
            for text in texts {
                assert!(text.contains("bitcast<"), "{text}");
                assert!(!text.contains("v != v") && !text.contains("v <="), "{text}");
            }
        }
    }
}
