//! Every tile of the bodies for GPUs.
use super::super::coop::{Offer, coop_tiles};
use super::super::stages::Waiting;
use super::super::tiled::TILES;
use super::super::variant::product;
use super::*;
use crate::gpu::{AdapterClass, MatrixScalar, MatrixTile};

/// Operations that between them use every loader, a little larger than `m` x `n` x `k`.
fn around([m, n, k]: [u32; 3]) -> Vec<GemmOp> {
    let odd = [m + 5, n + 7, k + 3];
    let fours = [m + 4, n + 8, k + 4];
    let shape = conv(3, [9, m + 1], [7, 9], [4, 3], [2, 1], [1, 2]);
    vec![
        matmul(odd, 1, [false, false]),
        matmul(fours, 2, [true, true]),
        GemmOp::Conv2dInputGrad(shape),
        matmul(odd, 2, [true, true]),
        matmul(fours, 1, [false, false]),
        GemmOp::Conv2d(shape),
    ]
}

/// The smallest tile with all loaders, the others in turn with loaders along k and across: tiles differ in constants alone, and
/// compiling takes the most time.
#[test]
fn tiles_compute_the_same() {
    let gpu = gpu();
    for (i, (tile, _)) in TILES.into_iter().enumerate() {
        if !tile.fits(gpu.caps()) {
            println!("{tile}: more than this adapter has");
            continue;
        }
        let ops = around([tile.m, tile.n, tile.k]);
        let variant = Variant {
            body: Body::Tiled(tile),
            scheme: Scheme::Whole,
        };
        let some = if tile.m == 32 {
            &ops[..]
        } else {
            &ops[i % 2..][..1]
        };
        for op in some {
            check_variant(gpu.caps(), variant, op, [0; 3]);
        }
    }
}

/// An adapter whose matrix units multiply `side` x `side` of `ab`.
fn with_matrices(side: u32, ab: MatrixScalar) -> Caps {
    Caps {
        subgroups: true,
        subgroup_size: Some(32),
        f16: true,
        workgroup_storage_bytes: 32 << 10,
        cooperative_matrix: vec![MatrixTile {
            m: side,
            n: side,
            k: side,
            ab,
            c: MatrixScalar::F32,
        }],
        ..Caps::baseline(AdapterClass::Discrete)
    }
}

const HALVES: [Scalar; 3] = [Scalar::F16, Scalar::F16, Scalar::F32];

/// Kernels for matrix units are written for Vulkan, and for Metal where it lists such matrices. No adapter here runs them.
#[test]
fn kernels_for_matrix_units_translate() {
    let kinds = [
        (16, MatrixScalar::F16, HALVES),
        (16, MatrixScalar::F16, [Scalar::F16; 3]),
        (8, MatrixScalar::F16, HALVES),
        (8, MatrixScalar::F32, F32),
    ];
    for (side, ab, formats) in kinds {
        let caps = with_matrices(side, ab);
        let tiles = coop_tiles(&caps, formats);
        assert!(!tiles.is_empty());
        for Offer { tile, .. } in tiles {
            for op in around([64, 64, 32]) {
                for scheme in [Scheme::Whole, Scheme::SplitK(2), Scheme::TapsFirst] {
                    if (scheme == Scheme::TapsFirst) != matches!(op, GemmOp::Conv2dInputGrad(_)) {
                        continue;
                    }
                    let body = Body::Coop(tile);
                    let call = Call {
                        formats,
                        ..Call::plain(&op)
                    };
                    let passes = lower(&caps, Variant { body, scheme }, &call).unwrap();
                    let Kernel { source, label, .. } = &passes[0].kernel;
                    let reflection = shader::validate_for(source, &caps)
                        .unwrap_or_else(|error| panic!("{label}: {error}\n{source}"));
                    assert!(
                        reflection.cooperative_matrix && reflection.subgroups,
                        "{label}"
                    );
                    assert!(
                        reflection.workgroup_bytes <= caps.workgroup_storage_bytes,
                        "{label}"
                    );
                    let words = shader::to_spirv(source).unwrap();
                    assert!(words.len() > 100);
                    if side == 8 {
                        shader::to_msl(source).unwrap_or_else(|error| panic!("{label}: {error}"));
                    }
                }
            }
        }
    }
}

