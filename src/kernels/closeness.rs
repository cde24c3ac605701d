//! How close each sample of a batch is to the others, and its gradient (`shaders/closeness.wgsl`): what minibatch discrimination adds
//! to a layer, without a tensor of the size N^2.
use super::walk;
use super::{Form, Scalar};
use crate::gpu::shader::{self, line};
use crate::gpu::{Caps, Kernel};

const SOURCE: &str = include_str!("../../shaders/closeness.wgsl");

/// Sizes, and where everything lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Features that come out for each sample.
    pub kernels: usize,
    /// Numbers that each distance goes over.
    pub dims: usize,
    /// Samples of the batch.
    pub n: usize,
    /// x `[kernels dims, n]`.
    pub x: (u32, Scalar),
    /// g `[kernels, n]`, the gradient at the result, for the gradient at x; without it the closeness itself.
    pub g: Option<(u32, Scalar)>,
    /// `[kernels, n]`, or x's gradient `[kernels dims, n]`.
    pub y: (u32, Scalar),
}

/// Bindings: 0 x, for the gradient 1 g, then y (written), each from its offset on, stored as its scalar.
pub fn kernel(caps: &Caps, form: Form, p: &Params) -> Kernel {
    let layout = Layout::of(caps, form, p.dims);
    let blocks = (p.n as u32).div_ceil(layout.lanes * layout.width);
    Kernel {
        label: match p.g {
            None => "closeness".into(),
            Some(_) => "closeness_grad".into(),
        },
        source: shader::join(&[&layout.prelude(p), SOURCE]).into(),
        grid: walk::grid(caps, blocks * p.kernels as u32),
        immediates: vec![
            p.n as u32,
            p.kernels as u32,
            blocks,
            p.x.0,
            p.g.map_or(0, |g| g.0),
            p.y.0,
        ],
    }
}

/// How columns are shared out.
struct Layout {
    lanes: u32,
    /// Columns of an invocation.
    width: u32,
    /// Columns j that the lanes of a subgroup read at once and hand round; 1: each reads all of them.
    block: u32,
}

impl Layout {
    /// On lavapipe, where reading a number costs ten instructions in every lane, four columns share what is read, and the lanes share
    /// the reading (512 samples, 16 kernels of 5: 27 ms as an expression of the graph, 3.1 ms so, the gradient 98 and 7.7 ms; Mesa 25.0.7,
    /// two cores).
    fn of(caps: &Caps, form: Form, dims: usize) -> Self {
        /// Text grows with dims and, where columns are handed round, with their number.
        const UNROLLED: usize = 16;
        let [lanes, width, block] = match form {
            Form::Cpu if caps.subgroups_of(8) && dims <= UNROLLED => [8, 4, 8],
            Form::Cpu => [8, 4, 1],
            Form::Gpu => [64, 1, 1],
        };
        Self {
            lanes,
            width,
            block,
        }
    }

    fn prelude(&self, p: &Params) -> String {
        let Self { lanes, width, .. } = self;
        let g = p.g.map(|g| g.1);
        let scalars = [Some(p.x.1), g, Some(p.y.1)];
        let mut text = String::new();
        if scalars.contains(&Some(Scalar::F16)) {
            text += "enable f16;\n";
        }
        let mut add = |new: std::fmt::Arguments| line(&mut text, new);
        let bound = ["x", "g", "y"].into_iter().zip(scalars);
        let bound = bound.filter_map(|(name, scalar)| Some((name, scalar?)));
        for (binding, (name, scalar)) in bound.enumerate() {
            let access = if name == "y" { "read_write" } else { "read" };
            add(format_args!("alias {name}_elem = {};", scalar.wgsl()));
            add(format_args!(
                "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{name}_elem>;"
            ));
        }
        let results = if g.is_some() { p.dims } else { 1 };
        add(format_args!(
            "const LANES = {lanes}u;\nconst WIDTH = {width}u;\nconst DIMS = {}u;\nconst RESULTS = {results}u;",
            p.dims
        ));
        let (value, index) = match width {
            1 => ("f32", "u32"),
            _ => ("vec4<f32>", "vec4<u32>"),
        };
        add(format_args!(
            "alias value = {value};\nalias index = {index};"
        ));
        let parts: &[&str] = match width {
            1 => &[""],
            _ => &[".x", ".y", ".z", ".w"],
        };
        let first = match width {
            1 => "first",
            _ => "vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u)",
        };
        add(format_args!(
            "fn columns(first: u32) -> index {{ return {first}; }}"
        ));
        // Columns beyond the last are computed as the last, and not stored.
        for name in ["x", "g"].into_iter().take(1 + usize::from(g.is_some())) {
            let read = parts.iter();
            let read = read.map(|part| format!("f32({name}[row + min(i{part}, im.n - 1u)])"));
            let read: Vec<String> = read.collect();
            add(format_args!(
                "fn {name}_at(row: u32, i: index) -> value {{ return value({}); }}",
                read.join(", ")
            ));
        }
        add(format_args!("fn store(row: u32, i: index, v: value) {{"));
        for part in parts {
            add(format_args!(
                "    if i{part} < im.n {{ y[row + i{part}] = y_elem(v{part}); }}"
            ));
        }
        add(format_args!("}}"));
        self.results(p, results, &mut add);
        text
    }

