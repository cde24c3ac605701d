//! The tiles of gemm_coop.wgsl, and its generated part: everything that names a cooperative matrix.
use super::stages::Waiting;
use crate::gpu::shader::line;
use crate::gpu::{Caps, MatrixScalar};
use crate::kernels::Scalar;
use std::fmt;

/// How gemm_coop.wgsl cuts a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CoopTile {
    /// Rows, columns and depth of one matrix: 8 or 16.
    pub side: u32,
    /// Element type of A and B; sums are f32.
    pub ab: Scalar,
    /// Rows and columns of C per workgroup, k per step.
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Rows and columns of C per subgroup.
    pub block: [u32; 2],
    pub waiting: Waiting,
}

/// Every kernel here wants subgroups of this size: NVIDIA's, and Apple's.
const SUBGROUP: u32 = 32;

impl fmt::Display for CoopTile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (side, ab, [block_m, block_n]) = (self.side, self.ab.wgsl(), self.block);
        write!(f, "{}x{}x{}-{block_m}x{block_n}", self.m, self.n, self.k)?;
        write!(f, "-{side}x{side}-{ab}{}", self.waiting)
    }
}

impl CoopTile {
    const fn new(
        (side, ab): (u32, Scalar),
        [m, n, k]: [u32; 3],
        block: [u32; 2],
        [buffers, depth]: [u32; 2],
    ) -> Self {
        Self {
            side,
            ab,
            m,
            n,
            k,
            block,
            waiting: Waiting { buffers, depth },
        }
    }

    pub fn threads(&self) -> u32 {
        self.m / self.block[0] * (self.n / self.block[1]) * SUBGROUP
    }

    /// Numbers in one element of the tiles in workgroup memory. naga 30 writes the pointer of a load as it is for SPIR-V, which
    /// counts the stride in what it points to, but as a pointer to scalars for Metal, where matrices are 8 x 8.
    fn vec(&self) -> u32 {
        if self.side == 8 { 1 } else { 4 }
    }

    /// Numbers in a row of a tile: 16 bytes more than `row`.
    fn stride(&self, row: u32) -> u32 {
        row + 16 / self.ab.bytes() as u32
    }

    /// Rows and numbers per row of A's and B's tiles.
    fn tiles(&self, [a_along_m, b_along_k]: [bool; 2]) -> [[u32; 2]; 2] {
        let turn = |rows, row, turn: bool| if turn { [row, rows] } else { [rows, row] };
        let [a, b] = [
            turn(self.m, self.k, a_along_m),
            turn(self.k, self.n, b_along_k),
        ];
        [a, b].map(|[rows, row]| [rows, self.stride(row)])
    }

    /// Of workgroup memory, whatever the axes, with sums that wait for the epilogue in strips so wide.
    fn bytes(&self, strip: u32) -> u32 {
        let axes = [[false, false], [true, true]];
        let numbers = axes.map(|axes| self.tiles(axes).map(|[rows, row]| rows * row));
        let [a, b] = [0, 1].map(|i| numbers[0][i].max(numbers[1][i]));
        let sums = self.threads() / SUBGROUP * self.side * strip;
        (a + b) * self.waiting.buffers * self.ab.bytes() as u32 + sums * 4
    }

    /// Columns of a block that go through workgroup memory to the epilogue at a time: as many as leave the workgroup within 32 KiB,
    /// which most adapters have, or within 48.
    fn strip(&self) -> u32 {
        let widths = || {
            [64, 32, 16, 8]
                .into_iter()
                .filter(|&w| w >= self.side && w <= self.block[1])
        };
        let within = |kib: u32| widths().find(|&w| self.bytes(w) <= kib << 10);
        within(32).or_else(|| within(48)).unwrap_or(self.side)
    }

    fn fits(&self, caps: &Caps) -> bool {
        self.bytes(self.strip()) <= caps.workgroup_storage_bytes
            && self.threads() <= caps.max_invocations
    }

    pub fn constants(&self) -> String {
        let values = [
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("TILE_K", self.k),
            ("BLOCK_M", self.block[0]),
            ("BLOCK_N", self.block[1]),
            ("SIDE", self.side),
            ("SUBGROUP", SUBGROUP),
            ("STRIP", self.strip()),
            ("BUFFERS", self.waiting.buffers),
            ("THREADS", self.threads()),
            ("VEC", self.vec()),
        ];
        values
            .map(|(name, value)| format!("const {name} = {value}u;\n"))
            .concat()
    }

