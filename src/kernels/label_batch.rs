//! The labels that go with a batch, found on the device (`shaders/label_batch.wgsl`, `shaders/label/*.wgsl`) by the draw of
//! the images themselves: label i of a batch is that of image i of `dataset_batch`, `glyphs` or `mixture_batch` with the same
//! [`RandomSource`] and batch size.
use super::random_source::{self, RandomSource};
use super::{KernelError, dataset_batch, flat, glyphs, mixture_batch};
use crate::data::permutation;
use crate::gpu::{Caps, Kernel, shader};

const NAME: &str = "label_batch";

/// Labels from here on are not whole numbers in f32.
pub const MAX_LABELS: u32 = 1 << 24;

/// What the labels belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// One label for each of the `count` images of a set, drawn as by `dataset_batch`. The third binding holds them (u32).
    Set { count: u32 },
    /// The digits that `glyphs` draws.
    Glyphs,
    /// Which of the components a point of `mixture_batch` comes from. The third binding is the mixture's table (f32).
    Mixture { components: u32 },
}

/// The labels of a batch of `n`, `[n]`, as whole numbers in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    pub labels: Labels,
    pub n: u32,
    /// That of the images: `counters[counter_index]` is the number of the batch.
    pub random: RandomSource,
    /// Of the first output, in elements.
    pub out_offset: u32,
}