    /// `fn results`: unrolled over dims and, where lanes hand their columns round, over these.
    fn results(&self, p: &Params, results: usize, add: &mut impl FnMut(std::fmt::Arguments)) {
        let (dims, gradient) = (0..p.dims, p.g.is_some());
        add(format_args!(
            "fn results(b: u32, i: index, lane: u32) -> array<value, RESULTS> {{"
        ));
        add(format_args!(
            "    let rows = im.x_offset + b * DIMS * im.n;"
        ));
        for c in dims.clone() {
            add(format_args!("    let m{c} = x_at(rows + {c}u * im.n, i);"));
        }
        if gradient {
            add(format_args!("    let g_row = im.g_offset + b * im.n;"));
            add(format_args!("    let gi = g_at(g_row, i);"));
        }
        for k in 0..results {
            add(format_args!("    var s{k} = value();"));
        }
        let block = self.block;
        add(format_args!("    var j0 = 0u;\n    loop {{"));
        let from = match block {
            1 => "j0",
            _ => "min(j0 + lane, im.n - 1u)",
        };
        for c in dims.clone() {
            add(format_args!(
                "        let t{c} = f32(x[rows + {c}u * im.n + {from}]);"
            ));
        }
        if gradient {
            add(format_args!("        let tg = f32(g[g_row + {from}]);"));
        }
        for j in 0..block {
            let of = |name: String| match block {
                1 => format!("value({name})"),
                _ => format!("value(subgroupBroadcast({name}, {j}u))"),
            };
            add(format_args!(
                "        {{\n            let j = index(j0 + {j}u);"
            ));
            for c in dims.clone() {
                let theirs = of(format!("t{c}"));
                add(format_args!("            let d{c} = {theirs} - m{c};"));
            }
            add(format_args!("            var far = abs(d0);"));
            for c in dims.clone().skip(1) {
                add(format_args!("            far += abs(d{c});"));
            }
            add(format_args!(
                "            let e = select(exp(-far), value(), (j == i) | (j >= index(im.n)));"
            ));
            match gradient {
                false => add(format_args!("            s0 += e;")),
                true => {
                    let theirs = of("tg".into());
                    add(format_args!("            let w = e * (gi + {theirs});"));
                    for c in dims.clone() {
                        add(format_args!("            s{c} += w * sign(d{c});"));
                    }
                }
            }
            add(format_args!("        }}"));
        }
        let sums: Vec<String> = (0..results).map(|k| format!("s{k}")).collect();
        add(format_args!(
            "        continuing {{ j0 += {block}u; break if j0 >= im.n; }}\n    }}\n    return array<value, RESULTS>({});\n}}",
            sums.join(", ")
        ));
    }
}

