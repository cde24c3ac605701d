//! Dynamic loss scaling on the device, as `torch.amp.GradScaler` does it: gradients of small losses vanish in f16, so the loss is
//! multiplied by a scale before it is differentiated and the gradients are divided by it in f32. A step whose gradients are not
//! finite is skipped and the scale halved; after many good steps it is doubled (Micikevicius et al. 2017, arXiv 1710.03740).
//!
//! The state is four f32 per network, `[scale, growth_tracker, skipped_steps, found_inf]`, in a buffer of its own
//! (`shaders/lib/scaler.wgsl`). Per step: [`check`] (`shaders/non_finite_check.wgsl`), the optimiser ([`Skip`]), [`update`]
//! (`shaders/update_scale.wgsl`).
use super::walk::{self, Width};
use crate::gpu::{Caps, Kernel, shader};

const STATE: &str = include_str!("../../shaders/lib/scaler.wgsl");
const CHECK: &str = include_str!("../../shaders/non_finite_check.wgsl");
const UPDATE: &str = include_str!("../../shaders/update_scale.wgsl");
const NEVER: &str = include_str!("../../shaders/lib/skip_never.wgsl");
const NON_FINITE: &str = include_str!("../../shaders/lib/skip_non_finite.wgsl");

/// The state before the first step: GradScaler's `init_scale`.
pub const INITIAL: [f32; 4] = [65536.0, 0.0, 0.0, 0.0];
/// Names of the state's elements that a checkpoint holds, in order.
pub const STATE_NAMES: [&str; 3] = ["scale", "growth_tracker", "skipped_steps"];
/// Below this scale a gradient that is not finite would not have been finite without the scale either: it is let through, so that
/// the run stops instead of skipping steps without end.
const LEAST_SCALE: f32 = 1.0 / 1024.0;
/// The scale grows no further: a loss of 1e8 times it is still finite.
const LARGEST_SCALE: f32 = 1.0e30;

/// Whether an optimiser's kernel skips a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skip {
    #[default]
    Never,
    /// When [`check`] has found a gradient that is not finite; the scaler's state is bound behind the kernel's own buffers.
    NonFinite,
}

impl Skip {
    /// WGSL of `skipped`; `binding` is the number of the state's binding.
    pub(super) fn wgsl(self, binding: u32) -> String {
        match self {
            Skip::Never => NEVER.into(),
            Skip::NonFinite => format!(
                "@group(0) @binding({binding}) var<storage, read> scaler: Scaler;\n{STATE}{NON_FINITE}"
            ),
        }
    }
}

/// Marks the step if any of `count` gradients from element `offset` on is not finite. Bindings: 0 gradients, 1 the state (read and
/// written).
pub fn check(caps: &Caps, count: u32, offset: u32) -> Kernel {
    let width = Width::of(&[offset]);
    walk::kernel(
        caps,
        width.label("non_finite_check"),
        width,
        &[CHECK],
        count,
        &[offset],
        &[LEAST_SCALE.to_bits()],
    )
}

/// What `GradScaler` is constructed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    pub growth_factor: f32,
    pub backoff_factor: f32,
    /// Steps in a row that are not skipped before the scale grows.
    pub growth_interval: u32,
    /// Index in the counters of the number of optimiser steps: it advances here, unless the step was skipped.
    pub step_counter: u32,
}

impl Params {
    /// GradScaler's defaults.
    pub fn new(step_counter: u32) -> Params {
        Params {
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
            step_counter,
        }
    }
}

