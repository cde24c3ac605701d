//! How a kernel of a plan is bound to memory: declarations, and a function for each read and each result.
use super::super::Expr;
use super::emit::Read;
use super::text::Place;
use crate::kernels::{Fours, Scalar};
use std::fmt::Write;

/// Offsets that an epilogue may take from the immediates; further ones are written into its text.
const EPILOGUE_OFFSETS: usize = 6;

/// The declarations of bindings and of functions that load and store, with offsets in the immediates or baked.
pub struct Bindings {
    pub text: String,
    /// In binding order.
    pub buffers: Vec<usize>,
    /// Offsets of reads, then of results.
    pub immediates: Vec<u32>,
    /// Whether one of them holds f16.
    pub f16: bool,
}

/// How a binding is declared: one element or four at a time. What is written one by one is declared so, whatever is read of it: to store
/// a component of a vector is to store all of it for some compilers, over what other invocations store in the meantime.
#[derive(Clone, Copy)]
struct Element {
    scalar: Scalar,
    wide: bool,
}

impl Element {
    /// Whether it is bound four f32 at a time, in the way that `Fours` says.
    fn in_fours(self) -> bool {
        self.wide && self.scalar == Scalar::F32
    }

    fn wgsl(self) -> String {
        match (self.scalar.wgsl(), self.wide) {
            _ if self.in_fours() => "f32x4".into(),
            (name, true) => format!("vec4<{name}>"),
            (name, false) => name.into(),
        }
    }

    /// WGSL of the element numbered `a` in the array `name`, as f32.
    fn single(self, name: &str, fours: Fours) -> String {
        let fours = if self.in_fours() {
            fours
        } else {
            Fours::Vector
        };
        format!("f32({})", fours.single(name))
    }

    /// WGSL of four elements that were loaded, as vec4<f32>.
    fn four(self, loaded: &str) -> String {
        let convert = if self.in_fours() { "four" } else { "vec4<f32>" };
        format!("{convert}({loaded})")
    }

    /// WGSL of `v`, one f32 or four of them, as it is stored.
    fn stored(self) -> String {
        match (self.scalar.wgsl(), self.wide) {
            _ if self.in_fours() => "four_stored(v)".into(),
            (name, true) => format!("vec4<{name}>(v)"),
            (name, false) => format!("{name}(v)"),
        }
    }
}

/// What a kernel writes, `store_k` its region k, and whether it does so four elements at a time. Its buffers become the last
/// bindings, and tensors that lie in one of them are read through it. Such a kernel has the immediates `count` and `inner` behind
/// the offsets: the caller appends their values. An epilogue writes nothing itself.
pub struct Results<'a> {
    pub places: &'a [Place],
    pub wide: bool,
    /// How four f32 at a time are bound.
    pub fours: Fours,
}

