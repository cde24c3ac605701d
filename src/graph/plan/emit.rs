//! WGSL for a tree of elementwise operations and views: one pure function of the linear index.
//!
//! In wide mode a value covers four consecutive elements of one domain. Loads are one vec4 where the four elements lie together
//! in memory, one scalar where they are the same element (a broadcast), four scalars otherwise.
mod index;

use super::super::view::{Affine, Digit, Domain, View};
use super::super::{Binary, Expr, Graph, Op};
use super::functions::{binary, literal, unary};
use super::lower::terms;
use std::collections::HashMap;
use std::fmt::Write;

/// Why a tree could not be emitted; the compiler then gives the named expression memory of its own and tries again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Materialise(pub Expr);

/// A value in the emitted text.
#[derive(Clone, Debug)]
struct Value {
    text: String,
    wide: bool,
}

/// One tensor that the emitted text reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The expression whose memory is read.
    pub expr: Expr,
    /// True when it is read element by element at the kernel's own output index.
    pub identity: bool,
    /// True when at least one access takes four elements at once.
    pub wide: bool,
}

/// What the emitter needs to know of the plan under construction.
pub trait Memory {
    /// True when the expression has memory of its own (or is a leaf), so that it is read instead of recomputed.
    fn stored(&self, e: Expr) -> bool;
}

/// Emits the statements of one function body.
pub struct Emitter<'a, M: Memory> {
    graph: &'a Graph,
    memory: &'a M,
    /// The kernel's own expressions: computed here even though they have memory.
    roots: Vec<Expr>,
    /// Expressions whose values are given, with their text: the fused contraction or sums.
    holes: Vec<(Expr, String)>,
    wide: Option<Domain>,
    statements: String,
    counter: usize,
    values: HashMap<(Expr, View), Value>,
    indices: HashMap<(Affine, bool), Value>,
    digits: HashMap<(Digit, bool), Value>,
    extents: Extents,
    /// Tensors read, in order of first use; `load_k` and `load4_k` refer to position k.
    pub reads: Vec<Read>,
    /// False as soon as a hole was met anywhere but at the plain index.
    pub hole_is_plain: bool,
    /// Rows of the output, where the kernel knows its row as `epilogue_row`.
    rows: Option<usize>,
}

impl<'a, M: Memory> Emitter<'a, M> {
    /// An emitter for `root`; `wide` is the domain that is taken four elements at a time. The value of the hole is called `acc`.
    pub fn new(
        graph: &'a Graph,
        memory: &'a M,
        root: Expr,
        hole: Option<Expr>,
        wide: Option<Domain>,
        extents: Extents,
    ) -> Self {
        Emitter {
            graph,
            memory,
            roots: vec![root],
            holes: hole.map(|h| (h, "acc".into())).into_iter().collect(),
            wide,
            statements: String::new(),
            counter: 0,
            values: HashMap::new(),
            indices: HashMap::new(),
            digits: HashMap::new(),
            extents,
            reads: vec![],
            hole_is_plain: true,
            rows: None,
        }
    }

    /// Lets the text use `epilogue_row`, the quotient of the output index by the length of one of `rows` rows.
    pub fn with_rows(mut self, rows: Option<usize>) -> Self {
        self.rows = rows;
        self
    }

    /// Numbers reads behind those of a text that the kernel has already, and as there where both read the same.
    pub fn with_reads(mut self, reads: Vec<Read>) -> Self {
        self.reads = reads;
        self
    }

    /// Several trees of one kernel: what they have in common is computed once, and a root that another reads is no load.
    pub fn with_trees(mut self, roots: Vec<Expr>, holes: Vec<(Expr, String)>) -> Self {
        self.roots = roots;
        self.holes = holes;
        self
    }

    /// Emits `e` under `view`.
    pub fn finish(self, e: Expr, view: &View) -> Result<Emitted, Materialise> {
        self.finish_all(&[(e, view.clone())])
    }
    /// Emits every tree under its view, one after the other.
    pub fn finish_all(mut self, trees: &[(Expr, View)]) -> Result<Emitted, Materialise> {
        let mut results = vec![];
        for (e, view) in trees {
            let value = self.value(*e, view)?;
            results.push(match self.wide {
                Some(_) => self.promote(&value),
                None => value.text,
            });
        }
        Ok(Emitted {
            statements: self.statements,
            results,
            reads: self.reads,
            hole_is_plain: self.hole_is_plain,
        })
    }