    /// The tiles and the functions that fill them, and those that load, multiply and store matrices:
    /// `fn begin_sums()` sets the sums to zero; `fn add_product(buffer: u32, row: u32, col: u32)` adds the product of the K tile in
    /// that buffer for the block of C that begins there; `fn c_take(at: u32) -> vec4<f32>` reads four sums of c_tile; `fn store_sums(i: u32, at: u32)` writes strip i of the block, SIDE x STRIP, from
    /// c_tile[at] on.
    ///
    /// Traps of naga 30: no global may be called A, B or C; what is stored must be bound by `let` first.
    pub fn generated(&self, axes @ [a_along_m, b_along_k]: [bool; 2]) -> String {
        let (side, ab, vec) = (self.side, self.ab.wgsl(), self.vec());
        let [[a_rows, a_row], [b_rows, b_row]] = self.tiles(axes);
        let element = if vec == 4 {
            format!("vec4<{ab}>")
        } else {
            ab.into()
        };
        let mut text = String::new();
        if self.ab == Scalar::F16 {
            text += "enable f16;\n";
        }
        text += "enable wgpu_cooperative_matrix;\n";
        for (name, ab, role) in [("a", ab, 'A'), ("b", ab, 'B'), ("c", "f32", 'C')] {
            let matrix = format!("coop_mat{side}x{side}<{ab}, {role}>");
            line(&mut text, format_args!("alias matrix_{name} = {matrix};"));
        }
        for (name, tile, rows, row) in [("A", "a", a_rows, a_row), ("B", "b", b_rows, b_row)] {
            let stride = row / vec;
            line(&mut text, format_args!("const {name}_STRIDE = {stride}u;"));
            line(
                &mut text,
                format_args!(
                    "const {name}_SIZE = {}u;\nvar<workgroup> {tile}_tile: array<{element}, BUFFERS * {name}_SIZE>;",
                    rows * stride
                ),
            );
            line(
                &mut text,
                format_args!("fn {tile}_put(at: u32, v: vec4<work>) {{"),
            );
            if vec == 4 {
                line(&mut text, format_args!("    {tile}_tile[at] = v;"));
            } else {
                for (i, part) in ['x', 'y', 'z', 'w'].into_iter().enumerate() {
                    let to = format!("{tile}_tile[at + {i}u]");
                    line(&mut text, format_args!("    {to} = v.{part};"));
                }
            }
            text += "}\n";
        }
        let sums = match vec {
            4 => "vec4<f32>",
            _ => "f32",
        };
        line(
            &mut text,
            format_args!(
                "const C_STRIDE = STRIP / VEC;\nvar<workgroup> c_tile: array<{sums}, SUBGROUPS * SIDE * C_STRIDE>;"
            ),
        );
        text += match vec {
            4 => "fn c_take(at: u32) -> vec4<f32> { return c_tile[at]; }\n",
            _ => {
                "fn c_take(at: u32) -> vec4<f32> { return vec4<f32>(c_tile[at], c_tile[at + 1u], c_tile[at + 2u], c_tile[at + 3u]); }\n"
            }
        };
        let [across, down] = [self.block[1] / side, self.block[0] / side];
        let count = across * down;
        for i in 0..count {
            line(&mut text, format_args!("var<private> sum{i}: matrix_c;"));
        }
        text += "fn begin_sums() {\n";
        for i in 0..count {
            line(&mut text, format_args!("    sum{i} = matrix_c();"));
        }
        text += "}\nfn add_product(buffer: u32, row: u32, col: u32) {\n    for (var k = 0u; k < TILE_K; k += SIDE) {\n";
        // Where the matrix at (outer, inner) of a tile begins: `outer` counts the tile's rows.
        let mut load = |name: char, i: u32, rows: bool, [outer, inner]: [&str; 2]| {
            let call = if rows { "coopLoadT" } else { "coopLoad" };
            let role = name.to_ascii_uppercase();
            let stride = format!("{role}_STRIDE");
            let at = format!("buffer * {role}_SIZE + ({outer}) * {stride} + ({inner}) / {vec}u");
            line(
                &mut text,
                format_args!(
                    "        let {name}{i} = {call}<matrix_{name}>(&{name}_tile[{at}], {stride});"
                ),
            );
        };
        for i in 0..down {
            let row = format!("row + {}u", i * side);
            let place = if a_along_m { ["k", &row] } else { [&row, "k"] };
            load('a', i, !a_along_m, place);
        }
        for j in 0..across {
            let col = format!("col + {}u", j * side);
            let place = if b_along_k { [&col, "k"] } else { ["k", &col] };
            load('b', j, !b_along_k, place);
        }
        for i in 0..down {
            for j in 0..across {
                let s = i * across + j;
                line(
                    &mut text,
                    format_args!("        sum{s} = coopMultiplyAdd(a{i}, b{j}, sum{s});"),
                );
            }
        }
        text += "    }\n}\nfn store_sums(i: u32, at: u32) {\n    switch i {\n";
        let strips = self.block[1] / self.strip();
        for i in 0..down * strips {
            let label = if i + 1 == down * strips {
                "default".into()
            } else {
                format!("case {i}u")
            };
            line(&mut text, format_args!("        {label}: {{"));
            for j in 0..across / strips {
                let (sum, place) = (i * (across / strips) + j, j * side / vec);
                line(
                    &mut text,
                    format_args!(
                        "            let sum_{j} = sum{sum}; coopStoreT(sum_{j}, &c_tile[at + {place}u], C_STRIDE);"
                    ),
                );
            }
            text += "        }\n";
        }
        text + "    }\n}\n"
    }
}

