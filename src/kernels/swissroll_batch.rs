//! Samples of the swiss roll, drawn on the device (`shaders/swissroll_batch.wgsl`); `data::toy::SwissRoll` is the
//! reference.
use super::random_source::{self, RandomSource};
use super::{KernelError, flat};
use crate::gpu::{Caps, Kernel, shader};

const NAME: &str = "swissroll_batch";

/// `n` samples of the roll, `[2, n]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    pub n: u32,
    /// Standard deviation, in the roll's own units, before the division by `scale`.
    pub noise: f32,
    pub scale: f32,
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Bindings: 0 counters (u32), 1 output (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    flat::check_positive(NAME, &[("n", p.n)])?;
    flat::check_end(NAME, "output", p.out_offset, 2 * u64::from(p.n))?;
    let mut immediates = vec![p.n, p.noise.to_bits(), p.scale.to_bits()];
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    Ok(Kernel {
        label: NAME.into(),
        source: shader::join(&[
            random_source::WGSL,
            flat::WGSL,
            include_str!("../../shaders/swissroll_batch.wgsl"),
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
    use crate::data::toy::{Distribution, ToySet, features_first};
    use crate::gpu::testing::{assert_close, close, gpu, nan_buffer, read_f32};

    const RANDOM: RandomSource = RandomSource {
        seed: 5,
        stream: 2,
        counter_index: 1,
    };

    fn run(n: u32, out_offset: u32, step: u32) -> Vec<f32> {
        let gpu = gpu();
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&[0, step]))
            .unwrap();
        let output = nan_buffer(&gpu, "output", (out_offset + 2 * n + 3) as usize);
        let p = Params {
            n,
            noise: 0.25,
            scale: 7.5,
            random: RANDOM,
            out_offset,
        };
        let kernel = kernel(gpu.caps(), &p).unwrap();
        gpu.submit([&gpu.prepare(&kernel, &[&counters, &output]).unwrap()])
            .unwrap();
        read_f32(&gpu, &output)
    }

    #[test]
    fn draws_what_the_cpu_draws() {
        let Distribution::SwissRoll(roll) = ToySet::SwissRoll.distribution() else {
            panic!()
        };
        for (n, out_offset, step) in [(1, 0, 0), (63, 5, 1), (65, 0, 2), (513, 2, 3)] {
            let got = run(n, out_offset, step);
            let points = roll.sample(&Stream::new(RANDOM.seed, RANDOM.stream, step), n as usize);
            let want: Vec<f64> = features_first(&points).into_iter().map(f64::from).collect();
            let (from, to) = (out_offset as usize, out_offset as usize + want.len());
            // WGSL bounds sin and cos by 2^-11; t is at most 14.2 and divided by 7.5.
            assert_close(&format!("n {n}"), &got[from..to], &want, 1e-3, 0.0);
            assert!(
                got[..from].iter().chain(&got[to..]).all(|v| v.is_nan()),
                "wrote outside its output"
            );
            let mut swapped = want.clone();
            swapped.rotate_left(n as usize);
            assert!(close(&got[from..to], &swapped, 1e-3, 0.0).is_err());
        }
    }

    #[test]
    fn senseless_shapes_are_refused_and_sensible_ones_translate() {
        let caps = Caps::baseline(crate::gpu::AdapterClass::Discrete);
        let p = Params {
            n: 64,
            noise: 0.25,
            scale: 7.5,
            random: RANDOM,
            out_offset: 0,
        };
        shader::portability(&kernel(&caps, &p).unwrap().source).unwrap();
        assert!(matches!(
            kernel(&caps, &Params { n: 0, ..p }),
            Err(KernelError::Parameter { .. })
        ));
        assert!(matches!(
            kernel(&caps, &Params { n: !0, ..p }),
            Err(KernelError::TooLarge { .. })
        ));
    }
}
