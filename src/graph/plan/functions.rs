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

/// f(x); `wide` tells a vec4<f32> from an f32.
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
            "select(tanh(clamp({x}, {}, {})), {x}, {x} != {x})",
            vec("-15.0"),
            vec("15.0")
        ),
        Unary::Sigmoid => format!("{} / ({} + exp(-{x}))", vec("1.0"), vec("1.0")),
        Unary::Softplus => format!(
            "max({x}, {}) + log({} + exp(-abs({x})))",
            vec("0.0"),
            vec("1.0")
        ),
        // Not max(x, 0): that turns NaN into 0 on some drivers.
        Unary::Relu => format!("select({x}, {}, {x} <= {})", vec("0.0"), vec("0.0")),
        Unary::LeakyRelu(s) => format!("select({x} * {}, {x}, {x} > {})", literal(s.0), vec("0.0")),
        Unary::Sin => format!("sin({x})"),
        Unary::Cos => format!("cos({x})"),
        Unary::Floor => format!("floor({x})"),
        Unary::Sign => format!("sign({x})"),
    }
}

/// f(a, b), both of one type.
pub fn binary(f: Binary, a: &str, b: &str, wide: bool) -> String {
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
        Binary::Min => format!("min({a}, {b})"),
        Binary::Max => format!("max({a}, {b})"),
        Binary::Less => truth("<"),
        Binary::LessEqual => truth("<="),
        Binary::Equal => truth("=="),
    }
}
