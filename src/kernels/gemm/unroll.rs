//! The generated inner loop of gemm_cpu.wgsl, and how far it is unrolled for which driver.
use super::problem::Problem;
use crate::gpu::shader::line;
use crate::gpu::{Caps, mesa_before_24};

/// Invocations of a workgroup: one subgroup of 256-bit vector units. Without subgroups any number would do.
pub const LANES: u32 = 8;

/// Rows of C that one workgroup of so many stripes keeps in workgroup memory, at most: 16 KiB of it, or 32 where there is as much.
pub fn rows_max(caps: &Caps, stripes: u32) -> u32 {
    let one = if caps.workgroup_storage_bytes >= 32 << 10 {
        256
    } else {
        128
    };
    one / stripes
}

/// Elements of A that the lanes of a subgroup hold in one vec4 each.
const SEGMENT: u32 = 4 * LANES;

/// Enough for cores to finish together.
pub const WORKGROUPS_PER_CORE: u32 = 4;

/// Columns of C in a stripe.
pub const COLS: u32 = LANES * 4;

/// Cores of this machine.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(4, |n| n.get() as u32)
}

/// Whether tiles of B are filled by a window loader where the problem has one. Mesa 22.3.6 compiles those for twice as long, one for
/// every product of a convolution where the gather serves two, and runs them no faster.
pub fn reads_windows(caps: &Caps) -> bool {
    !mesa_before_24(&caps.driver)
}

/// The form of `multiply_tile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unroll {
    /// How many k one call covers; the call is unrolled that often.
    pub k_tile: u32,
    /// Hand A round by `subgroupBroadcast`; otherwise each invocation loads it from the same address.
    pub broadcast: bool,
    /// How many times [`COLS`] columns a workgroup has, 1 or 2: what it reads of A serves them all. More than 1 only with `broadcast`.
    pub stripes: u32,
}

impl Unroll {
    /// The form for an adapter and a product of `flops` multiplications and additions.
    pub fn choose(caps: &Caps, problem: &Problem, flops: u64) -> Self {
        /// Below this a dispatch takes so little time that a training run does not win back a longer compilation.
        const SMALL: u64 = 1 << 26;
        /// From here on two stripes pay. From 2^26 on: dcgan28, wgangp28, mlp and ring8 1.0x.
        const LARGE: u64 = 1 << 28;
        let k = problem.k;
        let broadcast = caps.subgroups_of(LANES);
        let old_mesa = mesa_before_24(&caps.driver);
        let stripes = match broadcast && !old_mesa && flops >= LARGE {
            true => stripes(problem),
            false => 1,
        };
        let largest = if !broadcast {
            16
        } else if old_mesa && flops < SMALL {
            // Mesa 22.3.6 compiles a tile of 64 in 2.3 s, of 32 in 0.8 s; 25.0.7 in 0.4 and 0.3 s. 64 runs 1.4 to 2 times as
            // fast on both, which pays for itself within some hundred dispatches. 128: another 1.1 times where A is
            // contiguous along k (0.8 times where it is turned), but 13 s on 22.3.6, and on 25.0.7 two stripes of 64 compile in the same time
            // and gain more. 256: no faster than 128. (Times of one array for the tile; of four a quarter to a half.)
            32
        } else {
            64
        };
        let k_tile = [16, 32]
            .into_iter()
            .find(|&tile| k <= tile)
            .map_or(largest, |tile| tile.min(largest));
        let fits = broadcast && !old_mesa;
        Self {
            k_tile: if fits {
                fitting(&problem.ks, k_tile)
            } else {
                k_tile
            },
            broadcast,
            stripes,
        }
    }

    /// The form with this K tile and so many stripes, or one where no elements of A can be handed round.
    pub fn of(caps: &Caps, k_tile: u32, stripes: u32) -> Self {
        let broadcast = caps.subgroups_of(LANES);
        Self {
            k_tile,
            broadcast,
            stripes: if broadcast { stripes } else { 1 },
        }
    }

    /// Declared length of the private array. It decides how long Mesa compiles, for reasons of its own: up to 32 elements
    /// 4 to 7 times as long as just above (22.3.6: 2.8 s at 32, 0.7 s at 33; 25.0.7: 1.9 s, 0.26 s), and where the fill writes `fours`
    /// of elements, 3 to 6 times as long below 64.
    pub fn b_tile_len(self, fours: bool) -> u32 {
        self.k_tile.max(if fours { 64 } else { 33 })
    }

