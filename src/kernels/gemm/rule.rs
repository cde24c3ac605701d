//! Which variant for GPUs computes an operation fastest, by a model: the tiles' rates were measured on an H200, the other constants are
//! its data sheet (132 multiprocessors of 128 multiply-adds per clock, 1.7 GHz, 3.3 TB/s). What matters is the shape: large
//! tiles where they fill the machine, smaller ones or parts of k where they would not.
use super::coop::coop_tiles;
use super::op::GemmOp;
use super::problem::Problem;
use super::tiled::TILES;
use super::variant::{Body, Scheme, Variant, schemes, taps_pay};
use super::winograd::{self, Winograd};
use crate::gpu::{AdapterClass, Caps};
use crate::kernels::{Form, KernelError, Scalar};

/// How many are worth measuring, of those that the rule may take and of the others.
const CANDIDATES: usize = 16;
const GUESSES: usize = 8;
/// And of convolutions at points, each of which has four kernels to compile.
const AT_POINTS: usize = 4;
/// Multiply-adds of one multiprocessor in the time of another dispatch (3 us).
const DISPATCH: f64 = 6e5;
/// And in the time that the whole machine writes a number of scratch memory and reads it again.
const SCRATCH: f64 = 0.5;
/// The least k that a part is worth.
const LEAST_PART: u32 = 128;

/// Workgroups that a machine computes at once, about. Adapters do not tell.
fn multiprocessors(caps: &Caps) -> u32 {
    match caps.class {
        AdapterClass::Integrated => 32,
        _ => 132,
    }
}

/// The variants worth measuring for `op`, best first, and after them those that the rule may not take.
///
/// # Errors
/// [`KernelError`]: an operation that no variant computes.
pub fn ranked(caps: &Caps, op: &GemmOp, formats: [Scalar; 3]) -> Result<Vec<Variant>, KernelError> {
    Problem::new(op, [0; 3])?;
    let tiled = TILES.into_iter().filter(|(tile, _)| tile.fits(caps));
    let tiled = tiled.map(|(tile, rate)| (Body::Tiled(tile), [tile.m, tile.n], rate, true));
    let coop = coop_tiles(caps, formats).into_iter();
    let coop = coop.map(|o| (Body::Coop(o.tile), [o.tile.m, o.tile.n], o.rate, o.by_rule));
    let bodies: Vec<_> = tiled.chain(coop).collect();

    let mut all = Vec::new();
    for scheme in schemes(op).into_iter().chain(at_points(op, formats)) {
        let winograd = matches!(scheme, Scheme::Winograd(_));
        let Some(problem) = scheme.problem(caps, Form::Gpu, op) else {
            continue;
        };
        if scheme.parts() > 1 && problem.k / scheme.parts() < LEAST_PART {
            continue;
        }
        // With few rows the gather of dy costs more than the sums, which this model does not see.
        let against_rule = (scheme == Scheme::TapsFirst) != taps_pay(op);
        for &(body, block, rate, by_rule) in &bodies {
            if winograd && matches!(body, Body::Coop(_)) {
                continue;
            }
            let variant = Variant { body, scheme };
            let cost = cost(caps, variant, op, &problem, block, rate);
            all.push((winograd || !by_rule, against_rule, cost, variant));
        }
    }
    all.sort_by(|x, y| (x.0, x.1).cmp(&(y.0, y.1)).then(x.2.total_cmp(&y.2)));
    let first = all[0].3;
    all.sort_by(|x, y| x.2.total_cmp(&y.2));
    let best = |guesses: bool| {
        let such = all.iter().filter(move |x| x.0 == guesses);
        such.map(|x| x.3).filter(|&variant| variant != first)
    };
    let known = [first].into_iter().chain(best(false)).take(CANDIDATES);
    let winograd = |v: &Variant| matches!(v.scheme, Scheme::Winograd(_));
    let guesses = best(true).filter(|v| !winograd(v)).take(GUESSES);
    let winograd = best(true).filter(winograd).take(AT_POINTS);
    Ok(known.chain(guesses).chain(winograd).collect())
}

/// Convolutions at the points of their tiles: none has been measured on a GPU. The points are f32, so that operands in f16 leave the matrix
/// units to them.
fn at_points(op: &GemmOp, formats: [Scalar; 3]) -> impl Iterator<Item = Scheme> {
    let single = formats == [Scalar::F32; 3];
    let tiles = winograd::OUTPUTS.into_iter();
    tiles
        .filter(move |&outputs| single && Winograd::new(op, Form::Gpu, outputs).is_some())
        .map(Scheme::Winograd)
}

