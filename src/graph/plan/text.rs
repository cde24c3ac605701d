//! Complete kernels for elementwise trees and sums, and epilogues for contractions, from emitted function bodies.
use super::super::view::{Domain, View};
use super::super::{Expr, Graph, Op};
use super::Target;
use super::bindings::{Results, bindings};
use super::emit::{Emitted, Emitter, Extents, Materialise};
use super::lower::{KernelNode, Lowering, NOTHING, is_sum, sum_view};
use crate::gpu::{Caps, Kernel};
use crate::kernels::gemm::Epilogue;
use crate::kernels::{Form, Fours, Scalar};
use std::fmt::Write;

const ELEMENTWISE: &str = include_str!("../../../shaders/elementwise.wgsl");
const REDUCE_ROW: &str = include_str!("../../../shaders/reduce_row.wgsl");
const REDUCE_ROW_SUBGROUP: &str = include_str!("../../../shaders/reduce_row_subgroup.wgsl");
const REDUCE_COLUMN: &str = include_str!("../../../shaders/reduce_column.wgsl");

/// Where a tensor lies: a buffer of the plan's table and the first element in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// Index in the plan's table of buffers.
    pub buffer: usize,
    /// First element; a multiple of 4.
    pub offset: usize,
}

/// A region, and how its elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its offset is in elements of `scalar`.
    pub region: Region,
    pub scalar: Scalar,
}

/// A kernel and the buffers of the plan's table it is bound to, in binding order.
pub struct Bound {
    pub kernel: Kernel,
    pub buffers: Vec<usize>,
}

const QUAD: &str = "vec4<u32>(0u, 1u, 2u, 3u)";

fn fold_grid(groups: usize, limit: u32) -> [u32; 3] {
    let x = groups.min(limit as usize);
    [x as u32, groups.div_ceil(x) as u32, 1]
}

/// A purely elementwise kernel for `root`.
pub fn elementwise(
    lowering: &Lowering,
    root: Expr,
    place: &dyn Fn(Expr) -> Place,
    target: &Target,
) -> Bound {
    map(lowering, (root, root), place, place(root), target)
}

/// Writes the values that lie at `from` to `to`, which is stored differently.
pub fn cast(lowering: &Lowering, e: Expr, from: Place, to: Place, target: &Target) -> Bound {
    map(lowering, (NOTHING, e), &|_| from, to, target)
}

/// The elementwise kernel of the tree of `start`. What has memory is read, but for `root`.
fn map(
    lowering: &Lowering,
    (root, start): (Expr, Expr),
    place: &dyn Fn(Expr) -> Place,
    result: Place,
    target: &Target,
) -> Bound {
    let shape = lowering.graph.shape(start);
    let count = shape.numel();
    let name = if root == start { "elementwise" } else { "cast" };
    let label = format!("{name} {}", summary(lowering.graph, start));
    let wide = count.is_multiple_of(4);
    let body = emit(
        lowering,
        root,
        start,
        None,
        &View::identity(shape, Domain::Out),
        wide.then_some(Domain::Out),
        Extents {
            out: count,
            reduced: 1,
        },
    );
    let results = Results {
        places: &[result],
        wide,
        fours: Fours::of(target.form, &target.caps),
    };
    let declared = bindings(&body.reads, place, results);
    let values = if wide { count / 4 } else { count };
    let (lanes, items) = match target.form {
        Form::Cpu => (8, 4),
        Form::Gpu => (64, 1),
    };
    let mut text = declared.text;
    let mut immediates = declared.immediates;
    immediates.extend([values as u32, items as u32]);
    let (ty, start) = if wide {
        (
            "vec4<f32>",
            format!("  let i = q * 4u;\n  let i4 = vec4<u32>(i) + {QUAD};\n"),
        )
    } else {
        ("f32", "  let i = q;\n".to_string())
    };
    let _ = write!(
        text,
        "alias value = {ty};\nconst WG = {lanes}u;\n\
         fn element(q: u32) -> value {{\n{start}{}  return {};\n}}\n{ELEMENTWISE}",
        body.statements, body.results[0]
    );
    Bound {
        kernel: Kernel {
            label,
            source: text.into(),
            grid: fold_grid(
                values.div_ceil(lanes * items),
                target.caps.max_workgroups_per_dim,
            ),
            immediates,
        },
        buffers: declared.buffers,
    }
}