/// Cooperative matrices in plain WGSL, for an adapter without: a subgroup is 32 consecutive invocations, A and B stay where
/// they are in workgroup memory, and each invocation has its share of the elements of C.
fn emulated(source: &str, side: u32, vec: u32) -> String {
    let place = if vec == 4 { "[i / 4u][i % 4u]" } else { "[i]" };
    let library = format!(
        "const EACH = {side}u * {side}u / 32u;
        struct Place {{ at: u32, stride: u32, rows: bool }}
        struct Share {{ v: array<f32, EACH> }}
        alias matrix_c = Share;
        fn element(m: Place, r: u32, c: u32) -> u32 {{
            return m.at * {vec}u + select(c * m.stride * {vec}u + r, r * m.stride * {vec}u + c, m.rows);
        }}
        fn a_element(m: Place, r: u32, c: u32) -> f32 {{ let i = element(m, r, c); return f32(a_tile{place}); }}
        fn b_element(m: Place, r: u32, c: u32) -> f32 {{ let i = element(m, r, c); return f32(b_tile{place}); }}
        fn multiply_add(a: Place, b: Place, c: Share) -> Share {{
            var d = c;
            for (var e = 0u; e < EACH; e++) {{
                let i = lane * EACH + e;
                for (var k = 0u; k < SIDE; k++) {{
                    d.v[e] += a_element(a, i / SIDE, k) * b_element(b, k, i % SIDE);
                }}
            }}
            return d;
        }}
        fn store(c: Share, at: u32) {{
            for (var e = 0u; e < EACH; e++) {{
                let i = (at + (lane * EACH + e) / SIDE * C_STRIDE) * {vec}u + (lane * EACH + e) % SIDE;
                c_tile{place} = c.v[e];
            }}
        }}\n"
    );
    let mut text = String::new();
    for line in source.lines() {
        let kept = !line.starts_with("//")
            && !line.starts_with("enable wgpu_cooperative_matrix")
            && !line.starts_with("alias matrix_")
            && !line.contains("@builtin(subgroup_");
        text += if kept { line } else { "" };
        text += "\n";
    }
    for (from, to) in [
        ("subgroup = subgroup_id;", "subgroup = id / 32u;"),
        ("lane = subgroup_lane;", "lane = id % 32u;"),
        ("coopLoadT<matrix_a>(&a_tile[", "Place(("),
        ("coopLoadT<matrix_b>(&b_tile[", "Place(("),
        ("coopLoad<matrix_a>(&a_tile[", "Place(0u + ("),
        ("coopLoad<matrix_b>(&b_tile[", "Place(0u + ("),
        ("coopMultiplyAdd(", "multiply_add("),
        ("coopStoreT(", "store("),
        ("&c_tile[at", "(at"),
        ("u], C_STRIDE)", "u))"),
    ] {
        text = text.replace(from, to);
    }
    let text: Vec<_> = text
        .lines()
        .map(|line| match line.contains("Place(") {
            true => {
                let rows = !line.contains("Place(0u + (");
                line.replace("],", "),")
                    .replace("STRIDE);", &format!("STRIDE, {rows});"))
            }
            false => line.to_string(),
        })
        .collect();
    let text = text.join("\n") + &library;
    assert!(!text.contains("coop"), "{text}");
    text
}

/// Runs the emulated kernel of `tile`, its product changed from `text` to `mutant`, and compares.
fn emulate(
    gpu: &Gpu,
    tile: CoopTile,
    scheme: Scheme,
    op: &GemmOp,
    [text, mutant]: [&str; 2],
) -> Result<(), String> {
    // Where there is no f16 its matrices hold f32: staging, tiling and epilogue are the same.
    let halves = tile.ab == Scalar::F16 && gpu.caps().f16;
    let formats = if halves { HALVES } else { F32 };
    let body = Body::Coop(tile);
    let variant = Variant { body, scheme };
    let call = Call {
        formats,
        ..call(op, [4, 8, 3])
    };
    let mut passes = lower(gpu.caps(), variant, &call).unwrap();
    let product = passes.iter_mut().find(|p| p.operands.contains(&Operand::B));
    let kernel = &mut product.unwrap().kernel;
    let vec = if tile.side == 8 { 1 } else { 4 };
    let mut source = emulated(&kernel.source, tile.side, vec);
    assert!(source.contains(text), "{variant}: no {text}");
    source = source.replace(text, mutant);
    kernel.source = source.into();
    if !gpu.caps().f16 {
        for Pass { kernel, .. } in &mut passes {
            let source = kernel.source.replace("f16", "f32");
            kernel.source = source.replace("enable f32;", "").into();
        }
    }
    let ran = run_stored(gpu, &passes, (variant, op, call.offsets), &[], formats);
    close(&ran.c, &reference::gemm(op, &ran.a, &ran.b), ABS, REL)
        .map_err(|error| format!("{variant}, {op:?}: {error}"))
}