/// Multiply-adds of one multiprocessor in the time that `op` takes: the workgroups' own, as long as there are enough of them, and
/// those of at least one workgroup each otherwise.
fn cost(
    caps: &Caps,
    variant: Variant,
    op: &GemmOp,
    problem: &Problem,
    [rows, cols]: [u32; 2],
    rate: f64,
) -> f64 {
    let parts = variant.scheme.parts();
    let blocks = [
        problem.m.div_ceil(rows),
        problem.n.div_ceil(cols),
        problem.depth,
        parts,
    ];
    let blocks: f64 = blocks.into_iter().map(f64::from).product();
    let waves = (blocks / f64::from(multiprocessors(caps))).max(1.0);
    let depth = f64::from(problem.k) / f64::from(parts);
    let multiply = waves * f64::from(rows) * f64::from(cols) * depth / rate;
    // Products, and the dispatches around each.
    let (rounds, others) = match variant.scheme {
        Scheme::Winograd(outputs) => {
            let winograd = Winograd::new(op, Form::Gpu, outputs);
            (winograd.map_or(1, |w| w.rounds()), 3)
        }
        _ => (1, 1),
    };
    let scratch: u64 = variant.scratch(op).into_iter().sum();
    let around = match scratch {
        0 => 0.0,
        _ => f64::from(others) * DISPATCH + SCRATCH * scratch as f64,
    };
    f64::from(rounds) * (multiply + around)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{MatrixScalar, MatrixTile};

    fn matmul([m, n, k]: [u32; 3]) -> GemmOp {
        GemmOp::Matmul {
            m,
            n,
            k,
            batch: 1,
            trans_a: false,
            trans_b: false,
        }
    }

    #[test]
    fn the_rule_fills_the_machine() {
        let caps = Caps::baseline(AdapterClass::Discrete);
        let name = |size| {
            let all = ranked(&caps, &matmul(size), [Scalar::F32; 3]).unwrap();
            assert!(all.len() > 4 && all.len() <= CANDIDATES);
            all[0].to_string()
        };
        // Enough blocks; too few blocks for large tiles; a weight gradient; hardly anything.
        assert_eq!(name([4096, 4096, 4096]), "tiled-128x128x16-16x8-u4");
        assert_eq!(name([1024, 784, 64]), "tiled-64x64x16-8x8-u4");
        assert!(name([64, 64, 8192]).contains("-split"));
        assert_eq!(name([16, 16, 64]), "tiled-32x32x32-4x4-u4");
    }

    /// In f32, for the tuner alone.
    #[test]
    fn convolutions_at_points_are_measured() {
        let caps = Caps::baseline(AdapterClass::Discrete);
        let conv = GemmOp::Conv2d(super::super::bench::dcgan_conv(128, 64, 128, 32));
        let points = |op, format| {
            let all = ranked(&caps, op, [format; 3]).unwrap();
            let is = |v: &Variant| matches!(v.scheme, Scheme::Winograd(_));
            let first = all.iter().position(is);
            assert!(first.is_none_or(|first| first >= CANDIDATES));
            all.into_iter().filter(is).count()
        };
        assert_eq!(points(&conv, Scalar::F32), AT_POINTS);
        assert_eq!(points(&conv, Scalar::F16), 0);
        assert_eq!(points(&matmul([128; 3]), Scalar::F32), 0);
    }

    #[test]
    fn matrix_units_are_used_where_listed_and_operands_are_halves() {
        let tile = |side, ab| MatrixTile {
            m: side,
            n: side,
            k: side,
            ab,
            c: MatrixScalar::F32,
        };
        let nvidia = Caps {
            subgroups: true,
            subgroup_size: Some(32),
            f16: true,
            workgroup_storage_bytes: 48 << 10,
            cooperative_matrix: vec![tile(16, MatrixScalar::F16)],
            ..Caps::baseline(AdapterClass::Discrete)
        };
        let large = matmul([4096; 3]);
        let half = [Scalar::F16; 3];
        let coop = |caps: &Caps, formats| {
            let all = ranked(caps, &large, formats).unwrap();
            let is = |v: &Variant| matches!(v.body, Body::Coop(_));
            (is(&all[0]), all.iter().any(is))
        };
        assert_eq!(coop(&nvidia, half), (true, true));
        // A mixed product stays f32, and so does one on an adapter without f16, with other subgroups, or too little memory.
        assert_eq!(
            coop(&nvidia, [Scalar::F32, Scalar::F16, Scalar::F32]),
            (false, false)
        );
        for caps in [
            Caps {
                f16: false,
                ..nvidia.clone()
            },
            Caps {
                subgroup_size: Some(64),
                ..nvidia.clone()
            },
            Caps {
                subgroup_size: None,
                ..nvidia.clone()
            },
            Caps {
                workgroup_storage_bytes: 8 << 10,
                ..nvidia.clone()
            },
            Caps {
                cooperative_matrix: vec![tile(8, MatrixScalar::F32)],
                subgroup_size: None,
                ..nvidia.clone()
            },
        ] {
            assert_eq!(coop(&caps, half), (false, false), "{caps:?}");
        }
        // Metal's are measured, not trusted.
        let apple = Caps {
            cooperative_matrix: vec![tile(8, MatrixScalar::F32), tile(8, MatrixScalar::F16)],
            subgroup_size: None,
            ..nvidia
        };
        assert_eq!(coop(&apple, [Scalar::F32; 3]), (false, true));
        assert_eq!(coop(&apple, half), (false, true));
    }
}
