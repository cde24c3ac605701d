//! Addresses as WGSL: digits of the invocation's number, sums of their multiples, guards.
use super::super::super::view::{Affine, Digit, Domain, View};
use super::{Emitter, Memory, Value};

impl<M: Memory> Emitter<'_, M> {
    /// True when the digit differs between the four elements of a wide value.
    fn varies(&self, d: &Digit) -> bool {
        self.wide == Some(d.domain) && !d.div.is_multiple_of(4)
    }
    /// A digit as text; `narrow` takes its value at the first of the four elements.
    fn digit(&mut self, d: Digit, narrow: bool) -> Value {
        let wide = !narrow && self.varies(&d);
        if let Some(v) = self.digits.get(&(d, wide)) {
            return v.clone();
        }
        let is_row = d.domain == Domain::Out
            && self.rows == Some(d.modulus)
            && d.div * d.modulus == self.extents.out;
        if is_row {
            let text = "epilogue_row".to_string();
            return Value { text, wide: false };
        }
        let base = match (d.domain, wide) {
            (Domain::Out, false) => "i",
            (Domain::Out, true) => "i4",
            (Domain::Reduced, false) => "r",
            (Domain::Reduced, true) => "r4",
        };
        let number = |n: usize| {
            if wide {
                format!("vec4<u32>({n}u)")
            } else {
                format!("{n}u")
            }
        };
        let mut text = base.to_string();
        if d.div > 1 {
            text = format!("{text} / {}", number(d.div));
        }
        // The top digit needs no remainder.
        if d.div * d.modulus != self.extents.of(d.domain) {
            text = format!("({text}) % {}", number(d.modulus));
        }
        let value = if text == base {
            Value { text, wide }
        } else {
            self.named("d", text, wide)
        };
        self.digits.insert((d, wide), value.clone());
        value
    }
    /// An index as u32 or vec4<u32>; arithmetic wraps, guards rely on that.
    pub(super) fn index(&mut self, a: &Affine, narrow: bool) -> Value {
        let key = (a.clone(), narrow);
        if let Some(v) = self.indices.get(&key) {
            return v.clone();
        }
        let (mut scalars, mut vectors) = (vec![], vec![]);
        for &(d, coef) in &a.terms {
            let v = self.digit(d, narrow);
            match (coef, v.wide) {
                (1, false) => scalars.push(v.text),
                (1, true) => vectors.push(v.text),
                (c, false) => scalars.push(format!("{} * {c}u", v.text)),
                (c, true) => vectors.push(format!("{} * vec4<u32>({c}u)", v.text)),
            }
        }
        if a.offset != 0 || (scalars.is_empty() && vectors.is_empty()) {
            scalars.push(format!("{}u", a.offset as i32 as u32));
        }
        let wide = !vectors.is_empty();
        let mut text = scalars.join(" + ");
        if wide {
            if !text.is_empty() {
                vectors.push(format!("vec4<u32>({text})"));
            }
            text = vectors.join(" + ");
        }
        let value = if text.contains(' ') {
            self.named("x", text, wide)
        } else {
            Value { text, wide }
        };
        self.indices.insert(key, value.clone());
        value
    }
    /// The conjunction of the guards as bool or vec4<bool> text.
    pub(super) fn guard(&mut self, view: &View) -> Option<Value> {
        let mut all: Option<Value> = None;
        for (a, size) in &view.guards {
            let v = self.index(a, false);
            let this = if v.wide {
                Value {
                    text: format!("({} < vec4<u32>({size}u))", v.text),
                    wide: true,
                }
            } else {
                Value {
                    text: format!("({} < {size}u)", v.text),
                    wide: false,
                }
            };
            all = Some(match all {
                None => this,
                Some(other) if other.wide == this.wide => Value {
                    text: format!("({} & {})", other.text, this.text),
                    wide: this.wide,
                },
                Some(other) => {
                    let widen = |v: &Value| {
                        if v.wide {
                            v.text.clone()
                        } else {
                            format!("vec4<bool>({})", v.text)
                        }
                    };
                    Value {
                        text: format!("({} & {})", widen(&other), widen(&this)),
                        wide: true,
                    }
                }
            });
        }
        all
    }
    /// True when the four elements of a wide value lie together at an address that is a multiple of four.
    pub(super) fn four_together(&self, a: &Affine) -> bool {
        let mut together = false;
        for (d, coef) in &a.terms {
            if self.varies(d) {
                let last = d.div == 1 && d.modulus.is_multiple_of(4) && *coef == 1;
                if !last || together {
                    return false;
                }
                together = true;
            } else if !coef.is_multiple_of(4) {
                return false;
            }
        }
        together && a.offset.rem_euclid(4) == 0
    }
}