/// The convolutions whose windows lie in rows (operand/b_window*.wgsl), at the edges of an image, with rows of one and of several
/// blocks, heights of their own, and columns beyond the tile.
fn windows() -> [GemmOp; 4] {
    let square = conv(5, [5, 7], [6, 8], [4, 4], [2, 2], [1, 1]);
    let other = conv(3, [3, 4], [7, 24], [3, 4], [1, 2], [2, 1]);
    let wide = conv(2, [3, 36], [10, 16], [4, 4], [2, 2], [1, 1]);
    [
        GemmOp::Conv2d(other),
        GemmOp::Conv2dWeightGrad(other),
        GemmOp::Conv2dInputGrad(square),
        GemmOp::Conv2dInputGrad(wide),
    ]
}

#[test]
fn windows_in_rows_compute_the_same() {
    let gpu = gpu();
    let tile = TILES.iter().find(|(tile, _)| tile.m == 32).unwrap().0;
    let tiled = Body::Tiled(tile);
    let cpu = Body::Cpu {
        k_tile: 16,
        rows: 36,
        stripes: 1,
    };
    let whole = |body| Variant {
        body,
        scheme: Scheme::Whole,
    };
    // Whatever driver runs this.
    let caps = Caps {
        driver: String::new(),
        ..gpu.caps().clone()
    };
    for body in [tiled, cpu] {
        let variant = whole(body);
        for op in windows() {
            check_variant(&caps, variant, &op, [4, 8, 3]);
            // At an offset that no vec4 has.
            check_variant(&caps, variant, &op, [0, 3, 0]);
            let label = |offsets| {
                let passes = lower(&caps, variant, &call(&op, offsets)).unwrap();
                passes.last().unwrap().kernel.label.clone()
            };
            assert!(label([0; 3]).contains("b_window"), "{}", label([0; 3]));
            assert!(!label([0, 3, 0]).contains("b_window"));
        }
        let split = Variant {
            body,
            scheme: Scheme::SplitK(2),
        };
        let long = conv(9, [2, 3], [8, 16], [4, 4], [2, 2], [1, 1]);
        check_variant(&caps, split, &GemmOp::Conv2dWeightGrad(long), [0; 3]);
    }
    // Packed as for a GPU.
    let discrete = Caps {
        class: crate::gpu::AdapterClass::Discrete,
        ..caps.clone()
    };
    let [.., phase] = windows();
    let odd = GemmOp::Conv2dInputGrad(conv(2, [3, 5], [7, 10], [3, 4], [2, 3], [1, 2]));
    for op in [phase, odd] {
        check_variant(&discrete, whole(tiled), &op, [4, 8, 3]);
    }
    // The processor's body counts from block to block.
    for (op, text, mutant) in [
        (0, "b_put(u + 2u, block[2])", "b_put(u + 2u, block[1])"),
        (0, "i >= gather.k_count_h", "i > gather.k_count_h"),
        (1, "j >= gather.k_count_w", "j > gather.k_count_w"),
        (1, "select(j, 0u, wrap_j)", "j"),
    ] {
        assert_caught_with((&gpu, &caps), whole(cpu), &windows()[op], [text, mutant]);
    }
    let whole = whole(tiled);
    for (op, text, mutant) in [
        (0, "w + 8u < gather.width", "w + 16u < gather.width"),
        (0, "at - 1u, has_left", "at, has_left"),
        (
            1,
            "has_left, inside, has_right)",
            "inside, inside, has_right)",
        ),
        (
            0,
            "vec4<work>(x.z, y.x, y.z, right)",
            "vec4<work>(x.z, y.x, y.z, y.w)",
        ),
        (
            1,
            "vec4<work>(x.w, y.x, y.y, y.z)",
            "vec4<work>(x.z, y.x, y.y, y.z)",
        ),
        (1, "< gather.height)", "< gather.height + 1u)"),
        (2, "vec4<work>(end, v.xyz)", "vec4<work>(v.x, v.xyz)"),
        (3, "select(0u, 3u, gather", "select(3u, 3u, gather"),
        (
            3,
            "window_w + 4u < gather.width",
            "window_w + 8u < gather.width",
        ),
        (3, "u32(window_h - 1i) < gather", "u32(window_h) < gather"),
        (3, "near.yw, far.yw", "near.yw, far.xz"),
        (3, "w[window + 2u]", "w[window + 1u]"),
    ] {
        assert_caught(&gpu, whole, &windows()[op], text, mutant);
    }
}