    /// How many vec4 of A one row of a tile takes.
    pub fn a_slots(self) -> u32 {
        if self.broadcast {
            self.k_tile.div_ceil(SEGMENT)
        } else {
            self.k_tile / 4
        }
    }

    /// WGSL of `fn multiply_tile(row0: u32, rows: u32, k0: u32, lane: u32)`: adds A[row, k0..k0+K_TILE] times the filled
    /// tile of B to the sums of `rows` rows from row0 on. `along_m`: one `a_vec` is four rows at one k.
    pub fn multiply_tile(self, along_m: bool) -> String {
        let mut text =
            String::from("fn multiply_tile(row0: u32, rows: u32, k0: u32, lane: u32) {\n");
        match (self.broadcast, along_m) {
            (true, false) => self.broadcast_rows(&mut text),
            (true, true) => self.broadcast_turned(&mut text),
            (false, false) => self.uniform_rows(&mut text),
            (false, true) => self.uniform_turned(&mut text),
        }
        text + "}\n"
    }

    /// Lane l holds A[row, k0 + 32 s + 4 l ..+4] for each slot s.
    fn broadcast_rows(self, text: &mut String) {
        line(text, format_args!("    var r = 0u;\n    loop {{"));
        for slot in 0..self.a_slots() {
            line(
                text,
                format_args!(
                    "        let a{slot} = a_vec(row0 + r, k0 + {}u + lane * 4u);",
                    slot * SEGMENT
                ),
            );
        }
        self.broadcast_stripes(text, "        ");
        line(
            text,
            format_args!("        continuing {{ r++; break if r >= rows; }}\n    }}"),
        );
    }

    /// Lane l holds A[row..row+4, k0 + 32 s + 4 l + j] for each slot s and j of 0..4, and picks a row of it.
    /// Picking costs 3 selects per element, a quarter of what scalar loads of a column of A cost.
    /// Turning A into scratch memory first, in blocks of four by four: a step of ring8 (128x512x128) 0.97, of pacgan2d (400x100x400,
    /// 200x200x1000) 0.95 to 0.96 of the time, the product 784x64x1024 1.3 to 2 times; not worth a scheme of its own.
    fn broadcast_turned(self, text: &mut String) {
        line(text, format_args!("    var q = 0u;\n    loop {{"));
        for slot in 0..self.a_slots() {
            for j in 0..4 {
                line(
                    text,
                    format_args!(
                        "        let g{slot}{j} = a_vec(row0 + q, k0 + {}u + lane * 4u);",
                        slot * SEGMENT + j
                    ),
                );
            }
        }
        line(text, format_args!("        var r = q;\n        loop {{"));
        line(text, format_args!("            let row = r - q;"));
        for slot in 0..self.a_slots() {
            let column = |c: char| {
                let of = |j: u32| format!("g{slot}{j}.{c}");
                format!("vec4<f32>({}, {}, {}, {})", of(0), of(1), of(2), of(3))
            };
            line(
                text,
                format_args!(
                    "            let a{slot} = select(select({}, {}, row == 1u), select({}, {}, row == 3u), row > 1u);",
                    column('x'),
                    column('y'),
                    column('z'),
                    column('w')
                ),
            );
        }
        self.broadcast_stripes(text, "            ");
        line(
            text,
            format_args!(
                "            continuing {{ r++; break if r >= min(q + 4u, rows); }}\n        }}\n        continuing {{ q += 4u; break if q >= rows; }}\n    }}"
            ),
        );
    }

    /// One row of every stripe. The second stripe multiplies what looks like another A: where LLVM sees that both broadcast the same
    /// elements it broadcasts once, moves the second half's multiplications ahead of its additions and spills them (0.8x, for K tiles of
    /// 32 and 64, whichever half comes first; stripes in loops of their own: 0.6x). 1024^3: 1.1x of one stripe.
    fn broadcast_stripes(self, text: &mut String, indent: &str) {
        self.broadcast_row(text, indent, 0, 'a');
        for stripe in 1..self.stripes {
            let name = char::from(b'a' + stripe as u8);
            for slot in 0..self.a_slots() {
                line(
                    text,
                    format_args!(
                        "{indent}let {name}{slot} = bitcast<vec4<f32>>(bitcast<vec4<u32>>(a{slot}) ^ vec4<u32>(opaque(0u)));"
                    ),
                );
            }
            self.broadcast_row(text, indent, stripe, name);
        }
    }

