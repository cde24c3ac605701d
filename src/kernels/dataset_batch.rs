//! Batches from a data set that lies on the device as u8 (`shaders/dataset_batch.wgsl`), in shuffled order without
//! replacement; `data::permutation::Shuffle` is the reference of the order.
use super::random_source::{self, RandomSource};
use super::{KernelError, flat};
use crate::data::permutation;
use crate::gpu::{AdapterClass, Caps, Kernel, shader};

const NAME: &str = "dataset_batch";

/// Which image of a set is image i of a batch.
pub(super) const SHUFFLE_WGSL: &str = include_str!("../../shaders/lib/permutation.wgsl");

/// How a batch lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[channels, n, h, w]`: what convolutions take.
    ImagesCNHW,
    /// `[channels * h * w, n]`: what linear layers take.
    FeaturesFirst,
}

/// A batch of `n` of the set's `count` images, scaled to -1..1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    pub count: u32,
    pub channels: u32,
    pub h: u32,
    pub w: u32,
    pub n: u32,
    pub layout: Layout,
    /// `counters[counter_index]` is the number of the batch; batches follow each other through one epoch into the next.
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Bindings: 0 the set (`ImageSet::pixels`, four bytes a word, padded to whole words), 1 counters (u32),
/// 2 output (f32, written).
///
/// # Errors
/// [`KernelError::Parameter`] for an empty set, image or batch, or where `count * n` exceeds 2^32;
/// [`KernelError::TooLarge`] for a set of more than 2^32 bytes; [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    let sizes = [
        ("count", p.count),
        ("channels", p.channels),
        ("h", p.h),
        ("w", p.w),
        ("n", p.n),
    ];
    flat::check_positive(NAME, &sizes)?;
    let plane = u64::from(p.h) * u64::from(p.w);
    let image = plane.saturating_mul(p.channels.into());
    let set = image.saturating_mul(p.count.into());
    let limit = crate::data::MAX_SET_BYTES;
    if set > limit {
        return Err(KernelError::TooLarge {
            kernel: NAME,
            what: "data set",
            end: set,
            limit,
        });
    }
    check_epochs(NAME, p.count, p.n)?;
    flat::check_end(NAME, "output", p.out_offset, image * u64::from(p.n))?;

    // A CPU's invocations are worth more work each; a GPU's neighbours should write neighbouring memory.
    let span = if caps.class == AdapterClass::Software {
        16
    } else {
        4
    };
    let spans = image.div_ceil(span);
    let features_first = u32::from(p.layout == Layout::FeaturesFirst);
    let half_bits = permutation::half_bits(p.count);
    // Checked above: image * n is below 2^32.
    let (image, plane, spans, span) = (image as u32, plane as u32, spans as u32, span as u32);
    let mut immediates = vec![
        p.count,
        p.n,
        image,
        plane,
        span,
        spans,
        features_first,
        half_bits,
    ];
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    Ok(Kernel {
        label: NAME.into(),
        source: shader::join(&[
            random_source::WGSL,
            SHUFFLE_WGSL,
            flat::WGSL,
            include_str!("../../shaders/dataset_batch.wgsl"),
        ])
        .into(),
        grid: flat::grid(NAME, caps, u64::from(spans) * u64::from(p.n))?,
        immediates,
    })
}