/// Two stripes of columns: with A along k and along m, every way to fill a tile, columns up to the middle of either stripe, sums over
/// several tiles, parts of k, phases.
#[test]
fn stripes_compute_the_same() {
    let gpu = gpu();
    let caps = Caps {
        driver: String::new(),
        ..gpu.caps().clone()
    };
    // Few and small: Mesa 22.3 takes six seconds for each, and two minutes for some of 64.
    let of = |k_tile, scheme| Variant {
        body: Body::Cpu {
            k_tile,
            rows: 8,
            stripes: 2,
        },
        scheme,
    };
    let whole = of(16, Scheme::Whole);
    for transposes in [[false, false], [true, true]] {
        for size in [[9, 81, 50], [12, 100, 84]] {
            check_variant(&caps, whole, &matmul(size, 2, transposes), [0; 3]);
        }
    }
    let [sliding, .., back] = slides().map(|(op, _)| op);
    let [window, .., phase] = windows();
    for op in [sliding, back, window, phase] {
        check_variant(&caps, whole, &op, [0; 3]);
    }
    // Parts begin where tiles of 40 do, which take two reads of A.
    let deep = matmul([9, 70, 300], 1, [false, false]);
    check_variant(&caps, of(40, Scheme::SplitK(2)), &deep, [0; 3]);
    // There is a second stripe where elements of A can be handed round.
    if caps.subgroups_of(unroll::LANES) {
        for (text, mutant) in [
            ("b_tile_y[B_TILE_LEN * 1u + 7]", "b_tile_y[7]"),
            ("b_begin(col + s * (LANES * 4u))", "b_begin(col)"),
            ("(r * STRIPES + s) * LANES", "(r * STRIPES) * LANES"),
        ] {
            // Whose loaders remember their columns.
            let op = GemmOp::Conv2d(conv(3, [3, 5], [5, 9], [3, 5], [1, 1], [1, 1]));
            assert_caught_with((&gpu, &caps), whole, &op, [text, mutant]);
        }
    }
}

