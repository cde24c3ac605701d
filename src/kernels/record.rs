//! The end of every program (`shaders/record.wgsl`): its scalars go into a ring that the host reads now and then, its counters advance.
use crate::gpu::{Caps, Kernel};
use std::num::NonZeroU32;

const SOURCE: &str = include_str!("../../shaders/record.wgsl");

/// Adds `by` to the counter at `index`, modulo 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Increment {
    pub index: u32,
    pub by: u32,
}

/// What is copied, and which counters advance.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Scalars per row.
    pub count: u32,
    /// First scalar in its buffer.
    pub scalars_offset: u32,
    /// Rows of the ring.
    pub rows: NonZeroU32,
    /// Index of the counter that picks the row, as it is before the increments.
    pub tick: u32,
    /// Adding zero (the default) to counter 0 changes nothing.
    pub increments: [Increment; 4],
}

/// Bindings: 0 scalars (f32), 1 ring (f32, `rows` x `count`, written), 2 counters (u32, read and written).
pub fn kernel(_caps: &Caps, p: &Params) -> Kernel {
    let mut immediates = vec![p.count, p.scalars_offset, p.rows.get(), p.tick];
    immediates.extend(p.increments.iter().flat_map(|i| [i.index, i.by]));
    Kernel {
        label: "record".into(),
        source: SOURCE.into(),
        grid: [1, 1, 1],
        immediates,
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::testing::{assert_portable, mutated, run};
    use super::*;
    use crate::gpu::testing::{buffer_of, gpu, nan_buffer, read_f32};

    fn params() -> Params {
        let mut increments = [Increment::default(); 4];
        increments[0] = Increment { index: 1, by: 1 };
        increments[1] = Increment { index: 3, by: 64 };
        // The same counter twice: both count.
        increments[2] = Increment { index: 3, by: 1 };
        Params {
            count: 3,
            scalars_offset: 2,
            rows: NonZeroU32::new(4).unwrap(),
            tick: 1,
            increments,
        }
    }

    /// Ring and counters after `executions` of the kernel, with scalars 100 t + i in execution t.
    fn after(kernel: &Kernel, executions: u32) -> (Vec<f32>, Vec<u32>) {
        let gpu = gpu();
        let ring = nan_buffer(&gpu, "ring", 13);
        let counters = [50u32, 5, 70, u32::MAX - 99];
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&counters))
            .unwrap();
        for t in 0..executions {
            let scalars: Vec<f32> = (0..6).map(|i| (100 * t + i) as f32).collect();
            let scalars = buffer_of(&gpu, "scalars", &scalars);
            run(&gpu, kernel, &[&scalars, &ring, &counters]);
        }
        let bytes = gpu.download(&counters, 0..16).unwrap();
        (read_f32(&gpu, &ring), bytemuck::pod_collect_to_vec(&bytes))
    }

    #[test]
    fn rows_go_round_and_counters_advance() {
        let kernel = kernel(gpu().caps(), &params());
        let (ring, counters) = after(&kernel, 5);
        assert_eq!(counters, [50, 10, 70, 225]); // modulo 2^32
        // Executions 0 .. 4 wrote rows 5, 6, 7, 8, 9 modulo 4: rows 1, 2, 3, 0, 1.
        let row = |t: i32| [100 * t + 2, 100 * t + 3, 100 * t + 4].map(|v| v as f32);
        assert_eq!(ring[..12], [row(3), row(4), row(1), row(2)].concat());
        assert!(ring[12].is_nan());
        let (ring, _) = after(&kernel, 1);
        assert!(ring[..3].iter().chain(&ring[6..]).all(|v| v.is_nan()));
    }

    #[test]
    fn mutations_are_caught() {
        let kernel = kernel(gpu().caps(), &params());
        let expected = after(&kernel, 4);
        for (from, to) in [
            ("im.scalars_offset + i", "i"),
            ("% im.rows", "% (im.rows - 1u)"),
            ("counters[im.index2] +=", "counters[im.index2] ="),
        ] {
            assert_ne!(
                after(&mutated(&kernel, from, to), 4),
                expected,
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn portable() {
        assert_portable(|caps| vec![kernel(caps, &params())]);
    }
}
