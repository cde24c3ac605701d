//! Batches of Stacked-MNIST, drawn on the device from a grey set that lies there as u8 (`shaders/stacked_batch.wgsl`);
//! `data::stacked` is the reference of the draw.
use super::dataset_batch::Layout;
use super::random_source::{self, RandomSource};
use super::{KernelError, flat};
use crate::data::MAX_SET_BYTES;
use crate::data::stacked::CHANNELS;
use crate::gpu::{AdapterClass, Caps, Kernel, shader};

const NAME: &str = "stacked_batch";

/// A batch of `n` images of three channels, each one of the set's `count` grey images, scaled to -1..1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    pub count: u32,
    pub h: u32,
    pub w: u32,
    pub n: u32,
    pub layout: Layout,
    /// Image i of the batch is `data::stacked::elements(stream of this source, i, count)`.
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Bindings: 0 the set (`ImageSet::pixels`, four bytes a word, padded to whole words), 1 counters (u32), 2 output (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty set, image or batch; [`KernelError::TooLarge`]; [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    let sizes = [("count", p.count), ("h", p.h), ("w", p.w), ("n", p.n)];
    flat::check_positive(NAME, &sizes)?;
    let plane = u64::from(p.h) * u64::from(p.w);
    let set = plane.saturating_mul(p.count.into());
    if set > MAX_SET_BYTES {
        return Err(KernelError::TooLarge {
            kernel: NAME,
            what: "data set",
            end: set,
            limit: MAX_SET_BYTES,
        });
    }
    let planes = CHANNELS as u64 * u64::from(p.n);
    let output = plane.saturating_mul(planes);
    flat::check_end(NAME, "output", p.out_offset, output)?;
    // As in dataset_batch.
    let span = match caps.class {
        AdapterClass::Software => 16,
        _ => 4,
    };
    let spans = plane.div_ceil(span);
    let features_first = u32::from(p.layout == Layout::FeaturesFirst);
    // Checked above: the whole output is below 2^32.
    let sizes = [plane, span, spans].map(|size| size as u32);
    let mut immediates = vec![p.count, p.n];
    immediates.extend(sizes);
    immediates.push(features_first);
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    Ok(Kernel {
        label: NAME.into(),
        source: shader::join(&[
            random_source::WGSL,
            flat::WGSL,
            include_str!("../../shaders/stacked_batch.wgsl"),
        ])
        .into(),
        grid: flat::grid(NAME, caps, spans * planes)?,
        immediates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Stream;
    use crate::data::stacked::elements;
    use crate::gpu::testing::{assert_close, close, gpu, nan_buffer, read_f32};

    const RANDOM: RandomSource = RandomSource {
        seed: 0x5_0000_0006,
        stream: 9,
        counter_index: 1,
    };

    fn pixels(p: &Params) -> Vec<u8> {
        let len = p.count * p.h * p.w;
        let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
        (0..len.next_multiple_of(4)).map(byte).collect()
    }

    fn reference(p: &Params, batch: u32) -> Vec<f64> {
        let pixels = pixels(p);
        let stream = Stream::new(p.random.seed, p.random.stream, batch);
        let (n, plane) = (p.n as usize, (p.h * p.w) as usize);
        let mut out = vec![f64::NAN; 3 * n * plane];
        for i in 0..n {
            for (c, element) in elements(&stream, i as u32, p.count).into_iter().enumerate() {
                for j in 0..plane {
                    let place = match p.layout {
                        Layout::ImagesCNHW => (c * n + i) * plane + j,
                        Layout::FeaturesFirst => (c * plane + j) * n + i,
                    };
                    let byte = pixels[element as usize * plane + j];
                    out[place] = f64::from(byte) / 127.5 - 1.0;
                }
            }
        }
        out
    }

    /// The output with `out_offset` NaNs before it and three after, as they were left.
    fn run(p: &Params, batch: u32, caps: &Caps) -> Vec<f32> {
        let gpu = gpu();
        let set = gpu.buffer_from("set", &pixels(p)).unwrap();
        let counters = bytemuck::cast_slice(&[0, batch]).to_vec();
        let counters = gpu.buffer_from("counters", &counters).unwrap();
        let len = p.out_offset + 3 * p.n * p.h * p.w + 3;
        let output = nan_buffer(&gpu, "output", len as usize);
        let kernel = kernel(caps, p).unwrap();
        gpu.submit([&gpu.prepare(&kernel, &[&set, &counters, &output]).unwrap()])
            .unwrap();
        read_f32(&gpu, &output)
    }

    fn cases() -> Vec<(Params, u32)> {
        let shapes = [
            // count, h, w, n, out_offset, batch
            (1, 1, 1, 1, 0, 0),
            (2, 3, 3, 5, 1, 3),
            (17, 5, 7, 16, 0, 1),
            (17, 5, 7, 33, 4, 4_000_000_000),
            (60_000, 1, 3, 64, 0, 937),
            (50, 28, 28, 15, 8, 7),
        ];
        let layouts = [Layout::ImagesCNHW, Layout::FeaturesFirst];
        let case = |(count, h, w, n, out_offset, batch), layout| {
            let random = RANDOM;
            let params = Params {
                count,
                h,
                w,
                n,
                layout,
                random,
                out_offset,
            };
            (params, batch)
        };
        let all = shapes.into_iter();
        all.flat_map(|shape| layouts.map(|layout| case(shape, layout)))
            .collect()
    }

    #[test]
    fn stacks_what_the_cpu_stacks() {
        for class in [AdapterClass::Software, AdapterClass::Discrete] {
            let caps = Caps {
                class,
                ..gpu().caps().clone()
            };
            for (p, batch) in cases() {
                let (got, want) = (run(&p, batch, &caps), reference(&p, batch));
                let (from, to) = (p.out_offset as usize, p.out_offset as usize + want.len());
                let label = format!("{class:?} {p:?}");
                // Division in WGSL is good to 2.5 units in the last place.
                assert_close(&label, &got[from..to], &want, 1e-6, 0.0);
                assert!(
                    got[..from].iter().chain(&got[to..]).all(|v| v.is_nan()),
                    "wrote outside its output"
                );
            }
        }
    }

    #[test]
    fn the_comparison_catches_another_batch_seed_layout_and_swapped_channels() {
        let p = Params {
            count: 100,
            h: 4,
            w: 4,
            n: 8,
            layout: Layout::ImagesCNHW,
            random: RANDOM,
            out_offset: 0,
        };
        let got = &run(&p, 5, gpu().caps())[..8 * 48];
        close(got, &reference(&p, 5), 1e-6, 0.0).unwrap();
        assert!(close(got, &reference(&p, 6), 1e-6, 0.0).is_err());
        for other in [
            Params {
                layout: Layout::FeaturesFirst,
                ..p
            },
            Params {
                random: RandomSource { seed: 2, ..RANDOM },
                ..p
            },
            Params { count: 99, ..p },
        ] {
            let want = reference(&other, 5);
            assert!(close(got, &want, 1e-6, 0.0).is_err(), "{other:?}");
        }
        let mut swapped = reference(&p, 5);
        swapped.rotate_right(8 * 16);
        assert!(close(got, &swapped, 1e-6, 0.0).is_err());
    }

    #[test]
    fn limits_are_typed_errors_and_every_case_translates() {
        let caps = Caps::baseline(AdapterClass::Discrete);
        for (p, _) in cases() {
            shader::portability(&kernel(&caps, &p).unwrap().source).unwrap();
        }
        let p = cases()[0].0;
        let error = kernel(&caps, &Params { count: 0, ..p }).unwrap_err();
        assert!(
            matches!(error, KernelError::Parameter { what: "count", .. }),
            "{error}"
        );
        for large in [
            Params {
                count: !0,
                h: 2,
                ..p
            },
            Params {
                h: !0,
                w: !0,
                n: !0,
                ..p
            },
            Params {
                out_offset: !0,
                ..p
            },
        ] {
            let error = kernel(&caps, &large).unwrap_err();
            assert!(matches!(error, KernelError::TooLarge { .. }), "{error}");
        }
    }
}
