//! Finds the first NaN or infinity of an arena on the device (`shaders/first_nonfinite.wgsl`, `shaders/first_nonfinite_reduce.wgsl`),
//! and keeps the execution that made it, so that a run can stop and name step and tensor.
use super::walk::{self, Width};
use crate::gpu::{AdapterClass, Caps, Kernel, shader};

const SCAN: &str = include_str!("../../shaders/first_nonfinite.wgsl");
const REDUCE: &str = include_str!("../../shaders/first_nonfinite_reduce.wgsl");

/// Which elements, and where the finding goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    pub count: u32,
    /// First element in the buffer. Vectors of four are used where it is a multiple of 4.
    pub offset: u32,
    /// Which finding of the result buffer is this arena's.
    pub slot: u32,
    /// Index in the counters of the number of executions before this one.
    pub execution_counter: u32,
}

/// What a slot of the result buffer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The lowest index in the region of an element that was not finite in that execution.
    pub index: u32,
    /// The first execution in which there was one.
    pub execution: u32,
}

impl Finding {
    /// From a slot's two words; `None` while everything was finite, as in zeroed memory.
    pub fn from_words(words: [u32; 2]) -> Option<Finding> {
        let index = words[0].checked_sub(1)?;
        Some(Finding {
            index,
            execution: words[1],
        })
    }
}

/// Workgroups of the scan: enough to fill a GPU. Software adapters run one per thread.
fn groups(caps: &Caps) -> u32 {
    match caps.class {
        AdapterClass::Software => 16,
        _ => 128,
    }
}

/// Words that the buffer of partial results needs.
pub fn partials_len(caps: &Caps) -> u32 {
    groups(caps) * walk::lanes_and_items(caps).0
}

/// Two kernels, to be run one after the other.
///
/// Bindings of the first: 0 the arena, 1 partial results ([`partials_len`] words, written).
/// Of the second: 0 partial results, 1 counters (u32), 2 findings (u32, two words per slot, read and written; see [`Finding`]).
pub fn kernels(caps: &Caps, p: &Params) -> [Kernel; 2] {
    let (lanes, _) = walk::lanes_and_items(caps);
    let width = Width::of(&[p.offset]);
    // A single lane needs no barrier, which is slow on software adapters; there are few partial results.
    let reduce_lanes = match caps.class {
        AdapterClass::Software => 1,
        _ => lanes,
    };
    let scan = Kernel {
        label: width.label("first_nonfinite"),
        source: shader::join(&[&walk::prelude(lanes, 1), width.wgsl(), SCAN]).into(),
        grid: [groups(caps), 1, 1],
        immediates: vec![p.count, p.offset / width.elements()],
    };
    let reduce = Kernel {
        label: "first_nonfinite_reduce".into(),
        source: shader::join(&[&walk::prelude(reduce_lanes, 1), REDUCE]).into(),
        grid: [1, 1, 1],
        immediates: vec![partials_len(caps), p.slot, p.execution_counter],
    };
    [scan, reduce]
}

#[cfg(test)]
mod tests {
    use super::walk::testing::{assert_portable, mutated, run, values, variants};
    use super::*;
    use crate::gpu::testing::{buffer_of, gpu};
    use crate::gpu::{Buffer, Gpu};