    /// One row of a stripe: two rows or eight columns in flight are slower. Loading the next row of A ahead: 0.95x. A from a uniform buffer (64 KiB at most): 1.1x at best. Even and odd k in sums of their own: 1.0x.
    /// Sums in a private array instead of workgroup memory: 0.55x, in four workgroup arrays of f32: 0.55x. Of a 1024^3 product 44 % goes into reading A (ten instructions for every element), 56 % into multiplying.
    fn broadcast_row(self, text: &mut String, indent: &str, stripe: u32, a: char) {
        line(
            text,
            format_args!("{indent}let at{stripe} = (r * STRIPES + {stripe}u) * LANES + lane;"),
        );
        line(
            text,
            format_args!("{indent}var t{stripe} = sums_before(at{stripe}, k0);"),
        );
        for k in 0..self.k_tile {
            let (slot, lane, element) = (
                k / SEGMENT,
                k % SEGMENT / 4,
                ['x', 'y', 'z', 'w'][k as usize % 4],
            );
            line(
                text,
                format_args!(
                    "{indent}t{stripe} = fma(vec4<f32>(subgroupBroadcast({a}{slot}.{element}, {lane}u)), {}, t{stripe});",
                    b_row(stripe, k)
                ),
            );
        }
        line(
            text,
            format_args!("{indent}sums_after(at{stripe}, t{stripe});"),
        );
    }

    fn uniform_rows(self, text: &mut String) {
        line(text, format_args!("    var r = 0u;\n    loop {{"));
        line(text, format_args!("        let at = r * LANES + lane;"));
        line(text, format_args!("        var t = sums_before(at, k0);"));
        for slot in 0..self.a_slots() {
            line(
                text,
                format_args!("        let a{slot} = a_vec(row0 + r, k0 + {}u);", slot * 4),
            );
            for (j, element) in ['x', 'y', 'z', 'w'].into_iter().enumerate() {
                line(
                    text,
                    format_args!(
                        "        t = fma(vec4<f32>(a{slot}.{element}), {}, t);",
                        b_row(0, slot * 4 + j as u32)
                    ),
                );
            }
        }
        line(text, format_args!("        sums_after(at, t);"));
        line(
            text,
            format_args!("        continuing {{ r++; break if r >= rows; }}\n    }}"),
        );
    }

    /// Four rows at once, as one `a_vec` holds them. The last rows may lie beyond m: zeros of A in slots of their own.
    fn uniform_turned(self, text: &mut String) {
        line(text, format_args!("    var r = 0u;\n    loop {{"));
        line(text, format_args!("        let at = r * LANES + lane;"));
        for row in 0..4 {
            line(
                text,
                format_args!("        var t{row} = sums_before(at + {row}u * LANES, k0);"),
            );
        }
        for k in 0..self.k_tile {
            line(
                text,
                format_args!("        let a{k} = a_vec(row0 + r, k0 + {k}u);"),
            );
            for (row, element) in ['x', 'y', 'z', 'w'].into_iter().enumerate() {
                line(
                    text,
                    format_args!(
                        "        t{row} = fma(vec4<f32>(a{k}.{element}), {}, t{row});",
                        b_row(0, k)
                    ),
                );
            }
        }
        for row in 0..4 {
            line(
                text,
                format_args!("        sums_after(at + {row}u * LANES, t{row});"),
            );
        }
        line(
            text,
            format_args!("        continuing {{ r += 4u; break if r >= rows; }}\n    }}"),
        );
    }
}

/// Row k of a stripe of the tile of B, a constant.
fn b_row(stripe: u32, k: u32) -> String {
    let at = match stripe {
        0 => format!("{k}"),
        stripe => format!("B_TILE_LEN * {stripe}u + {k}"),
    };
    format!("vec4<f32>(b_tile_x[{at}], b_tile_y[{at}], b_tile_z[{at}], b_tile_w[{at}])")
}