/// Refuses a set and a batch whose places in an epoch 32 bits cannot count.
pub(super) fn check_epochs(kernel: &'static str, count: u32, n: u32) -> Result<(), KernelError> {
    let pairs = u64::from(count) * u64::from(n);
    if pairs > 1 << 32 {
        return Err(KernelError::Parameter {
            kernel,
            what: "count * n",
            got: pairs.to_string(),
            expected: "at most 2^32: use a smaller batch".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::permutation::Shuffle;
    use crate::gpu::testing::{assert_close, close, gpu, nan_buffer, read_f32};

    const RANDOM: RandomSource = RandomSource {
        seed: 0x1_0000_0002,
        stream: 6,
        counter_index: 1,
    };

    fn pixels(p: &Params) -> Vec<u8> {
        let len = p.count * p.channels * p.h * p.w;
        (0..len)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    fn reference(p: &Params, batch: u32) -> Vec<f64> {
        let pixels = pixels(p);
        let shuffle = Shuffle {
            seed: p.random.seed,
            stream: p.random.stream,
            count: p.count,
        };
        let (n, plane) = (p.n as usize, (p.h * p.w) as usize);
        let image_len = p.channels as usize * plane;
        let mut out = vec![f64::NAN; n * image_len];
        for i in 0..n {
            let element = shuffle.index(batch, p.n, i as u32) as usize;
            for j in 0..image_len {
                let place = match p.layout {
                    Layout::ImagesCNHW => (j / plane * n + i) * plane + j % plane,
                    Layout::FeaturesFirst => j * n + i,
                };
                out[place] = f64::from(pixels[element * image_len + j]) / 127.5 - 1.0;
            }
        }
        out
    }

    fn run(p: &Params, batch: u32, caps: Option<Caps>) -> Vec<f32> {
        let gpu = gpu();
        let set = gpu.buffer_from("set", &pixels(p)).unwrap();
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&[0, batch]))
            .unwrap();
        let len = p.out_offset + p.n * p.channels * p.h * p.w + 3;
        let output = nan_buffer(&gpu, "output", len as usize);
        let kernel = kernel(&caps.unwrap_or_else(|| gpu.caps().clone()), p).unwrap();
        gpu.submit([&gpu.prepare(&kernel, &[&set, &counters, &output]).unwrap()])
            .unwrap();
        read_f32(&gpu, &output)
    }

    const SHAPES: [(u32, u32, u32, u32, u32, u32, u32); 8] = [
        // count, channels, h, w, n, out_offset, batch
        (1, 1, 1, 1, 1, 0, 0),
        (2, 1, 3, 3, 5, 1, 3),
        (17, 3, 5, 7, 16, 0, 1),
        (17, 3, 5, 7, 33, 4, 100),
        (1000, 1, 4, 4, 15, 0, 66),
        (1000, 3, 2, 9, 17, 9, 4_000_000_000),
        (60_000, 1, 1, 3, 64, 0, 937),
        (5, 1, 28, 28, 64, 0, 7),
    ];

    fn cases() -> impl Iterator<Item = (Params, u32)> {
        SHAPES
            .into_iter()
            .flat_map(|(count, channels, h, w, n, out_offset, batch)| {
                [Layout::ImagesCNHW, Layout::FeaturesFirst].map(|layout| {
                    (
                        Params {
                            count,
                            channels,
                            h,
                            w,
                            n,
                            layout,
                            random: RANDOM,
                            out_offset,
                        },
                        batch,
                    )
                })
            })
    }

    #[test]
    fn gathers_what_the_cpu_gathers() {
        let gpu = gpu();
        for class in [AdapterClass::Software, AdapterClass::Discrete] {
            let caps = Caps {
                class,
                ..gpu.caps().clone()
            };
            for (p, batch) in cases() {
                let got = run(&p, batch, Some(caps.clone()));
                let want = reference(&p, batch);
                let (from, to) = (p.out_offset as usize, p.out_offset as usize + want.len());
                // Division in WGSL is good to 2.5 units in the last place.
                assert_close(
                    &format!("{class:?} {p:?}"),
                    &got[from..to],
                    &want,
                    1e-6,
                    0.0,
                );
                assert!(
                    got[..from].iter().chain(&got[to..]).all(|v| v.is_nan()),
                    "wrote outside its output"
                );
            }
        }
    }

    #[test]
    fn the_comparison_catches_another_batch_seed_and_layout() {
        let p = Params {
            count: 100,
            channels: 3,
            h: 4,
            w: 4,
            n: 8,
            layout: Layout::ImagesCNHW,
            random: RANDOM,
            out_offset: 0,
        };
        let got = &run(&p, 5, None)[..8 * 48];
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
            Params {
                random: RandomSource {
                    stream: 7,
                    ..RANDOM
                },
                ..p
            },
        ] {
            assert!(
                close(got, &reference(&other, 5), 1e-6, 0.0).is_err(),
                "{other:?}"
            );
        }
    }

    /// On the device itself: an epoch holds every image once, whatever the batch size.
    #[test]
    fn an_epoch_holds_every_image_once() {
        // One pixel per image, its value its number.
        let gpu = gpu();
        let set = gpu
            .buffer_from("set", &(0..=255).collect::<Vec<u8>>())
            .unwrap();
        let p = Params {
            count: 250,
            channels: 1,
            h: 1,
            w: 1,
            n: 40,
            layout: Layout::FeaturesFirst,
            random: RANDOM,
            out_offset: 0,
        };
        let kernel = kernel(gpu.caps(), &p).unwrap();
        let counters = gpu.buffer("counters", 8).unwrap();
        let output = nan_buffer(&gpu, "output", 40);
        let dispatch = gpu.prepare(&kernel, &[&set, &counters, &output]).unwrap();
        let mut visited = Vec::new();
        for batch in 0..25u32 {
            gpu.upload(&counters, 4, &batch.to_le_bytes()).unwrap();
            gpu.submit([&dispatch]).unwrap();
            visited.extend(
                read_f32(&gpu, &output)
                    .into_iter()
                    .map(|v| ((v + 1.0) * 127.5).round() as u32),
            );
        }
        let epochs: Vec<&[u32]> = visited.chunks(250).collect();
        assert_eq!(epochs.len(), 4);
        for epoch in &epochs {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..250));
        }
        assert_ne!(epochs[0], epochs[1]);
    }

    #[test]
    fn limits_are_typed_errors() {
        let caps = Caps::baseline(AdapterClass::Software);
        let p = Params {
            count: 60_000,
            channels: 1,
            h: 28,
            w: 28,
            n: 64,
            layout: Layout::ImagesCNHW,
            random: RANDOM,
            out_offset: 0,
        };
        kernel(&caps, &p).unwrap();
        let at_limit = Params {
            count: 1 << 16,
            channels: 1,
            h: 256,
            w: 256,
            ..p
        };
        kernel(&caps, &at_limit).unwrap();
        let error = kernel(
            &caps,
            &Params {
                count: (1 << 16) + 1,
                ..at_limit
            },
        )
        .unwrap_err();
        assert!(
            matches!(
                error,
                KernelError::TooLarge {
                    what: "data set",
                    limit: 0x1_0000_0000,
                    ..
                }
            ),
            "{error}"
        );
        let error = kernel(
            &caps,
            &Params {
                count: 1 << 30,
                h: 1,
                w: 1,
                n: 5,
                ..p
            },
        )
        .unwrap_err();
        assert!(
            matches!(
                error,
                KernelError::Parameter {
                    what: "count * n",
                    ..
                }
            ),
            "{error}"
        );
        let error = kernel(&caps, &Params { count: 0, ..p }).unwrap_err();
        assert!(
            matches!(error, KernelError::Parameter { what: "count", .. }),
            "{error}"
        );
        let error = kernel(
            &caps,
            &Params {
                out_offset: !0,
                ..p
            },
        )
        .unwrap_err();
        assert!(
            matches!(error, KernelError::TooLarge { what: "output", .. }),
            "{error}"
        );
        let error = kernel(
            &caps,
            &Params {
                h: !0,
                w: !0,
                channels: !0,
                ..p
            },
        )
        .unwrap_err();
        assert!(matches!(error, KernelError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn translates_everywhere() {
        for (p, _) in cases() {
            let caps = Caps::baseline(AdapterClass::Discrete);
            shader::portability(&kernel(&caps, &p).unwrap().source).unwrap();
        }
    }
}
