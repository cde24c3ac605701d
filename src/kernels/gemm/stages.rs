//! The generated part of lib/gemm_stages.wgsl: which blocks of 4 x 4 of A and B each invocation brings into workgroup memory, and when.
use std::fmt;

/// Blocks of a K tile [m, n, k] that each of `threads` invocations loads: of A and of B, `None` where there are invocations enough
/// for each to load one block of either.
pub fn loads([m, n, k]: [u32; 3], threads: u32) -> Option<[u32; 2]> {
    let [a, b] = blocks([m, n, k]);
    (a + b > threads).then(|| [a.div_ceil(threads), b.div_ceil(threads)])
}

/// Of A and B in a K tile.
fn blocks([m, n, k]: [u32; 3]) -> [u32; 2] {
    [m, n].map(|side| side / 4 * (k / 4))
}

/// Blocks of A and of B that an invocation loads, and the first invocation that loads B: those that come after the loaders of A, or all.
fn shares(tile: [u32; 3], threads: u32) -> ([u32; 2], u32) {
    match loads(tile, threads) {
        None => ([1, 1], blocks(tile)[0]),
        Some(each) => (each, 0),
    }
}

/// How K tiles wait for their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// K tiles in workgroup memory: 1, or 2, of which one is written while the other is read.
    pub buffers: u32,
    /// K tiles on their way from memory into registers, 1 or more, while the one before them is multiplied.
    pub depth: u32,
}

impl fmt::Display for Waiting {
    /// The end of a tile's name, empty for one of each.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (what, count) in [("buffers", self.buffers), ("depth", self.depth)] {
            if count > 1 {
                write!(f, "-{what}{count}")?;
            }
        }
        Ok(())
    }
}

/// `walk_k` and `first_b` for a K tile [m, n, k], with the registers that hold the tiles under way, a set for each.
///
/// The step of a tile starts the reads of the one `depth` tiles on, multiplies the tile before, and writes its own to workgroup memory.
/// `depth` steps are written out, so that each knows its sets.
pub fn generated(tile: [u32; 3], threads: u32, Waiting { buffers, depth }: Waiting) -> String {
    let mut text = String::new();
    for set in 0..depth {
        text += &moves(tile, threads, set);
    }
    let (_, b_first) = shares(tile, threads);
    let after = |tiles: u32| match tiles {
        0 => String::new(),
        tiles => format!(" + {}u", tiles * tile[2]),
    };
    text += &format!(
        "fn first_b(id: u32) -> vec2<u32> {{ return block_of(id - {b_first}u, N_4, B_ALONG_K); }}
fn walk_k(row0: u32, col0: u32, id: u32) {{
    var buffer = 0u; // the one that holds the tile before k
"
    );
    for set in 0..depth - 1 {
        let k = format!("gemm.k_begin{}", after(set));
        text += &format!("    if {k} < gemm.k_end {{ fetch{set}(row0, col0, {k}, id); }}\n");
    }
    text += &format!(
        "    for (var k0 = gemm.k_begin; ; k0 += {}u) {{\n",
        depth * tile[2]
    );
    let turn = match buffers {
        1 => "workgroupBarrier();",
        _ => "buffer = 1u - buffer;",
    };
    for set in 0..depth {
        let k = format!("k0{}", after(set));
        let ahead = format!("k0{}", after(set + depth - 1));
        let next = (set + depth - 1) % depth;
        text += &format!(
            "        if {ahead} < gemm.k_end {{ fetch{next}(row0, col0, {ahead}, id); }}
        if {k} > gemm.k_begin {{ multiply(buffer); }}
        if {k} >= gemm.k_end {{ break; }}
        {turn}
        stage{set}(row0, col0, {k}, buffer, id);
        workgroupBarrier();
"
        );
    }
    text + "    }\n}\n"
}

/// `fetch` and `stage` of one set of registers: this invocation's blocks of the K tile at k0 from memory into registers, and from there
/// into workgroup memory.
fn moves(tile: [u32; 3], threads: u32, set: u32) -> String {
    let [a_blocks, b_blocks] = blocks(tile);
    let ([a, b], b_first) = shares(tile, threads);
    let [mut registers, mut fetch, mut stage] = [const { String::new() }; 3];
    let mut block = |name: &str, i: u32, first: u32, count: u32, across: &str, turned: &str| {
        let part = match (i * threads, first) {
            (0, 0) => "id".to_string(),
            (0, first) => format!("id - {first}u"),
            (after, _) => format!("id + {after}u"),
        };
        // Before the first it wraps round.
        let all = first == 0 && (i + 1) * threads <= count;
        let only = match all {
            true => String::new(),
            false => format!("if {part} < {count}u "),
        };
        let place = format!("block_of({part}, {across}, {turned})");
        let (of, from) = match name {
            "a" => ("A", "row0 + at.x * 4u, k0 + at.y * 4u"),
            _ => ("B", "k0 + at.y * 4u, col0 + at.x * 4u"),
        };
        let raw = format!("{name}_next{set}_{i}");
        registers += &format!("var<private> {raw}: Raw{of};\n");
        fetch += &format!("    {only}{{ let at = {place}; {raw} = fetch_{name}({from}); }}\n");
        stage += &format!(
            "    {only}{{ let at = {place}; store_{name}(buffer, at, block_{name}({raw}, {from})); }}\n"
        );
    };
    for i in 0..a {
        block("a", i, 0, a_blocks, "M_4", "!A_ALONG_M");
    }
    for i in 0..b {
        block("b", i, b_first, b_blocks, "N_4", "B_ALONG_K");
    }
    format!(
        "{registers}fn fetch{set}(row0: u32, col0: u32, k0: u32, id: u32) {{\n{fetch}}}
fn stage{set}(row0: u32, col0: u32, k0: u32, buffer: u32, id: u32) {{\n{stage}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_loaded_once() {
        // Shared out; one of each; several of each; the last ones by some alone.
        for (tile, threads, expected) in [
            ([32, 32, 16], 64, None),
            ([64, 64, 16], 64, Some([1, 1])),
            ([128, 128, 32], 128, Some([2, 2])),
            ([128, 64, 16], 96, Some([2, 1])),
        ] {
            assert_eq!(loads(tile, threads), expected);
            let waiting = Waiting {
                buffers: 1,
                depth: 1,
            };
            let text = generated(tile, threads, waiting);
            let [a, b] = expected.unwrap_or([1, 1]);
            assert_eq!(text.matches("store_a(").count() as u32, a, "{text}");
            assert_eq!(text.matches("store_b(").count() as u32, b, "{text}");
            let [a_blocks, b_blocks] = blocks(tile);
            let guarded = |count: u32| text.contains(&format!("< {count}u "));
            assert_eq!(guarded(a_blocks), a * threads > a_blocks, "{text}");
            assert_eq!(
                guarded(b_blocks),
                expected.is_none()
                    || b * threads > b_blocks
                    || (a_blocks == b_blocks && a * threads > a_blocks),
                "{text}"
            );
        }
    }
}
