//! Matrix products by rule: transposes, ragged sizes, offsets, batches, grids.
use super::*;

/// Around the tiles: 4 elements, 8 lanes, 32 columns, K tiles, 64 x 64 blocks. Odd sizes take the scalar
/// loaders, multiples of four the vec4 ones.
const ODD: [[u32; 3]; 6] = [
    [1, 1, 33],
    [15, 17, 65],
    [17, 33, 63],
    [65, 15, 129],
    [33, 65, 33],
    [129, 1, 67],
];
const FOURS: [[u32; 3]; 5] = [
    [4, 4, 36],
    [16, 64, 64],
    [68, 36, 132],
    [132, 100, 60],
    [32, 28, 196],
];

fn check_matmuls(form: Form, transposes: [bool; 2]) {
    let _gpu = gpu();
    for size in ODD.into_iter().chain(FOURS) {
        check(form, &matmul(size, 1, transposes), [0; 3]);
    }
}

#[test]
fn matmul_cpu() {
    let _gpu = gpu();
    for transposes in TRANSPOSES {
        check_matmuls(Form::Cpu, transposes);
    }
}

#[test]
fn matmul_tiled() {
    let _gpu = gpu();
    for transposes in TRANSPOSES {
        check_matmuls(Form::Gpu, transposes);
    }
}

#[test]
fn matmul_of_small_depth() {
    let _gpu = gpu();
    for form in BOTH {
        for size in [
            [1, 1, 1],
            [17, 33, 1],
            [5, 3, 15],
            [2, 65, 16],
            [33, 7, 17],
            [9, 9, 31],
        ] {
            check(form, &matmul(size, 1, [false, true]), [0; 3]);
        }
    }
}

#[test]
fn matmul_batches_and_offsets() {
    let _gpu = gpu();
    for form in BOTH {
        check(form, &matmul([17, 33, 65], 3, [false, false]), [5, 0, 3]);
        check(form, &matmul([20, 36, 68], 3, [true, true]), [4, 8, 12]);
        // Aligned sizes at odd offsets must not be read as vec4.
        check(form, &matmul([20, 36, 68], 2, [false, false]), [1, 2, 3]);
    }
}

/// The forms for CPU adapters whose subgroups are not 8 wide, or that have none, and that have no 64-bit integers.
#[test]
fn cpu_without_broadcast() {
    let gpu = gpu();
    let caps = Caps {
        subgroup_size: None,
        int64: false,
        ..gpu.caps().clone()
    };
    for size in [[15, 17, 65], [129, 33, 33], [1, 1, 1], [68, 36, 132]] {
        check_with(&caps, Form::Cpu, &matmul(size, 1, [false, false]), [0; 3]);
        check_with(&caps, Form::Cpu, &matmul(size, 1, [true, false]), [0; 3]);
        check_with(&caps, Form::Cpu, &matmul(size, 1, [false, true]), [0; 3]);
    }
    let last = shapes()[8];
    check_with(&caps, Form::Cpu, &GemmOp::Conv2dInputGrad(last), [0; 3]);
}

/// So many columns that a workgroup takes as many rows as its memory holds, and the rest of m is ragged.
#[test]
fn full_row_blocks() {
    let _gpu = gpu();
    check(
        Form::Cpu,
        &matmul([517, 33, 35], 16, [false, false]),
        [0; 3],
    );
}

/// A grid over the adapter's limit is folded, and its surplus workgroups write nothing.
#[test]
fn a_folded_grid_computes_the_same() {
    let gpu = gpu();
    let caps = Caps {
        max_workgroups_per_dim: 5,
        ..gpu.caps().clone()
    };
    let small = tiled::TILES.map(|(tile, _)| tile)[tiled::TILES.len() - 1];
    for (form, size) in [(Form::Cpu, [130, 70, 33]), (Form::Gpu, [70, 40, 33])] {
        let op = matmul(size, 3, [false, false]);
        let variant = match form {
            // The rule makes more workgroups where there are more cores, and smaller tiles or parts on GPUs.
            Form::Cpu => Variant {
                body: Body::Cpu {
                    k_tile: 40,
                    rows: 68,
                    stripes: 1,
                },
                scheme: Scheme::Whole,
            },
            Form::Gpu => Variant {
                body: Body::Tiled(small),
                scheme: Scheme::Whole,
            },
        };
        let passes = lower(&caps, variant, &call(&op, [0; 3])).unwrap();
        let grid = passes[0].kernel.grid;
        assert!(grid[1] > 1 && grid.iter().all(|&d| d <= 5), "{grid:?}");
        check_variant(&caps, variant, &op, [0; 3]);
        let op = matmul([1300, 700, 33], 3, [false, false]);
        assert!(matches!(
            by_rule(&caps, form, &call(&op, [0; 3])),
            Err(KernelError::Grid { limit: 25, .. })
        ));
    }
}
