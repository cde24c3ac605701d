//! The generated part of lib/gemm_stages.wgsl: which blocks of 4 x 4 of A and B each invocation brings into workgroup memory.

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

/// The end of a tile's name that says how many K tiles workgroup memory holds, if more than one.
pub fn buffers_name(buffers: u32) -> String {
    match buffers {
        1 => String::new(),
        buffers => format!("-buffers{buffers}"),
    }
}

/// `fetch`, `stage` and `first_b`, with the registers between the first two.
pub fn generated(tile: [u32; 3], threads: u32) -> String {
    let [a_blocks, b_blocks] = blocks(tile);
    // Where they are shared out, invocations that load B come after those that load A.
    let ([a, b], b_first) = match loads(tile, threads) {
        None => ([1, 1], a_blocks),
        Some(each) => (each, 0),
    };
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
        let raw = format!("{name}_next{i}");
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
        "{registers}fn first_b(id: u32) -> vec2<u32> {{ return block_of(id - {b_first}u, N_4, B_ALONG_K); }}
fn fetch(row0: u32, col0: u32, k0: u32, id: u32) {{\n{fetch}}}
fn stage(row0: u32, col0: u32, k0: u32, buffer: u32, id: u32) {{\n{stage}}}\n"
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
            let text = generated(tile, threads);
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
