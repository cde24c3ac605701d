//! Every density by every method: the samples of the reference, and the density itself; a wrong rule is neither.
use super::*;
use crate::data::density::{Drawer, Line, TABLE_CELLS};
use crate::data::rng::Stream;
use crate::gpu::AdapterClass;
use crate::gpu::testing::{buffer_of, close, gpu, nan_buffer, read_f32};

const RANDOM: RandomSource = RandomSource {
    seed: 20_181_127,
    stream: 9,
    counter_index: 1,
};

fn params(density: Density, n: u32, out_offset: u32) -> Params {
    Params {
        density,
        n,
        random: RANDOM,
        out_offset,
    }
}

/// Runs a kernel into a buffer of NaNs with three elements behind the output.
fn run(kernel: &Kernel, method: Method, p: &Params, step: u32) -> Vec<f32> {
    let gpu = gpu();
    let counters = gpu
        .buffer_from("counters", bytemuck::cast_slice(&[0, step]))
        .unwrap();
    let len = p.out_offset as usize + p.density.dim() * p.n as usize + 3;
    let output = nan_buffer(&gpu, "output", len);
    let table = needs_table(p.density, method)
        .then(|| buffer_of(&gpu, "table", &p.density.table().unwrap()));
    let buffers = [Some(&counters), table.as_ref(), Some(&output)];
    let buffers: Vec<_> = buffers.into_iter().flatten().collect();
    gpu.submit([&gpu.prepare(kernel, &buffers).unwrap()])
        .unwrap();
    read_f32(&gpu, &output)
}

/// `n` samples, `[dim, n]`, of the kernel with `from` replaced.
fn drawn(density: Density, method: Method, n: u32, change: Option<(&str, &str)>) -> Vec<f32> {
    let gpu = gpu();
    let p = params(density, n, 0);
    let mut kernel = kernel(gpu.caps(), method, &p).unwrap();
    if let Some((from, to)) = change {
        assert!(kernel.source.contains(from), "{from}");
        kernel.source = kernel.source.replace(from, to).into();
    }
    let mut values = run(&kernel, method, &p, 4);
    values.truncate(density.dim() * n as usize);
    values
}

fn pairs() -> impl Iterator<Item = (Density, Method)> {
    let all = Density::ALL.iter();
    all.flat_map(|&d| d.methods().into_iter().map(move |m| (d, m)))
}