/// Two stripes of columns read A once for both (64 -> 128 channels, 14 -> 7, batch 64: 33 -> 28 ms, its gradients 43 -> 38 and 35 -> 31;
/// 1024^3: 80 -> 74), compile for 1.7 times as long, and halve the rows that share a tile of B: 256 -> 512 channels 1.0x, input
/// gradient 0.9x, weight gradient 1.1x (a tile of 128 for these would be one more pipeline each). Where k is
/// short (0.9x) or columns are missing they lose.
fn stripes(problem: &Problem) -> u32 {
    const LEAST_K: u32 = 128;
    let [one, two] = [COLS, 2 * COLS].map(|cols| u64::from(problem.n.next_multiple_of(cols)));
    match problem.k >= LEAST_K && 10 * two <= 11 * one {
        true => 2,
        false => 1,
    }
}

/// The K tile that multiplies the fewest zeros behind every k of `ks`, or `usual` where that gains little: 72 or 144 = 16 * 3 * 3 in
/// tiles of 64 are 1.8 and 1.3 times the work (64x12544x72: 11.8 ms, in a tile of 72 6.7). Each further tile costs its compilation, 0.3 to 0.9 s on
/// 25.0.7, which 22.3.6 takes several times as long for.
fn fitting(ks: &[u32], usual: u32) -> u32 {
    /// What a pass over a tile costs besides, in k.
    const PASS: u32 = 8;
    let passes = |tile: u32| -> u64 { ks.iter().map(|k| u64::from(k.div_ceil(tile).max(1))).sum() };
    let cost = |tile: u32| passes(tile) * u64::from(tile + PASS);
    let best = (16..=104).step_by(8).min_by_key(|&tile| (cost(tile), tile));
    best.filter(|&tile| 10 * cost(tile) <= 9 * cost(usual))
        .unwrap_or(usual)
}

/// Rows per workgroup: as many as possible, because each workgroup fills its B tiles anew (which costs about as much as 30
/// to 60 rows; 1024^3 on 64, 128, 256 rows: 35, 47, 56 GFLOP/s), but few enough that every core has some workgroups to take. A multiple of 4.
pub fn rows_per_workgroup(m: u32, other_blocks: u32, cores: u32, rows_max: u32) -> u32 {
    const ROWS_MIN: u32 = 32;
    let row_blocks = (cores * WORKGROUPS_PER_CORE).div_ceil(other_blocks.max(1));
    m.div_ceil(row_blocks)
        .next_multiple_of(4)
        .clamp(ROWS_MIN.min(m.next_multiple_of(4)), rows_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::GemmOp;

    #[test]
    fn tiles_fit_where_that_pays() {
        for (k, usual, expected) in [
            (9, 16, 16),
            (18, 32, 24),
            (36, 64, 40),
            (64, 64, 64),
            (72, 64, 72),
            (100, 64, 104),
            (144, 64, 72),
            (400, 64, 80),
            // 80 would be one part in a hundred less.
            (1024, 64, 64),
        ] {
            assert_eq!(fitting(&[k], usual), expected, "{k}");
        }
        // The phases of a 3x3 input gradient at stride 2 with 16 channels.
        assert_eq!(fitting(&[64, 32, 32, 16], 64), 32);
    }

    #[test]
    fn stripes_are_two_where_that_pays() {
        let of = |m, n, k| {
            let op = GemmOp::Matmul {
                m,
                n,
                k,
                batch: 1,
                trans_a: false,
                trans_b: false,
            };
            stripes(&Problem::new(&op, [0; 3]).unwrap())
        };
        assert_eq!(of(1024, 1024, 1024), 2);
        // A short k; columns for one; for three.
        assert_eq!(of(1024, 1024, 64), 1);
        assert_eq!(of(1024, 32, 1024), 1);
        assert_eq!(of(1024, 96, 1024), 1);
    }

    #[test]
    fn rows_are_bounded_multiples_of_four() {
        for m in [1, 2, 3, 31, 33, 64, 127, 1024, 6272] {
            for blocks in [1, 2, 7, 1000] {
                for cores in [1, 2, 64] {
                    let rows = rows_per_workgroup(m, blocks, cores, 128);
                    assert!(
                        rows > 0 && rows <= 128 && rows.is_multiple_of(4),
                        "{m} {blocks} {cores}: {rows}"
                    );
                }
            }
        }
        // W[1024, k] x X[k, 64] on two cores: two column blocks, so four workgroups of rows per core.
        assert_eq!(rows_per_workgroup(1024, 2, 2, 256), 256);
    }
}
