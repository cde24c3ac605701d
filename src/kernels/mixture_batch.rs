//! Samples of a Gaussian mixture, drawn on the device (`shaders/mixture_batch.wgsl`); `data::toy::Mixture` is the
//! reference.
use super::random_source::{self, RandomSource};
use super::{KernelError, flat};
use crate::gpu::{Caps, Kernel, shader};

const NAME: &str = "mixture_batch";

/// Which component a sample comes from.
pub(super) const COMPONENT_WGSL: &str = include_str!("../../shaders/lib/mixture_component.wgsl");

/// `n` samples of `components` Gaussians in `dim` dimensions, `[dim, n]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    pub n: u32,
    pub dim: u32,
    pub components: u32,
    pub sigma: f32,
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Bindings: 0 the mixture (`data::toy::Mixture::table()`, f32), 1 counters (u32), 2 output (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch or mixture, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    flat::check_positive(
        NAME,
        &[("n", p.n), ("dim", p.dim), ("components", p.components)],
    )?;
    flat::check_end(
        NAME,
        "output",
        p.out_offset,
        u64::from(p.n) * u64::from(p.dim),
    )?;
    let table = u64::from(p.components).saturating_mul(u64::from(p.dim) + 1);
    flat::check_end(NAME, "table", 0, table)?;
    let mut immediates = vec![p.n, p.dim, p.components, p.sigma.to_bits()];
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    Ok(Kernel {
        label: NAME.into(),
        source: shader::join(&[
            random_source::WGSL,
            COMPONENT_WGSL,
            flat::WGSL,
            include_str!("../../shaders/mixture_batch.wgsl"),
        ])
        .into(),
        grid: flat::grid(NAME, caps, p.n.into())?,
        immediates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Stream;
    use crate::data::toy::{Distribution, Mixture, ToySet, features_first};
    use crate::gpu::testing::{assert_close, buffer_of, close, gpu, nan_buffer, read_f32};

    const RANDOM: RandomSource = RandomSource {
        seed: 77,
        stream: 1,
        counter_index: 0,
    };

    fn run<const D: usize>(mixture: &Mixture<D>, n: u32, out_offset: u32, step: u32) -> Vec<f32> {
        let gpu = gpu();
        let table = buffer_of(&gpu, "mixture", &mixture.table());
        let counters = gpu.buffer_from("counters", &step.to_le_bytes()).unwrap();
        let output = nan_buffer(&gpu, "output", (out_offset + n * D as u32 + 3) as usize);
        let p = Params {
            n,
            dim: D as u32,
            components: mixture.centres.len() as u32,
            sigma: mixture.sigma,
            random: RANDOM,
            out_offset,
        };
        let kernel = kernel(gpu.caps(), &p).unwrap();
        gpu.submit([&gpu.prepare(&kernel, &[&table, &counters, &output]).unwrap()])
            .unwrap();
        read_f32(&gpu, &output)
    }

    fn matches_the_cpu<const D: usize>(mixture: &Mixture<D>) {
        for (n, out_offset, step) in [(1, 0, 0), (63, 5, 1), (65, 0, 2), (513, 2, 3)] {
            let got = run(mixture, n, out_offset, step);
            let points = mixture.sample(&Stream::new(RANDOM.seed, RANDOM.stream, step), n as usize);
            let want: Vec<f64> = features_first(&points).into_iter().map(f64::from).collect();
            let (from, to) = (out_offset as usize, out_offset as usize + want.len());
            // WGSL's bound on sin, cos and log, in units of sigma; and rounding at the centre.
            let tolerance = 3e-3 * f64::from(mixture.sigma);
            assert_close(&format!("n {n}"), &got[from..to], &want, tolerance, 1e-6);
            assert!(
                got[..from].iter().chain(&got[to..]).all(|v| v.is_nan()),
                "wrote outside its output"
            );
            let other = mixture.sample(
                &Stream::new(RANDOM.seed, RANDOM.stream, step + 1),
                n as usize,
            );
            let other: Vec<f64> = features_first(&other).into_iter().map(f64::from).collect();
            assert!(
                close(&got[from..to], &other, tolerance, 1e-6).is_err(),
                "another step, same samples"
            );
        }
    }

    #[test]
    fn draws_what_the_cpu_draws() {
        for set in ToySet::ALL {
            match set.distribution() {
                Distribution::Mixture1(mixture) => matches_the_cpu(&mixture),
                Distribution::Mixture2(mixture) => matches_the_cpu(&mixture),
                Distribution::SwissRoll(_) | Distribution::Density(_) => {}
            }
        }
        // An odd dimension uses half of its last pair; unequal weights, one of them zero.
        matches_the_cpu(&Mixture {
            centres: vec![[0.0, 1.0, 2.0], [9.0; 3], [-4.0, -5.0, -6.0]],
            sigma: 0.5,
            weights: vec![0.2, 0.0, 0.8],
        });
    }

    /// With a limit of three workgroups a side the nine of this batch fold into three rows.
    #[test]
    fn a_folded_grid_draws_the_same() {
        let gpu = gpu();
        let Distribution::Mixture1(gauss) = ToySet::Gauss1d.distribution() else {
            panic!()
        };
        let p = Params {
            n: 513,
            dim: 1,
            components: 1,
            sigma: 0.5,
            random: RANDOM,
            out_offset: 0,
        };
        let caps = Caps {
            max_workgroups_per_dim: 3,
            ..gpu.caps().clone()
        };
        let kernel = kernel(&caps, &p).unwrap();
        assert_eq!(kernel.grid, [3, 3, 1]);
        let table = buffer_of(&gpu, "mixture", &gauss.table());
        let counters = gpu.buffer("counters", 4).unwrap();
        let output = nan_buffer(&gpu, "output", 513);
        gpu.submit([&gpu.prepare(&kernel, &[&table, &counters, &output]).unwrap()])
            .unwrap();
        assert_eq!(read_f32(&gpu, &output), run(&gauss, 513, 0, 0)[..513]);
    }

    #[test]
    fn senseless_shapes_are_refused_and_sensible_ones_translate() {
        let caps = Caps::baseline(crate::gpu::AdapterClass::Discrete);
        let p = Params {
            n: 64,
            dim: 2,
            components: 8,
            sigma: 1.0,
            random: RANDOM,
            out_offset: 0,
        };
        shader::portability(&kernel(&caps, &p).unwrap().source).unwrap();
        let error = kernel(&caps, &Params { components: 0, ..p }).unwrap_err();
        assert!(
            matches!(
                error,
                KernelError::Parameter {
                    what: "components",
                    ..
                }
            ),
            "{error}"
        );
        let error = kernel(&caps, &Params { n: 1 << 31, ..p }).unwrap_err();
        assert!(matches!(error, KernelError::TooLarge { .. }), "{error}");
    }
}