/// Lanes that share a sum on a GPU, a vec4 each: up to 256, or where there are few sums, which would leave most of the machine idle, as
/// many as the adapter allows.
fn row_lanes(caps: &Caps, extents: Extents, sums: usize) -> usize {
    const FEW: usize = 256;
    let held = caps.workgroup_storage_bytes as usize / (4 * sums.max(1));
    let most = match extents.out {
        ..=FEW => (caps.max_invocations as usize).min(1024).min(held),
        _ => 256,
    };
    let most = 1 << most.max(64).ilog2();
    extents
        .reduced
        .div_ceil(4)
        .next_power_of_two()
        .clamp(64, most)
}

/// How the invocations of a kernel of sums share them out.
struct Sharing {
    /// Of what is summed.
    view: View,
    extents: Extents,
    /// Lanes share one sum, each result is written by itself; otherwise each invocation has sums of its own.
    along_reduced: bool,
    /// The domain that is taken four elements at a time.
    wide: Option<Domain>,
}

impl Sharing {
    /// Of sum `core`.
    fn of(graph: &Graph, core: Expr) -> Sharing {
        let node = graph.node(core);
        let Op::Sum { axes } = &node.op else {
            unreachable!("the core of a reduction is a sum")
        };
        let shape = graph.shape(node.inputs[0]);
        let (view, extents) = sum_view(shape, axes);
        // Lanes run along whichever domain holds the last axis in memory; few outputs leave nothing else to share out.
        let last = (0..shape.rank()).rev().find(|&a| shape[a] > 1);
        let along_reduced = last.is_none_or(|a| axes.contains(&a)) || extents.out < 32;
        let (domain, count) = match along_reduced {
            true => (Domain::Reduced, extents.reduced),
            false => (Domain::Out, extents.out),
        };
        Sharing {
            view,
            extents,
            along_reduced,
            wide: count.is_multiple_of(4).then_some(domain),
        }
    }

    /// The text of what `sums` add up.
    fn elements(&self, lowering: &Lowering, sums: &[Expr]) -> Result<Emitted, Materialise> {
        let graph = lowering.graph;
        let summed = sums.iter().map(|&sum| graph.node(sum).inputs[0]);
        let summed: Vec<(Expr, View)> = summed.map(|e| (e, self.view.clone())).collect();
        Emitter::new(graph, lowering, NOTHING, None, self.wide, self.extents).finish_all(&summed)
    }
}

/// What a kernel reads in fours whose results are written one by one. Beside those it would be read one by one as well (`bindings`).
pub fn read_in_fours(lowering: &Lowering, node: &KernelNode) -> Vec<Expr> {
    let graph = lowering.graph;
    let Some(core) = node.core.filter(|&c| is_sum(graph, c)) else {
        return vec![];
    };
    let sharing = Sharing::of(graph, core);
    if !sharing.along_reduced {
        return vec![];
    }
    let emitted = sharing.elements(lowering, &node.sums());
    let reads = emitted.map(|e| e.reads).unwrap_or_default().into_iter();
    reads.filter(|r| r.wide).map(|r| r.expr).collect()
}