/// Binds a kernel that reads `reads`, each a tensor that lies at `place`, and writes `results`.
pub fn bindings(reads: &[Read], place: &dyn Fn(Expr) -> Place, results: Results) -> Bindings {
    let writes = !results.places.is_empty();
    let mut buffers: Vec<usize> = vec![];
    let mut elements: Vec<Element> = vec![];
    let mut places = vec![];
    let mut written: Vec<(usize, Element)> = vec![];
    for Place { region, scalar } in results.places {
        if written.iter().all(|(buffer, _)| *buffer != region.buffer) {
            let element = Element {
                scalar: *scalar,
                wide: results.wide,
            };
            written.push((region.buffer, element));
        }
    }
    for read in reads {
        let Place { region, scalar } = place(read.expr);
        places.push(place(read.expr));
        let own = written.iter().find(|(b, _)| *b == region.buffer);
        if let Some((_, element)) = own {
            debug_assert_eq!(element.scalar, scalar, "a buffer is written as one type");
            continue;
        }
        // Memory that holds numbers of both types is bound once as each.
        let bound = |k: &usize| buffers[*k] == region.buffer && elements[*k].scalar == scalar;
        match (0..buffers.len()).find(bound) {
            Some(k) => elements[k].wide |= read.wide,
            None => {
                buffers.push(region.buffer);
                elements.push(Element {
                    scalar,
                    wide: read.wide,
                });
            }
        }
    }
    let all = elements.iter().chain(written.iter().map(|(_, e)| e));
    let f16 = all.into_iter().any(|e| e.scalar == Scalar::F16);
    let mut text = String::new();
    if f16 && writes {
        text.push_str("enable f16;\n");
    }
    if writes {
        text.push_str(results.fours.wgsl());
    }
    for (k, element) in elements.iter().enumerate() {
        // An epilogue's buffers come behind those of the kernel that it is joined to.
        let first = if writes { "" } else { "E_BINDING + " };
        let (binding, ty) = (format!("{first}{k}u"), element.wgsl());
        let _ = writeln!(
            text,
            "@group(0) @binding({binding}) var<storage, read> in{k}: array<{ty}>;"
        );
    }
    let mut immediates = vec![];
    if writes {
        for (k, (buffer, element)) in written.iter().enumerate() {
            let (binding, ty) = (buffers.len(), element.wgsl());
            let _ = writeln!(
                text,
                "@group(0) @binding({binding}) var<storage, read_write> result{k}: array<{ty}>;"
            );
            buffers.push(*buffer);
        }
        text.push_str("struct Offsets { ");
        for (k, Place { region, .. }) in places.iter().enumerate() {
            let _ = write!(text, "o{k}: u32, ");
            immediates.push(region.offset as u32);
        }
        for (k, Place { region, .. }) in results.places.iter().enumerate() {
            let _ = write!(text, "out{k}: u32, ");
            immediates.push(region.offset as u32);
        }
        text.push_str("count: u32, inner: u32 }\nvar<immediate> im: Offsets;\n");
    }
    for (k, (Place { region, scalar }, read)) in places.iter().zip(reads).enumerate() {
        let bound = |b: &usize| buffers[*b] == region.buffer && elements[*b].scalar == *scalar;
        let own = written.iter().position(|(b, _)| *b == region.buffer);
        let (name, element) = match (own, (0..elements.len()).find(bound)) {
            (Some(w), _) => (format!("result{w}"), written[w].1),
            (None, Some(b)) => (format!("in{b}"), elements[b]),
            (None, None) => unreachable!("what no input binds is read through a result"),
        };
        let base = if writes {
            format!("im.o{k}")
        } else if k < EPILOGUE_OFFSETS {
            immediates.push(region.offset as u32);
            format!("im.e{k}")
        } else {
            format!("{}u", region.offset)
        };
        if element.wide {
            let one = element.single(&name, results.fours);
            let four = element.four(&format!("{name}[{base} / 4u + q]"));
            let _ = writeln!(
                text,
                "fn load_{k}(i: u32) -> f32 {{ let a = {base} + i; return {one}; }}\n\
                 fn load4_{k}(q: u32) -> vec4<f32> {{ return {four}; }}"
            );
        } else {
            let one = format!("f32({name}[{base} + i])");
            let _ = writeln!(text, "fn load_{k}(i: u32) -> f32 {{ return {one}; }}");
            if read.wide {
                let four = [0, 1, 2, 3].map(|n| format!("load_{k}(q * 4u + {n}u)"));
                let four = four.join(", ");
                let _ = writeln!(
                    text,
                    "fn load4_{k}(q: u32) -> vec4<f32> {{ return vec4<f32>({four}); }}"
                );
            }
        }
    }
    for (k, Place { region, .. }) in results.places.iter().enumerate() {
        let own = written.iter().position(|(b, _)| *b == region.buffer);
        let Some(own) = own else { continue };
        let (ty, at) = match results.wide {
            true => ("vec4<f32>", format!("im.out{k} / 4u + q")),
            false => ("f32", format!("im.out{k} + q")),
        };
        let v = written[own].1.stored();
        let _ = writeln!(
            text,
            "fn store_{k}(q: u32, v: {ty}) {{ result{own}[{at}] = {v}; }}"
        );
    }
    Bindings {
        text,
        buffers,
        immediates,
        f16,
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::Region;
    use super::*;
    use crate::graph::Graph;

    /// A tensor that is read in fours, at 16 of buffer 3, by a kernel that writes one by one to buffer `to`.
    fn bound(to: usize, scalar: Scalar) -> Bindings {
        let mut g = Graph::new();
        let x = g.leaf("x", [64]);
        let place = |buffer, offset| Place {
            region: Region { buffer, offset },
            scalar,
        };
        let reads = [Read {
            expr: x,
            identity: false,
            wide: true,
        }];
        let results = Results {
            places: &[place(to, 0)],
            wide: false,
            fours: Fours::Vector,
        };
        bindings(&reads, &|_| place(3, 16), results)
    }

    #[test]
    fn what_is_written_singly_is_no_vector() {
        for (scalar, name) in [(Scalar::F32, "f32"), (Scalar::F16, "f16")] {
            let own = bound(3, scalar);
            assert_eq!(own.buffers, [3]);
            let declared = format!("result0: array<{name}>;");
            let stored = format!("result0[im.out0 + q] = {name}(v);");
            for part in [declared, stored, "load_0(q * 4u + 3u)".into()] {
                assert!(own.text.contains(&part), "{part}: {}", own.text);
            }
            // In another buffer it is read as vectors.
            let other = bound(4, scalar);
            assert_eq!(other.buffers, [3, 4]);
            assert!(other.text.contains("in0[im.o0 / 4u + q]"), "{}", other.text);
        }
    }
}