/// A tile of matrix units, with what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    pub tile: CoopTile,
    /// Multiply-adds per time relative to the first of [`TILES`](super::tiled::TILES).
    pub rate: f64,
    /// Whether the rule may take it. Others are for the tuner alone, until some machine has shown what they compute and how fast.
    pub by_rule: bool,
}

/// What the adapter's matrix units offer for operands A and B stored so. Rates of 16 x 16 were measured as those of
/// [`TILES`](super::tiled::TILES) (the first: 160.8 TFLOP/s); those of 8 x 8, and of tiles that wait or are cut in other ways, are guesses,
/// and the rule takes none of them.
/// Blocks of 64 x 64 load half a matrix per product, those of 64 x 32 three quarters, those of 32 x 32 a whole one. Not worth a place: K
/// tiles of 64 (0.76 of the first), 64 x 64 blocks in workgroups of one or two subgroups (0.5).
///
/// On an H200 the first waits for memory: written down for 4096^3 alone it takes 0.64 ms, its products without the reads 0.24, its reads
/// without the products 0.68. Hence more K tiles under way. What its driver makes of the text (580, disassembled) leaves little else: ldmatrix
/// for both operands, all sums in registers, K tiles unrolled by eight.
///
/// f16 matrices only for operands that are stored as f16: the precision is the user's choice.
pub fn coop_tiles(caps: &Caps, [a, b, _]: [Scalar; 3]) -> Vec<Offer> {
    let listed = |side: u32, ab| {
        caps.cooperative_matrix
            .iter()
            .any(|t| [t.m, t.n, t.k] == [side; 3] && t.ab == ab && t.c == MatrixScalar::F32)
    };
    let wide = |side| match caps.subgroup_size {
        Some(size) => size == SUBGROUP,
        // wgpu 30 reports 4 to 64 for every Metal device. Only Metal lists 8 x 8, on GPUs whose subgroups all have 32.
        None => side == 8 && (caps.subgroup_min_size..=caps.subgroup_max_size).contains(&SUBGROUP),
    };
    let f16 = caps.f16 && [a, b] == [Scalar::F16; 2];
    let mut tiles = Vec::new();
    let mut offer = |kind, tile, block, waiting, rate, by_rule| {
        tiles.push(Offer {
            tile: CoopTile::new(kind, tile, block, waiting),
            rate,
            by_rule,
        });
    };
    if f16 && listed(16, MatrixScalar::F16) {
        let kind = (16, Scalar::F16);
        offer(kind, [128, 256, 16], [64, 64], [2, 1], 4.6, true);
        offer(kind, [128, 256, 32], [64, 64], [1, 1], 4.5, true);
        offer(kind, [256, 128, 32], [64, 64], [1, 1], 4.4, true);
        offer(kind, [128, 128, 32], [64, 64], [2, 1], 3.75, true);
        offer(kind, [128, 64, 32], [64, 32], [1, 1], 3.25, true);
        offer(kind, [128, 128, 32], [64, 32], [1, 1], 3.05, true);
        offer(kind, [64, 64, 32], [32, 32], [1, 1], 2.5, true);
        offer(kind, [128, 256, 16], [64, 64], [2, 3], 5.0, false);
        offer(kind, [128, 256, 32], [64, 64], [1, 2], 5.0, false);
        offer(kind, [128, 128, 32], [64, 64], [1, 2], 4.0, false);
        offer(kind, [64, 256, 32], [64, 64], [1, 1], 3.75, false);
        offer(kind, [64, 128, 32], [32, 64], [1, 2], 3.25, false);
        offer(kind, [64, 64, 32], [32, 32], [1, 2], 2.75, false);
    }
    if f16 && listed(8, MatrixScalar::F16) {
        let kind = (8, Scalar::F16);
        offer(kind, [64, 64, 32], [32, 32], [1, 1], 1.2, false);
    }
    if [a, b] == [Scalar::F32; 2] && listed(8, MatrixScalar::F32) {
        let kind = (8, Scalar::F32);
        offer(kind, [64, 64, 16], [32, 32], [1, 1], 1.1, false);
    }
    tiles.retain(|Offer { tile, .. }| caps.subgroups && wide(tile.side) && tile.fits(caps));
    tiles
}