#[test]
fn draws_what_the_reference_draws() {
    for (density, method) in pairs() {
        let drawer = Drawer::new(density, method).unwrap();
        let dim = density.dim();
        for (n, out_offset, step) in [(1, 0, 0), (65, 5, 1), (300, 2, 2)] {
            let p = params(density, n, out_offset);
            let kernel = kernel(gpu().caps(), method, &p).unwrap();
            let got = run(&kernel, method, &p, step);
            let (from, to) = (out_offset as usize, out_offset as usize + dim * n as usize);
            assert!(
                got[..from].iter().chain(&got[to..]).all(|v| v.is_nan()),
                "{density} {method:?}: wrote outside its output"
            );
            let stream = Stream::new(RANDOM.seed, RANDOM.stream, step);
            let (mut compared, mut turned_out) = ((vec![], vec![]), 0);
            for i in 0..n {
                let draw = drawer.draw(&stream, i);
                for d in 0..dim {
                    assert!(draw.x[d].is_finite());
                    let value = got[from + d * n as usize + i as usize];
                    // A decision within rounding of its threshold may fall either way.
                    if draw.margin > 1e-3 {
                        compared.0.push(value);
                        compared.1.push(draw.x[d]);
                    }
                }
                turned_out += u32::from(draw.margin <= 1e-3);
            }
            // A walk makes hundreds of decisions, each with a chance of .001 or so.
            assert!(
                turned_out <= n / 2 + 1,
                "{density} {method:?}: {turned_out} of {n}"
            );
            // WGSL bounds cos, sin and log at 2^-11 and 2^-21 in absolute terms; the cotangent of a small angle keeps its relative
            // accuracy.
            let name = format!("{density} {method:?} n {n}");
            close(&compared.0, &compared.1, 5e-3, 1e-3).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

/// The largest distance of the empirical distribution function from F, times sqrt(n): below 1.95 in 999 of 1000 cases
/// (Kolmogorov).
fn kolmogorov(samples: &[f32], line: &Line) -> f64 {
    let mut x: Vec<f64> = samples.iter().map(|&v| f64::from(v)).collect();
    assert!(x.iter().all(|v| v.is_finite()));
    x.sort_unstable_by(f64::total_cmp);
    let n = x.len() as f64;
    let off = x.iter().enumerate().map(|(i, &x)| {
        let f = line.cdf(x);
        (f - i as f64 / n).abs().max(((i + 1) as f64 / n - f).abs())
    });
    off.fold(0.0, f64::max) * n.sqrt()
}

/// Chi-square of the counts in a 12 x 12 grid over the view, cells with fewer than 10 expected samples in one, as standard deviations
/// from its mean: below 3.7 in 999 of 1000 cases (for some 60 degrees of freedom).
fn chi_square(samples: &[f32], density: Density) -> f64 {
    const SIDE: usize = 12;
    // Each cell from 25 x 25 points.
    const FINE: usize = 25;
    let n = samples.len() / 2;
    let cells = density.cells([SIDE * FINE; 2]);
    let total: f64 = cells.iter().sum();
    let mut expected = vec![0.0; SIDE * SIDE];
    for (k, mass) in cells.iter().enumerate() {
        let (i, j) = (k % (SIDE * FINE) / FINE, k / (SIDE * FINE) / FINE);
        expected[j * SIDE + i] += n as f64 * mass / total;
    }
    let mut counts = vec![0.0; SIDE * SIDE];
    let mut outside = 0.0;
    let view = density.view();
    for s in 0..n {
        let at = [0, 1].map(|d| {
            let [low, high] = view[d];
            let at = (f64::from(samples[d * n + s]) - low) / (high - low);
            (at * SIDE as f64).floor()
        });
        if at.iter().all(|&a| (0.0..SIDE as f64).contains(&a)) {
            counts[at[1] as usize * SIDE + at[0] as usize] += 1.0;
        } else {
            outside += 1.0;
        }
    }
    let (mut chi2, mut cells, mut rest) = (0.0, 0.0, (outside, 0.0));
    for (&count, &expected) in counts.iter().zip(&expected) {
        if expected < 10.0 {
            rest = (rest.0 + count, rest.1 + expected);
            continue;
        }
        chi2 += (count - expected).powi(2) / expected;
        cells += 1.0;
    }
    chi2 += (rest.0 - rest.1).powi(2) / rest.1.max(1.0);
    // One constraint, one more cell for the rest.
    (chi2 - cells) / (2.0f64 * cells).sqrt()
}

const SAMPLES: u32 = 20_000;

#[test]
fn one_dimensional_samples_have_their_distribution() {
    for (density, method) in pairs().filter(|(d, _)| d.dim() == 1) {
        let line = Line::new(density);
        let off = kolmogorov(&drawn(density, method, SAMPLES, None), &line);
        println!("{density} {method:?}: {off:.2}");
        assert!(off < 1.95, "{density} {method:?}: {off}");
    }
}

#[test]
fn two_dimensional_samples_have_their_distribution() {
    for (density, method) in pairs().filter(|(d, _)| d.dim() == 2) {
        let off = chi_square(&drawn(density, method, 100_000, None), density);
        println!("{density} {method:?}: {off:.2} standard deviations");
        assert!(off < 3.7, "{density} {method:?}: {off}");
    }
}

/// The host's exact samples pass the same tests: a device that walks is not only compared with a host that walks.
#[test]
fn the_reference_is_exact() {
    for &density in Density::ALL {
        let samples = density.reference(&Stream::new(6, 0, 0), SAMPLES as usize);
        let off = match density.dim() {
            1 => kolmogorov(&samples, &Line::new(density)) / 1.95,
            _ => chi_square(&samples, density) / 3.7,
        };
        assert!(off < 1.0, "{density}: {off} times the bound");
    }
}

/// Every test of a distribution above sees a wrong rule.
#[test]
fn wrong_rules_are_caught() {
    use Density::*;
    let decide = "log(1.0 - uniform01(bits)) <= log_ratio";
    let cases = [
        // A wrong quantile function.
        (
            Logistic,
            Method::Inverse,
            ("log(u) - log(1.0 - u)", "0.9 * (log(u) - log(1.0 - u))"),
        ),
        (
            Kumaraswamy,
            Method::Inverse,
            ("1.0 - u, 0.2", "1.0 - u, 0.25"),
        ),
        (
            DoubleWell,
            Method::Inverse,
            (
                "table[cell + 1u], at - f32(cell)",
                "table[cell + 1u], 0.0) * (0.97",
            ),
        ),
        // Everything accepted; the envelope forgotten; too low a bound.
        (Semicircle, Method::Rejection, (decide, "true")),
        (DoubleWell, Method::Rejection, ("- log_envelope(x)", "")),
        (Kumaraswamy, Method::Rejection, ("- im.log_bound", "+ 3.0")),
        (TwoMoons, Method::Rejection, (decide, "log_ratio > -1.0")),
        // Everything accepted; only improvements accepted; a wrong ratio; a walk that is not symmetric; a walk cut short.
        (Semicircle, Method::Metropolis, (decide, "true")),
        (DoubleWell, Method::Metropolis, (decide, "log_ratio >= 0.0")),
        (
            TruncatedNormal,
            Method::Metropolis,
            ("there - here", "0.5 * (there - here)"),
        ),
        (
            Banana,
            Method::Metropolis,
            ("there - here", "0.8 * (there - here)"),
        ),
        (Banana, Method::Metropolis, ("t <= im.steps", "t <= 20u")),
        (
            TwoMoons,
            Method::Metropolis,
            ("x + im.step *", "x + 0.1 + im.step *"),
        ),
    ];
    for (density, method, change) in cases {
        let samples = drawn(density, method, SAMPLES, Some(change));
        let off = match density.dim() {
            1 => kolmogorov(&samples, &Line::new(density)) / 1.95,
            _ => chi_square(&samples, density) / 3.7,
        };
        println!("{density} {method:?} {change:?}: {off:.1} times the bound");
        assert!(off > 1.5, "{density} {method:?} {change:?}: {off}");
    }
}

/// An exhausted sample is NaN, and how likely that is is what the density says.
#[test]
fn a_sample_that_is_never_accepted_is_no_sample() {
    let density = Density::Semicircle;
    let p = params(density, 400, 0);
    let mut one_try = kernel(gpu().caps(), Method::Rejection, &p).unwrap();
    assert!(density.tries().unwrap() > 10);
    one_try.immediates[2] = 1;
    let got = run(&one_try, Method::Rejection, &p, 0);
    let exhausted = got[..400].iter().filter(|v| v.is_nan()).count() as f64;
    // Binomial, within four standard deviations.
    let share = 1.0 - density.acceptance().unwrap();
    assert!((exhausted - 400.0 * share).abs() < 4.0 * (400.0 * share * (1.0 - share)).sqrt());
    for density in Density::ALL.iter().filter(|d| d.envelope().is_some()) {
        let (tries, kept) = (density.tries().unwrap(), density.acceptance().unwrap());
        let bits = -f64::from(tries) * (1.0 - kept).log2();
        assert!(
            (64.0..70.0).contains(&bits),
            "{density}: {kept} {tries} {bits}"
        );
    }
}

#[test]
fn senseless_requests_are_refused_and_the_rest_is_portable() {
    let caps = Caps::baseline(AdapterClass::Discrete);
    for (density, method) in pairs() {
        let made = kernel(&caps, method, &params(density, 64, 0)).unwrap();
        shader::portability(&made.source).unwrap();
        let refused = |p: &Params| kernel(&caps, method, p).unwrap_err();
        assert!(matches!(
            refused(&params(density, 0, 0)),
            KernelError::Parameter { .. }
        ));
        let error = refused(&params(density, 64, u32::MAX - 8));
        assert!(matches!(error, KernelError::TooLarge { .. }), "{error}");
    }
    for (density, method) in [
        (Density::Cauchy, Method::Metropolis),
        (Density::Laplace, Method::Rejection),
        (Density::Banana, Method::Inverse),
    ] {
        let error = kernel(&caps, method, &params(density, 64, 0)).unwrap_err();
        assert!(error.to_string().contains(density.name()), "{error}");
    }
    assert_eq!(Density::DoubleWell.table().unwrap().len(), TABLE_CELLS + 1);
}
