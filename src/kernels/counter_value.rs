//! A device counter as a number that expressions can use (`shaders/counter_value.wgsl`): the step of an optimiser within a graph.
use crate::gpu::Kernel;

const SOURCE: &str = include_str!("../../shaders/counter_value.wgsl");

/// Which counter, and where its value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    pub index: u32,
    /// First element of the output in its buffer.
    pub y_offset: u32,
}

/// Bindings: 0 counters (u32), 1 y (f32, one element written).
pub fn kernel(p: &Params) -> Kernel {
    Kernel {
        label: "counter_value".into(),
        source: SOURCE.into(),
        grid: [1, 1, 1],
        immediates: vec![p.index, p.y_offset],
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::testing::{assert_portable, mutated, run};
    use super::*;
    use crate::gpu::testing::{gpu, nan_buffer, read_f32};

    const COUNTERS: [u32; 4] = [7, 0, 16_777_215, 3];

    fn values(change: impl Fn(Kernel) -> Kernel) -> Vec<f32> {
        let gpu = gpu();
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&COUNTERS))
            .unwrap();
        (0..4)
            .map(|index| {
                let y = nan_buffer(&gpu, "y", 4);
                let kernel = change(kernel(&Params { index, y_offset: 2 }));
                run(&gpu, &kernel, &[&counters, &y]);
                let all = read_f32(&gpu, &y);
                assert!(all[..2].iter().chain(&all[3..]).all(|v| v.is_nan()));
                all[2]
            })
            .collect()
    }

    #[test]
    fn the_counter_comes_out_as_a_float_and_nothing_else_is_touched() {
        let expected = COUNTERS.map(|c| c as f32);
        assert_eq!(values(|kernel| kernel), expected);
        let wrong = values(|k| mutated(&k, "counters[im.index]", "counters[im.index ^ 1u]"));
        assert_ne!(wrong, expected);
    }

    #[test]
    fn portable() {
        assert_portable(|_| {
            vec![kernel(&Params {
                index: 0,
                y_offset: 0,
            })]
        });
    }
}