/// Bindings: 0 counters (u32), 1 output (f32, written), 2 what [`Labels`] says, if anything.
///
/// # Errors
/// [`KernelError::Parameter`] for an empty batch, set or mixture, or where the `count` of a set times `n` exceeds 2^32;
/// [`KernelError::TooLarge`]; [`KernelError::Grid`].
pub fn kernel(caps: &Caps, p: &Params) -> Result<Kernel, KernelError> {
    flat::check_positive(NAME, &[("n", p.n)])?;
    flat::check_end(NAME, "output", p.out_offset, p.n.into())?;
    let (numbers, draw, label_of) = match p.labels {
        Labels::Set { count } => {
            flat::check_positive(NAME, &[("count", count)])?;
            dataset_batch::check_epochs(NAME, count, p.n)?;
            let label_of = include_str!("../../shaders/label/set.wgsl");
            let numbers = [count, permutation::half_bits(count)];
            (numbers, dataset_batch::SHUFFLE_WGSL, label_of)
        }
        Labels::Glyphs => {
            let label_of = include_str!("../../shaders/label/glyphs.wgsl");
            ([0, 0], glyphs::DIGIT_WGSL, label_of)
        }
        Labels::Mixture { components } => {
            flat::check_positive(NAME, &[("components", components)])?;
            let label_of = include_str!("../../shaders/label/mixture.wgsl");
            ([components, 0], mixture_batch::COMPONENT_WGSL, label_of)
        }
    };
    let mut immediates = vec![p.n];
    immediates.extend(numbers);
    immediates.extend(p.random.words());
    immediates.push(p.out_offset);
    Ok(Kernel {
        label: NAME.into(),
        source: shader::join(&[
            random_source::WGSL,
            draw,
            flat::WGSL,
            label_of,
            include_str!("../../shaders/label_batch.wgsl"),
        ])
        .into(),
        grid: flat::grid(NAME, caps, p.n.into())?,
        immediates,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::glyphs::{Pose, table};
    use crate::data::permutation::Shuffle;
    use crate::data::rng::Stream;
    use crate::data::toy::{Distribution, Mixture, ToySet};
    use crate::gpu::testing::{assert_close, buffer_of, close, gpu, nan_buffer, read_f32};
    use crate::gpu::{Buffer, Gpu};

    const RANDOM: RandomSource = RandomSource {
        seed: 0x3_0000_0004,
        stream: 8,
        counter_index: 1,
    };

    /// The label of each image of a set: not monotonic, so that a displaced draw shows.
    fn set_labels(count: u32) -> Vec<u32> {
        let label = |i: u32| i.wrapping_mul(2_654_435_761) >> 28;
        (0..count).map(label).collect()
    }

    fn mixture() -> Mixture<2> {
        Mixture {
            centres: vec![[0.0, 1.0], [9.0; 2], [-4.0, -5.0], [3.0, -3.0]],
            sigma: 0.5,
            weights: vec![0.2, 0.0, 0.5, 0.3],
        }
    }

    fn reference(p: &Params, batch: u32) -> Vec<f64> {
        let stream = Stream::new(p.random.seed, p.random.stream, batch);
        let label = |i: u32| match p.labels {
            Labels::Set { count } => {
                let shuffle = Shuffle {
                    seed: p.random.seed,
                    stream: p.random.stream,
                    count,
                };
                set_labels(count)[shuffle.index(batch, p.n, i) as usize]
            }
            Labels::Glyphs => Pose::random(&stream, i).0,
            Labels::Mixture { .. } => mixture().component(&stream, i) as u32,
        };
        (0..p.n).map(|i| f64::from(label(i))).collect()
    }

    /// The third binding.
    fn table_of(gpu: &Gpu, labels: Labels) -> Option<Buffer> {
        match labels {
            Labels::Set { count } => {
                let labels = set_labels(count);
                let bytes = bytemuck::cast_slice(&labels);
                Some(gpu.buffer_from("labels", bytes).unwrap())
            }
            Labels::Glyphs => None,
            Labels::Mixture { .. } => Some(buffer_of(gpu, "mixture", &mixture().table())),
        }
    }

    /// The output with `out_offset` NaNs before it and three after, as they were left.
    fn run(p: &Params, batch: u32, caps: &Caps) -> Vec<f32> {
        let gpu = gpu();
        let counters = bytemuck::cast_slice(&[9, batch]).to_vec();
        let counters = gpu.buffer_from("counters", &counters).unwrap();
        let output = nan_buffer(&gpu, "output", (p.out_offset + p.n + 3) as usize);
        let table = table_of(&gpu, p.labels);
        let mut buffers = vec![&counters, &output];
        buffers.extend(&table);
        let kernel = kernel(caps, p).unwrap();
        gpu.submit([&gpu.prepare(&kernel, &buffers).unwrap()])
            .unwrap();
        read_f32(&gpu, &output)
    }

    fn cases() -> Vec<(Params, u32)> {
        let sizes = [(1, 0, 0), (15, 4, 3), (64, 0, 66), (65, 1, 4_000_000_000)];
        let kinds = [
            Labels::Set { count: 1 },
            Labels::Set { count: 17 },
            Labels::Set { count: 1000 },
            Labels::Set { count: 60_000 },
            Labels::Glyphs,
            Labels::Mixture { components: 4 },
        ];
        let case = |labels, (n, out_offset, batch)| {
            let random = RANDOM;
            let params = Params {
                labels,
                n,
                random,
                out_offset,
            };
            (params, batch)
        };
        let all = kinds.into_iter();
        all.flat_map(|labels| sizes.map(|size| case(labels, size)))
            .collect()
    }

    #[test]
    fn finds_what_the_cpu_finds() {
        let caps = gpu().caps().clone();
        for (p, batch) in cases() {
            let got = run(&p, batch, &caps);
            let want = reference(&p, batch);
            let (from, to) = (p.out_offset as usize, p.out_offset as usize + want.len());
            assert_close(&format!("{p:?}"), &got[from..to], &want, 0.0, 0.0);
            assert!(
                got[..from].iter().chain(&got[to..]).all(|v| v.is_nan()),
                "wrote outside its output"
            );
        }
    }

    #[test]
    fn the_comparison_catches_another_batch_seed_stream_and_place() {
        let caps = gpu().caps().clone();
        for labels in [
            Labels::Set { count: 1000 },
            Labels::Glyphs,
            Labels::Mixture { components: 4 },
        ] {
            let p = Params {
                labels,
                n: 40,
                random: RANDOM,
                out_offset: 0,
            };
            let got = &run(&p, 5, &caps)[..40];
            close(got, &reference(&p, 5), 0.0, 0.0).unwrap();
            assert!(close(got, &reference(&p, 6), 0.0, 0.0).is_err());
            for random in [
                RandomSource { seed: 2, ..RANDOM },
                RandomSource {
                    stream: 7,
                    ..RANDOM
                },
            ] {
                let other = reference(&Params { random, ..p }, 5);
                assert!(close(got, &other, 0.0, 0.0).is_err(), "{random:?}");
            }
            let mut moved = reference(&p, 5);
            moved.rotate_right(1);
            assert!(close(got, &moved, 0.0, 0.0).is_err());
        }
    }

    /// Every draw of the image kernels and of this one, batch after batch: an image carries its label in its pixels, and both must
    /// stay together through epochs that the batch size does not divide.
    #[test]
    fn image_and_label_stay_together_across_epochs() {
        let gpu = gpu();
        // Seven classes; pixel 0 of an image is its label, pixel 1 its number: two images never look alike.
        let (count, n) = (50u32, 16u32);
        let labels: Vec<u32> = (0..count).map(|i| (i * i + 3) % 7).collect();
        let pixels: Vec<u8> = (0..count)
            .flat_map(|i| [labels[i as usize] as u8, i as u8, 0, 0])
            .collect();
        let images = dataset_batch::Params {
            count,
            channels: 1,
            h: 2,
            w: 2,
            n,
            layout: dataset_batch::Layout::ImagesCNHW,
            random: RANDOM,
            out_offset: 0,
        };
        let p = Params {
            labels: Labels::Set { count },
            n,
            random: RANDOM,
            out_offset: 0,
        };
        let set = gpu.buffer_from("set", &pixels).unwrap();
        let label_buffer = gpu.buffer_from("labels", bytemuck::cast_slice(&labels));
        let label_buffer = label_buffer.unwrap();
        let counters = gpu.buffer("counters", 8).unwrap();
        let (batch, found) = (nan_buffer(&gpu, "batch", 64), nan_buffer(&gpu, "found", 16));
        let draw = dataset_batch::kernel(gpu.caps(), &images).unwrap();
        let draw = gpu.prepare(&draw, &[&set, &counters, &batch]).unwrap();
        let label = kernel(gpu.caps(), &p).unwrap();
        let label = gpu.prepare(&label, &[&counters, &found, &label_buffer]);
        let label = label.unwrap();
        let mut visited = vec![];
        // 25 batches of 16 are eight epochs of 50; every second one begins within a batch.
        for number in 0..25u32 {
            gpu.upload(&counters, 4, &number.to_le_bytes()).unwrap();
            gpu.submit([&draw, &label]).unwrap();
            let images = read_f32(&gpu, &batch);
            let bytes = images.iter().map(|v| ((v + 1.0) * 127.5).round() as u8);
            let bytes: Vec<u8> = bytes.collect();
            for (image, label) in bytes.chunks(4).zip(read_f32(&gpu, &found)) {
                assert_eq!(f32::from(image[0]), label, "batch {number}");
                visited.push(image[1]);
            }
        }
        for epoch in visited.chunks(50) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..50));
        }
    }

    /// The digit that `glyphs` draws is the one that this kernel names: the drawing in the named digit's skeleton, pose for pose.
    #[test]
    fn a_drawn_digit_is_the_one_named() {
        let gpu = gpu();
        let n = 33;
        let images = glyphs::Params {
            n,
            h: 20,
            w: 20,
            random: RANDOM,
            out_offset: 0,
        };
        let counters = bytemuck::cast_slice(&[0u32, 12]).to_vec();
        let counters = gpu.buffer_from("counters", &counters).unwrap();
        let strokes = buffer_of(&gpu, "strokes", &table());
        let batch = nan_buffer(&gpu, "batch", (n * 400) as usize);
        let draw = glyphs::kernel(gpu.caps(), &images).unwrap();
        let draw = gpu.prepare(&draw, &[&strokes, &counters, &batch]).unwrap();
        gpu.submit([&draw]).unwrap();
        let p = Params {
            labels: Labels::Glyphs,
            n,
            random: RANDOM,
            out_offset: 0,
        };
        let named = run(&p, 12, gpu.caps());
        let stream = Stream::new(RANDOM.seed, RANDOM.stream, 12);
        let images = read_f32(&gpu, &batch);
        let fits = |i: usize, digit: u32| {
            let (_, pose) = Pose::random(&stream, i as u32);
            let drawing = crate::data::glyphs::render(digit, &pose, 20, 20);
            let want: Vec<f64> = drawing.into_iter().map(|c| 2.0 * c - 1.0).collect();
            close(&images[i * 400..(i + 1) * 400], &want, 2e-4, 0.0).is_ok()
        };
        for i in 0..n as usize {
            for digit in 0..10 {
                assert_eq!(fits(i, digit), named[i] == digit as f32, "{i} {digit}");
            }
        }
    }

    /// A point of a mixture with narrow components lies at the centre that this kernel names.
    #[test]
    fn a_point_lies_at_the_component_named() {
        let gpu = gpu();
        let Distribution::Mixture2(ring) = ToySet::Ring8.distribution() else {
            panic!()
        };
        let n = 257;
        let points = mixture_batch::Params {
            n,
            dim: 2,
            components: 8,
            sigma: ring.sigma,
            random: RANDOM,
            out_offset: 0,
        };
        let counters = bytemuck::cast_slice(&[0u32, 7]).to_vec();
        let counters = gpu.buffer_from("counters", &counters).unwrap();
        let table = buffer_of(&gpu, "mixture", &ring.table());
        let (batch, found) = (
            nan_buffer(&gpu, "batch", 2 * n as usize),
            nan_buffer(&gpu, "found", n as usize),
        );
        let draw = mixture_batch::kernel(gpu.caps(), &points).unwrap();
        let draw = gpu.prepare(&draw, &[&table, &counters, &batch]).unwrap();
        let p = Params {
            labels: Labels::Mixture { components: 8 },
            n,
            random: RANDOM,
            out_offset: 0,
        };
        let label = kernel(gpu.caps(), &p).unwrap();
        let label = gpu.prepare(&label, &[&counters, &found, &table]).unwrap();
        gpu.submit([&draw, &label]).unwrap();
        let (xy, found) = (read_f32(&gpu, &batch), read_f32(&gpu, &found));
        let mut seen = [false; 8];
        for i in 0..n as usize {
            let k = found[i] as usize;
            let [x, y] = ring.centres[k];
            let away = (xy[i] - x).hypot(xy[n as usize + i] - y);
            // Six sigma; the next centre is 76 away.
            assert!(away < 6.0 * ring.sigma, "point {i}, component {k}: {away}");
            seen[k] = true;
        }
        assert_eq!(seen, [true; 8]);
    }

    /// With a limit of three workgroups a side the nine of this batch fold into three rows.
    #[test]
    fn a_folded_grid_finds_the_same() {
        let whole = gpu().caps().clone();
        let folded = Caps {
            max_workgroups_per_dim: 3,
            ..whole.clone()
        };
        let p = Params {
            labels: Labels::Set { count: 1000 },
            n: 513,
            random: RANDOM,
            out_offset: 0,
        };
        assert_eq!(kernel(&folded, &p).unwrap().grid, [3, 3, 1]);
        assert_eq!(run(&p, 2, &folded)[..513], run(&p, 2, &whole)[..513]);
    }

    #[test]
    fn senseless_shapes_are_refused_and_sensible_ones_translate() {
        let caps = Caps::baseline(crate::gpu::AdapterClass::Discrete);
        for (p, _) in cases() {
            shader::portability(&kernel(&caps, &p).unwrap().source).unwrap();
        }
        let p = cases()[0].0;
        let with = |labels| kernel(&caps, &Params { labels, ..p }).unwrap_err();
        for (error, name) in [
            (kernel(&caps, &Params { n: 0, ..p }).unwrap_err(), "n"),
            (with(Labels::Set { count: 0 }), "count"),
            (with(Labels::Mixture { components: 0 }), "components"),
            (
                kernel(
                    &caps,
                    &Params {
                        labels: Labels::Set { count: 1 << 30 },
                        n: 5,
                        ..p
                    },
                )
                .unwrap_err(),
                "count * n",
            ),
        ] {
            assert!(
                matches!(error, KernelError::Parameter { what, kernel: NAME, .. } if what == name),
                "{error}"
            );
        }
        let out_offset = !0;
        let error = kernel(&caps, &Params { out_offset, ..p }).unwrap_err();
        assert!(matches!(error, KernelError::TooLarge { .. }), "{error}");
    }
}