/// The products that lib/slide.wgsl reads B for: each of its loaders with rows of columns of whole fours and with others, runs of k
/// that K tiles cut, windows in the padding, and columns beyond n.
fn slides() -> [(GemmOp, &'static str); 8] {
    let plain = conv(3, [3, 5], [5, 8], [3, 3], [1, 1], [1, 1]);
    let ragged = conv(2, [2, 3], [7, 9], [3, 5], [1, 1], [2, 1]);
    let two = conv(3, [4, 6], [9, 15], [4, 3], [2, 2], [1, 1]);
    let dcgan = conv(3, [3, 17], [8, 16], [4, 4], [2, 2], [1, 1]);
    [
        (GemmOp::Conv2d(plain), "b_slide c_plain4"),
        (GemmOp::Conv2d(ragged), "b_slide c_rows"),
        (GemmOp::Conv2dWeightGrad(plain), "b_slide c_rows"),
        (GemmOp::Conv2d(two), "b_slide_two c_plain4"),
        (GemmOp::Conv2dWeightGrad(two), "b_slide_taps c_rows"),
        (GemmOp::Conv2dWeightGrad(dcgan), "b_slide_taps c_plain4"),
        (GemmOp::Conv2dInputGrad(plain), "b_slide_back c_phase"),
        (
            GemmOp::Conv2dInputGrad(conv(3, [3, 5], [9, 14], [3, 3], [2, 2], [1, 1])),
            "b_slide_back c_phase",
        ),
    ]
}

#[test]
fn sliding_windows_compute_the_same() {
    let gpu = gpu();
    let of = |scheme| Variant {
        body: Body::Cpu {
            k_tile: 16,
            rows: 4,
            stripes: 1,
        },
        scheme,
    };
    // Whatever driver runs this.
    let caps = Caps {
        driver: String::new(),
        ..gpu.caps().clone()
    };
    // No vec4 has the offset of B, nor any window loader.
    let offsets = [0, 3, 4];
    for (op, loaders) in slides() {
        let variant = of(Scheme::Whole);
        check_variant(&caps, variant, &op, offsets);
        let passes = lower(&caps, variant, &call(&op, offsets)).unwrap();
        let label = &passes.last().unwrap().kernel.label;
        assert!(label.contains(loaders), "{label}");
        if !matches!(op, GemmOp::Conv2dInputGrad(_)) {
            check_variant(&caps, of(Scheme::SplitK(2)), &op, offsets);
        }
    }
    for (op, text, mutant) in [
        // The row of the image and the place in it.
        (4, "slide_h + i32(i) * gather.k_step_h", "slide_h + i32(i)"),
        (6, "slide_h + i32(i) * gather.k_step_h", "slide_h + i32(i)"),
        (0, "inside = u32(h) < gather.height", "inside = true"),
        (0, "(u32(w) < gather.width)", "true"),
        (3, "* SLIDE_COL + gather", "+ gather"),
        // From one k to the next.
        (0, "before.yzw, ", "before.xyz, "),
        (6, "slide_at(w), before.xyz", "slide_at(w), before.yzw"),
        (4, "before.zw, ", "before.yz, "),
        (3, "between = now;", ""),
        (3, "slide_before(w + 1i)", "slide_before(w)"),
        (0, "var w = slide_w + i32(j) * SLIDE_K", "var w = slide_w"),
        (0, "u + gather.k_count_w - j", "u + gather.k_count_w"),
        (0, "i == gather.k_count_h", "i > gather.k_count_h"),
        // Rows of columns that are rounded up.
        (1, "left > 2u", "left > 3u"),
        (1, "rest * im.col_count_w + j", "rest * im.col_count_w"),
        (7, "(qw < vec4", "(qw + 1u < vec4"),
    ] {
        let op = &slides()[op].0;
        assert_caught_with((&gpu, &caps), of(Scheme::Whole), op, [text, mutant]);
    }
}

/// All of gemm_coop.wgsl but the intrinsics.
#[test]
fn kernels_for_matrix_units_compute_the_same_when_emulated() {
    let gpu = gpu();
    let same = ["", ""];
    let tiles = |side, ab, formats| coop_tiles(&with_matrices(side, ab), formats);
    let halves = tiles(16, MatrixScalar::F16, HALVES);
    let singles = tiles(8, MatrixScalar::F32, F32);
    // Of those that leave 32 KiB, which is what this adapter has, and one more whose K tiles take turns.
    let once = Waiting {
        buffers: 1,
        depth: 1,
    };
    let of = |m| move |offer: &&Offer| offer.tile.m == m && offer.tile.waiting == once;
    let small = halves.iter().find(of(64)).unwrap().tile;
    let large = halves.iter().rev().find(of(128)).unwrap().tile;
    let waits = |buffers, depth| CoopTile {
        waiting: Waiting { buffers, depth },
        ..small
    };
    let (turns, apple) = (waits(2, 1), singles[0].tile);
    let size = |tile: CoopTile| [tile.m, tile.n, tile.k];
    for op in &around(size(small))[..4] {
        emulate(&gpu, small, Scheme::Whole, op, same).unwrap();
    }
    for tile in [large, turns, apple] {
        emulate(&gpu, tile, Scheme::Whole, &around(size(tile))[1], same).unwrap();
    }
    for op in windows() {
        emulate(&gpu, small, Scheme::Whole, &op, same).unwrap();
    }
    let op = matmul([20, 70, 200], 1, [false, true]);
    emulate(&gpu, small, Scheme::SplitK(2), &op, same).unwrap();
    // More K tiles under way than there are, as many, and fewer by every rest; the mutant writes another tile than the second.
    for k in [20, 96, 100, 130, 200] {
        let op = matmul([20, 70, k], 1, [false, true]);
        emulate(&gpu, waits(2, 3), Scheme::Whole, &op, same).unwrap();
        let another = ["stage1(row0, ", "stage2(row0, "];
        let verdict = emulate(&gpu, waits(2, 3), Scheme::Whole, &op, another);
        assert_eq!(verdict.is_err(), k > 32, "k = {k}");
    }
    for op in [matmul([70, 75, 170], 1, [true, false]), windows()[1]] {
        emulate(&gpu, waits(1, 2), Scheme::Whole, &op, same).unwrap();
    }
    let op = matmul([70, 75, 70], 1, [false, false]);
    emulate(&gpu, small, Scheme::Whole, &op, same).unwrap();
    let turned = ["buffer * B_SIZE + (", "B_SIZE + ("];
    assert!(emulate(&gpu, turns, Scheme::Whole, &op, turned).is_err());
    for mutation in [
        ["row + 16u", "row + 0u"],
        ["store_sums(i * STRIPS + j,", "store_sums(j,"],
        [
            "vec2<u32>(part / K_4, part % K_4)",
            "vec2<u32>(part % K_4, part / K_4)",
        ],
    ] {
        let verdict = emulate(&gpu, small, Scheme::Whole, &op, mutation);
        assert!(verdict.is_err(), "{mutation:?} passes");
    }
}

/// The same with halves in memory, and the mistakes that tiles invite.
#[test]
fn halves_and_mutations_of_tiles() {
    let gpu = gpu();
    let (tile, _) = TILES[7];
    let variant = Variant {
        body: Body::Tiled(tile),
        scheme: Scheme::Whole,
    };
    let op = matmul([tile.m + 6, tile.n + 9, 70], 1, [false, false]);
    for (text, mutant) in [
        ("2u * M_4] = columns[2]", "2u * M_4] = columns[1]"),
        ("if k0 >= gemm.k_end", "if k0 + TILE_K >= gemm.k_end"),
        ("* THREADS_N + place.x) * 4u", "* THREADS_N + place.y) * 4u"),
    ] {
        assert_caught(&gpu, variant, &op, text, mutant);
    }
    if !gpu.caps().f16 {
        println!("this adapter has no f16");
        return;
    }
    for op in [
        matmul([37, 40, 36], 1, [false, true]),
        matmul([33, 35, 37], 1, [true, false]),
        GemmOp::Conv2dInputGrad(shapes()[1]),
    ] {
        let call = Call {
            formats: HALVES,
            ..call(&op, [4, 8, 3])
        };
        let passes = lower(gpu.caps(), variant, &call).unwrap();
        let ran = run_stored(&gpu, &passes, (variant, &op, call.offsets), &[], HALVES);
        let want = reference::gemm(&op, &ran.a, &ran.b);
        assert_close(&format!("{variant} {op:?}"), &ran.c, &want, ABS, REL);
    }
}

/// What matrix units may be off. Beyond a few hundred products twice what is allowed to sums that are rounded: NVIDIA's cut them off instead
/// (Fasi, Higham, Mikaitis and Pranesh 2021, "Numerical behavior of NVIDIA tensor cores"), so that errors add up. An H200 is off by
/// 2.2e-5 after 1,542 products.
fn cut_off(op: &GemmOp, scheme: Scheme) -> f64 {
    let problem = Problem::new(&product(op, Form::Gpu, scheme), [0; 3]).unwrap();
    match problem.k > 512 {
        true => 2.0 * ABS,
        false => ABS,
    }
}

/// The matrix units of this adapter, where it lists any that kernels use: what `tools/bench-gpu` runs on a GPU first.
#[test]
fn matrix_units_of_this_adapter_compute_the_same() {
    let gpu = gpu();
    for formats in [F32, HALVES] {
        let tiles = coop_tiles(gpu.caps(), formats);
        println!("{formats:?}: {} kinds of tiles", tiles.len());
        for Offer { tile, .. } in tiles {
            let mut cases: Vec<_> = around([tile.m, tile.n, tile.k])
                .into_iter()
                .map(|op| (op, Scheme::Whole))
                .collect();
            cases.push((matmul([20, 70, 200], 1, [false, true]), Scheme::SplitK(2)));
            for (op, scheme) in cases {
                let body = Body::Coop(tile);
                let variant = Variant { body, scheme };
                let call = Call {
                    formats,
                    ..call(&op, [4, 8, 3])
                };
                let passes = lower(gpu.caps(), variant, &call).unwrap();
                let ran = run_stored(&gpu, &passes, (variant, &op, call.offsets), &[], formats);
                let want = reference::gemm(&op, &ran.a, &ran.b);
                let bound = cut_off(&op, scheme);
                assert_close(&format!("{variant} {op:?}"), &ran.c, &want, bound, REL);
            }
        }
    }
}