/// Sums over the same axes with everything folded in before (`element`) and after (`finish`).
pub fn reduce(
    lowering: &Lowering,
    node: &KernelNode,
    place: &dyn Fn(Expr) -> Place,
    target: &Target,
) -> Bound {
    let Target { caps, form, .. } = target;
    let form = *form;
    let graph = lowering.graph;
    let sums = node.sums();
    let sharing = Sharing::of(graph, sums[0]);
    let Sharing {
        extents,
        along_reduced,
        wide,
        ..
    } = sharing;
    let subgroups = form == Form::Cpu && caps.subgroups_of(8);
    let lanes = match form {
        Form::Cpu => 8,
        Form::Gpu if along_reduced => row_lanes(caps, extents, sums.len()),
        Form::Gpu => 64,
    };
    let before = sharing.elements(lowering, &sums);
    let before = before.unwrap_or_else(emitted_before);
    let finish_wide = wide.filter(|d| *d == Domain::Out);
    let after = finish_emitter(lowering, node, finish_wide)
        .with_reads(before.reads)
        .finish_all(&finish_trees(graph, node))
        .unwrap_or_else(emitted_before);
    let mut finish_text = after.statements;
    for (k, result) in after.results.iter().enumerate() {
        let _ = writeln!(finish_text, "  store_{k}(o, {result});");
    }
    let places: Vec<Place> = node.roots().map(place).collect();
    let results = Results {
        places: &places,
        wide: finish_wide.is_some(),
        fours: Fours::of(form, caps),
    };
    let declared = bindings(&after.reads, place, results);
    let mut text = declared.text;
    let value = if wide.is_some() { "vec4<f32>" } else { "f32" };
    let quad = |name: &str, from: &str| {
        format!("  let {name} = {from} * 4u;\n  let {name}4 = vec4<u32>({name}) + {QUAD};\n")
    };
    let _ = write!(text, "alias value = {value};\nconst WG = {lanes}u;\n");
    let element = made_of("sums", &before.results);
    let parts = parts(sums.len());
    let (body, bounds, outputs_per_group) = if along_reduced {
        let (start, reduced) = match wide {
            Some(_) => (quad("r", "q"), extents.reduced / 4),
            None => ("  let r = q;\n".to_string(), extents.reduced),
        };
        text += &aggregate("sums", "value", "plus", sums.len());
        text += &aggregate("totals", "f32", "plus_totals", sums.len());
        let horizontal: Vec<String> = parts
            .iter()
            .map(|v| match wide {
                Some(_) => format!("(v{v}.x + v{v}.y) + (v{v}.z + v{v}.w)"),
                None => format!("v{v}"),
            })
            .collect();
        let horizontal = made_of("totals", &horizontal);
        let _ = write!(
            text,
            "fn horizontal(v: sums) -> totals {{ return {horizontal}; }}\n\
             fn element(i: u32, q: u32) -> sums {{\n{start}{}  return {element};\n}}\n\
             fn finish(acc: totals, o: u32) {{\n  let i = o;\n{finish_text}}}\n",
            before.statements
        );
        let body = if subgroups {
            let shuffled: Vec<String> = parts
                .iter()
                .map(|v| format!("subgroupShuffleXor(v{v}, mask)"))
                .collect();
            let _ = writeln!(
                text,
                "fn from_lane_xor(v: totals, mask: u32) -> totals {{ return {}; }}",
                made_of("totals", &shuffled)
            );
            REDUCE_ROW_SUBGROUP
        } else {
            REDUCE_ROW
        };
        (body, [extents.out, reduced], 1)
    } else {
        let (start, count) = match wide {
            Some(_) => (quad("i", "q"), extents.out / 4),
            None => ("  let i = q;\n".to_string(), extents.out),
        };
        let finish_start = match wide {
            Some(_) => quad("i", "o"),
            None => "  let i = o;\n".to_string(),
        };
        text += &aggregate("sums", "value", "plus", sums.len());
        let _ = write!(
            text,
            "fn element(q: u32, r: u32) -> sums {{\n{start}{}  return {element};\n}}\n\
             fn finish(acc: sums, o: u32) {{\n{finish_start}{finish_text}}}\n",
            before.statements
        );
        let outputs_per_group = lanes * if wide.is_some() { 4 } else { 1 };
        (REDUCE_COLUMN, [count, extents.reduced], outputs_per_group)
    };
    text.push_str(body);
    let mut immediates = declared.immediates;
    immediates.extend(bounds.map(|bound| bound as u32));
    let mut label = format!("sum {}", summary(graph, node.root));
    for other in &node.beside {
        let _ = write!(label, ", {}", summary(graph, other.root));
    }
    Bound {
        kernel: Kernel {
            label,
            source: text.into(),
            grid: fold_grid(
                extents.out.div_ceil(outputs_per_group),
                caps.max_workgroups_per_dim,
            ),
            immediates,
        },
        buffers: declared.buffers,
    }
}

/// What a kernel of sums computes of their totals, each tree under the view of its own shape.
pub fn finish_trees(graph: &Graph, node: &KernelNode) -> Vec<(Expr, View)> {
    let identity = |e: Expr| (e, View::identity(graph.shape(e), Domain::Out));
    node.roots().map(identity).collect()
}

/// The emitter of those trees.
pub fn finish_emitter<'a>(
    lowering: &'a Lowering<'a>,
    node: &KernelNode,
    wide: Option<Domain>,
) -> Emitter<'a, Lowering<'a>> {
    let graph = lowering.graph;
    let extents = Extents {
        out: graph.shape(node.root).numel(),
        reduced: 1,
    };
    let sums = node.sums();
    let holes = parts(sums.len()).into_iter().map(|p| format!("acc{p}"));
    let holes = sums.into_iter().zip(holes).collect();
    Emitter::new(graph, lowering, node.root, None, wide, extents)
        .with_trees(node.roots().collect(), holes)
}

