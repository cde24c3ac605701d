//! Random digits drawn on the device (`shaders/glyphs.wgsl`); `data::glyphs` is the reference.
use super::random_source::{self, RandomSource};
use super::{KernelError, flat};
use crate::gpu::{Caps, Kernel, shader};

const NAME: &str = "glyphs";

/// Which digit a sample is.
pub(super) const DIGIT_WGSL: &str = include_str!("../../shaders/lib/glyph_digit.wgsl");

/// A batch of drawn digits, `[1, n, h, w]` in -1..1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    pub n: u32,
    pub h: u32,
    pub w: u32,
    /// Sample i of the batch is `data::glyphs::Pose::random(stream of this source, i)`.
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Bindings: 0 segment table (`data::glyphs::table()`, f32), 1 counters (u32), 2 output (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch or image, [`KernelError::TooLarge`], [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    flat::check_positive(NAME, &[("n", p.n), ("h", p.h), ("w", p.w)])?;
    let rows = u64::from(p.n) * u64::from(p.h);
    flat::check_end(
        NAME,
        "output",
        p.out_offset,
        rows.saturating_mul(p.w.into()),
    )?;
    let quads = p.w.div_ceil(4);
    let mut immediates = vec![p.n, p.h, p.w, quads];
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    Ok(Kernel {
        label: NAME.into(),
        source: shader::join(&[
            random_source::WGSL,
            DIGIT_WGSL,
            flat::WGSL,
            include_str!("../../shaders/glyphs.wgsl"),
        ])
        .into(),
        grid: flat::grid(NAME, caps, rows * u64::from(quads))?,
        immediates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::glyphs::{Pose, render, table};
    use crate::data::rng::Stream;
    use crate::gpu::testing::{assert_close, buffer_of, close, gpu, nan_buffer, read_f32};

    const RANDOM: RandomSource = RandomSource {
        seed: 0xfeed_5eed_1234,
        stream: 3,
        counter_index: 2,
    };

    fn reference(p: &Params, step: u32) -> Vec<f64> {
        let stream = Stream::new(p.random.seed, p.random.stream, step);
        let draw = |i| {
            let (label, pose) = Pose::random(&stream, i);
            render(label, &pose, p.h as usize, p.w as usize)
        };
        (0..p.n)
            .flat_map(draw)
            .map(|coverage| 2.0 * coverage - 1.0)
            .collect()
    }

    /// The drawn batch with `out_offset` NaNs before it and five after, as they were left.
    fn run(p: &Params, step: u32) -> Vec<f32> {
        let gpu = gpu();
        let segments = buffer_of(&gpu, "segments", &table());
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&[9, 9, step, 9]))
            .unwrap();
        let output = nan_buffer(
            &gpu,
            "output",
            (p.out_offset + p.n * p.h * p.w + 5) as usize,
        );
        let kernel = kernel(gpu.caps(), p).unwrap();
        gpu.submit([&gpu
            .prepare(&kernel, &[&segments, &counters, &output])
            .unwrap()])
            .unwrap();
        read_f32(&gpu, &output)
    }

    #[test]
    fn draws_what_the_cpu_draws() {
        for (n, h, w, out_offset, step) in [
            (33, 28, 28, 0, 0),
            (5, 17, 31, 7, 1),
            (3, 33, 15, 16, 99),
            (1, 64, 64, 0, 5),
            (2, 3, 1, 1, 4),
        ] {
            let p = Params {
                n,
                h,
                w,
                random: RANDOM,
                out_offset,
            };
            let got = run(&p, step);
            let (from, to) = (out_offset as usize, (out_offset + n * h * w) as usize);
            assert_close(
                &format!("{p:?}"),
                &got[from..to],
                &reference(&p, step),
                2e-4,
                0.0,
            );
            assert!(
                got[..from].iter().chain(&got[to..]).all(|v| v.is_nan()),
                "wrote outside its output"
            );
        }
    }

    /// The comparison above must notice another step, seed or stream, and one pixel of displacement.
    #[test]
    fn the_comparison_catches_other_numbers_and_displacements() {
        let p = Params {
            n: 4,
            h: 28,
            w: 28,
            random: RANDOM,
            out_offset: 0,
        };
        let got = &run(&p, 6)[..4 * 784];
        close(got, &reference(&p, 6), 2e-4, 0.0).unwrap();
        assert!(close(got, &reference(&p, 7), 2e-4, 0.0).is_err());
        for random in [
            RandomSource { seed: 1, ..RANDOM },
            RandomSource {
                stream: 4,
                ..RANDOM
            },
        ] {
            assert!(close(got, &reference(&Params { random, ..p }, 6), 2e-4, 0.0).is_err());
        }
        let mut moved = reference(&p, 6);
        moved.rotate_right(1);
        assert!(close(got, &moved, 2e-4, 0.0).is_err());
    }

    #[test]
    fn senseless_shapes_are_refused() {
        let caps = Caps::baseline(crate::gpu::AdapterClass::Software);
        let p = Params {
            n: 64,
            h: 28,
            w: 28,
            random: RANDOM,
            out_offset: 0,
        };
        assert!(matches!(
            kernel(&caps, &Params { h: 0, ..p }),
            Err(KernelError::Parameter { what: "h", .. })
        ));
        assert!(matches!(
            kernel(&caps, &Params { n: 1 << 30, ..p }),
            Err(KernelError::TooLarge { .. })
        ));
        assert!(matches!(
            kernel(
                &caps,
                &Params {
                    out_offset: !0,
                    ..p
                }
            ),
            Err(KernelError::TooLarge { .. })
        ));
    }

    #[test]
    fn translates_everywhere() {
        let caps = Caps::baseline(crate::gpu::AdapterClass::Discrete);
        let p = Params {
            n: 64,
            h: 28,
            w: 28,
            random: RANDOM,
            out_offset: 0,
        };
        shader::portability(&kernel(&caps, &p).unwrap().source).unwrap();
    }
}