/// Ends a step. Bindings: 0 the state (read and written), 1 counters (u32, read and written).
pub fn update(p: &Params) -> Kernel {
    let numbers = [
        p.growth_factor,
        p.backoff_factor,
        p.growth_interval as f32,
        LARGEST_SCALE,
    ];
    let mut immediates: Vec<u32> = numbers.map(f32::to_bits).into();
    immediates.push(p.step_counter);
    Kernel {
        label: "update_scale".into(),
        source: shader::join(&[STATE, UPDATE]).into(),
        grid: [1, 1, 1],
        immediates,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{adam, rmsprop, sgd};
    use super::walk::testing::{COUNTS, assert_portable, mutated, run, values, variants};
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::testing::{buffer_of, gpu, read_f32};
    use crate::kernels::momentum::Momentum;

    /// The state after a check of these gradients, which begin at `offset`.
    fn checked(
        gpu: &Gpu,
        kernel: &Kernel,
        offset: u32,
        gradients: &[f32],
        state: [f32; 4],
    ) -> Vec<f32> {
        // What lies around the region is not finite and must not be looked at.
        let mut all = vec![f32::NAN; offset as usize];
        all.extend(gradients);
        all.resize(all.len() + 7, f32::INFINITY);
        let gradients = buffer_of(gpu, "gradients", &all);
        let state = buffer_of(gpu, "scaler", &state);
        run(gpu, kernel, &[&gradients, &state]);
        read_f32(gpu, &state)
    }

    const STATE_BEFORE: [f32; 4] = [1024.0, 7.0, 2.0, 0.0];
    const MARKED: [f32; 4] = [1024.0, 7.0, 2.0, 1.0];

    #[test]
    fn what_is_not_finite_is_found_wherever_it_lies() {
        let gpu = gpu();
        for caps in variants(&gpu) {
            for offset in [0, 4, 3] {
                for count in COUNTS {
                    let kernel = check(&caps, count, offset);
                    let mut gradients = values(count, 1, -2.0, 2.0);
                    gradients[0] = f32::MAX;
                    let state = checked(&gpu, &kernel, offset, &gradients, STATE_BEFORE);
                    assert_eq!(state, STATE_BEFORE, "{} {count}", kernel.label);
                    for (at, bad) in [
                        (0, f32::NAN),
                        (count / 2, f32::INFINITY),
                        (count - 1, f32::NEG_INFINITY),
                    ] {
                        let mut gradients = gradients.clone();
                        gradients[at as usize] = bad;
                        let state = checked(&gpu, &kernel, offset, &gradients, STATE_BEFORE);
                        assert_eq!(state, MARKED, "{} {count}: {bad} at {at}", kernel.label);
                    }
                }
            }
        }
    }

    #[test]
    fn a_small_scale_is_not_to_blame() {
        let gpu = gpu();
        let kernel = check(gpu.caps(), 5, 0);
        let gradients = [0.0, 1.0, f32::NAN, 2.0, 3.0];
        for (scale, found) in [(LEAST_SCALE, 1.0), (LEAST_SCALE / 2.0, 0.0)] {
            let before = [scale, 0.0, 26.0, 0.0];
            let state = checked(&gpu, &kernel, 0, &gradients, before);
            assert_eq!(state, [scale, 0.0, 26.0, found]);
        }
    }

    /// State and counters after an update with a growth interval of 3.
    fn updated(gpu: &Gpu, kernel: &Kernel, state: [f32; 4]) -> (Vec<f32>, [u32; 2]) {
        let state = buffer_of(gpu, "scaler", &state);
        let counters = gpu
            .buffer_from("counters", bytemuck::cast_slice(&[5u32, 9]))
            .unwrap();
        run(gpu, kernel, &[&state, &counters]);
        let bytes = gpu.download(&counters, 0..8).unwrap();
        let counters: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
        (read_f32(gpu, &state), [counters[0], counters[1]])
    }

    fn short() -> Kernel {
        update(&Params {
            growth_interval: 3,
            ..Params::new(1)
        })
    }

    /// From torch.amp.GradScaler(init_scale=1024, growth_interval=3): (state, counters) before and after `update`.
    const UPDATES: [([f32; 4], [f32; 4], [u32; 2]); 4] = [
        ([1024.0, 0.0, 4.0, 0.0], [1024.0, 1.0, 4.0, 0.0], [5, 10]),
        ([1024.0, 1.0, 4.0, 0.0], [1024.0, 2.0, 4.0, 0.0], [5, 10]),
        ([1024.0, 2.0, 4.0, 0.0], [2048.0, 0.0, 4.0, 0.0], [5, 10]),
        ([1024.0, 2.0, 4.0, 1.0], [512.0, 0.0, 5.0, 0.0], [5, 9]),
    ];

    #[test]
    fn the_scale_grows_and_backs_off() {
        let gpu = gpu();
        for (before, after, counters) in UPDATES {
            let got = updated(&gpu, &short(), before);
            assert_eq!(got, (after.to_vec(), counters));
        }
        let limit = [LARGEST_SCALE, 2.0, 0.0, 0.0];
        assert_eq!(updated(&gpu, &short(), limit).0[0], LARGEST_SCALE);
        assert_eq!(
            Params::new(0),
            Params {
                growth_factor: 2.0,
                backoff_factor: 0.5,
                growth_interval: 2000,
                step_counter: 0
            }
        );
    }

    #[test]
    fn mutations_are_caught() {
        let gpu = gpu();
        for (from, to) in [
            (">= im.growth_interval", "> im.growth_interval"),
            (
                "scaler.scale *= im.backoff_factor",
                "scaler.scale *= im.growth_factor",
            ),
            ("scaler.found_inf = 0u", "scaler.found_inf = 1u"),
            (
                "counters[im.step_counter] += 1u",
                "counters[im.step_counter] += 2u",
            ),
        ] {
            let kernel = mutated(&short(), from, to);
            let same = UPDATES.iter().all(|(before, after, counters)| {
                updated(&gpu, &kernel, *before) == (after.to_vec(), *counters)
            });
            assert!(!same, "{from} -> {to}");
        }
        let kernel = mutated(&check(gpu.caps(), 33, 0), "0x7f800000u", "0x7fc00000u");
        let mut gradients = [0.0; 33];
        gradients[32] = f32::INFINITY;
        assert_ne!(checked(&gpu, &kernel, 0, &gradients, STATE_BEFORE), MARKED);
    }

    /// Every optimiser with the state bound: the same step as without when nothing was found, and no step at all otherwise.
    #[test]
    fn optimisers_skip() {
        let gpu = gpu();
        let (count, n) = (257, 257);
        let momentum = Some(Momentum {
            momentum: 0.5,
            offset: 0,
        });
        let make = |caps: &Caps, skip| {
            let adam = adam::Params {
                count,
                offsets: [0; 4],
                counter: 0,
                lr: 0.1,
                beta1: 0.5,
                beta2: 0.9,
                eps: 1e-8,
                skip,
            };
            let rmsprop = rmsprop::Params {
                count,
                offsets: [0; 3],
                lr: 0.1,
                alpha: 0.9,
                eps: 1e-8,
                momentum,
                skip,
            };
            let sgd = sgd::Params {
                count,
                offsets: [0; 2],
                lr: 0.1,
                momentum,
                skip,
            };
            let plain = sgd::Params {
                momentum: None,
                ..sgd.clone()
            };
            [
                (adam::kernel(caps, &adam), 2, true),
                (rmsprop::kernel(caps, &rmsprop), 2, false),
                (sgd::kernel(caps, &sgd), 1, false),
                (sgd::kernel(caps, &plain), 0, false),
            ]
        };
        for caps in variants(&gpu) {
            let skipping = make(&caps, Skip::NonFinite);
            for ((never, moments, counts), (skipping, ..)) in
                make(&caps, Skip::Never).into_iter().zip(skipping)
            {
                let after = |kernel: &Kernel, found: Option<f32>| -> Vec<Vec<f32>> {
                    let all: Vec<_> = (0..2 + moments)
                        .map(|k| buffer_of(&gpu, "arena", &values(n, k, 0.1, 1.0)))
                        .collect();
                    let counters = gpu.buffer("counters", 16).unwrap();
                    let state = found.map(|f| buffer_of(&gpu, "scaler", &[1.0, 0.0, 0.0, f]));
                    let mut buffers: Vec<_> = all.iter().collect();
                    buffers.extend(counts.then_some(&counters));
                    buffers.extend(&state);
                    run(&gpu, kernel, &buffers);
                    all.iter().map(|b| read_f32(&gpu, b)).collect()
                };
                let stepped = after(&never, None);
                assert_eq!(after(&skipping, Some(0.0)), stepped, "{}", skipping.label);
                let before: Vec<Vec<f32>> =
                    (0..2 + moments).map(|k| values(n, k, 0.1, 1.0)).collect();
                assert_ne!(stepped, before);
                assert_eq!(after(&skipping, Some(1.0)), before, "{}", skipping.label);
            }
        }
    }

    #[test]
    fn portable() {
        assert_portable(|caps| {
            vec![
                check(caps, 9, 0),
                check(caps, 9, 1),
                update(&Params::new(3)),
            ]
        });
    }
}