/// The closeness `[kernels, n]` of x `[kernels dims, n]`, or with g `[kernels, n]` its gradient at x, in f64.
pub fn reference(kernels: usize, n: usize, x: &[f64], g: Option<&[f64]>) -> Vec<f64> {
    let dims = x.len() / (kernels * n);
    let at = |b: usize, c: usize, i: usize| x[(b * dims + c) * n + i];
    let mut y = vec![0.0; if g.is_some() { x.len() } else { kernels * n }];
    for b in 0..kernels {
        for i in 0..n {
            for j in (0..n).filter(|&j| j != i) {
                let far: f64 = (0..dims).map(|c| (at(b, c, i) - at(b, c, j)).abs()).sum();
                let close = (-far).exp();
                let Some(g) = g else {
                    y[b * n + i] += close;
                    continue;
                };
                for c in 0..dims {
                    let between = at(b, c, j) - at(b, c, i);
                    let sign = f64::from(between > 0.0) - f64::from(between < 0.0);
                    y[(b * dims + c) * n + i] += (g[b * n + i] + g[b * n + j]) * close * sign;
                }
            }
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{Region, mutated, run, values};
    use super::*;
    use crate::gpu::testing::{assert_close, close, gpu};
    use crate::gpu::{AdapterClass, Gpu};

    /// Batches that straddle lanes, vectors and blocks; one sample alone.
    const SIZES: [[usize; 3]; 8] = [
        [1, 1, 1],
        [1, 1, 2],
        [3, 5, 8],
        [2, 3, 31],
        [4, 2, 33],
        [2, 5, 64],
        [3, 1, 129],
        [2, 20, 33],
    ];

    fn params([kernels, dims, n]: [usize; 3], gradient: bool, offset: u32) -> Params {
        Params {
            kernels,
            dims,
            n,
            x: (offset, Scalar::F32),
            g: gradient.then_some((offset + 1, Scalar::F32)),
            y: (2 * offset, Scalar::F32),
        }
    }

    /// What the device makes of a y of NaN, and the reference.
    fn computed(gpu: &Gpu, kernel: &Kernel, p: &Params) -> (Vec<f32>, Vec<f64>) {
        let [b, c, n] = [p.kernels, p.dims, p.n];
        let x = values((b * c * n) as u32, 1, -1.0, 1.0);
        let g = values((b * n) as u32, 2, -1.0, 1.0);
        let len = b * n * if p.g.is_some() { c } else { 1 };
        let y = Region::new(gpu, "y", p.y.0, &vec![f32::NAN; len]);
        let x_ = Region::new(gpu, "x", p.x.0, &x);
        let g_ = p.g.map(|(offset, _)| Region::new(gpu, "g", offset, &g));
        let buffers = [Some(&x_), g_.as_ref(), Some(&y)];
        let buffers: Vec<_> = buffers.into_iter().flatten().map(|r| &r.buffer).collect();
        run(gpu, kernel, &buffers);
        let wide = |v: &[f32]| -> Vec<f64> { v.iter().copied().map(f64::from).collect() };
        let (x, g) = (wide(&x), wide(&g));
        let want = reference(b, n, &x, p.g.is_some().then_some(&g));
        (y.read(gpu), want)
    }

    /// The forms for software adapters, with subgroups where the adapter has them and without, and for GPUs.
    fn forms(gpu: &Gpu) -> [(Caps, Form); 3] {
        let without = Caps {
            subgroups: false,
            ..gpu.caps().clone()
        };
        [
            (gpu.caps().clone(), Form::Cpu),
            (without.clone(), Form::Cpu),
            (without, Form::Gpu),
        ]
    }

    #[test]
    fn every_form_matches_the_formula() {
        let gpu = gpu();
        for (caps, form) in forms(&gpu) {
            for (k, size) in SIZES.into_iter().enumerate() {
                for gradient in [false, true] {
                    let p = params(size, gradient, k as u32 % 4);
                    let kernel = kernel(&caps, form, &p);
                    let (got, want) = computed(&gpu, &kernel, &p);
                    let what = format!("{form:?} {p:?}");
                    assert_close(&what, &got, &want, 2e-6, 2e-5);
                }
            }
        }
    }

    /// What is known without computing: equal samples are as close as can be, and pull nowhere.
    #[test]
    fn equal_samples_count_as_one_each() {
        let gpu = gpu();
        let x = vec![0.25f32; 15 * 20];
        for gradient in [false, true] {
            let p = params([3, 5, 20], gradient, 0);
            let g = vec![1.0f32; 60];
            let y = Region::new(
                &gpu,
                "y",
                0,
                &vec![f32::NAN; if gradient { 300 } else { 60 }],
            );
            let (x, g) = (Region::new(&gpu, "x", 0, &x), Region::new(&gpu, "g", 1, &g));
            let kernel = kernel(gpu.caps(), Form::of(gpu.caps().class), &p);
            match gradient {
                false => run(&gpu, &kernel, &[&x.buffer, &y.buffer]),
                true => run(&gpu, &kernel, &[&x.buffer, &g.buffer, &y.buffer]),
            }
            let expected = if gradient { 0.0 } else { 19.0 };
            assert!(y.read(&gpu).iter().all(|&v| v == expected), "{gradient}");
        }
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        for (from, to) in [
            ("(j == i) |", ""),
            ("im.n - 1u)])", "im.n - 2u)])"),
            ("abs(d1)", "d1"),
            ("(gi + ", "(gi - "),
            ("sign(d0)", "d0"),
            ("(b * RESULTS + c)", "(c * im.kernels + b)"),
        ] {
            let caught = [false, true].into_iter().any(|gradient| {
                let p = params([2, 3, 31], gradient, 0);
                let caps = gpu.caps();
                let kernel = kernel(caps, Form::of(caps.class), &p);
                if !kernel.source.contains(from) {
                    return false;
                }
                let (got, want) = computed(&gpu, &mutated(&kernel, from, to), &p);
                close(&got, &want, 2e-6, 2e-5).is_err()
            });
            assert!(caught, "{from} -> {to}");
        }
    }

    #[test]
    fn every_form_is_portable() {
        for class in [AdapterClass::Software, AdapterClass::Discrete] {
            let caps = Caps::baseline(class);
            for gradient in [false, true] {
                for form in [Form::Cpu, Form::Gpu] {
                    let mut p = params([2, 3, 31], gradient, 0);
                    for scalar in [Scalar::F32, Scalar::F16] {
                        p.x.1 = scalar;
                        p.y.1 = scalar;
                        let kernel = kernel(&caps, form, &p);
                        if scalar == Scalar::F32 {
                            shader::portability(&kernel.source).unwrap();
                        }
                        let reflection = shader::validate(&kernel.source).unwrap();
                        assert_eq!(
                            reflection.immediate_bytes,
                            4 * kernel.immediates.len() as u32
                        );
                    }
                }
            }
        }
    }
}