    struct Setup {
        gpu: Gpu,
        kernels: [Kernel; 2],
        partials: Buffer,
        found: Buffer,
        params: Params,
    }
    impl Setup {
        fn new(caps: &Caps, count: u32, offset: u32) -> Setup {
            let gpu = gpu();
            let params = Params {
                count,
                offset,
                slot: 1,
                execution_counter: 1,
            };
            let partials = vec![7u32; partials_len(caps) as usize];
            Setup {
                kernels: kernels(caps, &params),
                partials: gpu
                    .buffer_from("partials", bytemuck::cast_slice(&partials))
                    .unwrap(),
                found: gpu.buffer("found", 24).unwrap(),
                gpu,
                params,
            }
        }
        /// The finding after an execution in which `values` lie in the region, between a NaN before it and one behind it.
        fn execute(&self, execution: u32, values: &[f32]) -> Option<Finding> {
            let gpu = &self.gpu;
            let mut all = vec![f32::NAN; self.params.offset as usize];
            all.extend(values);
            all.push(f32::NAN);
            let x = buffer_of(gpu, "x", &all);
            let counters = gpu
                .buffer_from("counters", bytemuck::cast_slice(&[9, execution]))
                .unwrap();
            run(gpu, &self.kernels[0], &[&x, &self.partials]);
            run(
                gpu,
                &self.kernels[1],
                &[&self.partials, &counters, &self.found],
            );
            let words: Vec<u32> =
                bytemuck::pod_collect_to_vec(&gpu.download(&self.found, 0..24).unwrap());
            assert_eq!(
                [words[0], words[1], words[4], words[5]],
                [0; 4],
                "other slots"
            );
            Finding::from_words([words[2], words[3]])
        }
    }

    #[test]
    fn the_lowest_index_is_found_wherever_it_is() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for (count, offset) in [(1, 0), (5, 4), (33, 3), (64, 0), (9001, 0), (40_003, 8)] {
                let finite = values(count, 6, -1.0, 1.0);
                let clean = Setup::new(&caps, count, offset);
                assert_eq!(clean.execute(3, &finite), None);
                for (first, kind) in [
                    (0, f32::NAN),
                    (count / 2, f32::INFINITY),
                    (count - 1, f32::NEG_INFINITY),
                ] {
                    let mut x = finite.clone();
                    x[first as usize] = kind;
                    // Later ones, in other lanes.
                    for later in [first + 1, first + 9, count - 1] {
                        if later > first && later < count {
                            x[later as usize] = f32::NAN;
                        }
                    }
                    let expected = Some(Finding {
                        index: first,
                        execution: 4,
                    });
                    let setup = Setup::new(&caps, count, offset);
                    assert_eq!(setup.execute(4, &x), expected, "{count} {offset} {kind}");
                }
            }
        }
    }

    /// Extremes that are finite are not found; the first execution's finding stays.
    #[test]
    fn the_first_execution_stays() {
        let setup = Setup::new(gpu().caps(), 5, 0);
        let finite = [f32::MAX, f32::MIN, f32::MIN_POSITIVE, -0.0, 1e-45];
        let mut x = finite;
        assert_eq!(setup.execute(0, &finite), None);
        x[3] = f32::NAN;
        let first = Some(Finding {
            index: 3,
            execution: 1,
        });
        assert_eq!(setup.execute(1, &x), first);
        x[0] = f32::INFINITY;
        assert_eq!(setup.execute(2, &x), first);
        assert_eq!(setup.execute(3, &finite), first);
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        let count = 40_003;
        let finite = values(count, 6, -1.0, 1.0);
        let run = |x: &[f32], which: usize, from: &str, to: &str| {
            let mut setup = Setup::new(gpu.caps(), count, 0);
            setup.kernels[which] = mutated(&setup.kernels[which], from, to);
            setup.execute(0, x)
        };
        // Reads the NaN behind the region.
        assert_ne!(run(&finite, 0, " & inside(q)", ""), None);
        // Two values of one invocation, in either variant.
        let mut x = finite;
        x[5] = f32::INFINITY;
        x[5 + 4 * 64 * 128] = f32::NAN;
        let expected = Some(Finding {
            index: 5,
            execution: 0,
        });
        assert_eq!(run(&x, 0, "lowest", "lowest"), expected);
        assert_ne!(run(&x, 0, "lowest == 0xffffffffu", "true"), expected);
        assert_ne!(
            run(&x, 1, "min(mine, partials[i])", "partials[i]"),
            expected
        );
    }

    #[test]
    fn portable() {
        let params = |offset| Params {
            count: 9,
            offset,
            slot: 0,
            execution_counter: 0,
        };
        assert_portable(|caps| [0, 1].map(|o| kernels(caps, &params(o))).concat());
    }
}