    fn bind(&mut self, text: String, wide: bool) -> Value {
        self.named("v", text, wide)
    }
    fn named(&mut self, prefix: &str, text: String, wide: bool) -> Value {
        let name = format!("{prefix}{}", self.counter);
        self.counter += 1;
        let _ = writeln!(self.statements, "  let {name} = {text};");
        Value { text: name, wide }
    }
    fn promote(&self, v: &Value) -> String {
        if v.wide {
            v.text.clone()
        } else {
            format!("vec4<f32>({})", v.text)
        }
    }

    fn slot(&mut self, e: Expr, identity: bool, wide: bool) -> usize {
        if let Some(k) = self.reads.iter().position(|r| r.expr == e) {
            self.reads[k].identity &= identity;
            self.reads[k].wide |= wide;
            return k;
        }
        self.reads.push(Read {
            expr: e,
            identity,
            wide,
        });
        self.reads.len() - 1
    }
    fn load(&mut self, e: Expr, view: &View) -> Value {
        let strides = self.graph.shape(e).strides();
        let linear = view.linear(&strides);
        let numel = self.graph.shape(e).numel();
        let plain = Affine::digit(Domain::Out, 1, numel);
        let identity = linear == plain && self.extents.out == numel && view.guards.is_empty();
        let ok = self.guard(view);
        let guard_wide = ok.as_ref().is_some_and(|g| g.wide);
        if self.four_together(&linear) && !guard_wide {
            let k = self.slot(e, identity, true);
            let ix = self.index(&linear, true).text;
            let at = match &ok {
                None => format!("{ix} / 4u"),
                Some(g) => format!("select(0u, {ix}, {}) / 4u", g.text),
            };
            return self.bind(format!("load4_{k}({at})"), true);
        }
        let k = self.slot(e, identity, false);
        let ix = self.index(&linear, false);
        self.load_at(k, ix, ok)
    }
    fn load_at(&mut self, k: usize, ix: Value, ok: Option<Value>) -> Value {
        let ok_wide = ok.as_ref().is_some_and(|g| g.wide);
        if !ix.wide && !ok_wide {
            let at = match ok {
                None => ix.text,
                Some(g) => format!("select(0u, {}, {})", ix.text, g.text),
            };
            return self.bind(format!("load_{k}({at})"), false);
        }
        let ix = if ix.wide {
            ix.text
        } else {
            format!("vec4<u32>({})", ix.text)
        };
        let at = match ok {
            None => ix,
            Some(g) if g.wide => format!("select(vec4<u32>(0u), {ix}, {})", g.text),
            Some(g) => format!("select(vec4<u32>(0u), {ix}, vec4<bool>({}))", g.text),
        };
        let at = self.bind(at, true).text;
        self.bind(
            format!(
                "vec4<f32>(load_{k}({at}.x), load_{k}({at}.y), load_{k}({at}.z), load_{k}({at}.w))"
            ),
            true,
        )
    }
    fn value(&mut self, e: Expr, view: &View) -> Result<Value, Materialise> {
        let key = (e, view.clone());
        if let Some(v) = self.values.get(&key) {
            return Ok(v.clone());
        }
        let v = self.compute(e, view)?;
        self.values.insert(key, v.clone());
        Ok(v)
    }
    fn compute(&mut self, e: Expr, view: &View) -> Result<Value, Materialise> {
        let graph = self.graph;
        if let Some((_, text)) = self.holes.iter().find(|(hole, _)| *hole == e) {
            let elements = graph.shape(e).numel();
            let linear = view.linear(&graph.shape(e).strides());
            let plain = Affine::digit(Domain::Out, 1, elements);
            if linear != plain || !view.guards.is_empty() || self.extents.out != elements {
                self.hole_is_plain = false;
            }
            return Ok(Value {
                text: text.clone(),
                wide: self.wide == Some(Domain::Out),
            });
        }
        if !self.roots.contains(&e) && self.memory.stored(e) {
            return Ok(self.load(e, view));
        }
        let node = graph.node(e);
        let input = |k: usize| node.inputs[k];
        match &node.op {
            Op::Constant(v) => Ok(Value {
                text: literal(v.0),
                wide: false,
            }),
            Op::Iota { axis } => {
                let ix = self.index(&view.coords[*axis], false);
                let ty = if ix.wide { "vec4<f32>" } else { "f32" };
                Ok(self.bind(format!("{ty}({})", ix.text), ix.wide))
            }
            Op::StopGradient => self.value(input(0), view),
            Op::Unary(f) => {
                let a = self.value(input(0), view)?;
                Ok(self.bind(unary(*f, &a.text, a.wide), a.wide))
            }
            Op::Binary(f) => {
                let a = self.value(input(0), view)?;
                let b = self.value(input(1), view)?;
                Ok(self.combine(*f, &a, &b))
            }
            Op::Select => {
                let c = self.value(input(0), view)?;
                let a = self.value(input(1), view)?;
                let b = self.value(input(2), view)?;
                let wide = a.wide || b.wide || c.wide;
                // Not `c != 0`, which naga writes for Vulkan as a comparison that is false for NaN.
                let text = if wide {
                    let (a, b, c) = (self.promote(&a), self.promote(&b), self.promote(&c));
                    format!("select({a}, {b}, {c} == vec4<f32>(0.0))")
                } else {
                    format!("select({}, {}, {} == 0.0)", a.text, b.text, c.text)
                };
                Ok(self.bind(text, wide))
            }
            Op::Broadcast => {
                let from = graph.shape(input(0));
                let mut inner = view.clone();
                for (axis, coord) in inner.coords.iter_mut().enumerate() {
                    if from[axis] == 1 {
                        *coord = Affine::default();
                    }
                }
                self.value(input(0), &inner)
            }
            Op::Reshape => {
                let from = graph.shape(input(0));
                match view.reshaped(&node.shape.strides(), from) {
                    Some(inner) => self.value(input(0), &inner),
                    None if self.memory.stored(input(0)) => {
                        // Read through the reshaped strides: memory order is the same.
                        Ok(self.load_as(input(0), e, view))
                    }
                    None => Err(Materialise(input(0))),
                }
            }
            Op::Transpose { perm } => {
                let mut inner = view.clone();
                for (i, &p) in perm.iter().enumerate() {
                    inner.coords[p] = view.coords[i].clone();
                }
                self.value(input(0), &inner)
            }
            Op::Slice { start } => {
                let mut inner = view.clone();
                for (c, &s) in inner.coords.iter_mut().zip(start) {
                    *c = c.shifted(s as i64);
                }
                self.value(input(0), &inner)
            }
            Op::Pad { before } => {
                let from = graph.shape(input(0));
                let mut inner = view.clone();
                for axis in 0..before.len() {
                    let coord = view.coords[axis].shifted(-(before[axis] as i64));
                    if from[axis] != node.shape[axis] {
                        inner.guards.push((coord.clone(), from[axis]));
                    }
                    inner.coords[axis] = coord;
                }
                let added = View {
                    coords: vec![],
                    guards: inner.guards[view.guards.len()..].to_vec(),
                };
                let v = self.value(input(0), &inner)?;
                let Some(ok) = self.guard(&added) else {
                    return Ok(v);
                };
                let wide = v.wide || ok.wide;
                let text = if wide {
                    let ok = if ok.wide {
                        ok.text
                    } else {
                        format!("vec4<bool>({})", ok.text)
                    };
                    format!("select(vec4<f32>(0.0), {}, {ok})", self.promote(&v))
                } else {
                    format!("select(0.0, {}, {})", v.text, ok.text)
                };
                Ok(self.bind(text, wide))
            }
            Op::Gather { axis } => {
                let (source, indices) = (input(0), input(1));
                if !self.memory.stored(source) {
                    return Err(Materialise(source));
                }
                let at = View {
                    coords: vec![view.coords[*axis].clone()],
                    guards: view.guards.clone(),
                };
                let which = self.value(indices, &at)?;
                let shape = graph.shape(source);
                let mut rest = view.clone();
                rest.coords[*axis] = Affine::default();
                let strides = shape.strides();
                let base = self.index(&rest.linear(&strides), false);
                let ok = self.guard(view);
                let wide = which.wide || base.wide;
                // Out-of-range indices read the last entry rather than foreign memory.
                let (limit, stride) = (shape[*axis] - 1, strides[*axis]);
                let text = if wide {
                    let which = self.promote(&which);
                    let base = if base.wide {
                        base.text
                    } else {
                        format!("vec4<u32>({})", base.text)
                    };
                    format!(
                        "min(vec4<u32>({which}), vec4<u32>({limit}u)) * vec4<u32>({stride}u) + {base}"
                    )
                } else {
                    format!(
                        "min(u32({}), {limit}u) * {stride}u + {}",
                        which.text, base.text
                    )
                };
                let ix = self.bind(text, wide);
                let k = self.slot(source, false, false);
                Ok(self.load_at(k, ix, ok))
            }
            Op::Sum { axes } => {
                let Some(terms) = terms(graph, e) else {
                    return Err(Materialise(e));
                };
                let shape = graph.shape(input(0));
                self.add_up(terms, |emitter, term| {
                    let mut inner = view.clone();
                    let mut rest = term;
                    for &axis in axes.iter().rev() {
                        inner.coords[axis] = Affine::constant(rest % shape[axis]);
                        rest /= shape[axis];
                    }
                    emitter.value(input(0), &inner)
                })
            }
            Op::Matmul { trans_a, trans_b } => {
                let Some(terms) = terms(graph, e) else {
                    return Err(Materialise(e));
                };
                let (row, col) = (view.coords.len() - 2, view.coords.len() - 1);
                // Along which axis of a and of b the terms lie; the other one is y's row or column.
                let along_a = if *trans_a { row } else { col };
                let along_b = if *trans_b { col } else { row };
                let at = |along: usize, kept: usize, term: usize| {
                    let mut inner = view.clone();
                    inner.coords[row + col - along] = view.coords[kept].clone();
                    inner.coords[along] = Affine::constant(term);
                    inner
                };
                self.add_up(terms, |emitter, term| {
                    let a = emitter.value(input(0), &at(along_a, row, term))?;
                    let b = emitter.value(input(1), &at(along_b, col, term))?;
                    Ok(emitter.combine(Binary::Mul, &a, &b))
                })
            }
            Op::Leaf(_)
            | Op::Source(_)
            | Op::Random { .. }
            | Op::Conv2d(_)
            | Op::Conv2dInputGrad(_)
            | Op::Conv2dWeightGrad(_)
            | Op::Closeness { .. }
            | Op::ClosenessGrad { .. } => Err(Materialise(e)),
        }
    }
    /// f(a, b), wide where either is.
    fn combine(&mut self, f: Binary, a: &Value, b: &Value) -> Value {
        let wide = a.wide || b.wide;
        let text = match wide {
            true => binary(f, &self.promote(a), &self.promote(b), true),
            false => binary(f, &a.text, &b.text, false),
        };
        self.bind(text, wide)
    }
    /// The sum of a few terms, in order.
    fn add_up(
        &mut self,
        terms: usize,
        term: impl Fn(&mut Self, usize) -> Result<Value, Materialise>,
    ) -> Result<Value, Materialise> {
        let mut sum = term(self, 0)?;
        for k in 1..terms {
            let next = term(self, k)?;
            sum = self.combine(Binary::Add, &sum, &next);
        }
        Ok(sum)
    }
    /// Loads the stored `e` at the row-major position that `view` names in the shape of `seen_as`.
    fn load_as(&mut self, e: Expr, seen_as: Expr, view: &View) -> Value {
        let strides = self.graph.shape(seen_as).strides();
        let linear = view.linear(&strides);
        let k = self.slot(e, false, false);
        let ok = self.guard(view);
        let ix = self.index(&linear, false);
        self.load_at(k, ix, ok)
    }
}

/// Sizes of the two domains of the kernel being emitted.
#[derive(Clone, Copy, Default)]
pub struct Extents {
    pub out: usize,
    pub reduced: usize,
}
impl Extents {
    fn of(self, d: Domain) -> usize {
        match d {
            Domain::Out => self.out,
            Domain::Reduced => self.reduced,
        }
    }
}

/// The emitted function body.
pub struct Emitted {
    pub statements: String,
    /// The result of each tree, of the kernel's value type.
    pub results: Vec<String>,
    pub reads: Vec<Read>,
    pub hole_is_plain: bool,
}