/// How the parts of an [`aggregate`] are selected.
fn parts(count: usize) -> Vec<String> {
    match count {
        1 => vec![String::new()],
        _ => (0..count).map(|k| format!(".s{k}")).collect(),
    }
}

/// A type of `count` values, one alone without a wrapping, and their addition.
fn aggregate(name: &str, of: &str, plus: &str, count: usize) -> String {
    let declared = match count {
        1 => format!("alias {name} = {of};\n"),
        _ => {
            let fields: Vec<String> = (0..count).map(|k| format!("s{k}: {of}")).collect();
            format!("struct {name} {{ {} }}\n", fields.join(", "))
        }
    };
    let parts = parts(count).into_iter();
    let added: Vec<String> = parts.map(|p| format!("a{p} + b{p}")).collect();
    let added = made_of(name, &added);
    format!("{declared}fn {plus}(a: {name}, b: {name}) -> {name} {{ return {added}; }}\n")
}

fn made_of(aggregate: &str, parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        _ => format!("{aggregate}({})", parts.join(", ")),
    }
}

/// The tree of `root` on top of the contraction `core` as an epilogue, and the buffers it is bound to. `rows`: the number of rows of
/// C, where the epilogue may ask for its row.
pub fn epilogue(
    lowering: &Lowering,
    root: Expr,
    core: Expr,
    place: &dyn Fn(Expr) -> Place,
    rows: Option<usize>,
) -> (Epilogue, Vec<usize>) {
    let shape = lowering.graph.shape(root);
    let extents = Extents {
        out: shape.numel(),
        reduced: 1,
    };
    let view = View::identity(shape, Domain::Out);
    let body = Emitter::new(lowering.graph, lowering, root, Some(core), None, extents)
        .with_rows(rows)
        .finish(root, &view)
        .unwrap_or_else(emitted_before);
    let results = Results {
        places: &[],
        wide: false,
        fours: Fours::Vector,
    };
    let declared = bindings(&body.reads, place, results);
    let mut wgsl = declared.text;
    let _ = write!(
        wgsl,
        "fn epilogue(acc: f32, i: u32) -> f32 {{\n{}  return {};\n}}\n",
        body.statements, body.results[0]
    );
    let hook = Epilogue {
        wgsl,
        extra_buffers: declared.buffers.len(),
        f16: declared.f16,
        immediates: declared.immediates,
    };
    (hook, declared.buffers)
}

fn emit(
    lowering: &Lowering,
    root: Expr,
    start: Expr,
    hole: Option<Expr>,
    view: &View,
    wide: Option<Domain>,
    extents: Extents,
) -> Emitted {
    Emitter::new(lowering.graph, lowering, root, hole, wide, extents)
        .finish(start, view)
        .unwrap_or_else(emitted_before)
}

fn emitted_before(Materialise(e): Materialise) -> Emitted {
    unreachable!("expression {} was emitted in the dry run", e.index())
}

/// A short name of what a tree computes: its operations, outermost first.
pub fn summary(graph: &Graph, root: Expr) -> String {
    let node = graph.node(root);
    let inner = node
        .inputs
        .iter()
        .map(|&x| graph.node(x).op.name())
        .collect::<Vec<_>>()
        .join(",");
    format!("{}({inner}) {}", node.op.name(), node.shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::AdapterClass;

    #[test]
    fn few_sums_of_long_rows_take_all_the_lanes_there_are() {
        let caps = |max_invocations| Caps {
            max_invocations,
            ..Caps::baseline(AdapterClass::Discrete)
        };
        let lanes = |invocations, out, reduced, sums| {
            row_lanes(&caps(invocations), Extents { out, reduced }, sums)
        };
        assert_eq!(lanes(1024, 64, 131_072, 2), 1024);
        // Many sums; short rows; an adapter with less, and one whose number is no power of two; workgroup memory for eight sums.
        assert_eq!(lanes(1024, 300, 131_072, 2), 256);
        assert_eq!(lanes(1024, 64, 600, 2), 256);
        assert_eq!(lanes(1024, 64, 8, 2), 64);
        assert_eq!(lanes(256, 64, 131_072, 2), 256);
        assert_eq!(lanes(768, 64, 131_072, 2), 512);
        assert_eq!(lanes(1024, 64, 131_072, 8), 512);
    }
}
