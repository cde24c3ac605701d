//! The tiles of gemm_tiled.wgsl, and its generated inner loop.
use super::stages::Waiting;
use crate::gpu::Caps;
use crate::gpu::shader::line;
use std::fmt;

/// How gemm_tiled.wgsl cuts a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows and columns of C per workgroup, k per step. 8 vec4 or more each way in C.
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Rows and columns of C per invocation: 4, 8 or 16.
    pub sums: [u32; 2],
    pub waiting: Waiting,
    /// How many k are written out, so that their reads can run ahead of their sums whatever the driver unrolls by itself.
    pub unroll: u32,
}

/// A tile, and its multiply-adds per time where the whole machine is busy, relative to the first: measured on an H200 (Vulkan, driver
/// 580, 4096^3: the first 34.7 TFLOP/s). Reads of workgroup memory decide: of a number per sum 3/16 in blocks of 16 x 8, 1/4 in 8 x 8,
/// 1/2 in 4 x 4. Not worth a place: blocks of 8 x 8 with K tiles of 8 (25.9), 256 x 128 (29.8), 128 x 256 (31.7), one k written
/// out (up to 0.9 of four), two buffers (0.7 to 1.0 of one: fewer workgroups fit beside each other).
pub const TILES: [(Tile, f64); 8] = [
    (Tile::new([128, 128, 16], [16, 8], 1, 4), 1.0),
    (Tile::new([128, 64, 16], [16, 8], 1, 4), 0.93),
    (Tile::new([64, 128, 16], [8, 16], 1, 4), 0.92),
    (Tile::new([64, 64, 16], [8, 8], 1, 4), 0.89),
    (Tile::new([64, 64, 16], [8, 8], 2, 4), 0.84),
    (Tile::new([128, 128, 16], [8, 8], 1, 4), 0.77),
    (Tile::new([64, 64, 32], [4, 4], 1, 2), 0.65),
    (Tile::new([32, 32, 32], [4, 4], 1, 4), 0.4),
];

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [sums_m, sums_n] = self.sums;
        write!(f, "{}x{}x{}-{sums_m}x{sums_n}", self.m, self.n, self.k)?;
        write!(f, "-u{}{}", self.unroll, self.waiting)
    }
}

impl Tile {
    const fn new([m, n, k]: [u32; 3], sums: [u32; 2], buffers: u32, unroll: u32) -> Self {
        Self {
            m,
            n,
            k,
            sums,
            waiting: Waiting { buffers, depth: 1 },
            unroll,
        }
    }

    pub fn threads(&self) -> u32 {
        self.m / self.sums[0] * (self.n / self.sums[1])
    }

    /// Whether the adapter has the workgroup memory and the invocations.
    pub fn fits(&self, caps: &Caps) -> bool {
        let bytes = (self.m + self.n) * self.k * self.waiting.buffers * 4;
        bytes <= caps.workgroup_storage_bytes && self.threads() <= caps.max_invocations
    }

    pub fn constants(&self) -> String {
        let values = [
            ("TILE_M", self.m),
            ("TILE_N", self.n),
            ("TILE_K", self.k),
            ("SUMS_M", self.sums[0]),
            ("SUMS_N", self.sums[1]),
            ("BUFFERS", self.waiting.buffers),
            ("THREADS", self.threads()),
        ];
        values
            .map(|(name, value)| format!("const {name} = {value}u;\n"))
            .concat()
    }

    /// `fn add_product(a_at: u32, b_at: u32)`: adds the product of the K tile that begins at this invocation's first vec4 of A and
    /// of B. `fn sums_of(i: u32) -> vec4<f32>`: sums i, row by row.
    pub fn generated(&self) -> String {
        let [rows, groups_n] = [self.sums[0], self.sums[1] / 4];
        let sum = |r: u32, j: u32| r * groups_n + j;
        let mut text = String::new();
        for i in 0..rows * groups_n {
            line(&mut text, format_args!("var<private> sum{i}: vec4<f32>;"));
        }
        text += "\nfn add_product(a_at: u32, b_at: u32) {\n    for (var k = 0u; k < TILE_K; k += ";
        line(&mut text, format_args!("{}u) {{", self.unroll));
        for u in 0..self.unroll {
            for (name, across, count) in [('a', 'M', rows / 4), ('b', 'N', groups_n)] {
                for g in 0..count {
                    let at =
                        format!("{name}_at + (k + {u}u) * {across}_4 + {g}u * THREADS_{across}");
                    line(
                        &mut text,
                        format_args!("        let {name}{u}_{g} = {name}_tile[{at}];"),
                    );
                }
            }
            for r in 0..rows {
                let (g, element) = (r / 4, ['x', 'y', 'z', 'w'][r as usize % 4]);
                for j in 0..groups_n {
                    let (s, a) = (sum(r, j), format!("a{u}_{g}.{element}"));
                    line(
                        &mut text,
                        format_args!("        sum{s} = fma(vec4<f32>({a}), b{u}_{j}, sum{s});"),
                    );
                }
            }
        }
        text += "    }\n}\n\nfn sums_of(i: u32) -> vec4<f32> {\n    switch i {\n";
        for i in 1..rows * groups_n {
            line(
                &mut text,
                format_args!("        case {i}u: {{ return sum{i}; }}"),
            );
        }
        text + "        default: { return sum0; }\n    }\n}\n"
    }
}

#[cfg(test)]
mod tests {
    use super::super::stages;
    use super::*;
    use crate::gpu::AdapterClass;

    /// What the shader takes for granted.
    #[test]
    fn tiles_divide_into_blocks_and_threads() {
        for (tile, rate) in TILES {
            assert!(rate > 0.0 && rate <= 1.0);
            let threads = tile.threads();
            let along_n = tile.n / tile.sums[1];
            assert!(along_n.is_multiple_of(8), "{tile}");
            assert!((tile.m / tile.sums[0]).is_multiple_of(4), "{tile}");
            let [a, b] = [tile.m, tile.n].map(|side| side / 4 * (tile.k / 4));
            // Several blocks of B in the same columns; no 32 invocations of which some load A and some B.
            match stages::loads([tile.m, tile.n, tile.k], threads) {
                Some([_, b]) => assert!(b == 1 || threads.is_multiple_of(tile.n / 4), "{tile}"),
                None => assert!(a.is_multiple_of(32) && b.is_multiple_of(32), "{tile}"),
            }
            // Eight rows at a time.
            assert!((tile.m / 4).is_multiple_of(8) && (tile.n / 4).is_multiple_of(8));
            assert!(tile.k.is_multiple_of(tile.unroll), "{tile}");
        }
        let fit = |bytes| {
            let caps = Caps {
                workgroup_storage_bytes: bytes,
                ..Caps::baseline(AdapterClass::Discrete)
            };
            TILES.iter().filter(|(tile, _)| tile.fits(&caps)).count()
        };
        assert_eq!([fit(8 << 10), fit(16 << 10)], [2, 8]);
    }
}
